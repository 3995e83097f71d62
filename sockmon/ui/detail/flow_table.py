"""The table of flows, and how parts of a flow are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.text import Text

from sockmon import format
from sockmon.model.conntrack_flows import Flow, FlowTuple
from sockmon.ui.appearance.styles import STATES
from sockmon.ui.filtering.filter import Filterable
from sockmon.ui.filtering.flow_terms import FLOW, flow_values
from sockmon.ui.widgets.table import Column, Table

WIDE_TABLE = 116
"""Cells of a table from which on both ends have a column of their own and IPv6 has room."""


REPLY_CELLS = 38
MIN_ENDS_CELLS = 34
"""Least cells of both ends; other columns are dropped before."""


class Needs(NamedTuple):
    """Columns that only some flows need."""

    zones: bool
    """A flow has a zone or a mark."""
    traffic: bool
    """Packets and bytes are counted."""
    reply: bool
    """An address or a port is translated."""


class FlowTable(Table[Flow]):
    """Flows, sortable; both ends are cut in the middle, so that ports are always shown."""

    def __init__(self) -> None:
        super().__init__(
            columns(80, self.needs),
            _key,
            id="flows",
            classes="panel rest",
            columns_for=lambda width: columns(width, self.needs),
            flex=MIN_ENDS_CELLS,
            filterable=Filterable(FLOW, flow_values),
        )

    needs = Needs(False, False, False)
    """The columns that the flows need besides the usual ones."""

    def show_flows(self, flows: Sequence[Flow]) -> None:
        """Show the flows, and the columns that they need."""
        needs = Needs(
            zones=any(flow.zone or flow.mark for flow in flows),
            traffic=any(flow.traffic for flow in flows),
            reply=any(flow.translated for flow in flows),
        )
        if needs != self.needs:
            self.needs = needs
            self.choose_columns_again()
        self.show(flows)


def _key(flow: Flow) -> tuple[object, ...]:
    return flow.id, flow.number, flow.original, flow.zone


def columns(width: int, needs: Needs) -> list[Column[Flow]]:
    """Return the columns for a table of that width."""
    wide = width >= WIDE_TABLE
    reply = REPLY_CELLS if needs.reply and wide else 0
    shown: list[Column[Flow]] = [
        Column("PROTO", 6, lambda row: Text(row.protocol, "muted"), lambda row: row.protocol),
        Column("STATE", 11, state_text, lambda row: row.state or None),
    ]
    if wide:
        end = max((width - 45 - 6 * needs.zones - 18 * needs.traffic - reply) // 2, 14)
        shown += [
            Column("SOURCE", end, source_text, _source_order, cut="middle", pin=True),
            Column("DESTINATION", 0, destination_text, _destination_order, cut="middle", pin=True),
        ]
    else:
        shown.append(Column("SOURCE → DESTINATION", 0, ends_text, _source_order, cut="middle", pin=True))
    shown += [
        Column("LEFT", 6, lambda row: left_text(row.timeout), lambda row: row.timeout, "right"),
        Column("FLAGS", 14, flags_text, lambda row: row.status_words, keep_when_narrow=wide),
    ]
    if needs.traffic:
        shown += [
            Column("PACKETS", 8, packets_text, _packets, "right", keep_when_narrow=False),
            Column("BYTES", 8, bytes_text, _bytes, "right", keep_when_narrow=False),
        ]
    if needs.zones:
        shown += [
            Column("ZONE", 5, lambda row: _number(row.zone), lambda row: row.zone, "right", False),
            Column("MARK", 6, lambda row: _number(row.mark), lambda row: row.mark, "right", scrolled_only=True),
        ]
    if needs.reply:
        cells = reply or REPLY_CELLS
        shown.append(Column("REPLY", cells, reply_text, _reply_order, cut="middle", scrolled_only=not wide))
    return shown


def _number(value: int | None) -> Text:
    return Text(format.count(value) if value else format.NOTHING, "" if value else "faint")


def state_text(flow: Flow) -> Text:
    """Return the tracked TCP state in its colour; other protocols have a dash."""
    return Text(flow.state or format.NOTHING, STATES.get(flow.state, "muted") if flow.state else "faint")


def _source_order(flow: Flow) -> tuple[object, ...]:
    return flow.family, flow.original.source, flow.original.source_port or 0


def _destination_order(flow: Flow) -> tuple[object, ...]:
    return flow.family, flow.original.destination, flow.original.destination_port or 0


def _packets(flow: Flow) -> int | None:
    return flow.traffic.packets + flow.traffic.reply_packets if flow.traffic else None


def _bytes(flow: Flow) -> int | None:
    return flow.traffic.bytes + flow.traffic.reply_bytes if flow.traffic else None


def packets_text(flow: Flow) -> Text:
    """Return the packets of both directions."""
    return Text(format.short(_packets(flow)) if flow.traffic else format.NOTHING)


def bytes_text(flow: Flow) -> Text:
    """Return the bytes of both directions."""
    return Text(format.size(_bytes(flow)) if flow.traffic else format.NOTHING)


def endpoint(address: str, port: int | None) -> str:
    """Return `10.0.0.7:443`, `[fd00::7]:443`, or the address alone."""
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def source_text(flow: Flow) -> Text:
    """Return the source of the original direction."""
    return Text(endpoint(flow.original.source, flow.original.source_port))


def destination_text(flow: Flow) -> Text:
    """Return the destination of the original direction, and what it is translated to."""
    return Text(endpoint(flow.original.destination, flow.original.destination_port)).append_text(_icmp(flow))


def ends_text(flow: Flow) -> Text:
    """Return source and destination of the original direction."""
    return Text.assemble(source_text(flow), (" → ", "faint"), destination_text(flow))


def _icmp(flow: Flow) -> Text:
    original = flow.original
    if original.icmp_type is None:
        return Text()
    return Text(f" type {original.icmp_type} id {original.icmp_id}", "muted")


def reply_text(flow: Flow) -> Text:
    """Return where replies come from and go to if an address or a port is translated, else nothing."""
    return Text(tuple_text(flow.reply)) if flow.translated else Text()


def _reply_order(flow: Flow) -> str | None:
    return reply_text(flow).plain or None


def tuple_text(one: FlowTuple) -> str:
    """Return `10.0.0.7:40000 → 192.0.2.1:443`."""
    return f"{endpoint(one.source, one.source_port)} → {endpoint(one.destination, one.destination_port)}"


def left_text(seconds: int | None) -> Text:
    """Return the time after which the entry ends if no packet comes."""
    return Text(format.NOTHING, "faint") if seconds is None else Text(format.duration(seconds))


def flags_text(flow: Flow) -> Text:
    """Return the words of the status: ASSURED is usual, and faint."""
    text = Text()
    for word in flow.status_words:
        style = "sev-warning" if word == "UNREPLIED" else "muted"
        text.append(f"{' ' if text else ''}{word}", style)
    return text
