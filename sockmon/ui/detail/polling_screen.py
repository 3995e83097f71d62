"""The base of pages that request their rows from the source every two seconds, or more rarely if that is
expensive, and show how old the answer is."""

from __future__ import annotations

import time
from typing import Any, ClassVar, Generic, TypeVar, cast

from rich.text import Text
from textual import on
from textual.binding import BindingType
from textual.content import Content

from sockmon import format
from sockmon.assess import Assessment
from sockmon.model.detail import (
    Detail,
    DetailQuery,
    GroupDetail,
    ListenerDetail,
    ProcessDetail,
    Socket,
)
from sockmon.model.process_facts import DescriptorsDetail
from sockmon.model.snapshot import Missing
from sockmon.ui import keys
from sockmon.ui.detail.filtered_screen import FilteredScreen
from sockmon.ui.detail.share_tables import ShareTable
from sockmon.ui.detail.socket_table import SocketTable
from sockmon.ui.detail.socket_target import NO_OWNER_REASON
from sockmon.ui.detail.sockets_place import SocketsPlace
from sockmon.ui.widgets.filter_line import FilterLine
from sockmon.ui.widgets.table import Table

POLL_SECONDS, COST_FACTOR = 2.0, 20.0
"""Seconds between two requests at least, and how many times longer than an answer takes of a processor."""
STALE_SECONDS = 5.0
"""Seconds from which on the age of an answer is shown."""
NO_ANSWER = {
    False: ("not in a recording", "recordings have no per-socket data; showing totals"),
    True: ("agent not running", "the agent has exited; showing the last sample"),
}
"""Whether the source is live → why there is no answer, in short for a table and as a sentence."""
DESCRIPTOR_READER = "descriptors"
"""The reader of /proc/PID/fd, without which no socket has a known owner."""
NEEDS_PRIVILEGE = "needs root or its user"
Q = TypeVar("Q", bound=DetailQuery)
D = TypeVar("D", ProcessDetail, GroupDetail, ListenerDetail, DescriptorsDetail)


class PollingScreen(FilteredScreen, Generic[Q, D]):
    """Keeps the newest answer; requests one only while it is on top and not paused. Its tables share a filter."""

    BINDINGS: ClassVar[list[BindingType]] = [keys.binding("zoom")]

    def __init__(self, target: Q) -> None:
        super().__init__()
        self.target: Q = target
        """What the page is about."""
        self.detail: D | None = None
        self.answerable = True
        self._answered_at = float("-inf")

    def on_mount(self) -> None:
        self._poll()
        self.set_interval(POLL_SECONDS, self._poll)

    def _poll(self) -> None:
        if self.app.screen is self and not (self.detail and (self.sockmon.paused or self._is_new_enough())):
            self.answerable = self.sockmon.ask(self.target)
            if not self.answerable and self.assessment:
                self.draw(self.assessment)

    def answer(self, detail: Detail) -> None:
        """Take an answer of the source, unless it is for another page."""
        if detail.query != self.target:
            return
        self.detail = cast(D, detail)
        self._answered_at = time.monotonic()
        self.show_again()

    def _is_new_enough(self) -> bool:
        """Return whether the answer was too expensive to request the next one yet."""
        age = time.monotonic() - self._answered_at
        return self.detail is not None and self.answerable and age < COST_FACTOR * self.detail.seconds

    def show_again(self) -> None:
        """Draw the newest Assessment and answer."""
        if self.is_mounted and self.assessment:
            self.draw(self.assessment)

    def answer_age(self, assessment: Assessment) -> str:
        """Return the age of an old answer: `answer 10 s old`."""
        if not self.answerable:
            return ""
        if self.detail is None:
            return "reading…"
        seconds = assessment.snapshot.at - self.detail.at
        return f"answer {format.age(seconds)} old" if seconds >= STALE_SECONDS else ""

    @property
    def why_no_answer(self) -> tuple[str, str]:
        """Why there is no answer, in short and as a sentence."""
        return NO_ANSWER[self.sockmon.source.live]

    def empty_text(self, none: str, reader: str = DESCRIPTOR_READER) -> str:
        """Return the text of an empty table: `none` if `reader` could read, else why it could not."""
        if self.detail is None:
            return "reading…" if self.answerable else self.why_no_answer[0]
        blind = any(item.reader == reader for item in self.detail.missing)
        return f"{format.UNKNOWN} {NEEDS_PRIVILEGE}" if blind else none

    def draw_missing(self, *reasons: Missing) -> None:
        """Show what could not be read, and why there is no answer."""
        self.show_missing(reasons, *(() if self.answerable else (self.why_no_answer[1],)))

    def draw_sockets(self) -> None:
        """Show the sockets of the answer, and how many there are in all."""
        detail = None if isinstance(self.detail, DescriptorsDetail) else self.detail
        sockets = detail.sockets if detail else ()
        total = detail.sockets_total if detail else None
        table = self.query_one(SocketTable)
        table.empty = self.empty_text("no sockets")
        table.border_title = "Sockets" + (f" · {format.count(total)}" if total else "")
        if total is not None and total > len(sockets):
            table.border_title = f"Sockets · showing {format.count(len(sockets))} of {format.count(total)}"
        table.show(sockets)
        self.note_filter()

    # Filter

    @on(FilterLine.Changed)
    def _filter_changed(self, event: FilterLine.Changed) -> None:
        for table in self.query(Table):
            table.set_filter(event.filter)
        if self.assessment:
            self.draw(self.assessment)

    @property
    def main_table(self) -> Table[Any]:
        """The table that a share narrows."""
        return self.query_one(SocketTable)

    @property
    def sockets_place(self) -> SocketsPlace | None:
        """The list of all sockets that the page is about; None if there is none."""
        return None

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide the key of the list where no list can be asked for."""
        if action == "zoom":
            return self.sockets_place is not None and self.sockmon.source.live
        return super().check_action(action, parameters)

    def action_zoom(self) -> None:
        """Open the list of all sockets that the page is about."""
        if place := self.sockets_place:
            self.open_detail(place)

    def opens(self, table: Table[Any], row: Any) -> DetailQuery | SocketsPlace | str | None:
        """List the sockets of a share, or filter those of the page; for a row that leads to this very page, return
        a message."""
        if isinstance(table, ShareTable):
            if table.field and (place := self.sockets_place) and self.sockmon.source.live:
                return place.narrowed(table.field, row[0])
            if not table.field:
                return self.about_share(row[0])
            self.narrow(table.field, row[0])
            return None
        found = super().opens(table, row)
        if found != self.target:
            return found
        state = (
            f"{row.state}: {NO_OWNER_REASON[row.state]}; "
            if isinstance(row, Socket) and row.state in NO_OWNER_REASON
            else ""
        )
        return f"{state}this page shows all there is about it"

    def about_share(self, name: str) -> str | None:
        """Return a message about a share that the sockets cannot be filtered by."""
        raise NotImplementedError

    def narrow(self, field: str, value: str) -> None:
        """Filter the sockets by the `value` of a field."""
        self.query_one(FilterLine).set_text(f'{field}:"{value}"' if " " in value else f"{field}:{value}")
        self.main_table.focus()

    def note_filter(self) -> None:
        """Show on each table how many rows match, or why it is not filtered."""
        for table in self.query(Table):
            ignored = table.listed.ignored_terms
            note = Text(ignored, "sev-warning") if ignored else Text(table.matching, "accent")
            table.border_subtitle = Content.from_rich_text(note, console=self.app.console)
