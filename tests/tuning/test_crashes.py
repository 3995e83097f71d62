"""T1 T2 T3 T9: a kill or a failure at any system call: all values are old, or all are new and kept.

Every system call is tried, with one error after the other; SOCKMON_CRASHES=all tries each of many on each."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from sockmon.kernel.identity import boot_id, netns_inode
from sockmon.model.plan import Plan
from sockmon.model.transaction import inverse_plan
from sockmon.tuning.transaction.guard import Guard
from sockmon.tuning.transaction.recovery import recover
from tests.netns import inside
from tests.tuning.ptrace_faults import needs_stepping, step
from tests.tuning.sample_change import (
    ACTOR,
    MEMORY_DIR,
    NEW,
    OLD,
    OUTCOME,
    RANGE,
    RESERVED,
    SOMAXCONN,
    journals,
    plan,
    read_history,
    values,
    write,
)

# In a private user namespace for every user: a matrix of minutes, which one user need not repeat after another.
pytestmark = [needs_stepping, pytest.mark.usefixtures("needs_userns"), pytest.mark.slow]

Errors = tuple[int, ...]
"""Those with which the system calls fail in turn; 0: it is killed there."""
KILL: Errors = (0,)
ERRORS: tuple[Errors, ...] = ((errno.EIO, errno.ENOSPC),)
if os.environ.get("SOCKMON_CRASHES") == "all":
    MORE = (errno.EACCES, errno.EMFILE, errno.ENOMEM, errno.EROFS, errno.EINVAL, errno.ENOENT)
    ERRORS = tuple((each,) for each in (*ERRORS[0], *MORE))


def _names(errors: Errors) -> str:
    return "+".join(errno.errorcode[each] for each in errors)


Note = Callable[[str, object], None]
FILE = "etc/sysctl.d/90-sockmon.conf"
FIRST = {SOMAXCONN: "9000"}
"""The value of one key that an earlier, persisted change has set; NEW has another value for it."""
DRIFTED = {**NEW, SOMAXCONN: OLD[SOMAXCONN]}
LEFT = {key: value for key, value in NEW.items() if key not in (SOMAXCONN, RANGE)}
"""What our file sets when two lines are forgotten."""


def _apply(root: str) -> None:
    _guard(plan(), root)


def _keep(root: str) -> None:
    if guard := _guard(plan(), root):
        guard.observe((OUTCOME,))
        guard.keep()


def _persist(root: str) -> None:
    if guard := _guard(plan(), root):
        guard.keep(persist=True)


def _revert(root: str) -> None:
    if guard := _guard(plan(), root):
        guard.observe((OUTCOME,))
        guard.revert()


def _undo(root: str) -> None:
    if guard := _guard(inverse_plan(read_history(Path(root))[0], netns_inode(), boot_id()), root):
        guard.keep()


def _forget(root: str) -> None:
    _guard(Plan((), netns_inode(), boot_id(), forgets=(SOMAXCONN, RANGE)), root)


def _guard(made: Plan, root: str) -> Guard | None:
    guard = Guard(made, ACTOR, 60.0, root)
    return guard if guard.apply().state == "holding" else None


def _from_old(root: str) -> None:
    write(OLD)


def _from_persisted(root: str) -> None:
    """Persist two changes of one key: undoing the second restores a line of the first."""
    write(OLD)
    for made in (plan(OLD, FIRST), plan({**OLD, **FIRST}, NEW)):
        guard = _guard(made, root)
        assert guard is not None
        assert guard.keep(persist=True).persisted


def _from_drifted(root: str) -> None:
    """The same, and another process has changed one of the values since: its line can be removed all the same."""
    _from_persisted(root)
    write(DRIFTED)


@dataclass(frozen=True)
class Act:
    """An act to interrupt: how it starts, and its values and lines in /etc/sysctl.d before and after."""

    do: Callable[[str], object]
    stays: bool
    """It may end as kept."""
    old: dict[str, str] = field(default_factory=lambda: OLD)
    new: dict[str, str] = field(default_factory=lambda: NEW)
    filed_old: dict[str, str] = field(default_factory=dict)
    filed_new: dict[str, str] = field(default_factory=dict)
    prepare: Callable[[str], None] = _from_old


ACTS = {
    "apply": Act(_apply, False),
    "keep": Act(_keep, True),
    "persist": Act(_persist, True, filed_new=NEW),
    "revert": Act(_revert, False),
    "forget": Act(_forget, True, DRIFTED, DRIFTED, NEW, LEFT, _from_drifted),
    "undo": Act(_undo, True, NEW, {**OLD, **FIRST}, NEW, FIRST, _from_persisted),
}


AT_ONCE = 80
"""System calls that are tried in one namespace, because a busy machine is slow."""


def crash(name: str, errors: Errors, recovery: bool, first: int) -> tuple[int, int, list[str], bool]:
    """Do an act again and again, with a death (or an error) at one system call after the other from `first` on,
    and recover after each; with `recovery` it is killed in its midst, and the recovery of that is what dies. How
    many calls were tried, how many changes stayed, what was neither old nor kept, and whether there are more."""
    act, stayed, wrong = ACTS[name], 0, []
    points = _length(act) if recovery else 0
    for at in range(first, first + AT_ONCE):
        with tempfile.TemporaryDirectory(dir=MEMORY_DIR) as root:
            _begin(act, root)
            before = {one.id for one in read_history(Path(root))}
            if recovery:
                # Another system call for each, spread over the whole act.
                step(partial(act.do, root), at * 7 % points)
            error = errors[at % len(errors)]
            reached = step(partial(recover if recovery else act.do, root), at, error)
            recover(root)
            recover(root)
            word = _wrong(act, Path(root), before)
            stayed += values() == act.new
            wrong += [f"{name} {at} {error}: {word}"] if word else []
        if not reached:
            return at - first + 1, stayed, wrong, False
    return AT_ONCE, stayed, wrong, True


def every_crash(name: str, errors: Errors = KILL, recovery: bool = False) -> tuple[int, int, list[str]]:
    """The same for all of its system calls."""
    tried, stayed, wrong, more = 0, 0, list[str](), True
    while more:
        now = inside(crash, name, errors, recovery, tried)
        tried, stayed, wrong, more = tried + now[0], stayed + now[1], wrong + now[2], now[3]
    return tried, stayed, wrong


def _begin(act: Act, root: str) -> None:
    Path(root, "etc/sysctl.d").mkdir(parents=True)
    act.prepare(root)


def _length(act: Act) -> int:
    """Return the number of its system calls."""
    at = 64
    while True:
        with tempfile.TemporaryDirectory(dir=MEMORY_DIR) as root:
            _begin(act, root)
            reached = step(partial(act.do, root), at)
            recover(root)
        if not reached:
            return at
        at += 32


def _wrong(act: Act, root: Path, before: set[str]) -> str:
    found, filed = values(), lasting(root)
    told = [one for one in read_history(root) if one.id not in before]
    state, words = (told[0].state, told[0].messages) if told else ("none", ())
    if journals(root):
        return f"{journals(root)} is left"
    if found == act.new and state == "kept":
        # A failure to write the file is reported with its name; a file that is gone has none of our lines.
        unfiled = filed == act.filed_old and any("/etc/sysctl.d" in word for word in words)
        good = unfiled or (filed == act.filed_new and told[0].persisted == (act is ACTS["persist"]))
        return "" if good else f"kept, and the file has {filed}: {words}"
    if found == act.old and state in ("reverted", "none"):
        return "" if filed == act.filed_old else f"{state}, and the file has {filed}"
    return f"{state}, and the values are {found}"


def lasting(root: Path) -> dict[str, str]:
    """Return the values that our file sets."""
    try:
        lines = (root / FILE).read_text().splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.partition(" =") for line in lines if not line.startswith("#"))
    return {key: value.strip() for key, _, value in pairs}


@pytest.mark.fault("T1", "T9")
@pytest.mark.parametrize("name", ACTS)
def test_T1_T9_killed_at_any_system_call(name: str, record_property: Note) -> None:
    tried, stayed, wrong = every_crash(name)
    record_property("points", tried)
    assert wrong == []
    assert tried > 90
    # Only kept changes stay, and some were kept before the kill.
    assert (stayed > 0) == ACTS[name].stays


@pytest.mark.fault("T2")
@pytest.mark.parametrize("name", ACTS)
def test_T2_killed_at_any_system_call_of_recovery(name: str, record_property: Note) -> None:
    tried, _, wrong = every_crash(name, recovery=True)
    record_property("points", tried)
    assert wrong == []
    assert tried > 10


def crash_in_a_long_list() -> tuple[int, list[int]]:
    """Roll back to a list that the kernel takes in three writes, killed at any call; return the calls, and those
    that lost it."""
    old, new = {RESERVED: ",".join(str(port) for port in range(20001, 24001, 2))}, {RESERVED: "5"}
    wrong = []
    for at in range(100_000):
        with tempfile.TemporaryDirectory(dir=MEMORY_DIR) as root:
            write(old)
            # Applied before: only the rollback is killed.
            guard = Guard(plan(old, new), ACTOR, 60.0, root)
            assert guard.apply().state == "holding"
            reached = step(guard.revert, at)
            guard._release()
            recover(root)
            if values(old) != old:
                wrong.append(at)
        if not reached:
            return at, wrong
    raise AssertionError("it has no end")


@pytest.mark.fault("S9", "T1")
def test_T1_S9_killed_while_a_long_list_is_written() -> None:
    tried, wrong = inside(crash_in_a_long_list)
    assert wrong == []
    assert tried > 60


@pytest.mark.fault("R15", "T3")
@pytest.mark.parametrize("name", ACTS)
@pytest.mark.parametrize("errors", ERRORS, ids=_names)
def test_T3_any_system_call_fails(name: str, errors: Errors, record_property: Note) -> None:
    tried, _, wrong = every_crash(name, errors)
    record_property("points", tried)
    assert wrong == []
    assert tried > 80


@pytest.mark.fault("T3")
@pytest.mark.parametrize("name", ["keep", "undo"])
@pytest.mark.parametrize("errors", ERRORS, ids=_names)
def test_T3_any_system_call_of_recovery_fails(name: str, errors: Errors, record_property: Note) -> None:
    tried, _, wrong = every_crash(name, errors, True)
    record_property("points", tried)
    assert wrong == []
    assert tried > 10


FOREIGN = {SOMAXCONN: "7777"}


def crash_after_a_foreign_write(first: int) -> tuple[int, list[str], bool]:
    """Persist a change of which another process has changed one value, killed at every fourth call."""
    wrong = []
    for at in range(first, first + 4 * AT_ONCE, 4):
        with tempfile.TemporaryDirectory(dir=MEMORY_DIR) as root:
            Path(root, "etc/sysctl.d").mkdir(parents=True)
            write(OLD)
            reached = step(partial(_persist_after_a_foreign_write, root), at)
            recover(root)
            recover(root)
            told = next(iter(read_history(Path(root))), None)
            state, found, filed = told.state if told else "none", values(), lasting(Path(root))
            good = {
                "kept": found == {**NEW, **FOREIGN}
                and filed == {key: NEW[key] for key in NEW if key not in FOREIGN},
                "conflict": found == {**OLD, **FOREIGN} and filed == {},
            }.get(state, state in ("reverted", "none") and found == OLD and filed == {})
            wrong += [] if good and not journals(Path(root)) else [f"{at}: {state}, {found}, {filed}"]
        if not reached:
            return at, wrong, False
    return at, wrong, True


def _persist_after_a_foreign_write(root: str) -> None:
    if guard := _guard(plan(), root):
        write(FOREIGN)
        guard.keep(persist=True)


@pytest.mark.fault("T1", "T14")
def test_T1_T14_killed_while_a_change_is_kept_of_which_one_value_is_gone() -> None:
    first, more = 0, True
    while more:
        at, wrong, more = inside(crash_after_a_foreign_write, first)
        assert wrong == []
        first = at + 4
    assert first > 90
