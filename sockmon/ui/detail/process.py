"""The page of a process: its descriptors and their limits, its listeners and its sockets."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any

from rich.text import Text
from textual.containers import Container, Vertical
from textual.widget import Widget

from sockmon import format
from sockmon.assess import Assessment, Gauge, Point
from sockmon.ceilings.evidence import process_label
from sockmon.ceilings.queues import format_listener
from sockmon.document import sentence
from sockmon.model.detail import DetailQuery, Limit, ProcessDetail, ProcessQuery
from sockmon.model.host import USER_HZ
from sockmon.model.limit_origin import LimitOrigin
from sockmon.model.snapshot import UNLIMITED, Listener, Process, Snapshot
from sockmon.tunables.limit_origin.limit_value import NAMES
from sockmon.tunables.limit_origin.text import describe, to_last
from sockmon.ui.appearance.styles import SEVERITY_STYLES
from sockmon.ui.detail.detail_screen import severity_text
from sockmon.ui.detail.listener import queue_bar
from sockmon.ui.detail.owners import bold_pair, join_dots
from sockmon.ui.detail.polling_screen import PollingScreen
from sockmon.ui.detail.share_tables import ShareTable, share_rows
from sockmon.ui.detail.socket_table import SocketTable, queue_text
from sockmon.ui.filtering.filter import ALL, Filterable
from sockmon.ui.filtering.row_values import LISTENER, listener_values
from sockmon.ui.levels import levels_of
from sockmon.ui.snapshot_lookup import find_process
from sockmon.ui.widgets.bar import bar
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList
from sockmon.ui.widgets.table import Column, Table
from sockmon.ui.widgets.trend import Trend

MAX_POINTS = 600
"""Samples that the page keeps itself of a process that the Report does not list."""


class ProcessScreen(PollingScreen[ProcessQuery, ProcessDetail]):
    """One process, by pid and start time: a pid can be reused."""

    def __init__(self, target: ProcessQuery) -> None:
        super().__init__(target)
        self._process: Process | None = None
        self._own_points: list[Point] = []

    def parts(self) -> Iterable[Widget]:
        yield LabelledList(10, id="identity")
        yield LabelledList(10, id="missing")
        with Container(classes="row"):
            with Vertical(classes="panel", id="files"):
                yield LabelledList(id="descriptors")
                yield Trend(id="trend")
            yield ShareTable("KIND", 12, id="kinds")
        with Container(classes="row lower"):
            yield Table(LIMITS, lambda row: row.name, id="limits", classes="panel", flex=21, filterable=LIMIT)
            yield Table(
                LISTENERS,
                lambda row: row.inode,
                id="listeners",
                classes="panel",
                empty="no listeners",
                filterable=Filterable(LISTENER, listener_values),
            )
        yield SocketTable(owners=False)

    def on_mount(self) -> None:
        self.query_one("#files").border_title = "Descriptors"
        for part, title in (("kinds", "By kind"), ("limits", "Limits"), ("listeners", "Listeners")):
            self.query_one(f"#{part}").border_title = title
        self.query_one("#missing").display = False

    def draw(self, assessment: Assessment) -> None:
        snapshot, detail = assessment.snapshot, self.detail
        seen = find_process(snapshot, self.target.pid, self.target.start)
        ended = snapshot.processes is not None and seen is None
        if detail and detail.process is None:
            ended = True
        self._process = seen or (detail.process if detail else None) or self._process
        self._draw_head(assessment, self.missing_since(not ended, assessment))
        if self._process:
            self.query_one("#identity", LabelledList).show(*identity_facts(self._process, detail, snapshot))
            self._draw_descriptors(self._process, assessment, ended)
        self.draw_missing(*(detail.missing if detail else ()))
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
            ("limits", by_importance(detail.limits) if detail else (), self.empty_text("not read", "limits")),
            ("listeners", detail.listeners if detail else (), self.empty_text("no listeners")),
        )
        for part, rows, empty in tables:
            table = self.query_one(f"#{part}", Table)
            table.empty = empty
            table.show(tuple(rows))
            self.fit_stacked(table)
        self.draw_sockets()

    def opens(self, table: Table[Any], row: Any) -> DetailQuery | str | None:
        """Return a message for a limit: it has no page."""
        if isinstance(row, Limit):
            origin = origin_of(row, self.detail)
            if origin:
                return " ".join((f"{row.name}: {sentence(describe(origin))}", *to_last(origin)))
            how = f"prlimit --pid {self.target.pid} shows and sets it"
            return f"{row.name}: soft {format.limit(row.soft)}, hard {format.limit(row.hard)}; {how}"
        return super().opens(table, row)

    def about_share(self, name: str) -> str | None:
        """Move to the sockets for their kind; return a message for the others, which are not read one by one."""
        if name == "socket":
            self.query_one(SocketTable).focus()
            return None
        return f"{name}: list them with: ls -l /proc/{self.target.pid}/fd"


def origin_of(row: Limit, detail: ProcessDetail | None) -> LimitOrigin | None:
    """Return what set this limit; None for a limit whose origin is not looked for."""
    origins = detail.origins if detail else ()
    return next((each for each in origins if NAMES[each.resource].proc == row.name), None)


def origin_fact(detail: ProcessDetail | None) -> Labelled:
    """Return what set the limit of descriptors, and what to change so that it lasts."""
    origin = next((each for each in detail.origins if each.resource == "nofile"), None) if detail else None
    if origin is None:
        return Labelled("Limit", Text(format.UNKNOWN, "muted"))
    return Labelled("Limit", Text.assemble(sentence(describe(origin)), (f" {' '.join(to_last(origin))}", "muted")))


def by_importance(limits: Iterable[Limit]) -> list[Limit]:
    """Return the limit on descriptors first, then the others in the order of the kernel."""
    return sorted(limits, key=lambda limit: limit.name != "Max open files")


def descriptor_limit(process: Process, snapshot: Snapshot) -> int | None:
    """Return what accept() and open() are checked against: the soft limit, or fs.nr_open if that is lower."""
    known = [process.soft] if process.soft not in (None, UNLIMITED) else []
    if snapshot.files and process.soft is not None:
        known.append(snapshot.files.nr_open)
    return min((value for value in known if value is not None), default=None)


def identity_facts(process: Process, detail: ProcessDetail | None, snapshot: Snapshot) -> list[Labelled]:
    """Return the process, its command, its cgroup, and what set its limit of descriptors."""
    maps = detail.maps if detail else None
    started = snapshot.at - process.start / USER_HZ
    parts = [
        bold_pair("pid", str(process.pid)),
        bold_pair("user", f"{process.user} ({process.uid})"),
        bold_pair("started", f"{format.age(started)} ago"),
        bold_pair("threads", format.count(process.threads)),
        bold_pair("maps", format.count(maps)),
        bold_pair("rss", format.size(process.rss)),
    ]
    if detail and detail.recv_queue is not None:
        parts += [
            bold_pair("Recv-Q", format.size(detail.recv_queue)),
            bold_pair("Send-Q", format.size(detail.send_queue)),
        ]
    return [
        Labelled("Process", join_dots(parts)),
        Labelled("Command", Text(process.command)),
        Labelled("Cgroup", Text(detail.cgroup) if detail and detail.cgroup else Text(format.UNKNOWN, "muted")),
        origin_fact(detail),
    ]


def descriptor_usage(process: Process, limit: int | None, gauge: Gauge | None, snapshot: Snapshot) -> Text:
    """Return `▄▄▄▄▖▁▁▁ 842 / 1,024  82 %  +0.7/s  full in ~4 min`, then the three limits."""
    ratio = process.fds / limit if process.fds is not None and limit else None
    look = SEVERITY_STYLES[gauge.severity if gauge else "unknown"]
    text = Text.assemble(
        bar(ratio, 16, gauge.severity if gauge else "unknown", levels_of(gauge, "process-fds")),
        "  ",
        (format.count(process.fds), "strong"),
        f" / {format.count(limit)}  ",
        (format.ratio(ratio), look.style),
    )
    if gauge and gauge.rate is not None:
        text.append(f"  {format.rate(gauge.rate)}", "muted")
    if gauge and gauge.eta_seconds is not None:
        text.append(f"  full {format.eta(gauge.eta_seconds)}", look.style)
    nr_open = snapshot.files.nr_open if snapshot.files else None
    three = (("soft", process.soft), ("hard", process.hard), ("fs.nr_open", nr_open))
    limits = " · ".join(f"{word} {format.limit(value)}" for word, value in three)
    return text.append(f"\n{limits}", "muted")


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
