"""The page of one socket: all that the kernel tells about it, who holds it, and its other end on this host."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.text import Text
from textual.containers import Container
from textual.widget import Widget

from sockmon import format
from sockmon.assess import Assessment
from sockmon.model.detail import Detail, DetailQuery
from sockmon.model.snapshot import Missing
from sockmon.model.socket_detail import SocketDetail, SocketQuery
from sockmon.model.socket_list import TCP, UNIX, ListedSocket, SocketKey
from sockmon.ui.appearance.styles import STATES
from sockmon.ui.detail.detail_screen import DetailScreen
from sockmon.ui.detail.polling_screen import NO_ANSWER, STALE_SECONDS
from sockmon.ui.detail.share_tables import OwnerTable
from sockmon.ui.detail.socket_columns import columns
from sockmon.ui.detail.socket_text import socket_facts
from sockmon.ui.detail.sockets_place import SocketsPlace
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList
from sockmon.ui.widgets.table import Table

POLL_SECONDS = 1.0
"""The kernel is asked for one socket only, which costs microseconds."""


class SocketScreen(DetailScreen):
    """One socket, by its cookie: another one with the same addresses is never shown in its place."""

    def __init__(self, target: SocketQuery) -> None:
        super().__init__()
        self.target = target
        self.detail: SocketDetail | None = None
        self._last: SocketDetail | None = None
        """The newest answer in which the socket was open."""
        self._answerable = True

    @property
    def selected_key(self) -> SocketKey | None:
        """The socket, while it is open."""
        return self.target.key if self.detail and self.detail.socket else None

    def parts(self) -> Iterable[Widget]:
        yield LabelledList(12, id="missing")
        yield LabelledList(12, id="facts")
        with Container(classes="row", id="who"):
            yield OwnerTable()
            yield Table(
                columns(80, False),
                lambda row: row.key,
                id="peer",
                classes="panel",
                columns_for=lambda width: columns(width, True),
                flex=15,
            )

    def on_mount(self) -> None:
        self.query_one("#owners").border_title = "Held by"
        self.query_one("#peer").border_title = "Other end"
        self.query_one("#missing").display = False
        self._poll()
        self.set_interval(POLL_SECONDS, self._poll)

    def _poll(self) -> None:
        if self.app.screen is self and not (self.sockmon.paused and self.detail):
            self._answerable = self.sockmon.ask(self.target)
            if not self._answerable and self.assessment:
                self.draw(self.assessment)

    def answer(self, detail: Detail) -> None:
        """Take an answer about this socket."""
        if not isinstance(detail, SocketDetail) or detail.query != self.target:
            return
        self.detail = detail
        if detail.socket is not None:
            self._last = detail
        if self.is_mounted and self.assessment:
            self.draw(self.assessment)

    def draw(self, assessment: Assessment) -> None:
        detail, shown = self.detail, self._last
        unread = detail is None or bool(detail.missing and detail.socket is None)
        closed = self.missing_since(unread or (detail is not None and detail.socket is not None), assessment)
        row = shown.socket if shown else None
        self.set_title(self._title(row, closed), self._age(assessment))
        facts = socket_facts(row, shown.facts) if shown and row else []
        if detail is None and self._answerable:
            facts = [Labelled("", Text("reading…", "muted"))]
        elif row is None and closed:
            facts = [Labelled("", Text("this socket was closed before it could be read", "sev-unknown"))]
        self.query_one("#facts", LabelledList).show(*facts)
        self._draw_missing(detail.missing if detail else ())
        self._draw_tables(shown, row)

    def _title(self, row: ListedSocket | None, closed: str | None) -> Text:
        key = self.target.key
        title = Text.assemble(("socket", "heading"), " · ", (key.protocol, "strong"))
        if row is not None:
            title.append(f" {row.state}", STATES.get(row.state, "muted"))
            ends = " → ".join(filter(None, (row.local or "(no name)", row.remote if _connected(row) else "")))
            title.append(f" {ends}", "strong")
        if closed:
            title.append(f" · closed {closed}", "sev-unknown")
        return title

    def _age(self, assessment: Assessment) -> str:
        if self.detail is None or not self._answerable:
            return ""
        seconds = assessment.snapshot.at - self.detail.at
        return f"answer {format.age(seconds)} old" if seconds >= STALE_SECONDS else ""

    def _draw_missing(self, reasons: Iterable[Missing]) -> None:
        facts = [Labelled("Not read", Text(f"{item.reader}: {item.reason}", "sev-unknown")) for item in reasons]
        if not self._answerable:
            facts.append(Labelled("Not read", Text(NO_ANSWER[self.sockmon.source.live][1], "sev-unknown")))
        missing = self.query_one("#missing", LabelledList)
        missing.display = bool(facts)
        missing.show(*facts)

    def _draw_tables(self, shown: SocketDetail | None, row: ListedSocket | None) -> None:
        owners, peers = self.query_one("#owners", OwnerTable), self.query_one("#peer", Table)
        no_file = bool(row and not row.key.inode)
        owners.empty = "no process holds it" if no_file else "owner unknown: needs root or its user"
        owners.show(shown.holders if shown else ())
        peer = shown.peer if shown else None
        peers.empty = _no_peer(row)
        peers.show((peer.socket,) if peer else ())
        self.fit_row("#who", owners, peers)

    def opens(self, table: Table[Any], row: Any) -> DetailQuery | SocketsPlace | str | None:
        """Open the other end, or a process that holds this one."""
        return SocketQuery(row.key) if isinstance(row, ListedSocket) else super().opens(table, row)


def _connected(row: ListedSocket) -> bool:
    return bool(row.key.destination_port or row.peer)


def _is_local(row: ListedSocket) -> bool:
    """Return whether the other end can only be in the same namespace."""
    address = row.key.destination.removeprefix("::ffff:")
    return row.key.protocol == UNIX or address == "::1" or address[:4] == "127."


def _no_peer(row: ListedSocket | None) -> str:
    """Return why no other end is shown."""
    if row is None or not _connected(row):
        return "not connected"
    if row.key.protocol in (TCP, UNIX):
        if _is_local(row):
            return "no longer there: it was closed, or reset"
        return "not found here: on another host, behind NAT, or in a namespace that is not watched"
    return "not looked for: only connected TCP and unix sockets have one other end"
