"""Several network namespaces in one Report: the sick one first, the host once, and nothing of one in another."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from sockmon.assess.several import HostAssessor, has_several, subject_in
from sockmon.ceilings.ports import group_label
from sockmon.cli.check import as_text
from sockmon.cli.oneline import as_oneline
from sockmon.model.report import Report
from sockmon.model.snapshot import Missing, Netns
from tests.snapshots import group, listener, netns, ports, process, snapshot


def named(name: str, inode: int, **changes: object) -> Netns:
    return replace(netns(), name=name, inode=inode, kind="container", container=f"{inode:064x}", **changes)


SICK = named("db", 3, ports=ports(group(28_232)), listeners=(listener(queue=200, backlog=128),))
HEALTHY = [named(f"web-{number}", 10 + number) for number in range(20)]


def report(*spaces: Netns, missing: tuple[Missing, ...] = ()) -> Report:
    assessor = HostAssessor()
    assessor.add(snapshot(0.0, netns=spaces, missing=missing))
    return assessor.add(snapshot(1.0, netns=spaces, missing=missing)).report


def test_the_sick_one_comes_first_and_the_healthy_ones_are_silent() -> None:
    found = report(*HEALTHY, SICK)
    first = found.readings[0]
    assert first.netns is not None
    assert (first.netns.name, first.severity) == ("db", "hit")
    assert found.verdict == "hit"
    assert {row.netns.name for row in found.readings if row.netns and row.severity == "hit"} == {"db"}
    listed = [row for row in found.readings if row.ceiling == "conntrack-table" and row.severity == "ok"]
    assert len(listed) == 3
    assert found.netns == "web-0, web-1, web-2, web-3, web-4 and 16 more"


def test_the_host_is_judged_once() -> None:
    alone, several = report(HEALTHY[0]), report(*HEALTHY[:3])
    for name in ("process-fds", "pid-max", "tcp-memory", "cgroup-pids"):
        # Who uses a shared limit is evidence: tests/assess/test_namespace_shares.py.
        assert [replace(row, evidence=()) for row in several.readings if row.ceiling == name] == [
            replace(row, evidence=()) for row in alone.readings if row.ceiling == name
        ]


def test_one_namespace_is_the_report_of_before() -> None:
    found = report(SICK)
    assert not has_several(found)
    assert found.netns == "db"
    assert subject_in(found.readings[0], False) == found.readings[0].subject


def test_what_is_missing_of_one_is_not_missing_of_another() -> None:
    entry = Missing("conntrack", "does not exist here", netns=10)
    found = report(replace(HEALTHY[0], conntrack=None), HEALTHY[1], missing=(entry,))
    rows = [row for row in found.readings if row.ceiling == "conntrack-table"]
    (known,) = (row for row in rows if row.netns and row.netns.inode == 11)
    assert (known.severity, known.missing) == ("ok", ())
    assert entry in found.missing


def test_a_counter_of_one_does_not_move_in_another() -> None:
    assessor = HostAssessor()
    before = netns().counters
    assessor.add(snapshot(0.0, netns=(HEALTHY[0], replace(HEALTHY[1], counters=before))))
    moved = {**before, "TcpExt.TCPTimeWaitOverflow": before["TcpExt.TCPTimeWaitOverflow"] + 9}
    found = assessor.add(snapshot(1.0, netns=(HEALTHY[0], replace(HEALTHY[1], counters=moved)))).report
    hit = [row for row in found.readings if row.ceiling == "time-wait-buckets" and row.severity == "hit"]
    assert [row.netns and row.netns.name for row in hit] == ["web-1"]


def test_text_names_the_namespace_and_plans_in_it() -> None:
    text = as_text(report(HEALTHY[0], SICK), colour=False)
    assert "db: " in text.splitlines()[1]
    assert "sockmon tune plan --netns db " in text
    assert "db: " in as_oneline(report(HEALTHY[0], SICK))
    assert "db: " not in as_text(report(SICK), colour=False).splitlines()[1]


def test_each_namespace_alone_has_its_own_numbers_and_those_of_the_host() -> None:
    assessor = HostAssessor()
    small, large = (
        named("a", 1, ports=ports(group(100))),
        named("b", 2, ports=ports(group(27_000)), conntrack=None),
    )
    for at in (0.0, 1.0):
        found = assessor.add(snapshot(at, process(fds=1000), netns=(small, large)))
    key = ("ephemeral-ports", group_label(group(1)))
    alone = found.of(2)
    assert (found.of(1).gauges[key].used, alone.gauges[key].used, found.gauges[key].used) == (100, 27_000, 100)
    assert [each.name for each in alone.snapshot.netns] == ["b"]
    assert {row.netns.name for row in alone.report.readings if row.netns} == {"b"}
    assert any(row.ceiling == "process-fds" for row in alone.report.readings)
    assert ("counter", "conntrack.drop") in found.of(1).rates
    assert ("counter", "conntrack.drop") not in alone.rates
    (alarm,) = (row for row in found.report.readings if row.key == key and row.severity == "critical")
    assert alarm.identity == (*key, 2)
    assert found.of(alarm.netns) is alone
    assert found.of(None) is found.of(99) is found
    assert alarm.key in alone.since
    assert alarm.key not in found.since


def test_two_namespaces_with_the_same_alarm_do_not_share_its_history() -> None:
    assessor = HostAssessor()
    for at in range(40):
        grows, stays = named("a", 1, ports=ports(group(20_000 + 100 * at), at=at)), named("b", 2)
        stays = replace(stays, ports=ports(group(27_000), at=float(at)))
        found = assessor.add(snapshot(float(at), netns=(grows, stays)))
    key = ("ephemeral-ports", group_label(group(1)))
    assert [found.of(inode).gauges[key].rate for inode in (1, 2)] == [pytest.approx(100.0), 0.0]


def test_what_many_namespaces_do_not_show_is_one_reading() -> None:
    blind = [named(f"web-{n}", 10 + n, conntrack=None, ports=None) for n in range(50)]
    missing = tuple(Missing("conntrack", "needs root", netns=each.inode) for each in blind)
    found = report(HEALTHY[0], *blind[1:], missing=missing)
    rows = [row for row in found.readings if row.ceiling == "conntrack-table" and row.severity == "unknown"]
    assert [row.subject for row in rows] == ["web-1 and 48 more namespaces"]
    # Nothing says that their ports could not be read: nothing has needed them yet.
    assert not any(row.ceiling == "ephemeral-ports" and row.severity == "unknown" for row in found.readings)


def test_an_inode_that_is_used_again_begins_a_new_history() -> None:
    assessor = HostAssessor()
    key = ("ephemeral-ports", group_label(group(1)))
    old, new = named("a", 7, ports=ports(group(27_000))), named("b", 7, ports=ports(group(27_000)))
    first = assessor.add(snapshot(0.0, netns=(HEALTHY[0], old))).of(7).since[key]
    new = replace(new, container="c" * 64)
    second = assessor.add(snapshot(9.0, netns=(HEALTHY[0], new))).of(7).since[key]
    assert (first, second) == (1_800_000_000.0, 1_800_000_009.0)


def test_what_has_ended_is_forgotten() -> None:
    assessor = HostAssessor()
    assessor.add(snapshot(0.0, netns=tuple(HEALTHY)))
    found = assessor.add(snapshot(100.0, netns=(HEALTHY[0],)))
    assert found.of(HEALTHY[1].inode) is found
    assert list(assessor._parts) == [HEALTHY[0].inode]
