"""A process, opened: descriptors against their limits, what they are, its listeners and its sockets."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text
from textual.containers import Container, Vertical
from textual.widget import Widget

from sockmon import format
from sockmon.assess import Assessment, Gauge, Point
from sockmon.ceilings.queues import place
from sockmon.model.detail import Limit, ProcessDetail, ProcessFocus
from sockmon.model.snapshot import UNLIMITED, Listener, Process, Snapshot
from sockmon.ui.screens.asking import Asking
from sockmon.ui.screens.listener import fill
from sockmon.ui.screens.shares import Shares, shares
from sockmon.ui.screens.sockets import Sockets, queue
from sockmon.ui.screens.who import find_process, join, name, pair
from sockmon.ui.styles import LOOKS
from sockmon.ui.widgets.bar import bar
from sockmon.ui.widgets.facts import Fact, Facts
from sockmon.ui.widgets.table import Column, Table
from sockmon.ui.widgets.trend import Trend

TICKS = 100
"""USER_HZ: clock ticks in a second of `Process.start`, on every architecture (include/asm-generic/param.h)."""
KEPT = 600
"""Points of its own that the screen remembers of a process that the Report does not list."""


class ProcessScreen(Asking[ProcessDetail]):
    """One process, by pid and start, so that a pid that is used again is not taken for it."""

    def __init__(self, focus: ProcessFocus) -> None:
        super().__init__(focus)
        self._focus = focus
        self._process: Process | None = None
        self._own: list[Point] = []

    def parts(self) -> Iterable[Widget]:
        yield Facts(10, id="identity")
        yield Facts(10, id="missing")
        with Container(classes="row"):
            with Vertical(classes="panel", id="files"):
                yield Facts(id="descriptors")
                yield Trend(id="trend")
            yield Shares("KIND", 12, id="kinds")
        with Container(classes="row lower"):
            yield Table(LIMITS, lambda row: row.name, id="limits", classes="panel", opens=False)
            yield Table(LISTENERS, lambda row: row.inode, id="listeners", classes="panel", empty="listens nowhere")
        yield Sockets(owners=False)

    def on_mount(self) -> None:
        self.query_one("#files").border_title = "Descriptors"
        for part, title in (("kinds", "By kind"), ("limits", "Limits"), ("listeners", "Listeners")):
            self.query_one(f"#{part}").border_title = title
        self.query_one("#missing").display = False

    def draw(self, assessment: Assessment) -> None:
        snapshot, detail = assessment.snapshot, self.detail
        seen = find_process(snapshot, self._focus.pid, self._focus.start)
        ended = snapshot.processes is not None and seen is None
        if detail and detail.process is None:
            ended = True
        self._process = seen or (detail.process if detail else None) or self._process
        self._draw_head(assessment, self.gone(not ended, assessment))
        if self._process:
            self.query_one("#identity", Facts).show(*identity(self._process, detail, snapshot))
            self._draw_descriptors(self._process, assessment, ended)
        self.draw_missing(*(detail.missing if detail else ()))
        self._draw_tables()

    def _draw_head(self, assessment: Assessment, ended: str | None) -> None:
        process = self._process
        title = Text.assemble(
            ("process", "heading"), " · ", (name(process) if process else f"[{self._focus.pid}]", "strong")
        )
        if process:
            title.append(f" · {process.user}")
        if ended:
            title.append(f" · process ended {ended}", "sev-unknown")
        self.head(title, self.age(assessment))

    def _draw_descriptors(self, process: Process, assessment: Assessment, ended: bool) -> None:
        key = ("process-fds", name(process))
        gauge = assessment.gauges.get(key)
        limit = bound(process, assessment.snapshot)
        if process.fds is not None and not ended:
            self._own = [*self._own[1 - KEPT :], Point(assessment.snapshot.at, process.fds)]
        trail = assessment.trails.get(key) or tuple(self._own)
        severity = gauge.severity if gauge else "ok" if process.fds is not None else "unknown"
        self.query_one("#descriptors", Facts).show(
            Fact("", descriptors(process, limit, gauge, assessment.snapshot))
        )
        self.query_one("#trend", Trend).show(trail, limit, assessment.snapshot.at, severity)

    def _draw_tables(self) -> None:
        detail = self.detail
        tables: tuple[tuple[str, Iterable[object], str], ...] = (
            ("kinds", shares(detail.kinds) if detail else (), self.empty("none")),
            ("limits", by_importance(detail.limits) if detail else (), self.empty("not read", "limits")),
            ("listeners", detail.listeners if detail else (), self.empty("listens nowhere")),
        )
        for part, rows, empty in tables:
            table = self.query_one(f"#{part}", Table)
            table.empty = empty
            table.show(tuple(rows))
        self.draw_sockets()


def by_importance(limits: Iterable[Limit]) -> list[Limit]:
    """The limit on descriptors first; the others in the kernel's own order."""
    return sorted(limits, key=lambda limit: limit.name != "Max open files")


def bound(process: Process, snapshot: Snapshot) -> int | None:
    """What accept() and open() are checked against: the soft limit, and fs.nr_open above that."""
    known = [process.soft] if process.soft not in (None, UNLIMITED) else []
    if snapshot.files and process.soft is not None:
        known.append(snapshot.files.nr_open)
    return min((value for value in known if value is not None), default=None)


def identity(process: Process, detail: ProcessDetail | None, snapshot: Snapshot) -> list[Fact]:
    """Who the process is, in three lines."""
    maps = detail.maps if detail else None
    started = snapshot.at - process.start / TICKS
    parts = [
        pair("pid", str(process.pid)),
        pair("user", f"{process.user} ({process.uid})"),
        pair("started", f"{format.age(started)} ago"),
        pair("threads", format.count(process.threads)),
        pair("maps", format.count(maps)),
        pair("rss", format.size(process.rss)),
    ]
    return [
        Fact("process", join(parts)),
        Fact("command", Text(process.command)),
        Fact("cgroup", Text(detail.cgroup) if detail and detail.cgroup else Text(format.UNKNOWN, "muted")),
    ]


def descriptors(process: Process, limit: int | None, gauge: Gauge | None, snapshot: Snapshot) -> Text:
    """`████▌─── 842 / 1,024  82 %  +0.7/s  full in ~4 min`, then the three limits that there are."""
    ratio = process.fds / limit if process.fds is not None and limit else None
    look = LOOKS[gauge.severity if gauge else "unknown"]
    text = Text.assemble(
        bar(ratio, 16, gauge.severity if gauge else "unknown"),
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
    Column("SOFT", 15, lambda row: format.limit(row.soft), lambda row: row.soft, "right"),
    Column("HARD", 15, lambda row: format.limit(row.hard), lambda row: row.hard, "right"),
    Column("UNIT", 9, lambda row: Text(row.unit, "muted"), narrow=False),
)
LISTENERS: tuple[Column[Listener], ...] = (
    Column("ADDRESS", 0, place, place),
    Column("QUEUE", 7, lambda row: queue(row.queue), lambda row: row.queue, "right"),
    Column("BACKLOG", 8, lambda row: format.count(row.backlog), lambda row: row.backlog, "right"),
    Column("", 12, fill, narrow=False),
)
