"""The causes of EAGAIN and the memory of a cgroup: each is named, with its own remedy first."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from sockmon.assess import Assessor
from sockmon.model.report import Reading
from sockmon.model.snapshot import (
    Cgroups,
    MemoryCgroup,
    Missing,
    PidsCgroup,
    Process,
    Processes,
    Snapshot,
    Tasks,
    UserNamespace,
)
from sockmon.model.user_namespace import UNREADABLE
from tests.snapshots import HOST, cgroups, process, snapshot

SLICE, SERVICE = "/system.slice", "/system.slice/web.service"
CAUSES = {"cgroup-pids", "user-processes", "pid-max", "threads-max", "memory-maps"}


def readings(*snapshots: Snapshot) -> list[Reading]:
    assessor = Assessor()
    for item in snapshots:
        report = assessor.add(item).report
    return list(report.readings)


def of(ceiling: str, *snapshots: Snapshot) -> Reading:
    """The most urgent reading of a ceiling."""
    return next(item for item in readings(*snapshots) if item.ceiling == ceiling)


def only_hit(*snapshots: Snapshot) -> Reading:
    """The first reading, when nothing else is hit."""
    found = readings(*snapshots)
    assert [item.severity == "hit" for item in found] == [True] + [False] * (len(found) - 1), found[:3]
    return found[0]


def pids(path: str, current: int, maximum: int, refused: int = 0) -> PidsCgroup:
    return PidsCgroup(path, current, maximum, refused, "nginx[1044]", 3)


def test_each_cause_is_named_and_the_others_are_shown_too() -> None:
    full = {
        "cgroup-pids": snapshot(cgroups=cgroups(0.0, pids(SERVICE, 4915, 4915))),
        "user-processes": snapshot(0.0, process(threads=2000, nproc=2000)),
        "pid-max": snapshot(tasks=Tasks(32_500, 32_768, 96_000, low=31)),
        "threads-max": snapshot(tasks=Tasks(96_000, 4_194_304, 96_000)),
    }
    first = {"cgroup-pids": "pids.max", "user-processes": "nproc", "pid-max": "kernel.pid_max"}
    for ceiling, state in full.items():
        found = only_hit(state)
        assert found.ceiling == ceiling
        assert found.remedies[0].key == first.get(ceiling, "kernel.threads-max")
        assert found.remedies[-1].kind == "application"
        said = " ".join(found.evidence)
        assert "EAGAIN" in said
        assert said.count(" of ") >= len(CAUSES) - 1, said


def test_two_limits_that_are_full_at_once_name_each_other() -> None:
    both = snapshot(0.0, process(threads=60, nproc=60), cgroups=cgroups(0.0, pids(SERVICE, 60, 60)))
    first, second = (item for item in readings(both) if item.severity == "hit")
    assert (first.ceiling, second.ceiling) == ("cgroup-pids", "user-processes")
    assert all(any("60 of 60, also full" in line for line in item.evidence) for item in (first, second))


def test_ids_below_300_are_lost_once_they_were_used() -> None:
    def severity(total: int, low: int | None) -> str:
        return of("pid-max", snapshot(tasks=Tasks(total, 32_768, 96_000, low=low))).severity

    # 32,768 ids without 0, which is not valid: if the first 299 tasks still run, all of them can be used.
    assert severity(32_766, 299) == "critical"
    assert severity(32_767, 299) == "hit"
    assert severity(32_498, 31) == "critical"
    assert severity(32_499, 31) == "hit"
    assert severity(16_000, None) == "ok"


def test_a_pid_namespace_has_ids_of_its_own_and_hides_the_hosts() -> None:
    nested = Tasks(32_000, 400, 96_000, initial=False, namespace=77, low=2)
    found = readings(snapshot(0.0, process(threads=102), tasks=nested))
    assert (found[0].ceiling, found[0].subject, found[0].used, found[0].severity) == (
        "pid-max", "pid:[77]", 102, "hit",
    )  # fmt: skip
    host = next(item for item in found if item.ceiling == "pid-max" and item.severity == "unknown")
    assert (host.subject, host.used) == ("web-1", None)
    older = replace(HOST, kernel="6.12.3")
    assert of("pid-max", snapshot(tasks=replace(nested, pid_max=32_768), host=older)).subject == "web-1"


def test_a_user_is_measured_against_the_limit_that_can_bind() -> None:
    def found(*rows: tuple[int, int | None, bool]) -> tuple[str, int | None, int | None]:
        table = [
            process(pid=100 + index, threads=threads, nproc=nproc, exempt=exempt)
            for index, (threads, nproc, exempt) in enumerate(rows)
        ]
        own = [item for item in readings(snapshot(0.0, *table)) if item.ceiling == "user-processes"]
        assert len(own) == 1
        return (own[0].severity, own[0].used, own[0].limit)

    assert found((900, 1000, False), (60, 1000, False)) == ("critical", 960, 1000)
    # Who is spared counts, but is not stopped.
    assert found((900, 1000, True), (100, 2000, False)) == ("ok", 1000, 2000)
    nobody = ("ok", None, None)
    assert found((900, 1000, True)) == nobody
    assert found((900, -1, False), (1, None, False)) == nobody
    # Sandboxes that forbade themselves to start anything.
    assert found((900, 5000, False), (1, 0, False), (1, 1, False), (30, 20, False)) == ("ok", 932, 5000)
    assert found((900, 5000, False), (1, 100, False)) == ("ok", 901, 5000)
    assert found((901, 900, False)) == nobody
    # All of them at the limit that all have.
    assert found((450, 900, False), (450, 900, False), (1, 5000, False)) == ("hit", 901, 900)


def test_hidden_processes_count_for_their_user_too() -> None:
    hidden = "/proc is mounted with hidepid: processes of other users are not shown"
    seen = Processes(0.0, (process(threads=1000, nproc=1000),), 0, 0.0, hidden)
    found = of("user-processes", snapshot(0.0, processes=seen))
    assert any("hidepid" in line for line in found.evidence)
    found = of("user-processes", snapshot(0.0, processes=replace(seen, rows=(process(exempt=True),))))
    assert (found.severity, found.evidence) == ("unknown", (hidden,))


def of_users(seen: Processes, kernel: str = "6.12.3") -> dict[str, tuple[str, int | None, int | None]]:
    """Return severity, used and limit of each subject of `user-processes`."""
    found = readings(snapshot(0.0, processes=seen, host=replace(HOST, kernel=kernel)))
    return {
        item.subject: (item.severity, item.used, item.limit) for item in found if item.ceiling == "user-processes"
    }


def member(pid: int, threads: int, namespace: int, **more: Any) -> Process:
    values: dict[str, Any] = {"uid": 64200, "user": "64200", "nproc": 60} | more
    return process(pid=pid, threads=threads, user_namespace=namespace, **values)


def test_each_user_namespace_has_a_count_of_its_own() -> None:
    below = (UserNamespace(7, 0, 0), UserNamespace(8, 0, 0))
    seen = Processes(0.0, (member(1, 45, 7), member(2, 45, 8)), 0, 0.0, "", below)
    own = ("ok", 45, 60)
    assert of_users(seen) == {"64200 (64200) user:[7]": own, "64200 (64200) user:[8]": own}
    together = replace(seen, rows=(member(1, 30, 0), member(2, 30, 0)))
    assert of_users(together) == {"64200 (64200)": ("hit", 60, 60)}
    # Before Linux 5.14 there was one count on the whole host.
    assert of_users(seen, "5.10.0-21") == {"64200 (64200)": ("hit", 90, 60)}


def test_who_created_a_user_namespace_is_charged() -> None:
    below = (UserNamespace(7, 0, 1000), UserNamespace(8, 7, 1000))
    owner = member(1, 1, 0, uid=1000, user="ann", nproc=60)
    inside = (member(2, 29, 7, nproc=200), member(3, 30, 8, nproc=200))
    found = of_users(Processes(0.0, (owner, *inside), 0, 0.0, "", below))
    assert found["ann (1000)"] == ("hit", 60, 60)
    assert found["64200 (64200) user:[7]"] == ("ok", 29, 200)
    assert found["64200 (64200) user:[8]"] == ("ok", 30, 200)
    # The limit that the creator had is not known if no process of his is outside.
    alone = of_users(Processes(0.0, inside, 0, 0.0, "", below))
    assert alone["1000 (1000)"] == ("unknown", None, None)
    by_root = (UserNamespace(7, 0, 0), UserNamespace(8, 7, 0))
    assert set(of_users(Processes(0.0, inside, 0, 0.0, "", by_root))) == {
        "64200 (64200) user:[7]",
        "64200 (64200) user:[8]",
    }


def test_several_namespaces_that_cannot_be_told_apart_raise_no_alarm() -> None:
    def found(tasks: int) -> tuple[str, int | None, int | None]:
        (only,) = of_users(
            Processes(0.0, (member(1, tasks, UNREADABLE), member(2, 40, UNREADABLE)), 0, 0.0)
        ).values()
        return only

    assert found(40) == ("unknown", None, None)
    # All of them together are far below the limit of each.
    assert found(5) == ("ok", 45, 60)


def test_where_no_cgroup_has_a_limit_the_ceiling_is_ok_and_not_silent() -> None:
    def found(ceiling: str, seen: Cgroups | None, *missing: Missing) -> tuple[str, str]:
        reading = of(ceiling, snapshot(0.0, cgroups=seen, missing=missing))
        assert (reading.used, reading.limit, reading.remedies) == (None, None, ())
        return reading.severity, reading.evidence[0]

    for ceiling, controller in ("cgroup-pids", "pids"), ("cgroup-memory", "memory"):
        severity, said = found(ceiling, Cgroups(0.0, (), (), False))
        assert severity == "ok"
        assert "has a limit" in said
        severity, said = found(ceiling, Cgroups(0.0, (), (), True))
        assert severity == "unknown"
        assert "above the cgroup namespace" in said
        unmounted = Missing(
            "cgroups", f"the hierarchy with {controller} is not mounted where sockmon runs", controller
        )
        assert found(ceiling, Cgroups(0.0, (), (), False), unmounted) == ("unknown", unmounted.reason)
        other = replace(unmounted, part="another")
        assert found(ceiling, Cgroups(0.0, (), (), False), other)[0] == "ok"
        older = replace(unmounted, part="")
        assert found(ceiling, Cgroups(0.0, (), (), False), older)[0] == "unknown"
        assert found(ceiling, None)[0] == "unknown"


def test_a_hit_that_is_over_is_reported_in_the_past_tense() -> None:
    begin, end = pids(SERVICE, 100, 100), pids(SERVICE, 90, 200, 3)
    before, after = (snapshot(at, cgroups=cgroups(at, group)) for at, group in ((0.0, begin), (2.0, end)))
    found = of("cgroup-pids", before, after)
    assert found.severity == "hit"
    assert any(line.startswith("while it was full") for line in found.evidence)
    assert not any(" fail " in line for line in found.evidence)


def test_a_refused_fork_is_the_limits_that_refused_it() -> None:
    def refused(*groups: tuple[str, int, int, int]) -> list[str]:
        begin = [pids(path, current, maximum) for path, current, maximum, _ in groups]
        end = [pids(*group) for group in groups]
        found = readings(snapshot(0.0, cgroups=cgroups(0.0, *begin)), snapshot(1.0, cgroups=cgroups(1.0, *end)))
        return [item.subject for item in found if item.severity == "hit"]

    # Counted in the service; the slice is full.
    assert refused((SLICE, 100, 100, 0), (SERVICE, 60, 1000, 9)) == [SLICE]
    assert refused((SLICE, 99, 100, 0), (SERVICE, 60, 1000, 9)) == [SLICE]
    assert refused((SLICE, 99, 1000, 0), (SERVICE, 99, 100, 9)) == [SERVICE]
    assert refused((SLICE, 10, 1000, 0), ("/system.slice-2", 90, 100, 0), (SERVICE, 40, 100, 9)) == [SERVICE]


def test_page_cache_does_not_press_and_a_kill_is_a_hit() -> None:
    def found(current: int, reclaimable: int, *kills: int) -> Reading:
        stream = []
        for at, number in enumerate(kills or (0,)):
            group = MemoryCgroup(SERVICE, current, 1000 << 20, reclaimable, 0, number, "nginx[1044]", 1)
            stream.append(snapshot(float(at), cgroups=cgroups(float(at), memory=group)))
        return of("cgroup-memory", *stream)

    assert found(1000 << 20, 600 << 20).severity == "ok"
    assert found(990 << 20, 10 << 20).severity == "critical"
    killed = found(300 << 20, 0, 4, 5)
    assert (killed.severity, killed.remedies[0].key) == ("hit", "memory.max")
    assert any(line.startswith("oom_kill +1") for line in killed.evidence)
    assert found(300 << 20, 0, 5, 5).severity == "ok"


def test_what_cannot_be_seen_is_unknown() -> None:
    reason = Missing("cgroups", "no cgroup file system is mounted where sockmon runs")
    blind = snapshot(cgroups=None, tasks=None, processes=None, missing=(reason,))
    found = {item.ceiling: item for item in readings(replace(blind, processes=None))}
    for ceiling in ("cgroup-pids", "cgroup-memory", "user-processes", "pid-max", "threads-max"):
        assert (found[ceiling].severity, found[ceiling].used) == ("unknown", None)
    assert "no cgroup file system" in found["cgroup-pids"].evidence[0]


def test_many_processes_of_one_name_are_named_together() -> None:
    """A server that forks has a process of one task each: none of them has the most."""
    many = [process(pid=100 + number, name="prefork", threads=1, nproc=50) for number in range(45)]
    found = of("user-processes", snapshot(0.0, *many, process(pid=9, name="java", threads=4, nproc=50)))
    assert (found.used, found.limit, found.severity) == (49, 50, "critical")
    assert "most tasks: 45 processes named prefork 45" in found.evidence
    assert any("45 processes named prefork" in remedy.text for remedy in found.remedies)
    one = of("user-processes", snapshot(0.0, *many[:3], process(pid=9, name="java", threads=46, nproc=50)))
    assert "most tasks: java[9] 46" in one.evidence


def test_many_processes_of_one_name_in_a_cgroup_are_named_together() -> None:
    java = process(pid=9, name="java", threads=6)
    group = PidsCgroup(SERVICE, 96, 100, 0, "java[9]", 91, "prefork", 90, 90)
    found = of("cgroup-pids", snapshot(0.0, java, cgroups=cgroups(0.0, group)))
    assert any(line.endswith("most tasks: 90 processes named prefork 90") for line in found.evidence)
    assert any("90 processes named prefork" in remedy.text for remedy in found.remedies)
    fewer = replace(group, common_name="java", common_processes=1, common_tasks=6)
    one = of("cgroup-pids", snapshot(0.0, java, cgroups=cgroups(0.0, fewer)))
    assert any(line.endswith("most tasks: java[9] 6") for line in one.evidence)
    older = of("cgroup-pids", snapshot(0.0, java, cgroups=cgroups(0.0, pids(SERVICE, 96, 100))))
    assert any(line.endswith("including nginx[1044]") for line in older.evidence)
