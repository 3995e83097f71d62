"""T4 T5 T6 T7 T21 at random moments: after any kill, and any close of the terminal, no value stays changed.

A few of each; SOCKMON_CRASHES=all does it a thousand times. `-o junit_family=xunit1 --junitxml` notes figures."""

from __future__ import annotations

import os
import pty
import random
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from sockmon.errors import TuningError
from sockmon.kernel.identity import boot_id, netns_inode
from sockmon.model.plan import Plan
from sockmon.tuning.transaction.client import apply, decide
from sockmon.tuning.transaction.control_socket import serve_until_decided
from sockmon.tuning.transaction.guard import Guard
from sockmon.tuning.transaction.recovery import recover
from tests.netns import inside
from tests.tuning.sample_change import (
    ACTOR,
    MEMORY_DIR,
    NEW,
    OLD,
    SOMAXCONN,
    journals,
    plan,
    read_history,
    values,
    write,
)
from tests.tuning.test_crashes import lasting
from tests.tuning.test_transaction import PAIR

pytestmark = pytest.mark.usefixtures("needs_userns")

ALL = os.environ.get("SOCKMON_CRASHES") == "all"
KILLS, CLOSES, RACES = (1000, 200, 1000) if ALL else (12, 4, 40)
BATCH = 20
PATIENCE = 60.0
Note = Callable[[str, object], None]


def _in_batches(function: Callable[[int, int], list[float]], count: int) -> list[float]:
    """What `function(seed, times)` finds, `count` times in all, each batch in a namespace of its own."""
    return [found for seed in range(0, count, BATCH) for found in inside(function, seed, min(BATCH, count - seed))]


