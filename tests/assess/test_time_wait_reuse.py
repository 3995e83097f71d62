"""Ports in TIME_WAIT count as free only if it is proved that connect() reuses them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from sockmon.model.report import Reading
from sockmon.model.snapshot import BoundSource, PortGroup
from tests.assess.test_ports import assess, of
from tests.snapshots import SYSCTLS, netns, ports

RECYCLED = "TcpExt.TWRecycled"
LOCAL, REMOTE = "127.0.0.1", "10.0.0.9"


def full(destination: str, used: int = 200, port: int = 5432) -> PortGroup:
    return PortGroup("10.0.0.5", destination, port, used, used, ())


def read(
    *groups: PortGroup, recycled: int | None = 0, reuse: str = "1", bound: bool = False, timestamps: str = "1"
) -> list[Reading]:
    found = ports(*groups, usable=200, low=40000, high=40199)
    if bound:
        found = replace(found, sources=(BoundSource("10.0.0.5", 200, 0, 200, 1, 0, 0.0, 0.5, ()),))
    counters = {} if recycled is None else {RECYCLED: recycled}
    sysctls = SYSCTLS | {"net.ipv4.tcp_tw_reuse": reuse, "net.ipv4.tcp_timestamps": timestamps}
    part = netns(ports=found, counters=counters, sysctls=sysctls)
    first_look = of(assess(part), "ephemeral-ports")
    watched = of(assess(*[part] * 5), "ephemeral-ports")
    assert [item.severity for item in first_look] == [item.severity for item in watched]
    return first_look


@pytest.mark.parametrize("destination", [LOCAL, REMOTE])
def test_a_full_group_without_proof_of_reuse_is_a_hit_with_the_reason(destination: str) -> None:
    (found,) = read(full(destination))
    assert (found.used, found.limit, found.severity) == (200, 200, "hit")
    assert any("TWRecycled is 0" in line for line in found.evidence)
    assert "net.ipv4.tcp_tw_reuse" not in {item.key for item in found.remedies}, "it is on already"


@pytest.mark.parametrize("destination", [LOCAL, REMOTE])
def test_a_counter_that_has_moved_is_the_proof(destination: str) -> None:
    (found,) = read(full(destination), recycled=3)
    assert found.severity == "ok"
    assert any("TWRecycled is 3" in line for line in found.evidence)


def test_a_counter_that_cannot_be_read_is_no_proof() -> None:
    (found,) = read(full(REMOTE), recycled=None)
    assert found.severity == "hit"
    assert any("could not be read" in line for line in found.evidence)


def test_the_proof_may_come_from_another_destination() -> None:
    remote, local = read(full(REMOTE), full(LOCAL, used=100), recycled=3)
    assert (remote.severity, local.severity) == ("warning", "ok")
    assert any("all destinations together" in line for line in remote.evidence)
    below, _ = read(full(REMOTE, used=199), full(LOCAL, used=100), recycled=3)
    assert below.severity == "ok"


def test_with_reuse_on_loopback_only_the_proof_is_of_loopback() -> None:
    local, remote = read(full(LOCAL), full(REMOTE, used=100), recycled=3, reuse="2")
    assert (local.severity, remote.severity) == ("ok", "ok")
    assert read(full(REMOTE), full(LOCAL, used=100), recycled=3, reuse="2")[0].severity == "hit"


def test_ports_of_a_source_that_binds_first_are_never_reused() -> None:
    (found,) = read(full(LOCAL), recycled=3, bound=True)
    assert found.severity == "hit"
    assert any("bound before they connect" in line for line in found.evidence)
    off = read(full(REMOTE), reuse="0", bound=True)[0]
    assert "net.ipv4.tcp_tw_reuse" not in {item.key for item in off.remedies}, "it would not help"


def test_the_remedy_to_turn_reuse_on_names_its_condition() -> None:
    (found,) = read(full(REMOTE), reuse="2")
    remedy = next(item for item in found.remedies if item.key == "net.ipv4.tcp_tw_reuse")
    assert "timestamps" in remedy.text


@pytest.mark.parametrize(
    ("reuse", "destination", "timestamps", "expected"),
    [
        ("1", REMOTE, "0", "net.ipv4.tcp_timestamps"),
        ("2", LOCAL, "0", "net.ipv4.tcp_timestamps"),
        ("2", REMOTE, "1", "net.ipv4.tcp_tw_reuse"),
        ("2", REMOTE, "0", None),
        ("0", LOCAL, "1", "net.ipv4.tcp_tw_reuse"),
    ],
)
def test_the_remedy_is_the_sysctl_that_prevents_reuse(
    reuse: str, destination: str, timestamps: str, expected: str | None
) -> None:
    (found,) = read(full(destination), reuse=reuse, timestamps=timestamps)
    assert found.severity == "hit"
    keys = {item.key for item in found.remedies} & {"net.ipv4.tcp_timestamps", "net.ipv4.tcp_tw_reuse"}
    assert keys == ({expected} if expected else set())
    assert any("does not help" in line for line in found.evidence) == (reuse != "0"), "the reason, where it is on"
