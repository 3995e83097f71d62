"""Retransmissions, failed attempts and resets are evidence of a limit that is hit, and of no other."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from sockmon.assess import Assessor
from sockmon.model.report import Reading
from sockmon.model.snapshot import Conntrack, Memory
from tests.snapshots import listener, netns, snapshot

TROUBLES = {"TcpExt.TCPSynRetrans": 0, "Tcp.AttemptFails": 0, "Tcp.RetransSegs": 0, "Tcp.EstabResets": 0}
FULL_TABLE = Conntrack(262_144, 262_144, 262_144, {"drop": 0, "insert_failed": 0, "early_drop": 0})
HIT: dict[str, tuple[dict[str, Any], dict[str, int], dict[str, Any], set[str]]] = {
    "accept-queue": (
        {"listeners": (listener(queue=129),)},
        {"TcpExt.ListenOverflows": 40},
        {},
        {"TCPSynRetrans", "AttemptFails"},
    ),
    "syn-queue": ({}, {"TcpExt.TCPReqQFullDrop": 40}, {}, {"TCPSynRetrans", "AttemptFails"}),
    "conntrack-table": (
        {"conntrack": FULL_TABLE},
        {},
        {"conntrack": replace(FULL_TABLE, stats={**FULL_TABLE.stats, "drop": 40})},
        {"TCPSynRetrans", "AttemptFails", "RetransSegs"},
    ),
    "tcp-memory": ({}, {"TcpExt.TCPMemoryPressures": 4}, {}, {"EstabResets", "RetransSegs"}),
}


def reading(ceiling: str, moved: int) -> Reading:
    """The reading of a limit that is hit, while each counter of trouble moves by `moved`."""
    first, proof, second, _ = HIT[ceiling]
    assessor = Assessor()
    quiet = {**TROUBLES, **dict.fromkeys(proof, 0)}
    loud = dict.fromkeys(TROUBLES, moved) | proof
    memory = Memory(1500, 2, 0, 9, (1000, 1333, 2000), 4096)
    for at, changes in ((0.0, {**first, "counters": quiet}), (1.0, {**first, **second, "counters": loud})):
        report = assessor.add(snapshot(at, memory=memory, netns=(netns(**changes),))).report
    return next(item for item in report.readings if item.ceiling == ceiling and item.severity == "hit")


def named(found: Reading) -> set[str]:
    return {
        name.rpartition(".")[2]
        for name in TROUBLES
        if any(name.rpartition(".")[2] in line for line in found.evidence)
    }


@pytest.mark.parametrize("ceiling", HIT)
def test_what_moves_with_a_limit_is_its_evidence(ceiling: str) -> None:
    assert named(reading(ceiling, 9)) == HIT[ceiling][3]


@pytest.mark.parametrize("ceiling", HIT)
def test_what_does_not_move_is_not_named(ceiling: str) -> None:
    assert not named(reading(ceiling, 0))
