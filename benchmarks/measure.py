"""How processor time and memory are measured: each case once a round, in turn; what is slow is stopped."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.row import Row
from sockmon.sandbox.namespaces import TOOL_PATH

Case = Callable[[], object]
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Command:
    """A rival that is a program of its own: it is run by a shell, or skipped by name if it is not installed."""

    program: str
    script: str
    seconds: float = 60.0
    """How long it may run; after that it is stopped, and its number is a lower bound."""

    @property
    def missing(self) -> str:
        """Return why it cannot be run; empty if it can."""
        return "" if shutil.which(self.program, path=TOOL_PATH) else f"{self.program} is not installed"


def in_turn(cases: Mapping[str, tuple[str, Case | Command]], rounds: int) -> dict[str, Row]:
    """Return the processor time of each case in milliseconds, by id; `cases` are titles and what to run.

    Every case runs once a round. A command that was stopped does not run again."""
    taken: dict[str, list[float]] = {id: [] for id in cases}
    notes: dict[str, str] = {}
    stopped: set[str] = set()
    for _ in range(rounds):
        for id, (_, case) in cases.items():
            if isinstance(case, Command):
                if case.missing:
                    notes[id] = case.missing
                elif id not in stopped:
                    spent, ended = run_bounded(case)
                    taken[id].append(spent)
                    if not ended:
                        stopped.add(id)
                        notes[id] = f"stopped after {case.seconds:g} s"
            else:
                taken[id].append(spent_by(case))
    return {
        id: Row(id, title, "ms", tuple(taken[id]), exceeds=id in stopped, note=notes.get(id, ""))
        for id, (title, _) in cases.items()
    }


def spent_by(case: Case) -> float:
    """Return the processor milliseconds of one run: user and system, of this process and its children."""
    before = _own_seconds()
    case()
    return 1000 * (_own_seconds() - before)


def run_bounded(command: Command) -> tuple[float, bool]:
    """Return the processor milliseconds of a command, and whether it ended by itself."""
    before = _own_seconds()
    environment = {**os.environ, "PATH": TOOL_PATH}
    process = subprocess.Popen(
        ["sh", "-c", command.script], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
        start_new_session=True,
    )  # fmt: skip
    try:
        process.wait(command.seconds)
    except subprocess.TimeoutExpired:
        # What is killed is not waited for by its shell, and would not be counted afterwards.
        return 1000 * processor_seconds(family(process.pid)), False
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return 1000 * (_own_seconds() - before), True


def _own_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def family(pid: int) -> list[int]:
    """Return a process and everything that it has started, as far as they live."""
    found = [pid]
    with suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in map(int, children):
            found += family(child)
    return found


def processor_seconds(pids: Sequence[int]) -> float:
    """Return what these processes have used so far, with their children that have ended."""
    return sum(map(_seconds_of, pids))


def _seconds_of(pid: int) -> float:
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS_PER_SECOND
    return 0.0


def precise_seconds(pids: Sequence[int]) -> float:
    """Return the same without children that have ended, in nanoseconds instead of ticks (task/TID/schedstat)."""
    tasks = (path for pid in pids for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(int(path.read_text().split()[0]) for path in tasks) / 1e9


def proportional_memory(pid: int) -> float:
    """Return the PSS of a process in MB: what it shares counts in parts (proc_pid_smaps(5)); 0 if it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def name_of(pid: int) -> str:
    """Return the name of a process; empty if it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def wait_until(ready: Callable[[], bool], seconds: float) -> bool:
    """Return whether `ready` becomes true in this time."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True
