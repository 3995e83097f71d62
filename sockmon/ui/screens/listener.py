"""A listener, opened: its accept queue, what caps that, who accepts, and the connections to its port."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text
from textual.containers import Container, Vertical
from textual.widget import Widget

from sockmon import format
from sockmon.assess import Assessment, Point
from sockmon.ceilings.queues import OVERFLOWS, SOMAXCONN, place, subject
from sockmon.model.detail import ListenerDetail, ListenerFocus
from sockmon.model.report import Severity
from sockmon.model.snapshot import Listener, Netns
from sockmon.ui.screens.asking import Asking
from sockmon.ui.screens.drill import severity
from sockmon.ui.screens.shares import Owners, Shares, fullness, shares
from sockmon.ui.screens.sockets import Sockets
from sockmon.ui.screens.who import find_listener, find_netns
from sockmon.ui.styles import LOOKS
from sockmon.ui.widgets.bar import bar
from sockmon.ui.widgets.facts import Fact, Facts
from sockmon.ui.widgets.table import Table
from sockmon.ui.widgets.trend import Trend

KEPT = 600
"""Points of its own that the screen remembers of a queue that the Report does not list."""


class ListenerScreen(Asking[ListenerDetail]):
    """One listening socket."""

    def __init__(self, focus: ListenerFocus) -> None:
        super().__init__(focus)
        self._focus = focus
        self._listener: Listener | None = None
        self._own: list[Point] = []

    def parts(self) -> Iterable[Widget]:
        yield Facts(10, id="missing")
        with Vertical(classes="panel trend", id="queue"):
            yield Facts(id="numbers")
            yield Trend(id="trend")
        with Container(classes="row", id="who"):
            yield Owners()
            yield Shares("STATE", 12, id="states")
            yield Shares("REMOTE", 22, id="remotes")
        yield Sockets(owners=True)

    def on_mount(self) -> None:
        titles = {"queue": "Accept queue", "owners": "Accepted by", "states": "States", "remotes": "Top remotes"}
        for part, title in titles.items():
            self.query_one(f"#{part}").border_title = title
        self.query_one("#missing").display = False

    def draw(self, assessment: Assessment) -> None:
        snapshot, detail = assessment.snapshot, self.detail
        netns = find_netns(snapshot, self._focus.netns)
        found = find_listener(snapshot, self._focus)
        unread = netns is not None and netns.listeners is None
        closed = self.gone(found is not None or unread, assessment)
        self._listener = found or (detail.listener if detail else None) or self._listener
        listener = self._listener
        title = Text.assemble(("listener", "heading"), " · ", (place(listener) if listener else "?", "strong"))
        if closed:
            title.append(f" · closed {closed}", "sev-unknown")
        if listener:
            level = self._draw_queue(listener, netns, assessment, closed is None)
            if not closed:
                title.append(" · ").append_text(severity(level))
        self.head(title, self.age(assessment))
        self._draw_tables(detail)
        self.draw_missing(*(detail.missing if detail else ()))

    def _draw_queue(self, listener: Listener, netns: Netns | None, assessment: Assessment, open: bool) -> Severity:
        key = ("accept-queue", subject(listener))
        gauge = assessment.gauges.get(key)
        level = gauge.severity if gauge else fullness(listener.queue, listener.backlog)
        now = assessment.snapshot.at
        if open:
            self._own = [*self._own[1 - KEPT :], Point(now, listener.queue)]
        rate = assessment.rates.get(("counter", OVERFLOWS))
        self.query_one("#numbers", Facts).show(
            Fact("", Text.assemble(numbers(listener, level), "\n", cap(listener, netns), "\n", overflows(rate)))
        )
        trail = assessment.trails.get(key) or tuple(self._own)
        self.query_one("#trend", Trend).show(trail, listener.backlog, now, level)
        return level

    def _draw_tables(self, detail: ListenerDetail | None) -> None:
        listener = self._listener
        owner = (listener.owner,) if listener and listener.owner else ()
        owners = self.query_one(Owners)
        owners.empty = "no owner is known"
        owners.show(detail.owners if detail else owner)
        for part, numbers in (("states", detail and detail.states), ("remotes", detail and detail.remotes)):
            table = self.query_one(f"#{part}", Shares)
            table.empty = "no connections" if detail else "asking…" if self.answerable else self.cannot[0]
            table.show(shares(numbers or {}))
        self.fit_row("#who", *self.query("#who Table").results(Table))
        self.draw_sockets()


def numbers(listener: Listener, level: Severity) -> Text:
    """`██████──── 96 / 128 connections wait  75 %`."""
    ratio = listener.queue / listener.backlog if listener.backlog else float(listener.queue > 0)
    return Text.assemble(
        bar(ratio, 24, level),
        "  ",
        (format.count(listener.queue), "strong"),
        f" / {format.count(listener.backlog)} wait to be accepted  ",
        (format.ratio(ratio), LOOKS[level].style),
    )


def cap(listener: Listener, netns: Netns | None) -> Text:
    """What the backlog comes from: the application's own listen(), or net.core.somaxconn."""
    raw = netns.sysctls.get(SOMAXCONN) if netns else None
    if raw is None:
        return Text(f"{SOMAXCONN} could not be read: whether it caps the backlog is unknown", "muted")
    maximum, backlog = int(raw), listener.backlog
    if backlog == maximum:
        words = f"backlog {backlog:,} is clamped by {SOMAXCONN} {maximum:,}, or asked for exactly that"
    elif backlog < maximum:
        words = f"backlog {backlog:,} is the application's own: {SOMAXCONN} is {maximum:,}"
    else:
        words = f"backlog {backlog:,} was set when {SOMAXCONN} was higher; it is {maximum:,} now"
    return Text(words, "muted")


def overflows(rate: float | None) -> Text:
    """How fast connections are dropped in the whole namespace: a counter of each listener does not exist."""
    look = "sev-hit" if rate else "muted"
    return Text.assemble((f"ListenOverflows {format.pace(rate)}", look), (" in the whole namespace", "muted"))


def fill(listener: Listener) -> Text:
    """The accept queue as a bar."""
    ratio = listener.queue / listener.backlog if listener.backlog else float(listener.queue > 0)
    return bar(ratio, 12, fullness(listener.queue, listener.backlog))
