"""Ports and queues of a namespace: which of the similar limits is named, and which is not."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from sockmon.assess import Assessment, Assessor
from sockmon.model.nat_rules import SnatRange
from sockmon.model.report import Reading, Remedy
from sockmon.model.snapshot import (
    BoundSource,
    Conntrack,
    HalfOpen,
    Netns,
    Owner,
    PortGroup,
    Snat,
    SnatGroup,
    StateCount,
    States,
    UdpPorts,
)
from sockmon.model.source_addresses import SourceAddresses, SourcesTowards
from tests.snapshots import SYSCTLS, group, listener, netns, ports, process, snapshot

CLIENT = Owner(2210, 9, "fetcher", 90)


def assess(*parts: Netns, step: float = 10.0) -> Assessment:
    """The Assessment after a Snapshot of each of `parts`, `step` seconds apart."""
    assessor = Assessor()
    for number, part in enumerate(parts):
        last = assessor.add(snapshot(step * number, netns=(part,)))
    return last


def of(assessment: Assessment, ceiling: str) -> list[Reading]:
    return [item for item in assessment.report.readings if item.ceiling == ceiling]


def bound(used: int, **changes: Any) -> BoundSource:
    source = BoundSource("10.0.0.5", used, 0, 0, 4, 0, 30.0, 0.5, (CLIENT,))
    return replace(source, **changes)


def test_a_source_that_binds_first_outranks_its_groups() -> None:
    held = replace(ports(group(25), usable=90, low=40000, high=40099), sources=(bound(100, idle=10),))
    held = replace(held, bound=tuple(range(40001, 40020, 2)))
    report = assess(netns(ports=held)).report
    first = report.readings[0]
    assert (first.ceiling, first.subject, first.used, first.limit, first.severity) == (
        *("bound-ports", "10.0.0.5", 100, 100),
        "hit",
    )
    assert "IP_BIND_ADDRESS_NO_PORT" in first.remedies[0].text
    assert "fetcher[2210]" in first.remedies[0].text
    assert any("EADDRINUSE" in line for line in first.evidence)


def test_without_bind_before_connect_there_is_no_alarm() -> None:
    (reading,) = of(assess(netns()), "bound-ports")
    assert (reading.used, reading.limit, reading.severity) == (0, 28232, "ok")


def test_what_bound_sockets_took_is_missing_from_the_limit_of_others() -> None:
    other = replace(group(40), source="10.0.0.6", blocked_by_bound=60)
    held = replace(ports(other, usable=100, low=40000, high=40099), sources=(bound(60),))
    (reading,) = of(assess(netns(ports=held)), "ephemeral-ports")
    assert (reading.used, reading.limit, reading.severity) == (40, 40, "hit")
    assert any("60 ports are blocked" in line and "10.0.0.5" in line for line in reading.evidence)


@pytest.mark.parametrize(("blocked", "elsewhere"), [(60, False), (40, True)])
def test_another_destination_is_no_remedy_where_bound_sockets_block_most_ports(
    blocked: int, elsewhere: bool
) -> None:
    full = replace(group(100 - blocked), source="10.0.0.6", blocked_by_bound=blocked)
    sources = (bound(blocked - 10), replace(bound(blocked - 10), source="10.0.0.7"))
    held = replace(ports(full, usable=100, low=40000, high=40099), sources=sources)
    (reading,) = of(assess(netns(ports=held)), "ephemeral-ports")
    assert reading.severity == "hit"
    assert any(item.kind == "addresses" for item in reading.remedies) == elsewhere
    names_all = any("10.0.0.5 and 1 other address" in item.text for item in reading.remedies)
    assert names_all != elsewhere, "the ports of one source are not all that is blocked"


def opened(count: int, *groups: Any) -> Netns:
    return netns(counters={"Tcp.ActiveOpens": count}, ports=ports(*groups))


def test_slow_connects_are_a_warning_only_while_they_are_made() -> None:
    large = group(17_000)
    (quiet,) = of(assess(opened(0, large), opened(20, large)), "ephemeral-ports")
    assert quiet.severity == "ok"
    (busy,) = of(assess(opened(0, large), opened(400, large)), "ephemeral-ports")
    assert busy.severity == "warning"
    assert any(line.startswith("connects are slow, but do not fail yet") for line in busy.evidence)
    elsewhere = group(2400, time_wait=2400, port=443)
    readings = of(assess(opened(0, large, elsewhere), opened(400, large, elsewhere)), "ephemeral-ports")
    assert {item.severity for item in readings} == {"ok"}


def test_below_half_no_rate_is_slow() -> None:
    (reading,) = of(assess(opened(0, group(14_000)), opened(9000, group(14_000))), "ephemeral-ports")
    assert reading.severity == "ok"


def sources(*addresses: str, total: int = 0, complete: bool = True) -> SourceAddresses:
    row = SourcesTowards("10.0.0.5", "10.0.0.9", "", addresses, total or len(addresses), complete)
    return SourceAddresses(0.0, (row,))


def address_remedy(found: SourceAddresses | None, *more: PortGroup) -> Remedy:
    used = ports(group(80), *more, usable=100)
    (reading, *_) = of(assess(netns(ports=used, source_addresses=found)), "ephemeral-ports")
    return next(each for each in reading.remedies if each.kind == "addresses")


def test_other_source_addresses_are_named_if_they_exist() -> None:
    assert address_remedy(None).text.endswith("100 more each")
    two = address_remedy(sources("10.0.0.6", "10.0.0.7"))
    assert two.addresses == ("10.0.0.6", "10.0.0.7")
    assert two.text.endswith("; this namespace has others with a route to it: 10.0.0.6, 10.0.0.7")
    assert address_remedy(sources("10.0.0.6")).text.endswith(
        "; this namespace has others with a route to it: 10.0.0.6"
    )
    assert "10.0.0.6 and 11 more" in address_remedy(sources("10.0.0.6", total=12)).text
    none = address_remedy(sources())
    assert none.addresses == ()
    assert none.text.endswith("no other address of this namespace has a route to it: add 1 address")
    assert address_remedy(sources(complete=False)).text.endswith("100 more each"), "not all were asked about"


def test_a_source_that_is_full_too_is_not_named() -> None:
    full = replace(group(80), source="10.0.0.6")
    named = address_remedy(sources("10.0.0.6", "10.0.0.7"), full)
    assert named.addresses == ("10.0.0.7",)


def test_snat_names_other_addresses_too() -> None:
    found = SourceAddresses(0.0, (SourcesTowards("192.0.2.1", "10.0.0.9", "", ("192.0.2.2",), 1, True),))
    part = replace(ruled(90, NARROW), source_addresses=found)
    (reading,) = of(assess(part), "snat-ports")
    assert any(each.addresses == ("192.0.2.2",) for each in reading.remedies)


def test_udp_is_one_pool() -> None:
    udp = UdpPorts(0.0, 40000, 40099, 10, 90, 90, (CLIENT,))
    (reading,) = of(assess(netns(udp=udp)), "udp-ports")
    assert (reading.used, reading.limit, reading.severity, reading.scope) == (90, 90, "hit", "netns")
    assert any("EAGAIN" in line for line in reading.evidence)
    apart = UdpPorts(0.0, 40000, 40099, 10, 90, 90, (CLIENT,), used_ipv4=0)
    (ipv6,) = of(assess(netns(udp=apart)), "udp-ports")
    assert ipv6.severity == "hit"
    assert any("unbound IPv6 socket" in line for line in ipv6.evidence)
    (unseen,) = of(assess(netns(udp=None)), "udp-ports")
    assert unseen.severity == "unknown"


def nat(drop: int, failed: int, used: int = 10, high: int = 40009) -> Netns:
    table = Conntrack(100, 262144, 262144, {"drop": drop, "insert_failed": failed, "early_drop": 0})
    found = SnatGroup("192.0.2.1", "10.0.0.9", 443, "tcp", used, 40000, high)
    return netns(conntrack=table, snat=Snat(0.0, (found,), 1))


def test_a_clash_and_a_full_table_are_distinguished() -> None:
    clash = assess(nat(0, 0), nat(10, 10))
    assert [(item.ceiling, item.subject, item.used, item.limit) for item in clash.report.readings[:1]] == [
        ("snat-ports", "192.0.2.1 → 10.0.0.9:443", 10, 10)
    ]
    assert [item.severity for item in of(clash, "conntrack-table")] == ["ok"]
    full = assess(nat(0, 0), nat(10, 0))
    assert full.report.readings[0].ceiling == "conntrack-table"
    assert [(item.limit, item.severity) for item in of(full, "snat-ports")] == [(64512, "ok")]


def test_a_few_drops_and_consecutive_ports_are_not_a_clash() -> None:
    """A client that takes its ports in a row, behind a gateway where two flows meet now and then."""
    in_a_row = [nat(0, 0), nat(3, 3)]
    assert {(item.limit, item.severity) for item in of(assess(*in_a_row), "snat-ports")} == {(64512, "ok")}


@pytest.mark.parametrize(("used", "hinted"), [(10, True), (9, False)])
def test_a_range_that_a_rule_may_name_is_a_hint_until_packets_are_dropped(used: int, hinted: bool) -> None:
    (found,) = of(assess(nat(30, 30, used=used)), "snat-ports")
    assert (found.limit, found.severity) == (64512, "ok")
    assert any("40000–40009: if the rule names" in line for line in found.evidence) == hinted


def test_two_flows_that_met_by_chance_are_no_clash() -> None:
    scattered = [nat(count, count, used=40, high=60999) for count in (0, 3)]
    assert {item.severity for item in of(assess(*scattered), "snat-ports")} == {"ok"}


def ruled(used: int, found: SnatRange | None, reason: str = "", drop: int = 0) -> Netns:
    base = nat(drop, drop, used, 60999)
    assert base.snat
    group = replace(base.snat.groups[0], range=found, in_range=used if found else None, range_reason=reason)
    return replace(base, snat=replace(base.snat, groups=(group,)))


NARROW = SnatRange(2000, 2099, True, "nft, table ip nat, chain post: masquerade to :2000-2099")


def test_the_range_of_the_rule_is_the_limit_before_a_packet_is_dropped() -> None:
    (reading,) = of(assess(ruled(90, NARROW)), "snat-ports")
    assert (reading.used, reading.limit, reading.severity) == (90, 100, "critical")
    assert "limit 100: the rule names ports 2000–2099" in reading.evidence
    assert NARROW.rule in reading.evidence
    assert "wider range" in reading.remedies[0].text
    (full,) = of(assess(ruled(100, NARROW)), "snat-ports")
    assert full.severity == "hit"
    (clash,) = of(assess(ruled(91, NARROW), ruled(91, NARROW, drop=3)), "snat-ports")
    assert clash.severity == "hit", "the search is random, and gives up before the last port"
    (elsewhere,) = of(assess(ruled(20, NARROW), ruled(20, NARROW, drop=3)), "snat-ports")
    assert elsewhere.severity == "ok", "something else has dropped them"


def test_a_rule_without_ports_has_those_of_the_kernel() -> None:
    default = SnatRange(1024, 65535, False, "nft, table ip nat, chain post: masquerade", 3)
    (reading,) = of(assess(ruled(600, default)), "snat-ports")
    assert (reading.limit, reading.severity) == (64512, "ok")
    assert any("because the rule names none" in line for line in reading.evidence)
    assert any("2 other rules with the same ports" in line for line in reading.evidence)


def test_a_port_that_a_rule_means_for_one_flow_is_no_alarm() -> None:
    one = SnatRange(123, 123, True, "nft, table ip nat, chain post: snat to :123")
    (reading,) = of(assess(ruled(1, one)), "snat-ports")
    assert (reading.used, reading.limit, reading.severity) == (1, 1, "ok")
    assert "limit 1: the rule names port 123" in reading.evidence
    (clash,) = of(assess(ruled(1, one), ruled(1, one, drop=3)), "snat-ports")
    assert clash.severity == "hit"


def test_a_range_that_is_not_known_is_the_estimate_with_the_reason() -> None:
    (reading,) = of(assess(ruled(600, None, "its map could not be read")), "snat-ports")
    assert reading.limit == 64512
    assert any(line.startswith("its map could not be read; limit 64,512") for line in reading.evidence)


def knocking(at: float, count: int, port: int = 8080, cookies: str = "1", **counters: int) -> Netns:
    named = {"TCPReqQFullDoCookies": 0, "TCPReqQFullDrop": 0, "ListenDrops": 0, "ListenOverflows": 0, **counters}
    return netns(
        counters={f"TcpExt.{name}": value for name, value in named.items()},
        listeners=(listener(backlog=128), listener(backlog=128, port=9090, inode=72)),
        states=States(
            at, {"ESTABLISHED": StateCount(4, 4, 0)}, (HalfOpen("10.0.0.5", port, count),) if count else ()
        ),
        sysctls={**SYSCTLS, "net.ipv4.tcp_syncookies": cookies, "net.ipv4.tcp_max_syn_backlog": "256"},
    )


def test_cookies_are_a_hit_of_the_fullest_listener_that_is_still_served() -> None:
    found = of(assess(knocking(0, 0), knocking(10, 129, TCPReqQFullDoCookies=40)), "syn-queue")
    worst = found[0]
    assert (worst.subject, worst.used, worst.limit, worst.severity) == (
        *("0.0.0.0:8080 nginx[1044]", 129, 128),
        "hit",
    )
    assert any("still accepted" in line for line in worst.evidence)
    assert [item.severity for item in found[1:]] == ["ok"]


@pytest.mark.parametrize(("accepting", "severity"), [(129, "ok"), (128, "hit")])
def test_handshakes_that_wait_for_a_full_accept_queue_are_not_blamed(accepting: int, severity: str) -> None:
    """The kernel drops their last ACK until accept() makes room: the cause is the accept queue."""
    full = (listener(backlog=128, queue=accepting),)
    states = [replace(knocking(at, 127, TCPReqQFullDoCookies=4 * at), listeners=full) for at in (0, 10, 20)]
    (found,) = of(assess(*states), "syn-queue")
    assert (found.used, found.limit, found.severity) == (127, 128, severity)
    assert any("accept-queue" in remedy.text for remedy in found.remedies) == (severity == "ok")
    assert any("last ACK" in line for line in found.evidence) == (severity == "ok")


def test_more_handshakes_than_a_full_accept_queue_explains_are_an_alarm() -> None:
    same = (listener(backlog=128, queue=129), listener(backlog=128, inode=73))
    (found,) = of(assess(*[replace(knocking(at, 250), listeners=same) for at in (0, 10)]), "syn-queue")
    assert (found.used, found.limit, found.severity) == (250, 256, "critical")


def test_a_queue_that_is_empty_again_is_not_blamed() -> None:
    found = of(assess(knocking(0, 0), knocking(10, 1, TCPReqQFullDrop=40)), "syn-queue")
    assert [(item.subject, item.severity) for item in found if item.severity != "ok"] == [("host", "hit")]


def test_cookies_for_every_syn_prove_nothing() -> None:
    found = of(
        assess(knocking(0, 0, cookies="2"), knocking(10, 3, cookies="2", TCPReqQFullDoCookies=4)), "syn-queue"
    )
    assert {item.severity for item in found} == {"ok"}


def test_without_cookies_silent_drops_are_those_of_max_syn_backlog() -> None:
    calm = replace(knocking(0, 0, cookies="0"), listeners=(listener(backlog=4096),))
    drops = knocking(10, 193, cookies="0", ListenDrops=60)
    worst = of(assess(calm, replace(drops, listeners=(listener(backlog=4096),))), "syn-queue")[0]
    assert (worst.used, worst.limit, worst.severity) == (193, 192, "hit")
    assert [item.key for item in worst.remedies if item.key][:2] == [
        "net.ipv4.tcp_syncookies",
        "net.ipv4.tcp_max_syn_backlog",
    ]
    overflows = knocking(10, 193, cookies="0", ListenDrops=60, ListenOverflows=60)
    overflows = replace(overflows, listeners=(listener(backlog=4096),))
    assert of(assess(calm, overflows), "syn-queue")[0].severity != "hit"


def test_one_full_dump_is_no_alarm_however_often_it_is_shown() -> None:
    again = [knocking(0, 0), *[knocking(1, 129)] * 3]
    assert {item.severity for item in of(assess(*again, step=1.0), "syn-queue")} == {"ok"}
    assert of(assess(*again, knocking(4, 129), step=1.0), "syn-queue")[0].severity == "hit"


def test_a_range_of_three_ports_is_full_with_two() -> None:
    held = ports(group(2), usable=2, low=40000, high=40002)
    (reading,) = of(assess(netns(ports=held)), "ephemeral-ports")
    assert (reading.used, reading.limit, reading.severity) == (2, 2, "hit")
    assert any("1 that connect() never tries" in line for line in reading.evidence)


def test_the_wider_range_is_advised_with_the_reservation_of_node_ports() -> None:
    reserved = "net.ipv4.ip_local_reserved_ports"

    def remedies(name: str, value: str, ceiling: str) -> list[Remedy]:
        udp = UdpPorts(0.0, 40000, 40099, 10, 90, 90, (CLIENT,))
        held = replace(ports(group(100), usable=100, low=40000, high=40099), sources=(bound(100),))
        found = netns(ports=held, udp=udp, sysctls=SYSCTLS | {reserved: value})
        report = Assessor().add(snapshot(0.0, process(name=name), netns=(found,))).report
        return [item for row in report.readings if row.ceiling == ceiling for item in row.remedies if item.key]

    for ceiling in ("ephemeral-ports", "bound-ports"):
        wider, keep = remedies("kube-proxy", "8080", ceiling)
        assert "30000-32767" in wider.text
        assert "100 → 61,744" in wider.text
        assert (keep.key, keep.value) == (reserved, "8080,30000-32767")
        assert [item.key for item in remedies("kube-proxy", "30000-32767", ceiling)] == [wider.key]
        (plain,) = remedies("nginx", "8080", ceiling)
        assert "30000" not in plain.text
    (wider,) = remedies("kubelet", "", "udp-ports")
    assert "30000-32767" in wider.text


def test_what_bound_sockets_of_all_addresses_hold_has_a_row_of_its_own() -> None:
    held = replace(ports(usable=100, low=40000, high=40099), lost=80, lost_sources=60, lost_owners=(CLIENT,))
    (reading,) = of(assess(netns(ports=held)), "bound-ports")
    assert (reading.subject, reading.used, reading.limit, reading.severity) == ("host", 80, 100, "warning")
    assert any("60 addresses" in line for line in reading.evidence)
    assert "fetcher[2210]" in reading.remedies[0].text
    assert "addresses" not in {item.kind for item in reading.remedies}, "more sources would not help"


def test_one_large_source_needs_no_row_of_all() -> None:
    held = replace(ports(usable=100, low=40000, high=40099), sources=(bound(100),), lost=100, exhausted=True)
    (reading,) = of(assess(netns(ports=held)), "bound-ports")
    assert (reading.subject, reading.severity) == ("10.0.0.5", "hit")


def test_a_range_without_a_port_for_anybody_is_a_hit_whoever_holds_it() -> None:
    other = replace(group(4), blocked_by_bound=96)
    held = replace(ports(other, usable=100, low=40000, high=40099), lost=100, exhausted=True)
    found = assess(netns(ports=held))
    (everybody,) = of(found, "bound-ports")
    assert (everybody.used, everybody.limit, everybody.severity) == (100, 100, "hit")
    assert any("127.0.0.1:1" in line for line in everybody.evidence)
    (one,) = of(found, "ephemeral-ports")
    assert (one.used, one.limit, one.severity) == (4, 4, "hit")
    assert "addresses" not in {item.kind for item in one.remedies}, "another destination would not help"


def test_another_destination_does_not_help_a_source_that_binds_first() -> None:
    held = replace(ports(group(100), usable=100, low=40000, high=40099), sources=(bound(100),))
    (reading,) = of(assess(netns(ports=held)), "ephemeral-ports")
    assert reading.severity == "hit"
    assert "addresses" not in {item.kind for item in reading.remedies}
