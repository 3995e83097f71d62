"""What psutil reads of one process: times, memory, I/O and switches.

psutil is imported on first demand and runs in a thread with a time limit: some of its files wait for locks of the
process.
"""

from __future__ import annotations

from collections.abc import Callable
from time import CLOCK_BOOTTIME, clock_gettime
from typing import Any, NamedTuple

from sockmon.errors import ReadError
from sockmon.fault_log import FAULTS
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes import proc_files
from sockmon.kernel.processes.read_timeout import ReadHung, TimeoutReader
from sockmon.model.process_facts import CPU, IO, MEMORY
from sockmon.model.snapshot import Missing

TIMEOUT_SECONDS, MEMORY_SECONDS = 1.0, 10.0
"""Time limit of a read, and of one that walks all pages of a process."""
MAX_HUNG = 3
"""Processes whose reads hang at one time; while there are so many, others are read without psutil."""
DOES_NOT_ANSWER = "does not answer: the kernel holds a lock of this process, so its files cannot be read"


class Counters(NamedTuple):
    """What psutil has read, by field of ProcessFacts; and why the rest could not be read, by reader."""

    fields: dict[str, Any]
    reasons: dict[str, str]


_SILENT = Counters({"answers": False}, {CPU: DOES_NOT_ANSWER})


class CounterReader:
    """Reads one process at a time. Not for use by two threads."""

    def __init__(self) -> None:
        self._reader = TimeoutReader(TIMEOUT_SECONDS, MAX_HUNG)
        self._memory_reader = TimeoutReader(MEMORY_SECONDS, 1)
        self._hung: dict[tuple[int, int], Callable[[], bool]] = {}
        """Processes with a read that did not return → whether it still hangs."""

    def close(self) -> None:
        """End the threads, as soon as their reads return."""
        self._reader.close()
        self._memory_reader.close()

    def hangs(self, pid: int, start: int) -> bool:
        """Return whether a read of this process has not returned yet."""
        still = self._hung.get((pid, start))
        if still is not None and not still():
            del self._hung[pid, start]
            return False
        return still is not None

    def read(self, pid: int, start: int) -> Incremental[Counters]:
        """Return what could be read, and why the rest could not."""
        if self.hangs(pid, start):
            return _SILENT
        try:
            return (yield from self._reader.call_in_steps(lambda: _read_psutil(pid)))
        except ReadHung as error:
            self._hung[pid, start] = error.still_hangs
            return _SILENT
        except ReadError as error:
            return Counters({}, {CPU: error.message})
        except Exception as error:
            return Counters({}, {CPU: _psutil_reason(error, "read it")})

    def memory(self, pid: int, start: int, missing: list[Missing]) -> Incremental[tuple[int, int] | None]:
        """Return proportional and unique memory in bytes, which takes a second for 40 GB; None if they cannot be
        read."""
        if self.hangs(pid, start):
            missing.append(Missing(MEMORY, DOES_NOT_ANSWER))
            return None
        try:
            return (yield from self._memory_reader.call_in_steps(lambda: _read_memory(pid)))
        except ReadHung as error:
            self._hung[pid, start] = error.still_hangs
            missing.append(Missing(MEMORY, f"not counted within {MEMORY_SECONDS:.0f} s"))
        except ReadError as error:
            missing.append(Missing(MEMORY, error.message))
        except Exception as error:
            missing.append(Missing(MEMORY, _psutil_reason(error, "count its pages")))
        return None


def _read_psutil(pid: int) -> Counters:
    """Read times, memory, I/O and switches; each that fails has a reason."""
    import psutil

    process = psutil.Process(pid)
    fields: dict[str, Any] = {}
    reasons: dict[str, str] = {}

    def attempt(reader: str, what: str, read: Callable[[], dict[str, Any]]) -> None:
        try:
            fields.update(read())
        except Exception as error:
            reasons[reader] = _psutil_reason(error, what)

    def cpu() -> dict[str, Any]:
        times, switches = process.cpu_times(), process.num_ctx_switches()
        return {
            "at": clock_gettime(CLOCK_BOOTTIME),
            "user_seconds": times.user,
            "system_seconds": times.system,
            "waits": switches.voluntary,
            "preemptions": switches.involuntary,
            "nice": process.nice(),
        }

    def memory() -> dict[str, Any]:
        sizes = process.memory_info()
        return {"resident": sizes.rss, "shared": sizes.shared, "virtual": sizes.vms}

    def io() -> dict[str, Any]:
        counters = process.io_counters()
        return {
            "read_bytes": counters.read_bytes,
            "written_bytes": counters.write_bytes,
            "read_chars": counters.read_chars,
            "written_chars": counters.write_chars,
        }

    with process.oneshot():
        attempt(CPU, "read its times", cpu)
        attempt(MEMORY, "read its memory", memory)
        attempt(IO, "read /proc/PID/io", io)
    return Counters(fields, reasons)


def _read_memory(pid: int) -> tuple[int, int]:
    import psutil

    sizes = psutil.Process(pid).memory_full_info()
    return sizes.pss, sizes.uss


def _psutil_reason(error: Exception, what: str) -> str:
    """Return why psutil could not do `what`; an error of another kind goes to the log."""
    if isinstance(error, ImportError):
        return f"{error.name} is not installed on this host"
    import psutil

    if isinstance(error, psutil.AccessDenied):
        return proc_files.permission_reason(what)
    if isinstance(error, psutil.ZombieProcess):
        return "the process has ended and waits for its parent"
    if isinstance(error, psutil.NoSuchProcess):
        return "the process has ended"
    return FAULTS.note("process facts", error)
