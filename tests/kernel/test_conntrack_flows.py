"""Flows: every attribute against pyroute2, the kernel's filter against our own, and forged entries."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sockmon.errors import ReadError
from sockmon.kernel import flow_filter
from sockmon.kernel.conntrack import dump_entries
from sockmon.kernel.conntrack_flows import Flows, find_flow, parse_flow, read_flows
from sockmon.kernel.flow_filter import dump_bodies
from sockmon.kernel.netlink import run
from sockmon.kernel.netns import open_current
from sockmon.model.conntrack_flows import (
    Flow,
    FlowTerm,
    FlowTuple,
    FlowValue,
    NetworkValue,
    PrefixValue,
    RangeValue,
    TextValue,
    WordValue,
)
from sockmon.sandbox.namespaces import set_sysctl
from tests.conntrack_entries import CONFIRMED, REPLIED, TCP, UDP, create_flows, entry
from tests.kernel.test_conntrack_tops import mixed, needs_conntrack
from tests.netns import inside

__all__ = ["needs_conntrack"]


TOTAL = 900


def term(field: str, *values: FlowValue, negated: bool = False) -> FlowTerm:
    return FlowTerm(field, values, negated)


CONDITIONS: dict[str, tuple[FlowTerm, ...]] = {
    "nothing": (),
    "source": (term("src", NetworkValue("10.0.0.7/32")),),
    "network": (term("src", NetworkValue("10.0.0.0/23")),),
    "IPv6 source": (term("src", NetworkValue("fd00::1/128")),),
    "IPv6 network": (term("src", NetworkValue("fd00::/120")), term("zone", RangeValue(7, 7))),
    "port": (term("proto", TextValue("tcp")), term("dport", RangeValue(443, 443))),
    "either family": (term("proto", TextValue("tcp")), term("dport", RangeValue(8443, 8443))),
    "group": (
        term("src", NetworkValue("10.0.0.7/32")),
        term("dst", NetworkValue("192.0.2.1/32")),
        term("proto", RangeValue(6, 6)),
        term("dport", RangeValue(443, 443)),
    ),
    "either port": (term("port", RangeValue(1030, 1090), RangeValue(53, 53)),),
    "key of gre": (term("proto", TextValue("gre")), term("dport", RangeValue(7, 7))),
    "icmp has no port": (term("proto", TextValue("icmp")), term("dport", RangeValue(0, 65535), negated=True)),
    "state": (term("state", TextValue("time_w")),),
    "a whole word": (term("proto", WordValue("ICMP")), term("state", WordValue("unreplied"), negated=True)),
    "a state that others begin with": (term("proto", WordValue("tcp")), term("state", WordValue("time_wait"))),
    "a word anywhere": (term("", TextValue("10.0.1.1")),),
    "no such word": (term("", TextValue("tcp"), negated=True), term("", TextValue("unreplied"))),
    "unreplied": (term("state", TextValue("UNREPLIED")),),
    "not assured": (term("state", TextValue("ASSURED"), negated=True),),
    "zone": (term("zone", RangeValue(7, 7)),),
    "no zone": (term("zone", RangeValue(0, 0)),),
    "text": (term("src", TextValue("0.3.1")), term("dst", PrefixValue("192"))),
    "mark": (term("mark", RangeValue(5, 5)),),
    "none": (term("src", NetworkValue("198.51.100.1/32")),),
}


def expected(flow: Flow, terms: tuple[FlowTerm, ...]) -> bool:
    """Compare a decoded flow with terms, in the plainest way."""
    facts: dict[str, tuple[Any, ...]] = {
        "src": (flow.original.source,),
        "dst": (flow.original.destination,),
        "sport": (flow.original.source_port,),
        "dport": (flow.original.destination_port,),
        "port": (flow.original.source_port, flow.original.destination_port),
        "proto": (flow.protocol, flow.number),
        "state": (flow.state, *flow.status_words),
        "zone": (flow.zone,),
        "mark": (flow.mark,),
    }
    texts = (flow.protocol, flow.state, *flow.status_words, flow.original.source, flow.original.destination)
    ports = (flow.original.source_port, flow.original.destination_port)
    facts[""] = ("\n".join(map(str, filter(None, (*texts, *ports)))),)
    return all(any(_fits(v, f) for v in t.values for f in facts[t.field]) is not t.negated for t in terms)


def _fits(value: FlowValue, fact: Any) -> bool:
    from ipaddress import ip_address, ip_network

    if isinstance(value, NetworkValue):
        network = ip_network(value.network)
        return ip_address(fact).version == network.version and ip_address(fact) in network
    if isinstance(value, RangeValue):
        return isinstance(fact, int) and value.low <= fact <= value.high
    if isinstance(value, WordValue):
        return value.text.casefold() == str(fact).casefold()
    if isinstance(value, TextValue):
        return value.text.casefold() in str(fact).casefold()
    return str(fact).startswith(value.text)


def searched(total: int) -> tuple[dict[str, Flows], dict[str, tuple[int, int]], Flows, list[Flow | None]]:
    create_flows(total, lambda number: marked(number) if number % 9 == 0 else mixed(number))
    handle = open_current()
    found = {name: run(read_flows(handle, terms, total)) for name, terms in CONDITIONS.items()}
    sent = {}
    for name, terms in CONDITIONS.items():
        received: list[int] = []
        for body in dump_bodies(terms):
            run(dump_entries(handle, "x", body, lambda data, size: received.append(len(data) // size)))  # noqa: B023
        sent[name] = (sum(received), found[name].matched)
    every = run(read_flows(handle, (), total))
    again = [find_flow(handle, flow) for flow in every.flows]
    return found, sent, every, again


def marked(number: int) -> bytes:
    return entry("10.0.8.1", "192.0.2.8", TCP, (1024 + number, 80), state=3, mark=5)


@pytest.mark.usefixtures("needs_conntrack")
def test_every_condition_finds_what_a_plain_comparison_finds() -> None:
    found, sent, every, again = inside(searched, TOTAL)
    assert (len(every.flows), every.matched) == (TOTAL, TOTAL)
    for name, terms in CONDITIONS.items():
        wanted = {flow.id for flow in every.flows if expected(flow, terms)}
        assert {flow.id for flow in found[name].flows} == wanted, name
        assert found[name].matched == len(wanted), name
        assert wanted or name == "none", name
    # The kernel finds each one by its tuple, zone and protocol; the seconds that are left have changed.
    assert [flow and replace(flow, timeout=0) for flow in again] == [replace(f, timeout=0) for f in every.flows]
    for name in ("source", "group", "port", "either family", "mark", "none"):
        # A kernel before 5.8 sends all.
        assert sent[name][0] in (sent[name][1], TOTAL), name


def limited(total: int) -> tuple[Flows, Flows, Flow | None]:
    create_flows(total, mixed)
    handle = open_current()
    terms = CONDITIONS["source"]
    gone = Flow(
        *(handle.inode, 4, "tcp", 6, FlowTuple("198.51.100.1", "198.51.100.2", 1, 2)),
        *(FlowTuple("198.51.100.2", "198.51.100.1", 2, 1), 0),
    )
    return run(read_flows(handle, (), 7)), run(read_flows(handle, terms, 7)), find_flow(handle, gone)


@pytest.mark.usefixtures("needs_conntrack")
def test_a_list_is_bounded_and_counts_the_others() -> None:
    every, some, gone = inside(limited, 800)
    assert (len(every.flows), every.matched) == (7, 800)
    assert (len(some.flows), some.matched) == (7, 400)
    assert gone is None


def refusing() -> tuple[int, str]:
    create_flows(100, mixed)
    handle = open_current()
    # A tuple without addresses is an invalid filter.
    good = flow_filter._tuple_filter
    flow_filter._tuple_filter = lambda *given: good(*given)[-12:]
    terms = CONDITIONS["source"]
    (body,) = dump_bodies(terms)
    try:
        run(dump_entries(handle, "x", body, lambda *_: None))
    except ReadError as error:
        return run(read_flows(handle, terms)).matched, error.message
    return 0, "the kernel took the filter"


@pytest.mark.usefixtures("needs_conntrack")
def test_a_filter_that_the_kernel_refuses_is_applied_here() -> None:
    matched, reason = inside(refusing)
    assert (matched, "EINVAL" in reason) == (48, True), reason


def real_traffic() -> tuple[list[Flow], list[Any]]:
    """Send UDP with and without reply through a source translation, with accounting and timestamps."""
    import shutil
    import subprocess

    from pyroute2 import NFCTSocket

    from tests.netns import TOOL_PATH

    for name in ("acct", "timestamp"):
        set_sysctl(f"net.netfilter.nf_conntrack_{name}", "1")
    nft = shutil.which("nft", path=TOOL_PATH)
    assert nft
    rules = """
        add table ip t
        add chain ip t n { type nat hook postrouting priority 100; }
        add rule ip t n udp dport 5001 snat to 127.0.0.7:40000-40009
        add chain ip t z { type filter hook output priority -300; }
        add rule ip t z udp dport 5002 ct original zone set 3
    """
    subprocess.run([nft, "-f", "-"], input=rules, text=True, check=True)
    receivers = []
    for port in (5001, 5002):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind(("127.0.0.1", port))
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.sendto(b"12345", ("127.0.0.1", port))
        _, address = receiver.recvfrom(100)
        if port == 5001:
            receiver.sendto(b"ok", address)
        receivers += [receiver, sender]
    found = run(read_flows(open_current(), ())).flows
    with NFCTSocket(nfgen_family=socket.AF_INET) as other:
        theirs = [message.get_attr("CTA_ID") for message in other.dump()]
    return found, theirs


@pytest.mark.usefixtures("needs_conntrack", "needs_nft")
def test_a_translated_flow_and_one_with_a_zone_of_its_own() -> None:
    found, theirs = inside(real_traffic)
    translated = next(flow for flow in found if flow.original.destination_port == 5001)
    assert (translated.protocol, translated.translated, translated.unreplied) == ("udp", True, False)
    assert translated.reply.destination == "127.0.0.7"
    assert 40000 <= (translated.reply.destination_port or 0) <= 40009
    assert translated.original.source == "127.0.0.1"
    traffic = translated.traffic
    assert traffic is not None
    assert (traffic.packets, traffic.bytes, traffic.reply_packets, traffic.reply_bytes) == (1, 33, 1, 30)
    assert (translated.started or 0) > 1.6e9
    assert "SNAT" in translated.status_words
    own = [flow for flow in found if flow.original.zone == 3]
    assert [flow.original.destination_port for flow in own] == [5002]
    assert all(flow.id for flow in found)
    assert {flow.id for flow in found} == set(theirs)


def test_without_the_module_or_the_capability_it_says_so() -> None:
    handle = open_current()
    try:
        with pytest.raises(ReadError, match=r"CAP_NET_ADMIN|not loaded"):
            run(read_flows(handle, ()))
    except BaseException:
        import os

        if os.geteuid() == 0:
            pytest.skip("root may read the table")
        raise
    finally:
        handle.close()


RAW = bytes(20) + entry("10.0.0.1", "192.0.2.1", UDP, (1000, 53), status=CONFIRMED | REPLIED, mark=7, zone=9)


def test_an_entry_in_full() -> None:
    flow = parse_flow(RAW, 5)
    assert (flow.netns, flow.family, flow.protocol, flow.zone, flow.mark) == (5, 4, "udp", 9, 7)
    assert flow.timeout == 86_400
    assert flow.original == FlowTuple("10.0.0.1", "192.0.2.1", 1000, 53)
    assert flow.reply == FlowTuple("192.0.2.1", "10.0.0.1", 53, 1000)
    assert (flow.traffic, flow.started, flow.helper, flow.labels, flow.master) == (None, None, "", "", None)


PLACES = st.integers(0, len(RAW) - 1)


@given(st.lists(st.tuples(PLACES, st.integers(0, 255)), max_size=6), st.integers(20, len(RAW)))
def test_forged_entries_raise_read_error_only(changes: list[tuple[int, int]], length: int) -> None:
    raw = bytearray(RAW)
    for at, value in changes:
        raw[at] = value
    try:
        parse_flow(bytes(raw[:length]), 1)
    except ReadError:
        return


@given(st.sampled_from(list(CONDITIONS.values())), st.binary(max_size=200))
def test_a_condition_on_forged_networks_matches_nothing(terms: tuple[FlowTerm, ...], text: bytes) -> None:
    value = NetworkValue(text.decode(errors="replace"))
    assert dump_bodies((*terms, term("src", value)))
    assert not flow_filter._network_test("no network")(b"\1\2\3\4")
