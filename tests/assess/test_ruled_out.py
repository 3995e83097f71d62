"""The other network namespaces: what was ruled out is no reading, what has not changed is not judged again."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from sockmon.assess.assessment import Assessment
from sockmon.assess.assessor import PART_READ, Assessor
from sockmon.assess.several import HostAssessor, without_quiet
from sockmon.ceilings import BY_ID
from sockmon.model.snapshot import Netns, Snapshot
from tests.snapshots import listener, netns, snapshot

PARTS = ("states", "ports", "udp", "snat", "queues", "datagrams")


def other(inode: int, **changes: object) -> Netns:
    found = replace(netns(), inode=inode, name=f"web-{inode}", at=0.5, ruled_out=PARTS, **dict.fromkeys(PARTS))
    return replace(found, **changes)


OTHERS = tuple(other(inode) for inode in range(1, 21))


def test_every_ceiling_with_a_part_exists_and_every_part_is_one_of_a_namespace() -> None:
    assert PART_READ.keys() <= BY_ID.keys()
    assert set(PART_READ.values()) <= set(PARTS)
    assert all(hasattr(netns(), part) for part in PARTS)


def test_what_was_ruled_out_is_neither_ok_nor_unknown() -> None:
    found = HostAssessor().add(snapshot(0.0, netns=(netns(), *OTHERS)))
    of_others = [row for row in found.report.readings if row.netns and row.netns.inode in range(1, 21)]
    assert not {row.ceiling for row in of_others} & PART_READ.keys()
    assert found.report.quiet_netns == 20
    assert found.report.netns == "host"


def test_a_check_names_only_what_is_not_well() -> None:
    sick = other(30, listeners=(listener(queue=200, backlog=128),))
    assessor = HostAssessor()
    for at in (0.0, 1.0):
        found = assessor.add(snapshot(at, netns=(netns(), *OTHERS, sick)))
    report = without_quiet(found.report, found.snapshot)
    assert {row.netns.name for row in report.readings if row.netns} == {"host", "web-30"}
    assert report.readings[0].netns
    assert report.readings[0].netns.name == "web-30"
    assert report.quiet_netns == 20


def test_what_has_not_changed_is_not_judged_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assessor = HostAssessor()
    assessor.add(snapshot(0.0, netns=(netns(), *OTHERS)))
    judged: list[str] = []
    add = Assessor.add

    def noted(self: Assessor, now: Snapshot) -> Assessment:
        judged.append(now.netns[0].name)
        return add(self, now)

    monkeypatch.setattr(Assessor, "add", noted)
    newer = replace(OTHERS[0], at=1.0)
    moved = replace(OTHERS[1], at=1.0, counters={"TcpExt.ListenOverflows": 6})
    assessor.add(snapshot(1.0, netns=(netns(), newer, moved, *OTHERS[2:])))
    assert sorted(judged) == ["host", "host", "web-2"]


def test_an_ended_namespace_has_no_reading() -> None:
    sick = other(30, listeners=(listener(queue=200, backlog=128),))
    assessor = HostAssessor()
    for at in (0.0, 1.0):
        assert assessor.add(snapshot(at, netns=(netns(), sick)))
    found = assessor.add(snapshot(2.0, netns=(netns(),)))
    assert not [row for row in found.report.readings if row.netns and row.netns.inode == 30]
    assert found.report.quiet_netns == 0
