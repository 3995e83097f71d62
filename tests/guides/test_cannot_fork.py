"""The guide for EAGAIN of fork() and pthread_create(): on the labs of its limits, and along each branch."""

from __future__ import annotations

from typing import Any

import pytest

from sockmon.guides.cannot_fork import GUIDE
from sockmon.guides.walk import Walk
from sockmon.model.snapshot import Cgroups, Maps, PidsCgroup, ProcessMaps, Tasks
from tests.guides.lab_walks import end, named, path, walk_on_lab
from tests.guides.walks import begin, branches, ends_of_change, follow, full, taken
from tests.snapshots import HOST_SYSCTLS, process

NAME = GUIDE.name


def test_on_its_lab_more_process_ids_are_verified() -> None:
    walk = walk_on_lab(NAME, GUIDE.lab, "--yes")
    assert path(walk)[-5:] == ["threads", "remedy", "raise-host", "room", "verified"]
    assert [setting.key for change in walk.changes for setting in change.settings] == ["kernel.pid_max"]


@pytest.mark.parametrize(
    ("lab", "ceiling", "act"),
    [
        ("cgroup-pids", "cgroup-pids", "by-hand"),
        ("user-processes", "user-processes", "raise-user"),
        ("memory-maps", "memory-maps", "raise-maps"),
    ],
)
def test_limits_that_a_lab_cannot_raise_end_with_the_command(lab: str, ceiling: str, act: str) -> None:
    walk = walk_on_lab(NAME, lab, "--yes")
    assert path(walk)[-4:] == ["threads", "remedy", act, "run-commands"]
    assert ceiling in named(walk)
    assert len(end(walk).advice) > 1


def test_on_the_lab_of_another_limit_that_one_is_named() -> None:
    walk = walk_on_lab(NAME, "process-fds", "--yes")
    assert path(walk)[-2:] == ["others", "other-limit"]
    assert "process-fds" in named(walk)
    # That descriptors are used up is no reason to search for CLOSE_WAIT.
    assert walk.next_guides[0] == "too-many-files"


def test_on_a_healthy_host_the_symptom_is_not_there() -> None:
    assert walk_on_lab(NAME, "idle-box", "--yes").outcome == "not-here"


def _maps(count: int = 65_530, limit: int = 65_530, threads: int = 1) -> dict[str, Any]:
    rows = (ProcessMaps(1044, 7, "nginx", count, threads),)
    return {"maps": Maps(0.0, rows, 1, 0), "sysctls": HOST_SYSCTLS | {"vm.max_map_count": str(limit)}}


def _group(tasks: int = 64, path: str = "/system.slice/web.service") -> dict[str, Any]:
    return {"cgroups": Cgroups(0.0, (PidsCgroup(path, tasks, 64, 0, "nginx[1044]", 1),), (), False)}


def _user(threads: int = 400, **more: Any) -> dict[str, Any]:
    return {"rows": (process(threads=threads, **({"nproc": 400} | more)),)}


def _host(total: int = 95_990, pid_max: int = 4_194_304) -> dict[str, Any]:
    return {"tasks": Tasks(total, pid_max, 96_000)}


HIDDEN = {"tasks": Tasks(200, 32768, 96000, initial=False), "processes": None}
UNREAD: dict[str, Any] = {"maps": None}


def _walk(state: dict[str, Any]) -> Walk:
    walk, stream = begin(state, guide=GUIDE)
    walk.add(stream.next(state, 10))
    list(follow(walk))
    return walk


def test_a_limit_that_is_high_already_is_not_raised() -> None:
    assert _walk(_maps(1 << 21, 1 << 21)).outcome == "do-not-tune"


@pytest.mark.parametrize(
    ("group", "advice"),
    [
        ("/system.slice/web.service", "systemctl set-property web.service TasksMax=128"),
        # A name that is no unit, because it has blanks or brackets, is not put into a command.
        ("/web.slice/$(id).service", "set it in whatever creates the cgroup"),
        ("/system.slice/docker-5f0c.scope", "docker update --pids-limit=128 5f0c"),
        ("/web", "set it in whatever creates the cgroup"),
    ],
)
def test_the_limit_of_a_cgroup_is_raised_with_its_plan_and_lasts_where_it_was_made(
    group: str, advice: str
) -> None:
    walk = _walk(_group(path=group))
    assert [(each.key, each.value) for each in walk.wanted] == [(f"pids.max@{group}", "128")]
    assert any(advice in text for text in walk.advice)


def test_a_thread_for_each_connection_is_recognized() -> None:
    found = {
        each.finding.verdict if each.finding else ""
        for sockets, threads in ((390, 400), (3, 400))
        for each in _walk(_user(threads, sockets=sockets)).progress.path
        if each.step == "threads"
    }
    assert found == {"supports"}


def test_threads_of_many_processes_are_not_those_of_one() -> None:
    many = {"rows": tuple(process(pid, threads=40, nproc=400) for pid in range(2000, 2010))}
    found = [each.finding for each in _walk(many).progress.path if each.step == "threads"]
    assert found[0]
    assert found[0].verdict == "contradicts"


def test_every_branch_is_taken() -> None:
    walks = [_walk(state) for state in (_maps(1 << 21, 1 << 21), _group(), HIDDEN, UNREAD, {}, {"netns": full()})]
    walks += [_walk({"cgroups": None}), _walk({"processes": None}), _walk({"tasks": None})]
    walks += ends_of_change(GUIDE, _maps(), _maps(limit=1 << 18), UNREAD)
    walks += ends_of_change(GUIDE, _user(), _user(nproc=512), {"processes": None}, 10)
    walks += ends_of_change(GUIDE, _host(), _host(900), {"tasks": None}, 10)
    for to in ("room", "run-commands"):
        walk = _walk(_group())
        walk.take(to)
        walks.append(walk)
    assert branches(GUIDE) - taken(*walks) == set()
