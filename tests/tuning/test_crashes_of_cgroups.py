"""T1 T2 T3 for limits of a real cgroup: a kill or a failure at any system call leaves the old values, or the new
ones kept; a cgroup that is removed meanwhile leaves no journal."""

from __future__ import annotations

import errno
import random
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from sockmon.errors import TuningError
from sockmon.kernel.cgroups.limits import read_limit
from sockmon.kernel.identity import boot_id, netns_inode
from sockmon.model.plan import Plan
from sockmon.tuning.transaction.client import apply
from sockmon.tuning.transaction.guard import Guard
from sockmon.tuning.transaction.recovery import recover
from tests.tuning.cgroup_tree import real_cgroup, setting_of
from tests.tuning.ptrace_faults import needs_stepping, step
from tests.tuning.sample_change import ACTOR, MEMORY_DIR, journals, read_history
from tests.tuning.test_kills import KILLS, healed, is_over, killer, until

pytestmark = [needs_stepping, pytest.mark.usefixtures("root_only")]

OLD = {"pids.max": "50", "memory.max": "max"}
NEW = {"pids.max": "80", "memory.max": "104857600"}
Note = Callable[[str, object], None]


def _act(end: str, plan: Plan, directories: list[Path], root: str) -> None:
    guard = Guard(plan, ACTOR, 60.0, root)
    if guard.apply().state != "holding":
        return
    if end == "removed":
        for directory in directories:
            directory.rmdir()
    if end == "keep":
        guard.keep()
    else:
        guard.revert()


def _values(paths: dict[str, str]) -> dict[str, str]:
    return {key: read_limit(key, path).value for key, path in paths.items()}


def _one(end: str, at: int, error: int, recovery: bool) -> tuple[bool, str]:
    """Do the act with a death, or `error`, at one system call; return whether it was reached, and the problem."""
    with (
        tempfile.TemporaryDirectory(dir=MEMORY_DIR) as root,
        real_cgroup("pids.max", OLD["pids.max"]) as (pids, tasks),
        real_cgroup("memory.max", OLD["memory.max"]) as (group, memory),
    ):
        paths = {"pids.max": pids, "memory.max": group}
        settings = tuple(setting_of(key, path, NEW[key]) for key, path in paths.items())
        plan = Plan(settings, netns_inode(), boot_id())
        act = partial(_act, end, plan, list({tasks, memory}), root)
        if recovery:
            step(act, 150 + at)
        reached = step(partial(recover, root) if recovery else act, at, error)
        recover(root)
        recover(root)
        states = [*(str(one.state) for one in read_history(Path(root))), "none"]
        if journals(Path(root)):
            return reached, f"{journals(Path(root))} is left"
        if not (tasks.exists() and memory.exists()):
            told = [one.messages for one in read_history(Path(root))]
            return reached, "" if states[0] in (
                "reverted",
                "none",
            ) else f"{states[0]}, {told}, and one was removed"
        found = _values(paths)
        good = (
            found == NEW if states[0] == "kept" else states[0] in ("reverted", "none", "refused") and found == OLD
        )
        return reached, "" if good else f"{states[0]}, and the limits are {found}"


def _every(end: str, errors: tuple[int, ...] = (0,), recovery: bool = False) -> tuple[int, list[str]]:
    """Do it with a death, or one error after the other, at each system call."""
    at, wrong = 0, []
    while True:
        error = errors[at % len(errors)]
        reached, problem = _one(end, at, error, recovery)
        wrong += [f"{end} {at} {error}: {problem}"] if problem else []
        if not reached:
            return at, wrong
        at += 1


@pytest.mark.fault("T1", "T9")
@pytest.mark.parametrize("end", ["keep", "revert", "removed"])
def test_T1_T9_killed_at_any_system_call(end: str, record_property: Note) -> None:
    tried, wrong = _every(end)
    record_property("points", tried)
    assert wrong == []
    assert tried > 90


@pytest.mark.fault("T2")
@pytest.mark.parametrize("end", ["keep", "revert"])
def test_T2_killed_at_any_system_call_of_recovery(end: str, record_property: Note) -> None:
    tried, wrong = _every(end, recovery=True)
    record_property("points", tried)
    assert wrong == []
    assert tried > 10


@pytest.mark.fault("T6", "T7")
def test_T6_T7_after_random_kills_no_limit_stays_changed() -> None:
    chance = random.Random(1)
    for _ in range(KILLS):
        with (
            tempfile.TemporaryDirectory(dir=MEMORY_DIR) as root,
            real_cgroup("pids.max", OLD["pids.max"]) as (path, _),
        ):
            made = Plan((setting_of("pids.max", path, NEW["pids.max"]),), netns_inode(), boot_id())
            with killer(chance, root, []), suppress(TuningError):
                apply(made, ACTOR, chance.uniform(0.1, 1.0), root)
            until(partial(is_over, root))
            until(partial(healed, root))
            assert read_limit("pids.max", path).value == OLD["pids.max"]
            assert {one.state for one in read_history(Path(root))} <= {"reverted"}


@pytest.mark.fault("T3")
@pytest.mark.parametrize("end", ["keep", "revert", "removed"])
def test_T3_any_system_call_fails(end: str, record_property: Note) -> None:
    tried, wrong = _every(end, (errno.EIO, errno.ENOSPC))
    record_property("points", tried)
    assert wrong == []
    assert tried > 80
