"""The list of sockets of one namespace or of all: the agent filters and sorts, this page shows the first ones."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.binding import BindingType
from textual.content import Content
from textual.timer import Timer
from textual.widget import Widget

from sockmon import format
from sockmon.assess import Assessment
from sockmon.model.detail import Detail, DetailQuery
from sockmon.model.snapshot import Missing
from sockmon.model.socket_detail import SocketQuery
from sockmon.model.socket_list import (
    ListedSocket,
    SocketKey,
    SocketListDetail,
    SocketListQuery,
    StopSocketList,
)
from sockmon.ui import keys
from sockmon.ui.detail.filtered_screen import FilteredScreen
from sockmon.ui.detail.polling_screen import COST_FACTOR, NO_ANSWER, STALE_SECONDS
from sockmon.ui.detail.socket_columns import SORTS, columns
from sockmon.ui.detail.sockets_place import SocketsPlace
from sockmon.ui.filtering.filter import parse_leniently
from sockmon.ui.filtering.socket_terms import KNOWN, socket_terms
from sockmon.ui.snapshot_lookup import find_netns
from sockmon.ui.widgets.filter_line import FilterLine
from sockmon.ui.widgets.labelled_list import LabelledList
from sockmon.ui.widgets.table import Table

REFRESH_SECONDS = 2.0
"""Seconds between an answer and the next request."""
LOST_SECONDS = 15.0
"""Seconds without any answer after which the request is sent again: the agent may have been started again."""
OWNERS_READER = "owners"
"""The reader whose gaps matter only if a socket that is listed has no known owner."""
TYPING_SECONDS = 0.3
"""Seconds after a letter until the filter is sent."""


class SocketListScreen(FilteredScreen):
    """Sockets by any term of the filter, in any order."""

    BINDINGS: ClassVar[list[BindingType]] = [
        keys.binding("sockets.all"),
        keys.binding("zoom"),
    ]
    AUTO_FOCUS = "#socket-list"

    def __init__(self, place: SocketsPlace) -> None:
        super().__init__()
        self.place = place
        self.netns = place.netns
        """Inode of the namespace whose sockets are listed; 0: all."""
        self.detail: SocketListDetail | None = None
        self.query_sent: SocketListQuery | None = None
        self._filter = parse_leniently(place.filter)[0]
        self._progress: SocketListDetail | None = None
        """The newest answer to the query that was sent last, complete or not."""
        self._answerable = True
        self._sent_at = self._heard_at = 0.0
        self._typing: Timer | None = None
        self._stopped = False
        """Whether the dump was stopped because another screen came on top."""

    def parts(self) -> Iterable[Widget]:
        yield LabelledList(10, id="missing")
        yield Table(
            columns(80, self._several),
            lambda row: row.key,
            id="socket-list",
            classes="panel rest",
            columns_for=lambda width: columns(width, self._several),
            flex=15,
            default_order="queues",
        )

    def on_mount(self) -> None:
        self.query_one("#missing").display = False
        if self.place.filter:
            self.query_one(FilterLine).set_text(self.place.filter)
        if self.place.sort:
            self.main_table.sort_by(self.place.sort)
        self._request()
        self.set_interval(0.5, self._poll)

    @property
    def main_table(self) -> Table[ListedSocket]:
        return self.query_one("#socket-list", Table)

    @property
    def selected_key(self) -> SocketKey | None:
        """The socket under the cursor."""
        row = self.main_table.selected
        return row.key if row else None

    @property
    def _several(self) -> bool:
        return not self.netns and bool(self.assessment) and len(self._namespaces) > 1

    @property
    def _namespaces(self) -> tuple[Any, ...]:
        return self.assessment.snapshot.netns if self.assessment else ()

    # Asking

    def _request(self) -> None:
        """Ask again; the agent stops what it was doing for this list."""
        number = self.query_sent.number + 1 if self.query_sent else 1
        column, reverse = self.main_table.listed.column, self.main_table.listed.reverse
        sort = SORTS.get(column.title, "") if column else ""
        self.query_sent = SocketListQuery(
            self.netns, socket_terms(self._filter), sort, reverse and bool(sort), number
        )
        self._progress = None
        self._sent_at = time.monotonic()
        self._answerable = self.sockmon.ask(self.query_sent)
        self._draw_list()

    def _poll(self) -> None:
        """Ask again once the answer is old enough for what it costs."""
        if self.app.screen is not self or (self.sockmon.paused and self.detail):
            return
        now, answer = time.monotonic(), self._progress
        if answer is None or not answer.complete:
            due = now - max(self._sent_at, self._heard_at) > LOST_SECONDS
        else:
            due = now - self._heard_at > max(REFRESH_SECONDS, COST_FACTOR * answer.seconds)
        if due:
            self._request()

    def answer(self, detail: Detail) -> None:
        """Take an answer to the newest query. A partial one is shown only if it is the first for what is asked."""
        if not isinstance(detail, SocketListDetail) or detail.query != self.query_sent:
            return
        self._heard_at = time.monotonic()
        self._progress = detail
        if detail.complete or not self._shows(detail.query):
            self.detail = detail
        if self.is_mounted:
            self._draw_list()

    def _shows(self, query: SocketListQuery) -> bool:
        """Return whether the rows that are shown are a complete answer to an earlier query of the same kind."""
        shown = self.detail
        return bool(
            shown
            and shown.complete
            and (shown.query.netns, shown.query.terms, shown.query.sort, shown.query.reverse)
            == (query.netns, query.terms, query.sort, query.reverse)
        )

    def on_screen_suspend(self) -> None:
        """Stop the dump: nobody sees it."""
        if self._progress is None or not self._progress.complete:
            self._stopped = True
            self.sockmon.ask(StopSocketList())

    def on_screen_resume(self) -> None:
        """Ask again for what was stopped."""
        if self._stopped:
            self._stopped = False
            self._request()

    # Drawing

    def draw(self, assessment: Assessment) -> None:
        self._draw_list()

    def _draw_list(self) -> None:
        if not self.query("#socket-list"):
            return
        shown, table = self.detail, self.main_table
        self.set_title(self._title(), self._age())
        table.empty = self._why_empty()
        table.border_title = self._count()
        table.border_subtitle = Content.from_rich_text(self._note(), console=self.app.console)
        table.show(shown.sockets if shown else ())
        self._draw_missing(shown.missing if shown else ())

    def _title(self) -> Text:
        netns = find_netns(self.assessment.snapshot, self.netns) if self.assessment and self.netns else None
        count = len(self._namespaces)
        where = netns.name if netns else "another namespace" if self.netns else "all namespaces"
        if not self.netns and count == 1:
            where = self._namespaces[0].name
        return Text.assemble(("sockets", "heading"), " · ", (where, "strong"))

    def _age(self) -> str:
        if not self.detail or not self.assessment:
            return ""
        seconds = self.assessment.snapshot.at - self.detail.at
        return f"answer {format.age(seconds)} old" if seconds >= STALE_SECONDS else ""

    def _count(self) -> str:
        """Return how many there are, and that not all are listed."""
        shown = self.detail
        if shown is None:
            return "Sockets"
        listed, matching = len(shown.sockets), shown.matching
        verb = " match" if shown.query.terms else ""
        if not shown.complete:
            return f"Sockets · {format.count(listed)} of {format.count(matching)} so far"
        if matching > listed:
            return (
                f"Sockets · the first {format.count(listed)} of {format.count(matching)}{verb and ' that match'}"
            )
        return f"Sockets · {format.count(matching)}{verb}"

    def _note(self) -> Text:
        """Return what is read now, and what the filter leaves out."""
        parts = []
        ignored = self._filter.ignored_note(KNOWN)
        if ignored:
            parts.append(Text(ignored, "sev-warning"))
        progress = self._progress
        if self._answerable and (progress is None or not progress.complete) and not self._shows_current:
            read = f" {format.count(progress.read)}" if progress else ""
            places = (
                f", {progress.namespaces_read} of {progress.namespaces} namespaces"
                if progress and progress.namespaces > 1
                else ""
            )
            parts.append(Text(f"read{read}{places} …", "accent"))
        return Text(" · ").join(parts)

    @property
    def _shows_current(self) -> bool:
        """Whether only a refresh runs, which needs no note until it takes long."""
        sent = self.query_sent
        return bool(sent and self._shows(sent)) and time.monotonic() - self._sent_at < 1.0

    def _why_empty(self) -> str:
        if not self._answerable:
            return NO_ANSWER[self.sockmon.source.live][0]
        if self.detail is None or not self.detail.complete:
            return "reading…"
        return "no socket matches" if self.detail.query.terms else "no sockets"

    def _draw_missing(self, reasons: Iterable[Missing]) -> None:
        unknown = any(row.owner is None and not row.no_owner for row in self.main_table.rows)
        reasons = [item for item in reasons if unknown or item.reader != OWNERS_READER]
        self.show_missing(reasons, *(() if self._answerable else (NO_ANSWER[self.sockmon.source.live][1],)))

    # Keys

    def opens(self, table: Table[Any], row: ListedSocket) -> DetailQuery | str | None:
        return SocketQuery(row.key)

    def action_zoom(self) -> None:
        """Go back to the panes."""
        self.app.pop_screen()

    def action_all_namespaces(self) -> None:
        """List the sockets of all namespaces, or again those of the one that the list was opened on."""
        if len(self._namespaces) < 2:
            self.sockmon.show_message("only one network namespace is watched", "information")
            return
        self.netns = 0 if self.netns else self.place.netns or self._namespaces[0].inode
        self._request()
        self.main_table.refresh()

    def back(self) -> bool:
        """Clear a filter that was typed here, and return True; False if there is none."""
        line = self.query_one(FilterLine)
        if line.shown and self._filter != parse_leniently(self.place.filter)[0]:
            line.set_text(self.place.filter)
            self.main_table.focus()
            return True
        return False

    @on(Table.Arranged)
    def _sorted(self, event: Table.Arranged) -> None:
        column = self.main_table.listed.column
        sent = self.query_sent
        wanted = SORTS.get(column.title, "") if column else ""
        if sent and (wanted, self.main_table.listed.reverse and bool(wanted)) != (sent.sort, sent.reverse):
            self._request()

    @on(FilterLine.Changed)
    def _filter_changed(self, event: FilterLine.Changed) -> None:
        if event.filter == self._filter:
            return
        self._filter = event.filter
        if self._typing:
            self._typing.stop()
        self._typing = self.set_timer(TYPING_SECONDS, self._request)
