"""A screen that asks the source about its one thing every two seconds, and says how old the answer is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar, cast

from rich.text import Text

from sockmon import format
from sockmon.assess import Assessment
from sockmon.model.detail import Detail, Focus, GroupDetail, ListenerDetail, ProcessDetail
from sockmon.model.snapshot import Missing
from sockmon.ui.screens.drill import Drill
from sockmon.ui.screens.sockets import Sockets
from sockmon.ui.widgets.facts import Fact, Facts

if TYPE_CHECKING:
    from sockmon.ui.app import SockmonApp

EVERY = 2.0
LATE = 5.0
"""Seconds from which on the age of an answer is worth saying."""
CANNOT = {
    False: ("not in a recording", "a recording holds no single sockets: what the snapshots say is shown"),
    True: ("nobody to ask", "the agent has ended: what the last sample says is shown"),
}
"""What is said in a table and in a sentence where nobody answers, by whether the source is live."""
DESCRIPTORS = "descriptors"
"""The reader of /proc/PID/fd, without which nobody's sockets are known."""
UNSEEN = "needs root or its user"
D = TypeVar("D", ProcessDetail, GroupDetail, ListenerDetail)


class Asking(Drill, Generic[D]):
    """Keeps the newest answer; asks only while it is on top and not paused."""

    def __init__(self, focus: Focus) -> None:
        super().__init__()
        self.focus_on = focus
        self.detail: D | None = None
        self.answerable = True

    def on_mount(self) -> None:
        self._ask()
        self.set_interval(EVERY, self._ask)

    def _ask(self) -> None:
        app = cast("SockmonApp", self.app)
        if app.screen is self and not (app.paused and self.detail):
            self.answerable = app.ask(self.focus_on)
            if not self.answerable and self.assessment:
                self.draw(self.assessment)

    def answer(self, detail: Detail) -> None:
        """An answer of the source; those that were meant for another screen are left alone."""
        if detail.focus != self.focus_on:
            return
        self.detail = cast(D, detail)
        if self.is_mounted and self.assessment:
            self.draw(self.assessment)

    def age(self, assessment: Assessment) -> str:
        """How old the answer is, when it is old: `answer 10 s old`."""
        if not self.answerable:
            return ""
        if self.detail is None:
            return "asking…"
        seconds = assessment.snapshot.at - self.detail.at
        return f"answer {format.age(seconds)} old" if seconds >= LATE else ""

    @property
    def cannot(self) -> tuple[str, str]:
        """Why nobody answers, in short and in a sentence."""
        return CANNOT[cast("SockmonApp", self.app).source.live]

    def empty(self, none: str, reader: str = DESCRIPTORS) -> str:
        """What an empty table says: `none`, but only where `reader` could see; absent is not zero."""
        if self.detail is None:
            return "asking…" if self.answerable else self.cannot[0]
        blind = any(item.reader == reader for item in self.detail.missing)
        return f"{format.UNKNOWN} {UNSEEN}" if blind else none

    def draw_missing(self, *reasons: Missing) -> None:
        """Say what could not be seen, and why; nothing where all was."""
        facts = [Fact("not seen", Text(f"{item.reader}: {item.reason}", "sev-unknown")) for item in reasons]
        if not self.answerable:
            facts.append(Fact("not seen", Text(self.cannot[1], "sev-unknown")))
        missing = self.query_one("#missing", Facts)
        missing.display = bool(facts)
        missing.show(*facts)

    def draw_sockets(self) -> None:
        """The answer's sockets, and how many of how many they are."""
        sockets = self.detail.sockets if self.detail else ()
        total = self.detail.sockets_total if self.detail else None
        table = self.query_one(Sockets)
        table.empty = self.empty("no sockets")
        table.border_title = "Sockets" + (f" · {format.count(total)}" if total else "")
        if total is not None and total > len(sockets):
            table.border_title = f"Sockets · showing {format.count(len(sockets))} of {format.count(total)}"
        table.show(sockets)
