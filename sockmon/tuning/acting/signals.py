"""Signal one process: what it would do, what is refused, and the signal itself."""

from __future__ import annotations

import os
from contextlib import suppress

from sockmon.errors import ReadError
from sockmon.kernel.identity import netns_inode
from sockmon.kernel.processes import proc_files
from sockmon.kernel.processes.passwd import Users
from sockmon.kernel.processes.proc_files import Stat
from sockmon.kernel.processes.send_signal import SignalMasks, read_masks, read_process, send
from sockmon.model.acting import (
    DISCONNECT_WORD,
    KILL_WORD,
    SIGNAL_WORD,
    PreparedAction,
    Signal,
    SignalProcess,
)
from sockmon.tuning.acting.own_session import OwnSession
from sockmon.tuning.acting.prepared import Outcome, Prepared
from sockmon.tuning.transaction.confinement import in_user_namespace

_EFFECTS: dict[Signal, str] = {
    "TERM": "TERM asks it to end; a server usually finishes what it has begun.",
    "INT": "INT is what Ctrl-C sends: it asks it to end.",
    "HUP": "HUP makes many servers read their configuration again; a program without a handler ends.",
    "USR1": "What USR1 does is up to the program, such as opening its logs again; without a handler it ends.",
    "USR2": "What USR2 does is up to the program, such as a restart without a pause; without a handler it ends.",
    "STOP": "STOP freezes it until CONT: it accepts, reads and answers nothing, and its queues fill.",
    "CONT": "CONT continues it, if it is stopped.",
    "KILL": "KILL ends it at once: it can neither save nor finish anything, and its connections are cut off.",
}
_ENDS_WITHOUT_HANDLER = ("TERM", "INT", "HUP", "USR1", "USR2")
_NEVER_HANDLED = ("KILL", "STOP")
PID_1 = "pid 1 is not signalled: the whole machine or container depends on it"
OURS = "it is a process of sockmon: q ends sockmon, and a pending change is kept or rolled back with its keys"
KERNEL_THREAD = "it is a thread of the kernel, which takes no signals"
OTHER_USER_NAMESPACE = "it is outside of this private user namespace"


def prepare(action: SignalProcess, session: OwnSession, proc: int) -> Prepared:
    """Return what the signal would do; raise ReadError if the process has ended."""
    pid, start, name = action.pid, action.start, action.signal
    stat = read_process(pid, start, proc)
    label = f"{stat.name}[{pid}]"
    refused = _refusal(action, stat, session, proc)
    carries = pid in session.pids
    word = DISCONNECT_WORD if carries else KILL_WORD if name == "KILL" else SIGNAL_WORD
    command, user = _describe(pid, stat, proc)
    shown = PreparedAction(
        action=action,
        title=f"Send {name} to {label}",
        count=1,
        rows=(command,),
        facts=(f"process {label} of user {user}, state {stat.state}",),
        effects=(_EFFECTS[name],),
        warnings=_warnings(action, stat, carries, proc),
        left_out=(),
        commands=(f"kill -{name} {pid}",),
        refused=refused,
        word="" if refused else word,
    )

    def carry_out(proc: int) -> Outcome:
        if again := _refusal(action, read_process(pid, start, proc), OwnSession(proc), proc):
            raise ReadError("processes", again)
        send(pid, start, name, proc)
        return Outcome(1)

    return Prepared(shown, f"{label} with {name}", netns_inode(), carry_out)


def _refusal(action: SignalProcess, stat: Stat, session: OwnSession, proc: int) -> str:
    """Return why the process must not, or may not, be signalled; empty if it may."""
    if action.pid == 1:
        return PID_1
    if stat.kernel_thread:
        return KERNEL_THREAD
    if session.is_ours(action.pid, stat.name):
        return OURS
    if in_user_namespace() and not _same_user_namespace(action.pid, proc):
        # Root of a lab may have the user id of the host's root, whose processes kill(2) would allow it to signal.
        return OTHER_USER_NAMESPACE
    try:
        os.kill(action.pid, 0)
    except PermissionError:
        return "it belongs to another user: signals to it need root"
    except ProcessLookupError:
        return "it has ended"
    return ""


def _same_user_namespace(pid: int, proc: int) -> bool:
    with suppress(OSError):
        return os.stat(f"{pid}/ns/user", dir_fd=proc).st_ino == os.stat("/proc/self/ns/user").st_ino
    return False


def _describe(pid: int, stat: Stat, proc: int) -> tuple[str, str]:
    """Return the name of the program and the user, without a read that can hang (cmdline waits for mmap_lock)."""
    user = "unknown"
    with suppress(OSError, ValueError):
        user = Users().name(proc_files.parse_status(proc_files.read(f"{pid}/status", proc, 8192)).uid)
    cgroup = ""
    with suppress(OSError):
        cgroup = proc_files.main_cgroup(proc_files.parse_cgroup_paths(proc_files.read(f"{pid}/cgroup", proc)))
    return f"{stat.name}  pid {pid}  {stat.threads} threads  {cgroup}".rstrip(), user


def _warnings(action: SignalProcess, stat: Stat, carries: bool, proc: int) -> tuple[str, ...]:
    found: list[str] = []
    if carries:
        found.append("This process carries the terminal that you are typing on: you may be logged out.")
    if stat.state == "D":
        found.append("It waits in the kernel (state D): the signal takes effect when that wait ends, KILL too.")
    if stat.state in "Tt" and action.signal not in ("CONT", "KILL"):
        found.append("It is stopped: the signal takes effect after CONT.")
    with suppress(OSError, ValueError, KeyError):
        found += _mask_warnings(action.signal, read_masks(action.pid, proc))
    return tuple(found)


def _mask_warnings(name: Signal, masks: SignalMasks) -> list[str]:
    """Return what is unusual about how the process takes the signal."""
    if name in _NEVER_HANDLED:
        return []
    found: list[str] = []
    caught = masks.has(masks.caught, name)
    if masks.has(masks.ignored, name) and name != "CONT":
        found.append(f"It ignores {name}: nothing will happen.")
    elif masks.innermost_pid == 1 and not caught and name != "CONT":
        found.append(f"It is pid 1 of its container and has no handler for {name}: the kernel drops it.")
    elif name in _ENDS_WITHOUT_HANDLER and not caught and name not in ("TERM", "INT"):
        found.append(f"It has no handler for {name}: the signal ends it.")
    if masks.has(masks.blocked, name):
        found.append(f"It blocks {name} at the moment: the signal waits.")
    return found
