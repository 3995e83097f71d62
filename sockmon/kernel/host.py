"""The machine itself: its name and kernel, its open files and its tasks."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from typing import TYPE_CHECKING

from sockmon.errors import Unreadable
from sockmon.kernel import sysctl
from sockmon.model.clean import clean
from sockmon.model.snapshot import Files, Host, Tasks

if TYPE_CHECKING:
    from sockmon.kernel.netns import Door

INITIAL_PID_NAMESPACE = 0xEFFFFFFC
"""PROC_PID_INIT_INO, include/linux/proc_ns.h."""
RESERVED = 300
"""Ids below are given out once, while the machine starts: RESERVED_PIDS, kernel/pid.c."""


def host() -> Host:
    """Who and where we are; nothing of it changes while the agent runs, so it is asked once."""
    system = os.uname()
    uid = os.geteuid()
    return Host(
        name=clean(system.nodename),
        kernel=clean(system.release),
        boot_id=_boot_id(),
        cpus=os.cpu_count() or 1,
        page_size=os.sysconf("SC_PAGE_SIZE"),
        user=_user(uid),
        uid=uid,
    )


def files(door: Door) -> Files:
    """Open files of the host, from fs.file-nr, fs.file-max and fs.nr_open; the door is one of `open_here`."""
    # The middle field of file-nr is always 0 (fs/file_table.c); the last one repeats file-max.
    allocated, _, _ = _numbers(door, "fs.file-nr", 3)
    (maximum,) = _numbers(door, "fs.file-max", 1)
    (nr_open,) = _numbers(door, "fs.nr_open", 1)
    return Files(allocated, maximum, nr_open)


def tasks(door: Door, seen: int = 0) -> Tasks:
    """Tasks of the host, which /proc/loadavg counts in a container too; the door is one of `open_here`.

    `seen` is how many tasks our own pid namespace shows: it decides there whether ids are short enough to look
    for those that are lost."""
    (pid_max,) = _numbers(door, "kernel.pid_max", 1)
    (threads_max,) = _numbers(door, "kernel.threads-max", 1)
    load = door.read("loadavg")
    total, last, namespace = parse_loadavg(load), parse_last_pid(load), _pid_namespace()
    initial = namespace in (0, INITIAL_PID_NAMESPACE)
    # Until the first id beyond them is given out, those below RESERVED come back.
    scarce = (total if initial else seen) + RESERVED > pid_max // 2 and (last or 0) >= RESERVED
    return Tasks(
        total=total,
        pid_max=pid_max,
        threads_max=threads_max,
        initial=initial,
        namespace=namespace,
        last_pid=last,
        low=_low_ids() if scarce else None,
    )


def _pid_namespace() -> int:
    with suppress(OSError):
        return os.stat("/proc/self/ns/pid").st_ino
    return 0


def _low_ids() -> int:
    """Ids below RESERVED that a task has. getpgid(2) knows ids of threads, and asks for no right at all, where
    /proc may be mounted with hidepid; one that is left only as the name of a group or session is not found."""
    found = 0
    for number in range(1, RESERVED):
        try:
            os.getpgid(number)
        except ProcessLookupError:
            continue
        except PermissionError:
            pass
        found += 1
    return found


def parse_loadavg(text: bytes) -> int:
    """All tasks: `0.00 0.01 0.05 1/123 4567` is 123 (fs/proc/loadavg.c)."""
    fields = text.split()
    running, slash, total = fields[3].partition(b"/") if len(fields) == 5 else (b"", b"", b"")
    if not slash or not running.isdigit() or not total.isdigit():
        raise Unreadable("/proc/loadavg", "is not five fields with running/total as the fourth")
    return int(total)


def parse_last_pid(text: bytes) -> int | None:
    """The id that was given out last in our pid namespace: the fifth field."""
    fields = text.split()
    return int(fields[4]) if len(fields) == 5 and fields[4].isdigit() else None


def _numbers(door: Door, key: str, count: int) -> list[int]:
    fields = sysctl.read(door, key).split()
    if len(fields) != count or not all(map(str.isdecimal, fields)):
        raise Unreadable(key, f"is not {count} {'number' if count == 1 else 'numbers'}")
    return [int(field) for field in fields]


def _boot_id() -> str:
    """The id of this boot, or nothing where it is hidden; two recordings with the same one share a clock."""
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id", "rb") as file:
        return clean(file.read(64).strip())
    return ""


def _user(uid: int) -> str:
    try:
        return clean(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return str(uid)
