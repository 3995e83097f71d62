"""Answers about flows, from an agent that walks over the same table meanwhile."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from sockmon.agent import flow_pages
from sockmon.agent.details import answer_query
from sockmon.agent.sampler import open_sampler
from sockmon.kernel.netlink import run
from sockmon.model.conntrack_flows import FlowDetail, FlowQuery, FlowsDetail, FlowsQuery, FlowTerm, RangeValue
from sockmon.sources.wire import decode, decode_request, encode
from tests.conntrack_entries import create_flows
from tests.kernel.test_conntrack_tops import mixed
from tests.netns import inside


@dataclasses.dataclass
class Answers:
    """What an agent answered."""

    port: FlowsDetail
    other: FlowsDetail
    one: FlowDetail
    walks: int
    entries: int


def answers() -> Answers:
    """Ask for flows, step by step, while the walk of the agent is half-way."""
    create_flows(1_500, mixed)
    with open_sampler(None, 1.0) as sampler:
        netns = sampler.netns[0]
        inode = netns.handle.inode
        query = FlowsQuery(inode, (FlowTerm("dport", (RangeValue(443, 443),)),))
        netns.tracking.table.run(0.0)
        steps = answer_query(sampler, query)
        found = None
        while found is None:
            try:
                next(steps)
            except StopIteration as end:
                found = end.value
            netns.tracking.table.run(0.0)
        while netns.tracking.table.active:
            netns.tracking.table.run(1.0)
        assert isinstance(found, FlowsDetail)
        assert netns.tracking.table.reason is None
        assert netns.tracking.table.value is not None
        other = run(answer_query(sampler, FlowsQuery(1)))
        one = run(answer_query(sampler, FlowQuery(found.flows[0])))
        assert isinstance(other, FlowsDetail)
        assert isinstance(one, FlowDetail)
        return Answers(found, other, one, netns.tracking.table.runs, netns.tracking.table.value.tops.entries)


@pytest.mark.usefixtures("needs_userns")
def test_flows_are_answered_while_the_agent_walks_over_the_table() -> None:
    if not Path("/proc/sys/net/netfilter/nf_conntrack_count").exists():
        pytest.skip("nf_conntrack is not loaded")
    found = inside(answers)
    assert (found.port.matched, len(found.port.flows), found.port.entries) == (748, 500, 1_500)
    assert found.port.missing == ()
    assert found.port.seconds >= 0
    assert found.walks >= 1
    assert found.entries == 1_500
    assert found.other.missing[0].reason == flow_pages.NETNS_GONE
    assert found.one.flow is not None
    assert found.one.flow.original == found.port.flows[0].original
    assert decode(encode(found.port)) == found.port
    assert decode(encode(found.one)) == found.one
    assert decode_request(encode(found.port.query)) == found.port.query
    assert decode_request(encode(found.one.query)) == found.one.query
