"""The page of a process: who it is and what it uses, its descriptors, its sockets and listeners, its limits."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any, ClassVar

from msgspec.structs import replace
from rich.text import Text
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.widget import Widget

from sockmon import format
from sockmon.assess import Assessment, Point
from sockmon.ceilings.evidence import process_label
from sockmon.ceilings.queues import format_listener
from sockmon.document import sentence
from sockmon.model.detail import Detail, DetailQuery, Limit, ListenerQuery, ProcessDetail, ProcessQuery, Socket
from sockmon.model.limit_origin import LimitOrigin
from sockmon.model.process_facts import DescriptorsQuery, MemoryDetail, MemoryQuery, ProcessFacts
from sockmon.model.snapshot import UNLIMITED, Listener, Process, Snapshot
from sockmon.model.socket_detail import SocketQuery
from sockmon.tunables.limit_origin.limit_value import NAMES
from sockmon.tunables.limit_origin.text import describe, to_last
from sockmon.ui import keys
from sockmon.ui.detail.detail_screen import severity_text
from sockmon.ui.detail.listener import queue_bar
from sockmon.ui.detail.polling_screen import PollingScreen
from sockmon.ui.detail.process_text import IN_LINES, identity_facts
from sockmon.ui.detail.process_usage import descriptor_limit, descriptor_usage
from sockmon.ui.detail.share_tables import ShareTable, share_rows
from sockmon.ui.detail.socket_table import SocketTable, queue_text
from sockmon.ui.detail.socket_target import socket_key, socket_target
from sockmon.ui.detail.sockets_place import SocketsPlace, of_process
from sockmon.ui.filtering.filter import ALL, Filterable
from sockmon.ui.filtering.row_values import LISTENER, listener_values
from sockmon.ui.snapshot_lookup import find_netns, find_process
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList
from sockmon.ui.widgets.table import Column, Table
from sockmon.ui.widgets.trend import Trend

MAX_POINTS = 600
"""Samples that the page keeps itself of a process that the Report does not list."""


class ProcessScreen(PollingScreen[ProcessQuery, ProcessDetail]):
    """One process, by pid and start time: a pid can be reused."""

    BINDINGS: ClassVar[list[BindingType]] = list(keys.bindings("process"))

    def __init__(self, target: ProcessQuery) -> None:
        super().__init__(target)
        self._process: Process | None = None
        self._own_points: list[Point] = []
        self._before: ProcessFacts | None = None
        """The facts of the answer before, for rates."""
        self._memory: MemoryDetail | None = None

    @property
    def sockets_place(self) -> SocketsPlace | None:
        """The list of all its sockets."""
        return of_process(self.target.pid)

    def parts(self) -> Iterable[Widget]:
        yield LabelledList(10, id="identity")
        yield LabelledList(10, id="missing")
        with Container(classes="row"):
            with Vertical(classes="panel", id="files"):
                yield LabelledList(id="descriptors")
                yield Trend(id="trend")
            yield ShareTable("KIND", 12, id="kinds")
        with Container(classes="row lower"):
            yield ShareTable("STATE", 12, id="states", field="state")
            yield ShareTable("REMOTE", 24, id="remotes", field="dst")
        with Container(classes="row lower"):
            yield Table(LIMITS, lambda row: row.name, id="limits", classes="panel", flex=21, filterable=LIMIT)
            yield Table(
                self._listener_columns(),
                lambda row: row.inode,
                id="listeners",
                classes="panel",
                empty="no listeners",
                filterable=Filterable(LISTENER, listener_values),
            )
        yield SocketTable(owners=False)

    def _listener_columns(self) -> tuple[Column[Listener], ...]:
        """Return the columns; how many connections it has on each is in the answer."""
        accepted = Column[Listener](
            "ACCEPTED",
            8,
            lambda row: format.count(self._accepted(row)),
            self._accepted,
            "right",
            largest_first=True,
        )
        return (*LISTENERS[:-1], accepted, LISTENERS[-1])

    def _accepted(self, row: Listener) -> int | None:
        if self.detail is None or row.protocol != "tcp":
            return None
        return self.detail.accepted.get(row.inode, 0)

    def on_mount(self) -> None:
        self.query_one("#files").border_title = "Descriptors"
        for part, title in TITLES:
            self.query_one(f"#{part}").border_title = title
        self.query_one("#missing").display = False

    def answer(self, detail: Detail) -> None:
        """Take an answer about the process, or about its memory."""
        if isinstance(detail, MemoryDetail):
            if (detail.query.pid, detail.query.start) == (self.target.pid, self.target.start):
                self._memory = detail
                self.show_again()
            return
        if detail.query == self.target and self.detail and self.detail.facts:
            self._before = self.detail.facts
        super().answer(detail)

    def action_memory(self) -> None:
        """Count the memory of the process page by page."""
        if self.sockmon.ask(MemoryQuery(self.target.pid, self.target.start)):
            self.sockmon.show_message("counting the pages of the process: PSS appears in its line", "information")
        else:
            self.sockmon.show_message(self.why_no_answer[1])

    def action_descriptors(self) -> None:
        """Open the list of all descriptors."""
        self.open_detail(DescriptorsQuery(self.target.pid, self.target.start))

    def draw(self, assessment: Assessment) -> None:
        snapshot, detail = assessment.snapshot, self.detail
        seen = find_process(snapshot, self.target.pid, self.target.start)
        ended = snapshot.processes is not None and seen is None
        if detail and detail.process is None:
            ended = True
        self._process = seen or (detail.process if detail else None) or self._process
        self._draw_head(assessment, self.missing_since(not ended, assessment))
        if self._process:
            gauge = assessment.gauge("process-fds", self.target)
            lines = identity_facts(self._process, detail, snapshot, gauge, self._before, self._memory)
            self.query_one("#identity", LabelledList).show(*lines)
            self._draw_descriptors(self._process, assessment, ended)
        self.draw_missing(*(item for item in (detail.missing if detail else ()) if item.reader not in IN_LINES))
        self._draw_tables()

    def _draw_head(self, assessment: Assessment, ended: str | None) -> None:
        process = self._process
        title = Text.assemble(
            ("process", "heading"),
            " · ",
            (process_label(process) if process else f"[{self.target.pid}]", "strong"),
        )
        if process:
            title.append(f" · {process.user}")
        gauge = assessment.gauge("process-fds", self.target)
        if ended:
            title.append(f" · process ended {ended}", "sev-unknown")
        elif gauge:
            title.append(" · ").append_text(severity_text(gauge.severity))
        self.set_title(title, self.answer_age(assessment))

    def _draw_descriptors(self, process: Process, assessment: Assessment, ended: bool) -> None:
        focus = ProcessQuery(process.pid, process.start)
        gauge = assessment.gauge("process-fds", focus)
        limit = descriptor_limit(process, assessment.snapshot)
        if process.fds is not None and not ended:
            self._own_points = [*self._own_points[1 - MAX_POINTS :], Point(assessment.snapshot.at, process.fds)]
        trail = assessment.series_of("process-fds", focus) or tuple(self._own_points)
        severity = gauge.severity if gauge else "ok" if process.fds is not None else "unknown"
        self.query_one("#descriptors", LabelledList).show(
            Labelled("", descriptor_usage(process, limit, gauge, assessment.snapshot)),
        )
        self.query_one("#trend", Trend).show(trail, limit, assessment.snapshot.at, severity)

    def _draw_tables(self) -> None:
        detail = self.detail
        tables: tuple[tuple[str, Iterable[object], str], ...] = (
            ("kinds", share_rows(detail.kinds) if detail else (), self.empty_text("none")),
            ("states", share_rows(detail.states) if detail else (), self.empty_text("no sockets")),
            ("remotes", share_rows(detail.remotes) if detail else (), self.empty_text("no connections")),
            ("limits", by_importance(detail.limits) if detail else (), self.empty_text("not read", "limits")),
            ("listeners", detail.listeners if detail else (), self.empty_text("no listeners")),
        )
        for part, rows, empty in tables:
            table = self.query_one(f"#{part}", Table)
            table.empty = empty
            table.show(tuple(rows))
            self.fit_stacked(table)
        if detail:
            self._draw_sums(detail)
        self.draw_sockets()

    def _draw_sums(self, detail: ProcessDetail) -> None:
        """Show in the titles what the tables leave out."""
        hidden = detail.remotes_total - len(detail.remotes)
        self.query_one("#remotes").border_title = f"By remote · {hidden:,} more" if hidden > 0 else "By remote"
        accepted = sum(detail.accepted.values())
        if detail.connections:
            opened = format.count(detail.connections - accepted)
            self.query_one("#listeners").border_title = f"Listeners · {opened} connections opened by it"
        if detail.unlisted:
            other = f"By state · {format.plural(detail.unlisted, 'socket')} not listed"
            self.query_one("#states").border_title = other

    def opens(self, table: Table[Any], row: Any) -> DetailQuery | SocketsPlace | str | None:
        """Return a message for a limit: it has no page. Sockets and listeners are looked for in the network
        namespace of the process alone."""
        if isinstance(row, Limit):
            origin = origin_of(row, self.detail)
            if origin:
                return " ".join((f"{row.name}: {sentence(describe(origin))}", *to_last(origin)))
            how = f"prlimit --pid {self.target.pid} shows and sets it"
            return f"{row.name}: soft {format.limit(row.soft)}, hard {format.limit(row.hard)}; {how}"
        if table.id == "states" and row[0].islower():
            if self.sockmon.source.live and (place := self.sockets_place):
                return place.narrowed("proto", row[0])
            self.narrow("proto", row[0])
            return None
        if table.id == "kinds":
            return DescriptorsQuery(self.target.pid, self.target.start, row[0])
        if isinstance(row, Socket | Listener) and self.detail and self.detail.netns:
            return self._opens_in_netns(table, row, self.detail.netns)
        return super().opens(table, row)

    def _opens_in_netns(
        self, table: Table[Any], row: Socket | Listener, inode: int
    ) -> DetailQuery | SocketsPlace | str | None:
        assert self.assessment is not None
        whole = self.assessment.snapshot
        netns = find_netns(whole, inode)
        if netns is None:
            what = format_listener(row) if isinstance(row, Listener) else f"{row.protocol} {row.state} {row.local}"
            return f"{what}: it is in network namespace {inode}, which is not watched"
        if isinstance(row, Listener):
            return ListenerQuery(inode, row.inode)
        if self.sockmon.source.live and (key := socket_key(row, inode)):
            return SocketQuery(key)
        return socket_target(row, narrowed(whole, inode))

    def about_share(self, name: str) -> str | None:
        """Return a message about a kind without a list."""
        return f"{name}: list them with: ls -l /proc/{self.target.pid}/fd"


TITLES = (
    ("kinds", "By kind"),
    ("states", "By state"),
    ("remotes", "By remote"),
    ("limits", "Limits"),
    ("listeners", "Listeners"),
)


def narrowed(snapshot: Snapshot, inode: int) -> Snapshot:
    """Return the Snapshot with one of its network namespaces alone."""
    return replace(snapshot, netns=tuple(netns for netns in snapshot.netns if netns.inode == inode))


def origin_of(row: Limit, detail: ProcessDetail | None) -> LimitOrigin | None:
    """Return what set this limit; None for a limit whose origin is not looked for."""
    origins = detail.origins if detail else ()
    return next((each for each in origins if NAMES[each.resource].proc == row.name), None)


def by_importance(limits: Iterable[Limit]) -> list[Limit]:
    """Return the limit on descriptors first, then the others in the order of the kernel."""
    return sorted(limits, key=lambda limit: limit.name != "Max open files")


LIMITS: tuple[Column[Limit], ...] = (
    Column("LIMIT", 0, lambda row: row.name, lambda row: row.name),
    Column("SOFT", 14, lambda row: format.limit(row.soft), lambda row: row.soft, "right"),
    Column("HARD", 14, lambda row: format.limit(row.hard), lambda row: row.hard, "right"),
    Column("UNIT", 9, lambda row: Text(row.unit, "muted"), lambda row: row.unit, keep_when_narrow=False),
)
LIMIT = Filterable(
    dict.fromkeys(("limit",), ALL),
    lambda row: {"text": row.name, "limit": inf if row.soft == UNLIMITED else row.soft},
)


def _queue_ratio(listener: Listener) -> float | None:
    return None if listener.backlog is None else listener.queue / max(listener.backlog, 1)


LISTENERS: tuple[Column[Listener], ...] = (
    Column("ADDRESS", 0, format_listener, format_listener),
    Column("QUEUE", 7, lambda row: queue_text(row.queue), lambda row: row.queue, "right"),
    Column("BACKLOG", 8, lambda row: format.count(row.backlog), lambda row: row.backlog, "right"),
    Column("USAGE", 12, queue_bar, _queue_ratio, keep_when_narrow=False, largest_first=True),
)
