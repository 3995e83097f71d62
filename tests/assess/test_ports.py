"""Ports and queues of a namespace: which of the look-alikes is named, and which is not."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from sockmon.assess import Assessment, Assessor
from sockmon.model.report import Reading
from sockmon.model.snapshot import (
    BoundSource,
    Conntrack,
    HalfOpen,
    Netns,
    Owner,
    Snat,
    SnatGroup,
    StateCount,
    States,
    UdpPorts,
)
from tests.snapshots import SYSCTLS, group, listener, netns, ports, snapshot

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


def test_nobody_binds_first() -> None:
    (reading,) = of(assess(netns()), "bound-ports")
    assert (reading.used, reading.limit, reading.severity) == (0, 28232, "ok")


def test_what_bound_sockets_took_is_missing_from_the_limit_of_others() -> None:
    other = replace(group(40), source="10.0.0.6", poisoned=60)
    held = replace(ports(other, usable=100, low=40000, high=40099), sources=(bound(60),))
    (reading,) = of(assess(netns(ports=held)), "ephemeral-ports")
    assert (reading.used, reading.limit, reading.severity) == (40, 40, "hit")
    assert any("60 ports are lost to it" in line and "10.0.0.5" in line for line in reading.evidence)


def opened(count: int, *groups: Any) -> Netns:
    return netns(counters={"Tcp.ActiveOpens": count}, ports=ports(*groups))


def test_slow_connects_are_a_warning_only_while_they_are_made() -> None:
    large = group(17_000)
    (quiet,) = of(assess(opened(0, large), opened(20, large)), "ephemeral-ports")
    assert quiet.severity == "ok"
    (busy,) = of(assess(opened(0, large), opened(400, large)), "ephemeral-ports")
    assert busy.severity == "warning"
    assert any(line.startswith("slow connects, not yet failing") for line in busy.evidence)
    elsewhere = group(2400, time_wait=2400, port=443)
    readings = of(assess(opened(0, large, elsewhere), opened(400, large, elsewhere)), "ephemeral-ports")
    assert {item.severity for item in readings} == {"ok"}


def test_below_half_no_rate_is_slow() -> None:
    (reading,) = of(assess(opened(0, group(14_000)), opened(9000, group(14_000))), "ephemeral-ports")
    assert reading.severity == "ok"


def test_udp_is_one_pool() -> None:
    udp = UdpPorts(0.0, 40000, 40099, 10, 90, 90, (CLIENT,))
    (reading,) = of(assess(netns(udp=udp)), "udp-ports")
    assert (reading.used, reading.limit, reading.severity, reading.scope) == (90, 90, "hit", "netns")
    assert any("EAGAIN" in line for line in reading.evidence)
    (unseen,) = of(assess(netns(udp=None)), "udp-ports")
    assert unseen.severity == "unknown"


def nat(drop: int, failed: int, used: int = 10, high: int = 40009) -> Netns:
    table = Conntrack(100, 262144, 262144, {"drop": drop, "insert_failed": failed, "early_drop": 0})
    found = SnatGroup("192.0.2.1", "10.0.0.9", 443, "tcp", used, 40000, high)
    return netns(conntrack=table, snat=Snat(0.0, (found,), 1))


def test_a_clash_and_a_full_table_are_told_apart() -> None:
    clash = assess(nat(0, 0), nat(10, 10))
    assert [(item.ceiling, item.subject, item.used, item.limit) for item in clash.report.readings[:1]] == [
        ("snat-ports", "192.0.2.1 → 10.0.0.9:443", 10, 10)
    ]
    assert [item.severity for item in of(clash, "conntrack-table")] == ["ok"]
    full = assess(nat(0, 0), nat(10, 0))
    assert full.report.readings[0].ceiling == "conntrack-table"
    assert [(item.limit, item.severity) for item in of(full, "snat-ports")] == [(64512, "ok")]


def test_a_few_drops_beside_ports_in_a_row_are_no_clash() -> None:
    """A client that takes its ports in a row, behind a gateway where two flows meet now and then."""
    in_a_row = [nat(0, 0), nat(3, 3)]
    assert {(item.limit, item.severity) for item in of(assess(*in_a_row), "snat-ports")} == {(64512, "ok")}


def test_two_flows_that_met_by_chance_are_no_clash() -> None:
    scattered = [nat(count, count, used=40, high=60999) for count in (0, 3)]
    assert {item.severity for item in of(assess(*scattered), "snat-ports")} == {"ok"}


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
