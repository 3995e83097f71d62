"""A port group, opened: the local ports taken towards one destination, in which states, and by whom."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text
from textual.containers import Container, Vertical
from textual.widget import Widget

from sockmon import format
from sockmon.assess import Assessment, Gauge, Point
from sockmon.ceilings.ports import subject
from sockmon.model.detail import GroupDetail, GroupFocus
from sockmon.model.snapshot import PortGroup, Ports
from sockmon.ui.screens.asking import Asking
from sockmon.ui.screens.drill import severity
from sockmon.ui.screens.shares import Owners, Shares, shares
from sockmon.ui.screens.sockets import Sockets
from sockmon.ui.screens.who import find_group, find_netns
from sockmon.ui.styles import LOOKS
from sockmon.ui.widgets.bar import bar
from sockmon.ui.widgets.facts import Fact, Facts
from sockmon.ui.widgets.trend import Trend


class GroupScreen(Asking[GroupDetail]):
    """Source → destination:port: used of usable, and every socket behind it."""

    def __init__(self, focus: GroupFocus) -> None:
        super().__init__(focus)
        self._focus = focus
        self._subject = subject(PortGroup(focus.source, focus.destination, focus.port, 0, 0, ()))
        self._group: PortGroup | None = None

    def parts(self) -> Iterable[Widget]:
        yield Facts(10, id="missing")
        with Vertical(classes="panel trend", id="ports"):
            yield Facts(id="numbers")
            yield Trend(id="trend")
        with Container(classes="row", id="who"):
            yield Owners()
            yield Shares("STATE", 12, id="states")
        yield Sockets(owners=True)

    def on_mount(self) -> None:
        for part, title in (("ports", "Local ports"), ("owners", "Owners"), ("states", "States")):
            self.query_one(f"#{part}").border_title = title
        self.query_one("#missing").display = False

    def draw(self, assessment: Assessment) -> None:
        snapshot, detail = assessment.snapshot, self.detail
        netns = find_netns(snapshot, self._focus.netns)
        ports = netns.ports if netns else None
        found = find_group(snapshot, self._focus)
        self._group = found or self._group
        away = self.gone(found is not None or ports is None, assessment)
        gauge = assessment.gauges.get(("ephemeral-ports", self._subject))
        title = Text.assemble(("port group", "heading"), " · ", (self._subject, "strong"))
        if gauge and not away:
            title.append(" · ").append_text(severity(gauge.severity))
        elif away:
            title.append(f" · not among the largest groups {away}", "sev-unknown")
        self.head(title, self.age(assessment))
        self._draw_ports(assessment, ports, gauge)
        self._draw_tables(detail)
        self.draw_missing(*(detail.missing if detail else ()))

    def _draw_ports(self, assessment: Assessment, ports: Ports | None, gauge: Gauge | None) -> None:
        trail: tuple[Point, ...] = assessment.trails.get(("ephemeral-ports", self._subject), ())
        usable = ports.usable if ports else None
        self.query_one("#numbers", Facts).show(Fact("", numbers(self._group, ports, gauge)))
        look = gauge.severity if gauge else "unknown"
        self.query_one("#trend", Trend).show(trail, usable, assessment.snapshot.at, look)

    def _draw_tables(self, detail: GroupDetail | None) -> None:
        group = self._group
        states = detail.states if detail else {"TIME_WAIT": group.time_wait} if group and group.time_wait else {}
        self.query_one("#states", Shares).show(shares(states))
        owners = self.query_one(Owners)
        owners.empty = "no owner is known"
        owners.show(detail.owners if detail else group.owners if group else ())
        self.fit_row("#who", owners, self.query_one("#states", Shares))
        self.draw_sockets()


def numbers(group: PortGroup | None, ports: Ports | None, gauge: Gauge | None) -> Text:
    """`██████ 28,232 / 28,232 ports  100 %  +470/s  full now`, and below it where the limit comes from."""
    used = group.used if group else None
    usable = ports.usable if ports else None
    ratio = used / usable if used is not None and usable else None
    level = gauge.severity if gauge else "unknown"
    text = Text.assemble(
        bar(ratio, 24, level),
        "  ",
        (format.count(used), "strong"),
        f" / {format.count(usable)} ports  ",
        (format.ratio(ratio), LOOKS[level].style),
    )
    if gauge and gauge.rate is not None:
        text.append(f"  {format.rate(gauge.rate)}", "muted")
    if gauge and gauge.eta_seconds is not None:
        text.append(f"  full {format.eta(gauge.eta_seconds)}", LOOKS[level].style)
    if ports:
        held = f" · {len(ports.bound)} bound" if ports.bound else ""
        text.append(
            f"\nrange {ports.low}–{ports.high} · {ports.reserved} reserved"
            f" · {len(ports.listening)} taken by listeners{held}",
            "muted",
        )
    return text
