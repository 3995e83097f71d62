"""The machine: its name and kernel, its open files and its tasks."""

from __future__ import annotations

import os
from contextlib import suppress

from sockmon.errors import ReadError
from sockmon.format import plural
from sockmon.kernel import sysctl
from sockmon.kernel.identity import boot_id
from sockmon.kernel.integers import is_count
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.processes.passwd import Users
from sockmon.model.snapshot import Files, Host, Tasks
from sockmon.text import sanitize

INITIAL_PID_NAMESPACE = 0xEFFFFFFC
"""PROC_PID_INIT_INO, include/linux/proc_ns.h."""
RESERVED_PIDS = 300
"""Ids below this are used once, while the machine starts: RESERVED_PIDS, kernel/pid.c."""


def read_host(users: Users) -> Host:
    """Return name, kernel and user; nothing of it changes while the agent runs, except that `users` may learn our
    name."""
    system = os.uname()
    uid = os.geteuid()
    return Host(
        name=sanitize(system.nodename),
        kernel=sanitize(system.release),
        boot_id=_boot_id(),
        cpus=os.cpu_count() or 1,
        page_size=os.sysconf("SC_PAGE_SIZE"),
        user=users.name(uid),
        uid=uid,
    )


def read_files(handle: NetnsHandle) -> Files:
    """Return the open files of the host, from fs.file-nr, fs.file-max and fs.nr_open; the handle is one of
    `open_current`. Raise ReadError."""
    # The middle field of file-nr is always 0 (fs/file_table.c); the last one repeats file-max.
    allocated, _, _ = _numbers(handle, "fs.file-nr", 3)
    (maximum,) = _numbers(handle, "fs.file-max", 1)
    (nr_open,) = _numbers(handle, "fs.nr_open", 1)
    return Files(allocated, maximum, nr_open)


def read_tasks(handle: NetnsHandle, seen: int = 0) -> Tasks:
    """Return the tasks of the host, which /proc/loadavg counts in a container too; the handle is one of
    `open_current`. Raise ReadError.

    `seen` is the number of tasks in our own pid namespace: in another than the initial one it decides whether so
    few ids are free that those below RESERVED_PIDS are counted."""
    (pid_max,) = _numbers(handle, "kernel.pid_max", 1)
    (threads_max,) = _numbers(handle, "kernel.threads-max", 1)
    load = handle.read("loadavg")
    total, last, namespace = parse_loadavg(load), parse_last_pid(load), _pid_namespace()
    initial = namespace in (0, INITIAL_PID_NAMESPACE)
    # Until the first id above them is used, those below RESERVED_PIDS are used again.
    scarce = (total if initial else seen) + RESERVED_PIDS > pid_max // 2 and (last or 0) >= RESERVED_PIDS
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
    """Return the number of ids below RESERVED_PIDS that a task has. getpgid(2) knows ids of threads and needs no
    permission, also if /proc is mounted with hidepid; it does not find an id that is only that of a group or
    session."""
    found = 0
    for number in range(1, RESERVED_PIDS):
        try:
            os.getpgid(number)
        except ProcessLookupError:
            continue
        except PermissionError:
            pass
        found += 1
    return found


def parse_loadavg(text: bytes) -> int:
    """Return the number of all tasks: `0.00 0.01 0.05 1/123 4567` is 123 (fs/proc/loadavg.c); raise ReadError."""
    fields = text.split()
    running, slash, total = fields[3].partition(b"/") if len(fields) == 5 else (b"", b"", b"")
    if not slash or not is_count(running) or not is_count(total):
        raise ReadError("/proc/loadavg", "expected five fields, the fourth of them running/total")
    return int(total)


def parse_last_pid(text: bytes) -> int | None:
    """Return the last id that was assigned in our pid namespace, the fifth field; None if it is malformed."""
    fields = text.split()
    return int(fields[4]) if len(fields) == 5 and is_count(fields[4]) else None


def _numbers(handle: NetnsHandle, key: str, count: int) -> list[int]:
    fields = sysctl.read(handle, key).split()
    if len(fields) != count or not all(map(is_count, fields)):
        raise ReadError(key, f"expected {plural(count, 'number')}, got {len(fields)} fields")
    return [int(field) for field in fields]


def _boot_id() -> str:
    """Return the id of this boot, empty if it is hidden; two recordings with the same one share a clock."""
    with suppress(OSError):
        return sanitize(boot_id())
    return ""
