"""A ceiling that raises is unknown and the others are not affected; no number of a kernel makes one raise."""

from __future__ import annotations

import logging
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockmon.assess import Assessor
from sockmon.ceilings import BY_ID, CEILINGS
from sockmon.fault_log import FAULTS
from sockmon.model.snapshot import Snapshot
from sockmon.sources.wire import decode, encode
from tests.snapshots import netns, process, snapshot

NUMBERS = [0, 1, 2, 3, 127, 65535, 1 << 31, (1 << 63) - 1, (1 << 64) - 1]
TEXTS = ["", "0", "-1", "0 0", "60999 32768", "1 1 1", "18446744073709551616", "many", "0 0 0"]


def _raise(*_: object) -> Any:
    raise ZeroDivisionError("division by zero")


@pytest.fixture(autouse=True)
def _fresh_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FAULTS, "_noted", set())


@pytest.mark.parametrize("ceiling", CEILINGS, ids=lambda ceiling: ceiling.id)
def test_a_ceiling_that_fails_is_unknown_and_the_others_stand(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, ceiling: Any
) -> None:
    before = Assessor().add(snapshot(1.0)).report
    assessor = Assessor()
    with caplog.at_level(logging.ERROR, "sockmon"), monkeypatch.context() as patched:
        patched.setitem(vars(ceiling), "measure", _raise)
        report = assessor.add(snapshot(1.0)).report
        assessor.add(snapshot(2.0))
    (failed,) = [row for row in report.readings if row.ceiling == ceiling.id]
    assert failed.severity == "unknown"
    assert failed.evidence == (f"{ceiling.id}: failed: ZeroDivisionError: division by zero (see the log)",)
    assert {row.ceiling for row in report.readings} == {row.ceiling for row in before.readings}
    assert len(caplog.records) == 1, "a fault is logged once, not with every sample"
    again = assessor.add(snapshot(3.0)).report
    assert all(row.severity == "ok" for row in again.readings)


def test_an_alarm_whose_evidence_fails_keeps_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    full = snapshot(0.0, process(fds=1024, soft=1024))
    monkeypatch.setitem(vars(BY_ID["process-fds"]), "evidence", _raise)
    report = Assessor().add(full).report
    worst = report.readings[0]
    assert (worst.ceiling, worst.used, worst.severity, report.verdict) == ("process-fds", 1024, "hit", "hit")
    assert worst.evidence == ("evidence: failed: ZeroDivisionError: division by zero (see the log)",)


FIXED = ("at", "wall", "interval", "cost", "type", "inode", "start", "pid", "boot_id", "page_size", "cpus")
WHOLE_LISTS = ("netns", "tcp_mem")


def _mutated(draw: Random, value: Any, name: str = "") -> Any:
    """`value` with some of its numbers, texts and lists replaced by what no healthy host has."""
    if name in FIXED or isinstance(value, bool):
        return value
    if isinstance(value, dict):
        return {key: _mutated(draw, item, key) for key, item in value.items()}
    if isinstance(value, list):
        kept = value if name in WHOLE_LISTS or draw.random() > 0.1 else []
        return [_mutated(draw, item, name) for item in kept]
    if isinstance(value, int) and draw.random() < 0.3:
        return draw.choice(NUMBERS)
    if isinstance(value, str) and value[:1].isdigit() and "." not in value and draw.random() < 0.3:
        return draw.choice(TEXTS)
    return value


WHOLE = snapshot(
    0.0,
    netns=(
        netns(counters={**netns().counters, "Tcp.CurrEstab": 4, "Tcp.ActiveOpens": 7, "TcpExt.TCPTimeouts": 1}),
    ),
)
OPTIONAL = ("files", "tasks", "memory", "processes", "maps", "watches", "cgroups", "neighbours", "softnet")
OPTIONAL_INSIDE = ("sockstat", "states", "listeners", "ports", "conntrack", "udp", "datagrams", "snat")


def odd_snapshot(draw: Random) -> Snapshot:
    """A Snapshot as a strange kernel would give it: zeros, limits of nothing, huge numbers, absent parts."""
    line = _mutated(draw, msgspec.json.decode(encode(WHOLE)))
    for name in OPTIONAL:
        line[name] = line[name] if draw.random() > 0.1 else None
    for name in OPTIONAL_INSIDE:
        line["netns"][0][name] = line["netns"][0][name] if draw.random() > 0.1 else None
    made = decode(msgspec.json.encode(line))
    assert isinstance(made, Snapshot)
    return made


@pytest.mark.fault("Q8", "S8")
@given(st.integers(0, 1 << 32))
def test_no_number_of_a_kernel_makes_a_ceiling_fail(seed: int) -> None:
    """Zeros, 2^64 - 1, absent parts, an empty port range, limits of 0: a severity for each, never a fault."""
    FAULTS._noted.clear()
    assessor, draw = Assessor(), Random(seed)
    for number in range(3):
        made = msgspec.structs.replace(odd_snapshot(draw), at=20.0 * number)
        report = assessor.add(made).report
        assert msgspec.json.decode(msgspec.json.encode(report))["verdict"] == report.verdict
    assert not FAULTS._noted, f"seed {seed}"
