"""The hold bar: above the keys of every screen while a change is held, and until its end was read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Input

from sockmon.ui.hold import Hold
from sockmon.ui.widgets import hold_words
from sockmon.ui.widgets.facts import Fact, Facts
from sockmon.ui.widgets.words import Words, spread

LOOKS = ("-held", "-urgent", "-good", "-bad", "-note")
MOST = 4
"""Remarks that the bar has room for."""


class HoldBar(Widget):
    """Takes no focus and no click: only keys decide."""

    DEFAULT_CSS: ClassVar[str] = """
    HoldBar { layout: vertical; height: auto; display: none; background: $panel; color: $foreground; }
    HoldBar.-shown { display: block; }
    HoldBar.-docked { dock: bottom; margin: 0 0 1 0; }
    HoldBar #hold-says { text-style: bold; }
    HoldBar #hold-left { display: none; }
    HoldBar #hold-more { padding: 0 1; }
    HoldBar.-held #hold-left, HoldBar.-urgent #hold-left { display: block; }
    HoldBar.-held #hold-says { background: $warning; color: $background; }
    HoldBar.-held #hold-left { color: $warning; }
    HoldBar.-urgent #hold-says { background: $error; color: $background; }
    HoldBar.-urgent #hold-left { color: $error; text-style: bold; }
    HoldBar.-good #hold-says { background: $success; color: $background; }
    HoldBar.-bad #hold-says { background: $error; color: $background; }
    HoldBar.-note #hold-says { background: $banner-background; color: $banner-foreground; }
    HoldBar.-held:ansi #hold-says { background: ansi_default; color: $warning; text-style: bold reverse; }
    HoldBar.-good:ansi #hold-says { background: ansi_default; color: $success; text-style: bold reverse; }
    HoldBar.-urgent:ansi #hold-says, HoldBar.-bad:ansi #hold-says {
        background: ansi_default; color: $error; text-style: bold reverse;
    }
    """

    def __init__(self, hold: Hold, keys: Mapping[str, str], docked: bool) -> None:
        super().__init__(classes="-docked" if docked else None)
        self._hold = hold
        self._keys = keys

    def compose(self) -> ComposeResult:
        yield Words(id="hold-says")
        yield Words(id="hold-left")
        yield Facts(id="hold-more")

    def on_mount(self) -> None:
        self.draw()

    def on_resize(self) -> None:
        self.draw()

    def draw(self) -> None:
        """Say how it stands; only lines that differ are drawn again."""
        if not self.query("#hold-more"):
            # The lines inside are mounted last.
            return
        hold, width = self._hold, self.app.size.width
        look, says, left, more = "", Text(), Text(), list[str]()
        if hold.held:
            look = "-urgent" if hold.urgent else "-held"
            typing = isinstance(self.app.focused, Input)
            says = hold_words.holding(hold, self._keys, width, typing)
            left = hold_words.countdown(hold, width)
            more = hold_words.remarks(hold)
        elif hold.ended or hold.lost:
            look = "-bad" if hold.bad else "-good"
            says, more = hold_words.ending(hold, width)
        elif hold.noted:
            look = "-note"
            first, *rest = hold_words.notes(hold)
            says = spread(Text(f" {first}"), Text("Esc hides "), width)
            more = [f"and {len(rest)} more: sockmon tune verify"] if rest else []
        self._wear(look)
        self.query_one("#hold-says", Words).show(says)
        self.query_one("#hold-left", Words).show(left)
        self._remark(more)

    def _wear(self, look: str) -> None:
        self.set_class(bool(look), "-shown")
        for each in LOOKS:
            self.set_class(each == look, each)

    def _remark(self, more: list[str]) -> None:
        kept = more[-MOST:]
        if len(kept) < len(more):
            kept[0] = f"{len(more) - MOST + 1} more before: sockmon tune history"
        facts = self.query_one("#hold-more", Facts)
        facts.display = bool(kept)
        facts.show(*(Fact("", Text(line)) for line in kept))
