"""The page of one flow: everything that the kernel says about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rich.text import Text
from textual.widget import Widget

from sockmon import format
from sockmon.assess import Assessment
from sockmon.model.conntrack_flows import Flow, FlowDetail, FlowQuery, FlowTuple
from sockmon.model.detail import Detail, DetailQuery
from sockmon.ui.detail.detail_screen import DetailScreen, clock_time
from sockmon.ui.detail.flow_table import left_text, state_text, tuple_text
from sockmon.ui.detail.flow_ways import Way, WayTable, ways
from sockmon.ui.detail.polling_screen import NO_ANSWER, POLL_SECONDS
from sockmon.ui.detail.sockets_place import SocketsPlace
from sockmon.ui.snapshot_lookup import find_netns
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList
from sockmon.ui.widgets.table import Table

STATUS_MEANINGS = {
    "UNREPLIED": "no packet came in the reply direction; evicted first if the table is full",
    "ASSURED": "never evicted early for a new flow",
    "SNAT": "its source is translated",
    "DNAT": "its destination is translated",
    "EXPECTED": "another flow expected this one",
    "SEQ_ADJUST": "TCP sequence numbers are adjusted",
    "DYING": "it is being removed",
    "FIXED_TIMEOUT": "its timeout does not change",
    "HELPER": "a helper was set by a rule",
    "OFFLOAD": "in a flowtable: its packets pass the rules no more, and its timeout is not that of its state",
    "HW_OFFLOAD": "a network card forwards its packets",
}


class FlowScreen(DetailScreen):
    """One flow; the kernel looks it up by its addresses, so this is cheap however large the table is."""

    AUTO_FOCUS = "#ways"

    def __init__(self, target: FlowQuery) -> None:
        super().__init__()
        self.target = target
        self._flow = target.flow
        """As it was last seen."""
        self._detail: FlowDetail | None = None
        self._answerable = True

    def parts(self) -> Iterable[Widget]:
        yield LabelledList(14, id="facts")
        yield LabelledList(14, id="missing")
        yield WayTable()

    def on_mount(self) -> None:
        self.query_one(WayTable).border_title = "Leads to"
        self._poll()
        self.set_interval(POLL_SECONDS, self._poll)

    def _poll(self) -> None:
        if self.app.screen is self and not (self.sockmon.paused and self._detail):
            self._answerable = self.sockmon.ask(self.target)

    def answer(self, detail: Detail) -> None:
        """Take an answer of the source, unless it is for another page."""
        if not isinstance(detail, FlowDetail) or detail.query != self.target:
            return
        self._detail = detail
        if detail.flow is not None and detail.flow.id == self.target.flow.id:
            self._flow = detail.flow
        if self.is_mounted and self.assessment:
            self.draw(self.assessment)

    def draw(self, assessment: Assessment) -> None:
        flow = self._flow
        title = Text.assemble(("flow", "heading"), f" · {flow.protocol} ", (tuple_text(flow.original), "strong"))
        ended = self._ended(assessment)
        if ended:
            title.append(f" · {ended}", "sev-unknown")
        self.set_title(title)
        netns = find_netns(assessment.snapshot, flow.netns)
        self.query_one("#facts", LabelledList).show(*facts(flow, netns.name if netns else "", bool(ended)))
        self._draw_missing()
        table = self.query_one(WayTable)
        table.show(list(ways(flow)))
        table.styles.height = len(table.rows) + 3

    def _ended(self, assessment: Assessment) -> str:
        """Return that it is gone, and since when; empty if it is there, or not known."""
        detail = self._detail
        if detail is None or detail.missing:
            return ""
        replaced = detail.flow is not None and detail.flow.id != self.target.flow.id
        since = self.missing_since(detail.flow is not None and not replaced, assessment)
        if since is None:
            return ""
        return f"ended {since}" + ("; a new flow has the same addresses" if replaced else "")

    def opens(self, table: Table[Any], row: Any) -> DetailQuery | SocketsPlace | str | None:
        """Open the sockets or the flows that a row leads to."""
        if isinstance(row, Way):
            self.sockmon.open(row.opens)
            return None
        return super().opens(table, row)

    def _draw_missing(self) -> None:
        reasons = [f"{item.reader}: {item.reason}" for item in (self._detail.missing if self._detail else ())]
        if not self._answerable:
            reasons.append(NO_ANSWER[self.sockmon.source.live][0])
        missing = self.query_one("#missing", LabelledList)
        missing.display = bool(reasons)
        missing.show(*(Labelled("Not read", Text(reason, "sev-unknown")) for reason in reasons))


def facts(flow: Flow, netns: str, ended: bool) -> Iterator[Labelled]:
    """Yield everything about a flow; `ended`: it is gone, so the time that is left means nothing."""
    yield Labelled("Protocol", Text(f"{flow.protocol}, IPv{flow.family}"))
    if flow.state:
        yield Labelled("State", Text.assemble(state_text(flow), ("  as tracked, not that of a socket", "muted")))
    yield Labelled("Original", _direction(flow.original))
    yield Labelled("Reply", _direction(flow.reply))
    if not flow.translated:
        yield Labelled("", Text("not translated", "muted"))
    for index, word in enumerate(flow.status_words):
        meaning = STATUS_MEANINGS.get(word, "")
        yield Labelled("" if index else "Status", Text.assemble(word, (f"  {meaning}", "muted")))
    if not ended:
        yield Labelled("Ends in", Text.assemble(left_text(flow.timeout), ("  if no packet comes", "muted")))
    yield from _traffic(flow)
    yield Labelled("Zone", Text(str(flow.zone)))
    yield from _rest(flow)
    inode = f"net:[{flow.netns}]"
    yield Labelled("Namespace", Text(f"{netns} " if netns not in ("", inode) else "").append(inode, "muted"))


def _rest(flow: Flow) -> Iterator[Labelled]:
    """Yield what most flows do not have."""
    if flow.mark is not None:
        yield Labelled("Mark", Text(f"{flow.mark} (0x{flow.mark:x})"))
    if flow.started is not None:
        yield Labelled("Began", Text(clock_time(flow.started)))
    if flow.helper:
        yield Labelled("Helper", Text(flow.helper))
    if flow.labels:
        yield Labelled("Labels", Text(flow.labels))
    if flow.master is not None:
        yield Labelled("Expected by", Text(tuple_text(flow.master)))
    if flow.id is not None:
        yield Labelled("Id", Text(str(flow.id)))


def _direction(one: FlowTuple) -> Text:
    text = Text(tuple_text(one))
    if one.icmp_type is not None:
        text.append(f"  type {one.icmp_type}, code {one.icmp_code}, id {one.icmp_id}", "muted")
    if one.zone is not None:
        text.append(f"  zone {one.zone} of this direction", "muted")
    return text


def _traffic(flow: Flow) -> Iterator[Labelled]:
    if flow.traffic is None:
        why = "not counted: net.netfilter.nf_conntrack_acct was 0 when it began"
        yield Labelled("Traffic", Text(why, "muted"))
        return
    counted = flow.traffic
    for index, (packets, size, way) in enumerate(
        (
            (counted.packets, counted.bytes, "original"),
            (counted.reply_packets, counted.reply_bytes, "reply"),
        )
    ):
        text = Text(f"{format.plural(packets, 'packet')}, {size:,} bytes").append(f"  {way}", "muted")
        yield Labelled("" if index else "Traffic", text)
