"""A plan in frames: one for each change, all of them at a glance, and the commands that do the same by hand."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from rich.text import Text
from textual.content import Content

from sockmon.ceilings.sections import Section
from sockmon.model.change import Proposal
from sockmon.tuning.proposal import Page
from sockmon.ui.staged import value
from sockmon.ui.widgets.facts import Fact, Facts

LOUD = {"Effect": "strong", "Think of": "sev-warning"}


class Change(Facts):
    """One change, or what is to be said of all, in a frame of its own."""

    def __init__(self, page: Page) -> None:
        super().__init__(14)
        self.add_class("panel")
        title, what, sections = page
        self.border_title = Content(title)
        self._page = Fact("Change" if sections else "", Text(arrow(what), "accent")), *_facts(sections)

    def on_mount(self) -> None:
        self.show(*self._page)


def arrow(text: str) -> str:
    """From old to new, as a screen shows it."""
    return text.replace(" -> ", " → ")


def _facts(sections: tuple[Section, ...]) -> Iterator[Fact]:
    for section in sections:
        style = LOUD.get(section.name, "")
        for place, paragraph in enumerate(section.paragraphs):
            glyph = "▲ " if section.name == "Think of" else ""
            text = arrow(paragraph) if section.name == "Effect" else paragraph
            yield Fact("" if place else section.name, Text(glyph + text, style), 2)


def glance(proposal: Proposal) -> Iterator[Fact]:
    """Of several changes a line for each, so that all can be seen at once."""
    several = len(proposal.previews) > 1
    room = max(len(each.setting.name) for each in proposal.previews) if several else 0
    for each in proposal.previews if several else ():
        mark = ("▲ ", "sev-warning") if each.warnings else ("  ", "")
        change = f"{value(each.setting.old)} → {value(each.setting.new)}"
        yield Fact("", Text.assemble(mark, f"{each.setting.name:<{room}}  ", (change, "accent")), room + 4)


def by_hand(proposal: Proposal) -> Iterator[Fact]:
    """The same in a shell, and the way back."""
    for name, commands in (("By hand", proposal.commands), ("And back", proposal.back)):
        for place, command in enumerate(commands):
            yield Fact("" if place else name, Text(command, "muted"), 2)


def as_root(proposal: Proposal) -> str:
    """The command that does the same where one may."""
    wishes = [f"{each.name}={each.new}" for each in proposal.plan.settings]
    return shlex.join(["sudo", "sockmon", "tune", "apply", *wishes])
