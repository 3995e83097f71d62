"""Where the page of a flow leads: the sockets at its ends, and the flows that have something in common with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from rich.text import Text

from sockmon.model.conntrack_flows import Flow, FlowsQuery, FlowTuple
from sockmon.model.conntrack_tops import TopRow
from sockmon.ui.detail.sockets_place import SocketsPlace, of_connection
from sockmon.ui.filtering.flow_terms import describe_terms, terms_of_top
from sockmon.ui.widgets.table import Column, Table

WITH_SOCKETS = ("tcp", "udp")
"""Protocols whose sockets have the addresses and ports of a flow."""


class Way(NamedTuple):
    """A row of the table."""

    what: str
    filter: str
    """As it is typed."""
    opens: SocketsPlace | FlowsQuery


class WayTable(Table[Way]):
    """What Enter opens from the page of a flow."""

    def __init__(self) -> None:
        super().__init__(
            (
                Column("OPENS", 28, lambda row: row.what, lambda row: row.what, pin=True),
                Column("FILTER", 0, lambda row: Text(row.filter, "muted"), lambda row: row.filter, cut="middle"),
            ),
            lambda row: row.what,
            id="ways",
            classes="panel",
        )


def ways(flow: Flow) -> Iterator[Way]:
    """Yield the sockets at both ends, in all namespaces that are watched, and the flows like this one."""
    if flow.protocol in WITH_SOCKETS:
        # The destination has the address to which the flow is translated, which its replies come from.
        yield _socket("socket of the source", flow.original, flow.protocol)
        yield _socket("socket of the destination", flow.reply, flow.protocol)
    original = flow.original
    port = original.destination_port
    group = TopRow(0, original.source, original.destination, flow.protocol, port)
    yield _flows("flows of its source", flow.netns, TopRow(0, source=original.source))
    yield _flows("flows to its destination", flow.netns, TopRow(0, destination=original.destination))
    yield _flows("flows between both", flow.netns, group)


def _socket(what: str, one: FlowTuple, protocol: str) -> Way:
    ports = (one.source_port or 0, one.destination_port or 0)
    place = of_connection(0, one.source, ports[0], one.destination, ports[1], protocol)
    return Way(what, place.filter, place)


def _flows(what: str, netns: int, row: TopRow) -> Way:
    terms = terms_of_top(row)
    return Way(what, describe_terms(terms), FlowsQuery(netns, terms))
