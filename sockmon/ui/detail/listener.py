"""The page of a listener: its accept queue, what limits it, the process that accepts, and the connections."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text
from textual.containers import Container, Vertical
from textual.widget import Widget

from sockmon import format
from sockmon.assess import Assessment, Gauge, Point
from sockmon.ceilings.backlogs import SOMAXCONN
from sockmon.ceilings.backlogs import backlog_source as source_of
from sockmon.ceilings.listener_drops import OVERFLOWS
from sockmon.ceilings.queues import format_listener
from sockmon.model.detail import ListenerDetail, ListenerQuery
from sockmon.model.severity import Severity
from sockmon.model.snapshot import Listener, Netns
from sockmon.ui.appearance.styles import SEVERITY_STYLES
from sockmon.ui.detail.detail_screen import severity_text
from sockmon.ui.detail.polling_screen import PollingScreen
from sockmon.ui.detail.share_tables import OwnerTable, ShareTable, severity_of, share_rows
from sockmon.ui.detail.socket_table import SocketTable
from sockmon.ui.detail.sockets_place import SocketsPlace, of_connection
from sockmon.ui.levels import levels_of
from sockmon.ui.snapshot_lookup import find_listener, find_netns
from sockmon.ui.widgets.bar import bar
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList
from sockmon.ui.widgets.table import Table
from sockmon.ui.widgets.trend import Trend

MAX_POINTS = 600
"""Samples that the page keeps itself of a queue that the Report does not list."""


class ListenerScreen(PollingScreen[ListenerQuery, ListenerDetail]):
    """One listening socket."""

    def __init__(self, target: ListenerQuery) -> None:
        super().__init__(target)
        self._listener: Listener | None = None
        self._own_points: list[Point] = []

    @property
    def sockets_place(self) -> SocketsPlace | None:
        """The list of all its connections."""
        listener = self._listener
        if listener is None or listener.protocol != "tcp":
            return None
        return of_connection(self.target.netns, listener.address, listener.port)

    @property
    def netns_inode(self) -> int | None:
        """The namespace of its sockets."""
        return self.target.netns

    @property
    def listener(self) -> Listener | None:
        """The listener as it was last seen."""
        return self._listener

    def parts(self) -> Iterable[Widget]:
        yield LabelledList(10, id="missing")
        with Vertical(classes="panel trend", id="queue"):
            yield LabelledList(id="numbers")
            yield Trend(id="trend")
        with Container(classes="row", id="who"):
            yield OwnerTable()
            yield ShareTable("STATE", 12, id="states", field="state")
            yield ShareTable("REMOTE", 22, id="remotes", field="dst")
        yield SocketTable(owners=True)

    def on_mount(self) -> None:
        titles = {"queue": "Accept queue", "owners": "Accepted by", "states": "States", "remotes": "Top remotes"}
        for part, title in titles.items():
            self.query_one(f"#{part}").border_title = title
        self.query_one("#missing").display = False

    def draw(self, assessment: Assessment) -> None:
        several = len(assessment.snapshot.netns) > 1
        assessment = assessment.of(self.target.netns)
        snapshot, detail = assessment.snapshot, self.detail
        netns = find_netns(snapshot, self.target.netns)
        found = find_listener(snapshot, self.target)
        unread = netns is not None and netns.listeners is None
        closed = self.missing_since(found is not None or unread, assessment)
        self._listener = found or (detail.listener if detail else None) or self._listener
        listener = self._listener
        title = Text.assemble(
            ("listener", "heading"), " · ", (format_listener(listener) if listener else "?", "strong")
        )
        if several and netns:
            title.append(f" · in {netns.name}", "accent")
        if closed:
            title.append(f" · closed {closed}", "sev-unknown")
        if listener:
            level = self._draw_queue(listener, netns, assessment, closed is None)
            if not closed:
                title.append(" · ").append_text(severity_text(level))
        self.set_title(title, self.answer_age(assessment))
        self._draw_tables(detail)
        self.draw_missing(*(detail.missing if detail else ()))

    def _draw_queue(self, listener: Listener, netns: Netns | None, assessment: Assessment, open: bool) -> Severity:
        gauge = assessment.gauge("accept-queue", self.target)
        level = gauge.severity if gauge else severity_of(listener.queue, listener.backlog)
        now = assessment.snapshot.at
        if open:
            self._own_points = [*self._own_points[1 - MAX_POINTS :], Point(now, listener.queue)]
        rate = assessment.rates.get(("counter", OVERFLOWS))
        self.query_one("#numbers", LabelledList).show(
            Labelled(
                "",
                Text.assemble(
                    queue_usage(listener, level, gauge),
                    "\n",
                    backlog_source(listener, netns),
                    "\n",
                    overflow_rate(rate),
                ),
            )
        )
        trail = assessment.series_of("accept-queue", self.target) or tuple(self._own_points)
        self.query_one("#trend", Trend).show(trail, listener.backlog, now, level)
        return level

    def _draw_tables(self, detail: ListenerDetail | None) -> None:
        listener = self._listener
        owner = (listener.owner,) if listener and listener.owner else ()
        owners = self.query_one(OwnerTable)
        owners.empty = "owner unknown"
        owners.show(detail.owners if detail else owner)
        for part, numbers in (("states", detail and detail.states), ("remotes", detail and detail.remotes)):
            table = self.query_one(f"#{part}", ShareTable)
            table.empty = "no connections" if detail else "reading…" if self.answerable else self.why_no_answer[0]
            table.show(share_rows(numbers or {}))
        self.fit_row("#who", *self.query("#who Table").results(Table))
        self.draw_sockets()


def queue_usage(listener: Listener, level: Severity, gauge: Gauge | None = None) -> Text:
    """Return `▄▄▄▄▄▄▁▁▁▁ 96 / 128 wait to be accepted  75 %`."""
    if listener.backlog is None:
        return Text(f"{format.count(listener.queue)} wait to be accepted; the backlog is not known")
    ratio = listener.queue / listener.backlog if listener.backlog else float(listener.queue > 0)
    return Text.assemble(
        bar(ratio, 24, level, levels_of(gauge, "accept-queue")),
        "  ",
        (format.count(listener.queue), "strong"),
        f" / {format.count(listener.backlog)} wait to be accepted  ",
        (format.ratio(ratio), SEVERITY_STYLES[level].style),
    )


def backlog_source(listener: Listener, netns: Netns | None) -> Text:
    """Return what sets the backlog: listen() of the application, or net.core.somaxconn."""
    raw = netns.sysctls.get(SOMAXCONN) if netns else None
    if raw is None:
        return Text(f"{SOMAXCONN} could not be read; it may limit the backlog", "muted")
    maximum, backlog = int(raw), listener.backlog
    if backlog is None:
        return Text(f"{SOMAXCONN} is {maximum:,}; the backlog is not known", "muted")
    if backlog == maximum:
        words = f"backlog {backlog:,} equals {SOMAXCONN}: limited by it, or requested so"
    elif backlog < maximum:
        words = f"backlog {backlog:,} was set by {_setter(backlog, maximum)}; {SOMAXCONN} is {maximum:,}"
    else:
        words = f"backlog {backlog:,} was set while {SOMAXCONN} was higher; it is now {maximum:,}"
    return Text(words, "muted")


def _setter(backlog: int, maximum: int) -> str:
    doubtful = source_of(backlog, maximum) == "application or older cap"
    return "the application or capped by an older value" if doubtful else "the application"


def overflow_rate(rate: float | None) -> Text:
    """Return how fast connections are dropped in the namespace; the kernel has no counter for each listener."""
    look = "sev-hit" if rate else "muted"
    return Text.assemble((f"ListenOverflows {format.pace(rate)}", look), (" in the whole namespace", "muted"))


def queue_bar(listener: Listener) -> Text:
    """Return the accept queue as a bar."""
    if listener.backlog is None:
        return Text()
    ratio = listener.queue / listener.backlog if listener.backlog else float(listener.queue > 0)
    return bar(ratio, 12, severity_of(listener.queue, listener.backlog))
