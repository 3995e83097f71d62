"""The page of a port group: the local ports used towards one destination, their states and their owners."""

from __future__ import annotations

from collections.abc import Iterable

from rich.text import Text
from textual.containers import Container, Vertical
from textual.widget import Widget

from sockmon import format
from sockmon.assess import Assessment, Gauge
from sockmon.ceilings.ports import group_label
from sockmon.model.detail import GroupDetail, GroupQuery
from sockmon.model.snapshot import PortGroup, Ports
from sockmon.ui.appearance.styles import SEVERITY_STYLES
from sockmon.ui.detail.detail_screen import severity_text
from sockmon.ui.detail.polling_screen import PollingScreen
from sockmon.ui.detail.share_tables import OwnerTable, ShareTable, share_rows
from sockmon.ui.detail.socket_table import SocketTable
from sockmon.ui.detail.sockets_place import SocketsPlace, of_connection
from sockmon.ui.levels import levels_of
from sockmon.ui.snapshot_lookup import find_group, find_netns
from sockmon.ui.widgets.bar import bar
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList
from sockmon.ui.widgets.trend import Trend


class PortGroupScreen(PollingScreen[GroupQuery, GroupDetail]):
    """Source → destination:port: used and usable ports, and every socket."""

    def __init__(self, target: GroupQuery) -> None:
        super().__init__(target)
        self._subject = group_label(
            PortGroup(target.source, target.destination, target.port, 0, 0, (), device=target.device)
        )
        self._group: PortGroup | None = None

    @property
    def sockets_place(self) -> SocketsPlace | None:
        """The list of all its connections."""
        target = self.target
        return of_connection(target.netns, target.source, 0, target.destination, target.port)

    @property
    def netns_inode(self) -> int | None:
        """The namespace of its sockets."""
        return self.target.netns

    def parts(self) -> Iterable[Widget]:
        yield LabelledList(10, id="missing")
        with Vertical(classes="panel trend", id="ports"):
            yield LabelledList(id="numbers")
            yield Trend(id="trend")
        with Container(classes="row", id="who"):
            yield OwnerTable()
            yield ShareTable("STATE", 12, id="states", field="state")
        yield SocketTable(owners=True)

    def on_mount(self) -> None:
        for part, title in (("ports", "Local ports"), ("owners", "Owners"), ("states", "States")):
            self.query_one(f"#{part}").border_title = title
        self.query_one("#missing").display = False

    def draw(self, assessment: Assessment) -> None:
        several = len(assessment.snapshot.netns) > 1
        assessment = assessment.of(self.target.netns)
        snapshot, detail = assessment.snapshot, self.detail
        netns = find_netns(snapshot, self.target.netns)
        ports = netns.ports if netns else None
        found = find_group(snapshot, self.target)
        self._group = found or self._group
        away = self.missing_since(found is not None or ports is None, assessment)
        gauge = assessment.gauge("ephemeral-ports", self.target)
        title = Text.assemble(("port group", "heading"), " · ", (self._subject, "strong"))
        if several and netns:
            title.append(f" · in {netns.name}", "accent")
        if gauge and not away:
            title.append(" · ").append_text(severity_text(gauge.severity))
        elif away:
            title.append(f" · no longer among the largest groups {away}", "sev-unknown")
        self.set_title(title, self.answer_age(assessment))
        self._draw_ports(assessment, ports, gauge)
        self._draw_tables(detail)
        self.draw_missing(*(detail.missing if detail else ()))

    def _draw_ports(self, assessment: Assessment, ports: Ports | None, gauge: Gauge | None) -> None:
        trail = assessment.series_of("ephemeral-ports", self.target)
        usable = ports.usable if ports else None
        self.query_one("#numbers", LabelledList).show(Labelled("", port_usage(self._group, ports, gauge)))
        look = gauge.severity if gauge else "unknown"
        self.query_one("#trend", Trend).show(trail, usable, assessment.snapshot.at, look)

    def _draw_tables(self, detail: GroupDetail | None) -> None:
        group = self._group
        states = detail.states if detail else {"TIME_WAIT": group.time_wait} if group and group.time_wait else {}
        self.query_one("#states", ShareTable).show(share_rows(states))
        owners = self.query_one(OwnerTable)
        owners.empty = "owner unknown"
        owners.show(detail.owners if detail else group.owners if group else ())
        self.fit_row("#who", owners, self.query_one("#states", ShareTable))
        self.draw_sockets()


def port_usage(group: PortGroup | None, ports: Ports | None, gauge: Gauge | None) -> Text:
    """Return `▄▄▄▄▄▄ 28,232 / 28,232 ports  100 %  +470/s  full now`, and below it how the limit is made up."""
    used = group.used if group else None
    usable = ports.usable if ports else None
    ratio = used / usable if used is not None and usable else None
    level = gauge.severity if gauge else "unknown"
    text = Text.assemble(
        bar(ratio, 24, level, levels_of(gauge, "ephemeral-ports")),
        "  ",
        (format.count(used), "strong"),
        f" / {format.count(usable)} ports  ",
        (format.ratio(ratio), SEVERITY_STYLES[level].style),
    )
    if gauge and gauge.rate is not None:
        text.append(f"  {format.rate(gauge.rate)}", "muted")
    if gauge and gauge.eta_seconds is not None:
        text.append(f"  {format.full_in(gauge.eta_seconds)}", SEVERITY_STYLES[level].style)
    if ports:
        held = f" · {len(ports.bound)} bound" if ports.bound else ""
        text.append(
            f"\nrange {ports.low}–{ports.high} · {ports.reserved} reserved"
            f" · {len(ports.listening)} used by listeners{held}",
            "muted",
        )
    return text
