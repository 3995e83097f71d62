"""Transmit queues: only drops of what did not fit are an alarm, and their share decides."""

from __future__ import annotations

from typing import Any

import pytest

from sockmon.assess import Assessor
from sockmon.model.report import Reading
from sockmon.model.snapshot import Missing, TransmitQueues
from tests.snapshots import netns, snapshot, transmit_queue


def assessed(*looks: dict[str, Any]) -> Reading:
    """The reading after looks at the queue of one device, two seconds apart."""
    assessor = Assessor()
    for number, changes in enumerate(looks):
        at = 2.0 * number
        queues = TransmitQueues(at, (transmit_queue(**changes),))
        report = assessor.add(snapshot(at, netns=(netns(transmit=queues),))).report
    (found,) = (item for item in report.readings if item.ceiling == "transmit-queue")
    return found


@pytest.mark.parametrize(
    ("dropped", "sent", "severity"),
    [
        (0, 1000, "ok"),
        (9, 20, "ok"),
        (15, 1000, "ok"),
        (40, 1000, "warning"),
        (200, 1000, "hit"),
        (3, 1, "hit"),
        (2, 0, "ok"),
    ],
)
def test_the_share_of_dropped_packets_decides(dropped: int, sent: int, severity: str) -> None:
    found = assessed({}, {"sent": 5000 + sent, "dropped": dropped, "overflowed": dropped})
    assert found.severity == severity


def test_a_full_queue_that_drops_nothing_is_no_alarm() -> None:
    assert assessed(*[{"waiting": 1000, "sent": 5000 + 900 * step} for step in range(4)]).severity == "ok"


def test_a_full_queue_that_drops_some_is_a_hit() -> None:
    found = assessed({"waiting": 1000}, {"waiting": 1000, "sent": 6000, "dropped": 40, "overflowed": 40})
    assert found.severity == "hit"


def test_drops_of_before_are_no_alarm() -> None:
    before = {"dropped": 9000, "overflowed": 9000}
    assert assessed(before, before).severity == "ok"


def test_what_is_dropped_by_design_counts_only_in_a_full_queue() -> None:
    by_design = {"kind": "netem", "overflowed": None, "limit": 1000}
    dropped = {**by_design, "sent": 6000, "dropped": 500}
    assert assessed(by_design, {**dropped, "waiting": 3}).severity == "ok"
    assert assessed(by_design, {**dropped, "waiting": 950}).severity == "hit"


@pytest.mark.parametrize(
    ("queue", "command"),
    [
        ({}, "ip link set dev eth0 txqueuelen 2048"),
        ({"kind": "bfifo", "root": "tbf", "parent": "1:1", "limit": 3000}, "tc qdisc change dev eth0 root tbf"),
        (
            {"kind": "pfifo", "root": "htb", "parent": "1:10"},
            "tc qdisc replace dev eth0 parent 1:10 pfifo limit 2048",
        ),
        ({"kind": "fq_codel", "root": "fq_codel"}, "tc qdisc change dev eth0 root fq_codel limit 2048"),
    ],
)
def test_the_command_is_that_of_the_discipline(queue: dict[str, Any], command: str) -> None:
    assert any(command in remedy.text for remedy in assessed(queue).remedies)


def test_a_command_with_a_hostile_name_of_a_device_runs_nothing_else() -> None:
    """A user namespace is enough to name a device `$(id)`, and the command is there to be copied."""
    drops = {"device": "$(id)", "waiting": 1000}
    found = assessed(drops, {**drops, "sent": 6000, "dropped": 900, "overflowed": 900})
    assert "dev '$(id)' txqueuelen" in found.remedies[1].text


def test_what_could_not_be_read_is_unknown() -> None:
    missing = (Missing("transmit queues", "rtnetlink is refused"),)
    report = Assessor().add(snapshot(netns=(netns(transmit=None),), missing=missing)).report
    (found,) = (item for item in report.readings if item.ceiling == "transmit-queue")
    assert (found.severity, found.missing) == ("unknown", missing)


def test_no_device_with_a_queue_is_fine() -> None:
    report = Assessor().add(snapshot(netns=(netns(transmit=TransmitQueues(0.0, ())),))).report
    (found,) = (item for item in report.readings if item.ceiling == "transmit-queue")
    assert (found.severity, found.used) == ("ok", 0)
