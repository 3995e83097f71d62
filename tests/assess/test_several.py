"""Several network namespaces in one Report: the sick one first, the host once, and nothing of one in another."""

from __future__ import annotations

from msgspec.structs import replace

from sockmon.assess.several import HostAssessor, has_several, subject_in
from sockmon.cli.check import as_text
from sockmon.cli.oneline import as_oneline
from sockmon.model.report import Report
from sockmon.model.snapshot import Missing, Netns
from tests.snapshots import group, listener, netns, ports, snapshot


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
        assert [row for row in several.readings if row.ceiling == name] == [
            row for row in alone.readings if row.ceiling == name
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