def _processes(root: str) -> list[int]:
    """Pids of the watchdog and the guard that work below `root`, dead ones not among them."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            argv = Path("/proc", name, "cmdline").read_bytes().split(b"\0")
            if argv[0] in PAIR and os.fsencode(root) in argv:
                found.append(int(name))
    return sorted(found)


def is_over(root: str) -> bool:
    return not _processes(root)


def _parent(pid: str) -> int:
    return int(Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[1])


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.002)


def kills(seed: int, times: int) -> list[float]:
    """Kill some of the processes of a change while it is made or held; seconds until all of it was over, which is
    negative where all of them were dead, so that the next start had to recover."""
    chance, took = random.Random(seed), list[float]()
    for _ in range(times):
        write(OLD)
        with tempfile.TemporaryDirectory(dir=MEMORY_DIR) as root:
            with killer(chance, root, took), suppress(TuningError):
                apply(plan(), ACTOR, chance.uniform(0.1, 1.0), root)
            until(partial(is_over, root))
            if took[-1] < 0:
                until(partial(healed, root))
            assert values() == OLD
            assert {one.state for one in read_history(Path(root))} <= {"reverted"}
    return took


def healed(root: str) -> bool:
    """Recover as the next start does; the lock is free a moment after its owner has left /proc."""
    recover(root)
    return journals(Path(root)) == []


@contextmanager
def killer(chance: random.Random, root: str, took: list[float]) -> Iterator[None]:
    """Kill some of the processes that work below `root` while the block makes a change, or hold it after that."""
    done = threading.Event()
    thread = threading.Thread(target=kill_some, args=(chance, root, took, done))
    thread.start()
    yield
    done.set()
    thread.join()


def kill_some(chance: random.Random, root: str, took: list[float], done: threading.Event) -> None:
    """Kill at a random moment between the start of both and the middle of the hold; a change without a hold may be
    done before both were seen."""
    until(lambda: len(_processes(root)) >= 2 or done.is_set())
    time.sleep(chance.choice((chance.uniform(0, 0.05), chance.uniform(0, 0.5))))
    there = _processes(root)
    victims = chance.sample(there, chance.randint(1, len(there))) if there else []
    for victim in victims:
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    killed = time.monotonic()
    if set(victims) >= set(there):
        took.append(-1.0)
        return
    until(partial(is_over, root))
    took.append(time.monotonic() - killed)


@pytest.mark.fault("T6", "T7")
def test_T6_T7_after_random_kills_no_value_stays_changed(record_property: Note) -> None:
    took = _in_batches(kills, KILLS)
    assert len(took) == KILLS
    record_property("kills", KILLS)
    record_property("all of them", sum(one < 0 for one in took))


def forgets(seed: int, times: int) -> list[float]:
    """Kill some of the processes that remove a line of our file; return 1.0 for each line that is gone."""
    chance, gone = random.Random(seed), list[float]()
    for _ in range(times):
        write(OLD)
        with tempfile.TemporaryDirectory(dir=MEMORY_DIR) as root:
            Path(root, "etc/sysctl.d").mkdir(parents=True)
            persisted = Guard(plan(), ACTOR, 60.0, root)
            persisted.apply()
            assert persisted.keep(persist=True).persisted
            with killer(chance, root, []), suppress(TuningError):
                apply(Plan((), netns_inode(), boot_id(), forgets=(SOMAXCONN,)), ACTOR, root=root)
            until(partial(is_over, root))
            until(partial(healed, root))
            newest = read_history(Path(root))[0]
            gone.append(float(SOMAXCONN not in lasting(Path(root))))
            assert gone[-1] == float(newest.forgotten == (SOMAXCONN,)), newest
            assert values() == NEW
    return gone


@pytest.mark.fault("T6", "T7")
def test_T6_T7_after_random_kills_a_line_is_forgotten_or_there(record_property: Note) -> None:
    gone = _in_batches(forgets, KILLS)
    assert len(gone) == KILLS
    record_property("forgotten", sum(gone))


def recovers(seed: int, times: int) -> list[float]:
    """Kill the guard of a pending change; return the seconds until the watchdog has rolled it back."""
    took = []
    for _ in range(times):
        write(OLD)
        with tempfile.TemporaryDirectory(dir=MEMORY_DIR) as root:
            apply(plan(), ACTOR, 600.0, root)
            _, guard = sorted(_processes(root), key=lambda pid: _parent(str(pid)) in _processes(root))
            assert values() == NEW
            os.kill(guard, signal.SIGKILL)
            killed = time.monotonic()
            while values() != OLD:
                assert time.monotonic() < killed + PATIENCE
            took.append(time.monotonic() - killed)
            until(partial(is_over, root))
            assert read_history(Path(root))[0].state == "reverted"
    return took


@pytest.mark.fault("T6")
def test_T6_the_watchdog_recovers_at_once(record_property: Note) -> None:
    took = sorted(_in_batches(recovers, KILLS // 4))
    record_property("median seconds", took[len(took) // 2])
    record_property("99 % seconds", took[int(len(took) * 0.99)])
    record_property("longest seconds", took[-1])


def closes(seed: int, times: int) -> list[float]:
    """Close the terminal of the user during the hold; return the seconds from the deadline to the rollback."""
    chance, late = random.Random(seed), []
    for _ in range(times):
        write(OLD)
        with tempfile.TemporaryDirectory(dir=MEMORY_DIR) as root:
            person, terminal = pty.fork()
            if person == 0:
                # As in a login, independent of how the tests were started.
                signal.signal(signal.SIGHUP, signal.SIG_DFL)
                held = apply(plan(), ACTOR, 1.0, root)
                os.write(1, b"%f " % held.deadline)
                signal.pause()
                os._exit(0)
            deadline = float(os.read(terminal, 100))
            assert values() == NEW or time.clock_gettime(time.CLOCK_BOOTTIME) > deadline
            left = deadline - time.clock_gettime(time.CLOCK_BOOTTIME)
            time.sleep(max(0.0, chance.uniform(0, left)))
            os.close(terminal)
            os.waitpid(person, 0)
            until(lambda: values() == OLD)
            late.append(time.clock_gettime(time.CLOCK_BOOTTIME) - deadline)
            until(partial(is_over, root))
            assert read_history(Path(root))[0].state == "reverted"
    return late


@pytest.mark.fault("T5")
def test_T5_after_a_closed_terminal_the_change_is_rolled_back(record_property: Note) -> None:
    late = _in_batches(closes, CLOSES)
    # No change was rolled back early: after a lost connection the user can log in again and keep it.
    assert min(late) >= 0
    record_property("closes", len(late))
    record_property("longest seconds after the deadline", max(late))


def races(seed: int, times: int) -> list[float]:
    """Send `keep` at the deadline; return 1.0 for each change that was kept. Both sides must have the same
    result."""
    chance, outcomes = random.Random(seed), []
    for _ in range(times):
        write(OLD)
        early = chance.uniform(-0.001, 0.004)
        with tempfile.TemporaryDirectory(dir=MEMORY_DIR) as root:
            guard = Guard(plan(), ACTOR, 0.08, root)
            assert guard.apply().state == "holding"
            child = os.fork()
            if child == 0:
                # The guard's descriptors are closed by its end.
                os.closerange(3, 256)
                left = guard.deadline - time.clock_gettime(time.CLOCK_BOOTTIME) - early
                time.sleep(max(0.0, left))
                with suppress(TuningError):
                    os._exit(decide("keep", root).state == "kept")
                os._exit(0)
            ended = serve_until_decided(guard)
            told_kept = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
            assert values() == (NEW if ended.state == "kept" else OLD)
            assert told_kept == (ended.state == "kept")
            (noted,) = read_history(Path(root))
            assert (noted.state, noted.id) == (ended.state, ended.id)
            (line,) = Path(root, "var/log/sockmon/audit.jsonl").read_text().splitlines()
            assert f'"state":"{ended.state}"' in line
            outcomes.append(float(ended.state == "kept"))
    return outcomes


@pytest.mark.fault("T21")
def test_T21_keep_at_the_deadline_has_one_result_and_it_is_logged(record_property: Note) -> None:
    outcomes = _in_batches(races, RACES)
    assert len(outcomes) == RACES
    record_property("kept", sum(outcomes))
