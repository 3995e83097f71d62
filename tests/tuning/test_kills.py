"""T4 T5 T6 T7 T21 at random moments: whoever is killed, and whenever the terminal goes, no value is left changed.

A few of each; SOCKMON_CRASHES=all does it a thousand times. `-o junit_family=xunit1 --junitxml` notes figures."""

from __future__ import annotations

import os
import pty
import random
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from sockmon.errors import NotTuned
from sockmon.tuning.guard import Guard
from sockmon.tuning.hold import hold
from sockmon.tuning.recover import recover
from sockmon.tuning.transaction import apply, ask
from tests.netns import inside
from tests.tuning.changes import ME, NEW, OLD, ROOM, journals, past, plan, values, write

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
    """Pids of the watcher and the guard that work below `root`, dead ones not among them."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            argv = Path("/proc", name, "cmdline").read_bytes().split(b"\0")
            # The one that we start is gone as soon as it has started the watcher.
            if b"sockmon.tuning.watcher" in argv and os.fsencode(root) in argv and _parent(name) != os.getpid():
                found.append(int(name))
    return sorted(found)


def _is_over(root: str) -> bool:
    return not _processes(root)


def _parent(pid: str) -> int:
    return int(Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[1])


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.002)


def kills(seed: int, times: int) -> list[float]:
    """Kill some of the processes of a change while it is made or held; seconds until all of it was over, which is
    negative where all of them were dead, so that the next start had to heal."""
    chance, took = random.Random(seed), list[float]()
    for _ in range(times):
        write(OLD)
        with tempfile.TemporaryDirectory(dir=ROOM) as root:
            killer = threading.Thread(target=_kill_some, args=(chance, root, took))
            killer.start()
            with suppress(NotTuned):
                apply(plan(), ME, chance.uniform(0.1, 1.0), root)
            killer.join()
            _until(partial(_is_over, root))
            if took[-1] < 0:
                _until(partial(_healed, root))
            assert values() == OLD
            assert {one.state for one in past(Path(root))} <= {"reverted"}
    return took


def _healed(root: str) -> bool:
    """What the next start does; the lock is free a moment after its holder cannot be seen any more."""
    recover(root)
    return journals(Path(root)) == []


def _kill_some(chance: random.Random, root: str, took: list[float]) -> None:
    """From the moment when both are there until well into the hold."""
    _until(lambda: len(_processes(root)) >= 2)
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
    _until(partial(_is_over, root))
    took.append(time.monotonic() - killed)


def test_T6_T7_killed_at_random_no_value_is_left_changed(record_property: Note) -> None:
    took = _in_batches(kills, KILLS)
    assert len(took) == KILLS
    record_property("kills", KILLS)
    record_property("all of them", sum(one < 0 for one in took))


def heals(seed: int, times: int) -> list[float]:
    """Kill the guard while it holds; seconds until the watcher had put everything back."""
    took = []
    for _ in range(times):
        write(OLD)
        with tempfile.TemporaryDirectory(dir=ROOM) as root:
            apply(plan(), ME, 600.0, root)
            _, guard = sorted(_processes(root), key=lambda pid: _parent(str(pid)) in _processes(root))
            assert values() == NEW
            os.kill(guard, signal.SIGKILL)
            killed = time.monotonic()
            while values() != OLD:
                assert time.monotonic() < killed + PATIENCE
            took.append(time.monotonic() - killed)
            _until(partial(_is_over, root))
            assert past(Path(root))[0].state == "reverted"
    return took


def test_T6_the_watcher_heals_at_once(record_property: Note) -> None:
    took = sorted(_in_batches(heals, KILLS // 4))
    record_property("median seconds", took[len(took) // 2])
    record_property("99 % seconds", took[int(len(took) * 0.99)])
    record_property("longest seconds", took[-1])


def closes(seed: int, times: int) -> list[float]:
    """Close the terminal of whoever applied, at random in the hold; seconds from the deadline to old values."""
    chance, late = random.Random(seed), []
    for _ in range(times):
        write(OLD)
        with tempfile.TemporaryDirectory(dir=ROOM) as root:
            person, terminal = pty.fork()
            if person == 0:
                # As a login has it, whatever the tests were started with.
                signal.signal(signal.SIGHUP, signal.SIG_DFL)
                held = apply(plan(), ME, 1.0, root)
                os.write(1, b"%f " % held.deadline)
                signal.pause()
                os._exit(0)
            deadline = float(os.read(terminal, 100))
            assert values() == NEW or time.clock_gettime(time.CLOCK_BOOTTIME) > deadline
            left = deadline - time.clock_gettime(time.CLOCK_BOOTTIME)
            time.sleep(max(0.0, chance.uniform(0, left)))
            os.close(terminal)
            os.waitpid(person, 0)
            _until(lambda: values() == OLD)
            late.append(time.clock_gettime(time.CLOCK_BOOTTIME) - deadline)
            _until(partial(_is_over, root))
            assert past(Path(root))[0].state == "reverted"
    return late


def test_T5_every_closed_terminal_is_a_revert(record_property: Note) -> None:
    late = _in_batches(closes, CLOSES)
    # None went back before its time: whoever lost the connection may come again and keep it.
    assert min(late) >= 0
    record_property("closes", len(late))
    record_property("longest seconds after the deadline", max(late))


def races(seed: int, times: int) -> list[float]:
    """`keep` comes when the time is up; 1.0 for each that was kept. Both sides know the same outcome."""
    chance, outcomes = random.Random(seed), []
    for _ in range(times):
        write(OLD)
        early = chance.uniform(-0.001, 0.004)
        with tempfile.TemporaryDirectory(dir=ROOM) as root:
            guard = Guard(plan(), ME, 0.08, root)
            assert guard.begin().state == "holding"
            child = os.fork()
            if child == 0:
                # What the guard has open ends with the guard.
                os.closerange(3, 256)
                left = guard.deadline - time.clock_gettime(time.CLOCK_BOOTTIME) - early
                time.sleep(max(0.0, left))
                with suppress(NotTuned):
                    os._exit(ask("keep", root).state == "kept")
                os._exit(0)
            ended = hold(guard)
            told_kept = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
            assert values() == (NEW if ended.state == "kept" else OLD)
            assert told_kept == (ended.state == "kept")
            (noted,) = past(Path(root))
            assert (noted.state, noted.id) == (ended.state, ended.id)
            (line,) = Path(root, "var/log/sockmon/audit.jsonl").read_text().splitlines()
            assert f'"state":"{ended.state}"' in line
            outcomes.append(float(ended.state == "kept"))
    return outcomes


def test_T21_keep_at_the_deadline_has_one_outcome_and_it_is_logged(record_property: Note) -> None:
    outcomes = _in_batches(races, RACES)
    assert len(outcomes) == RACES
    record_property("kept", sum(outcomes))
