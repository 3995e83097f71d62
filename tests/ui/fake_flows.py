"""Flows of a fake connection table, what fills it, and the answers about it."""

from __future__ import annotations

from msgspec.structs import replace

from sockmon.model.conntrack_flows import (
    ASSURED,
    DST_NAT,
    SEEN_REPLY,
    Flow,
    FlowDetail,
    FlowQuery,
    FlowsDetail,
    FlowsQuery,
    FlowTraffic,
    FlowTuple,
)
from sockmon.model.conntrack_tops import ConntrackTops, Top, TopRow
from sockmon.model.snapshot import Missing

MATCHED, ENTRIES = 37_341, 61_204


def tops() -> ConntrackTops:
    """Return what fills the table: one source with 61 %."""
    others = (TopRow(90 - n, source=f"10.0.1.{n}", missed=4) for n in range(9))
    sources = (TopRow(37_341, source="10.0.0.7"), *others)
    destinations = tuple(TopRow(9_000 - n, destination=f"192.0.2.{n}") for n in range(3))
    ports = (TopRow(50_000, protocol="tcp", port=443), TopRow(3_092, protocol="udp", port=53))
    group = TopRow(9_000, source="10.0.0.7", destination="192.0.2.1", protocol="tcp", port=443)
    v6 = TopRow(200, source="fd00::1", destination="fd00::2", protocol="tcp", port=8443)
    return ConntrackTops(
        ENTRIES,
        Top(sources, 23_000, None),
        Top(destinations, ENTRIES - 26_997, 412),
        Top(ports, ENTRIES - 53_092, 2),
        Top((group, v6), ENTRIES - 9_200, 900),
        Top((TopRow(61_000, zone=0), TopRow(204, zone=7)), 0, 2),
        *(50_000, 0, 12),
    )


def flow(number: int, netns: int) -> Flow:
    """Return one of a hundred flows: some are translated, some are UDP without an answer."""
    if number % 10 == 3:
        udp = FlowTuple("10.0.0.7", "192.0.2.53", 2_000 + number, 53)
        back = FlowTuple("192.0.2.53", "10.0.0.7", 53, 2_000 + number)
        return Flow(netns, 4, "udp", 17, udp, back, 8, timeout=12, mark=0, id=number)
    original = FlowTuple("10.0.0.7", "192.0.2.1", 1_024 + number, 443)
    status, back = SEEN_REPLY | ASSURED, FlowTuple("192.0.2.1", "10.0.0.7", 443, 1_024 + number)
    if number % 10 == 5:
        status, back = status | DST_NAT, FlowTuple("172.17.0.4", "10.0.0.7", 8_443, 1_024 + number)
    traffic = FlowTraffic(1_200, 96_000, 2_400, 3_100_000)
    state = "TIME_WAIT" if number % 3 else "ESTABLISHED"
    return Flow(netns, 4, "tcp", 6, original, back, status, state, 86_000, 0, 0, number, traffic, 1_700_000_000.0)


def flows_detail(query: FlowsQuery, at: float, missing: tuple[Missing, ...] = ()) -> FlowsDetail:
    """Return the answer to a query for flows; whatever its terms are, the flows are the same."""
    rows = () if missing else tuple(flow(number, query.netns) for number in range(100))
    matched = 0 if missing else MATCHED if query.terms else ENTRIES
    return FlowsDetail(at, query, rows, matched, ENTRIES, 0.2, missing)


def flow_detail(query: FlowQuery, at: float) -> FlowDetail:
    """Return the answer to a query for one flow: it has a second less."""
    return FlowDetail(at, query, replace(query.flow, timeout=(query.flow.timeout or 0) - 1), ())
