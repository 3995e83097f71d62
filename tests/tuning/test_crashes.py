"""T1 T2 T3 T9: whatever dies or fails at whatever system call, all values are old, or all are new and were kept.

Every system call is tried; SOCKMON_CRASHES=all tries more errors on each."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sockmon.tuning.guard import Guard
from sockmon.tuning.recover import recover
from tests.netns import inside
from tests.tuning.changes import ME, NEW, OLD, RESERVED, journals, past, plan, values, write
from tests.tuning.stepping import needs_stepping, step

pytestmark = [needs_stepping, pytest.mark.usefixtures("needs_userns")]

ERRORS: tuple[int, ...] = (errno.EIO, errno.ENOSPC)
if os.environ.get("SOCKMON_CRASHES") == "all":
    ERRORS += (errno.EACCES, errno.EMFILE, errno.ENOMEM, errno.EROFS, errno.EINVAL, errno.ENOENT)


def _apply(root: str) -> None:
    Guard(plan(), ME, 60.0, root).begin()


def _keep(root: str) -> None:
    guard = Guard(plan(), ME, 60.0, root)
    if guard.begin().state == "holding":
        guard.keep()


def _persist(root: str) -> None:
    Path(root, "etc/sysctl.d").mkdir(parents=True, exist_ok=True)
    guard = Guard(plan(), ME, 60.0, root)
    if guard.begin().state == "holding":
        guard.keep(persist=True)


def _revert(root: str) -> None:
    guard = Guard(plan(), ME, 60.0, root)
    if guard.begin().state == "holding":
        guard.revert()


ACTS: dict[str, Callable[[str], object]] = {
    "apply": _apply,
    "keep": _keep,
    "persist": _persist,
    "revert": _revert,
    "recover": recover,
}


def crash(act: str, error: int = 0, before: str = "") -> tuple[int, int, list[str]]:
    """Do `act` again and again, with a death (or `error`) at each of its system calls, and heal after each;
    `before` is an act that was killed in its midst beforehand. How many calls were tried, how many changes stayed,
    and what was neither old nor kept."""
    tried, stayed, wrong = 0, 0, []
    points = _length(before) if before else 0
    for at in range(100_000):
        root = Path(tempfile.mkdtemp(prefix="sockmon-crash-"))
        try:
            write(OLD)
            if before:
                # Another place to die in for each, spread over all of the first act.
                step(lambda root=root: ACTS[before](str(root)), at * 7 % points)  # type: ignore[misc]
            reached = step(lambda root=root: ACTS[act](str(root)), at, error)  # type: ignore[misc]
            recover(str(root))
            recover(str(root))
            word = _wrong(root)
            tried += 1
            stayed += values() == NEW
            wrong += [f"{act} {at} {error}: {word}"] if word else []
        finally:
            shutil.rmtree(root)
        if not reached:
            return tried, stayed, wrong
    raise AssertionError("it has no end")


def _length(act: str) -> int:
    """How many system calls it has."""
    write(OLD)
    with tempfile.TemporaryDirectory() as root:
        at = 64
        while step(lambda: ACTS[act](root), at):
            recover(root)
            write(OLD)
            at += 32
        recover(root)
        return at


def _wrong(root: Path) -> str:
    found, told = values(), past(root)
    state = told[0].state if told else "none"
    file = root / "etc/sysctl.d/90-sockmon.conf"
    if file.exists() != bool(told and told[0].persisted):
        return f"{state}, and {file.name} does not agree"
    if journals(root):
        return f"{journals(root)} is left"
    if found == NEW and state == "kept":
        return ""
    if found == OLD and state in ("reverted", "none"):
        return ""
    return f"{state}, and the values are {found}"


@pytest.mark.parametrize("act", ["apply", "keep", "persist", "revert"])
def test_t1_killed_at_any_system_call(act: str) -> None:
    tried, stayed, wrong = inside(crash, act)
    assert wrong == []
    assert tried > 90
    # Only what was kept stays, and some of those that were to be kept had been when they died.
    assert (stayed > 0) == (act in ("keep", "persist"))


@pytest.mark.parametrize("before", ["apply", "keep", "persist", "revert"])
def test_t2_killed_at_any_system_call_of_recovery(before: str) -> None:
    tried, _, wrong = inside(crash, "recover", 0, before)
    assert wrong == []
    assert tried > 10


def crash_in_a_long_list() -> tuple[int, list[int]]:
    """Go back to a list that takes the kernel three writes, killed anywhere: how many, and where it was lost."""
    old, new = {RESERVED: ",".join(str(port) for port in range(20001, 24001, 2))}, {RESERVED: "5"}
    wrong = []
    for at in range(100_000):
        with tempfile.TemporaryDirectory() as root:
            write(old)
            # Alive when it is stepped: only going back is killed.
            guard = Guard(plan(old, new), ME, 60.0, root)
            assert guard.begin().state == "holding"
            reached = step(guard.revert, at)
            guard._let_go()
            recover(root)
            if values(old) != old:
                wrong.append(at)
        if not reached:
            return at, wrong
    raise AssertionError("it has no end")


def test_t1_s9_killed_in_the_midst_of_a_long_list() -> None:
    tried, wrong = inside(crash_in_a_long_list)
    assert wrong == []
    assert tried > 60


@pytest.mark.parametrize("act", ["apply", "keep", "persist", "revert"])
@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.__getitem__)
def test_t3_any_system_call_fails(act: str, error: int) -> None:
    tried, _, wrong = inside(crash, act, error)
    assert wrong == []
    assert tried > 80


@pytest.mark.parametrize("error", ERRORS, ids=errno.errorcode.__getitem__)
def test_t3_any_system_call_of_recovery_fails(error: int) -> None:
    tried, _, wrong = inside(crash, "recover", error, "keep")
    assert wrong == []
    assert tried > 10
