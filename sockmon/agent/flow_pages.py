"""Answers about the flows of the connection tracking table."""

from __future__ import annotations

from time import CLOCK_BOOTTIME, clock_gettime

from sockmon.agent.netns_sampler import NetnsSampler
from sockmon.agent.part import read_or_missing, to_missing
from sockmon.errors import ReadError
from sockmon.kernel import conntrack
from sockmon.kernel.conntrack_flows import Flows, find_flow, read_flows
from sockmon.kernel.conntrack_layout import READER
from sockmon.kernel.netlink import Incremental
from sockmon.model.conntrack_flows import FlowDetail, FlowQuery, FlowsDetail, FlowsQuery
from sockmon.model.snapshot import Missing

NETNS_GONE = "the network namespace has ended, or is not watched"


def answer_flows(netns: NetnsSampler | None, query: FlowsQuery) -> Incremental[FlowsDetail]:
    """Return the flows of a namespace that match; None: it is gone."""
    at = clock_gettime(CLOCK_BOOTTIME)
    if netns is None:
        return FlowsDetail(at, query, (), 0, None, 0.0, (Missing(READER, NETNS_GONE),))
    missing: list[Missing] = []
    table = read_or_missing(missing, "conntrack", lambda: conntrack.read(netns.handle))
    found = Flows([], 0)
    try:
        found = yield from read_flows(netns.handle, query.terms)
    except ReadError as error:
        missing.append(to_missing(READER, error))
    entries = None if table is None else table.count
    reasons = tuple(dict.fromkeys(missing))
    return FlowsDetail(at, query, tuple(found.flows), found.matched, entries, 0.0, reasons)


def answer_flow(netns: NetnsSampler | None, query: FlowQuery) -> Incremental[FlowDetail]:
    """Return one flow as it is now; None: its namespace is gone."""
    at = clock_gettime(CLOCK_BOOTTIME)
    if netns is None:
        return FlowDetail(at, query, None, (Missing(READER, NETNS_GONE),))
    missing: list[Missing] = []
    flow = read_or_missing(missing, READER, lambda: find_flow(netns.handle, query.flow))
    return FlowDetail(at, query, flow, tuple(missing))
    yield
