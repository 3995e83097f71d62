"""Send a signal to exactly one process: pidfd_open(2) and pidfd_send_signal(2) (Linux 5.3), and what the process
does with a signal (/proc/PID/status)."""

from __future__ import annotations

import os
import signal
from typing import NamedTuple

from sockmon.errors import ReadError
from sockmon.kernel.errnos import FORBIDDEN, NO_FREE_FILE
from sockmon.kernel.processes import proc_files

READER = "processes"
_ENDED = "Z", "X"


class SignalMasks(NamedTuple):
    """Signals as bit masks: bit N-1 stands for signal N."""

    blocked: int
    ignored: int
    caught: int
    innermost_pid: int
    """Its pid in its own pid namespace; 1 is an init, which the kernel protects; 0: unknown."""

    def has(self, mask: int, name: str) -> bool:
        """Return whether a mask has the signal `name`, such as TERM."""
        return bool(mask >> (signal.Signals[f"SIG{name}"] - 1) & 1)


def read_process(pid: int, start: int, proc: int) -> proc_files.Stat:
    """Return /proc/PID/stat of the process; raise ReadError if it has ended, or the pid is that of another
    process."""
    try:
        stat = proc_files.parse_stat(proc_files.read(f"{pid}/stat", proc))
    except OSError as error:
        if error.errno in NO_FREE_FILE:
            raise ReadError(READER, f"process {pid} cannot be read: {error.strerror}") from error
        raise ReadError(READER, f"process {pid}: {proc_files.ended_reason(pid)}") from error
    except ValueError as error:
        raise ReadError(READER, f"process {pid}: {error}") from error
    if stat.start != start:
        raise ReadError(READER, f"process {pid} has ended: its pid is that of another process now ({stat.name})")
    if stat.state in _ENDED:
        raise ReadError(
            READER, f"process {pid} has ended already: it is a zombie, which its parent has to wait for"
        )
    return stat


def send(pid: int, start: int, name: str, proc: int) -> None:
    """Send the signal `name` (`TERM`) to the process that has this pid and start time, and to no other; raise
    ReadError with the reason if it was not sent."""
    number = signal.Signals[f"SIG{name}"]
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        raise ReadError(READER, f"process {pid} has ended") from None
    except OSError as error:
        raise ReadError(READER, f"process {pid} cannot be opened: {error.strerror}") from error
    try:
        # After the pidfd is open: if the start time is the expected one, the pidfd is of this process.
        read_process(pid, start, proc)
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        raise ReadError(READER, f"process {pid} has ended") from None
    except OSError as error:
        reason = "it belongs to another user" if error.errno in FORBIDDEN else error.strerror
        raise ReadError(READER, f"process {pid} may not be signalled: {reason}") from error
    finally:
        os.close(handle)


def read_masks(pid: int, proc: int) -> SignalMasks:
    """Return what a process does with signals; raise OSError or ValueError."""
    found = dict(
        line.partition(b":")[::2]
        for line in proc_files.read(f"{pid}/status", proc, 8192).split(b"\n")
        if b":" in line
    )
    blocked, ignored, caught = (int(found[name], 16) for name in (b"SigBlk", b"SigIgn", b"SigCgt"))
    pids = found.get(b"NSpid", b"").split()
    return SignalMasks(blocked, ignored, caught, int(pids[-1]) if pids else 0)
