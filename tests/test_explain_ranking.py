"""The causes of an error are ordered by what this machine proves."""

from __future__ import annotations

import pytest

from sockmon.assess import Assessor
from sockmon.explain.evidence import snat_keys
from sockmon.explain.log_line import read_log_line
from sockmon.explain.observation import Observation
from sockmon.explain.ranking import rank_causes
from sockmon.explain.symptoms import Symptom
from sockmon.explain.topics import find
from sockmon.model.snapshot import Conntrack, Neighbours, Snapshot, Snat, SnatGroup, TransmitQueues
from tests.snapshots import netns, snapshot, transmit_queue

LINE = "ping: sendto: No buffer space available"


def dropping(at: float, dropped: int) -> Snapshot:
    queue = transmit_queue(sent=5000 + dropped, dropped=dropped, overflowed=dropped)
    return snapshot(at, netns=(netns(transmit=TransmitQueues(at, (queue,))),))


def full_table(at: float, refused: int) -> Snapshot:
    return snapshot(at, neighbours=(Neighbours("arp_cache", 1024, refused),))


def first_cause(text: str, looks: tuple[Snapshot, ...]) -> str | None:
    """The limit that an explanation of `text` begins with, after `looks`."""
    assessor = Assessor()
    report = [assessor.add(look).report for look in looks][-1]
    row = find(text)
    assert isinstance(row, Symptom)
    now = Observation(report, looks[-1], {})
    return rank_causes(row.causes, read_log_line(text), snat_keys(looks[-1]), now)[0].ceiling


@pytest.mark.parametrize("text", [LINE, "ENOBUFS"])
@pytest.mark.parametrize(
    ("looks", "first"),
    [
        ((snapshot(0.0), snapshot(2.0)), "transmit-queue"),
        ((dropping(0.0, 0), dropping(2.0, 500)), "transmit-queue"),
        ((full_table(0.0, 0), full_table(2.0, 500)), "neighbour-table"),
    ],
    ids=["nothing", "queue", "neighbours"],
)
def test_enobufs_begins_with_the_limit_that_drops(looks: tuple[Snapshot, ...], first: str, text: str) -> None:
    assert first_cause(text, looks) == first


def tracking(at: float, count: int, **moved: int) -> Snapshot:
    stats = {"drop": 0, "insert_failed": 0, "early_drop": 0, "chainlength": 0} | moved
    return snapshot(at, netns=(netns(conntrack=Conntrack(count, 262_144, 16_384, stats)),))


@pytest.mark.parametrize("text", ["sendto: Operation not permitted", "EPERM"])
@pytest.mark.parametrize(
    ("count", "moved", "first"),
    [
        (262_144, {"drop": 500}, "conntrack-table"),
        (200_000, {"chainlength": 500, "insert_failed": 500}, "conntrack-buckets"),
    ],
    ids=["table", "buckets"],
)
def test_eperm_begins_with_the_limit_that_refuses(
    count: int, moved: dict[str, int], first: str, text: str
) -> None:
    assert first_cause(text, (tracking(0.0, count), tracking(2.0, count, **moved))) == first


@pytest.mark.parametrize("text", ["sendto: Operation not permitted", "EPERM"])
@pytest.mark.parametrize(
    ("drop", "failed", "used", "first"),
    [(30, 30, 100, "snat-ports"), (30, 0, 100, "conntrack-table"), (30, 30, 60, "conntrack-table")],
    ids=["clashes", "full table", "free ports"],
)
def test_translated_ports_that_ran_out_before_the_look_come_first(
    drop: int, failed: int, used: int, first: str, text: str
) -> None:
    stats = {"drop": drop, "insert_failed": failed, "early_drop": 0, "chainlength": 0}
    group = SnatGroup("192.0.2.1", "10.0.0.9", 53, "udp", used, 1000, 1099)
    part = netns(conntrack=Conntrack(100, 262_144, 16_384, stats), snat=Snat(0.0, (group,), 1))
    assert first_cause(text, (snapshot(0.0, netns=(part,)),)) == first
