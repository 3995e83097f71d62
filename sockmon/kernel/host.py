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


def tasks(door: Door) -> Tasks:
    """Tasks of the host, which /proc/loadavg counts in a container too; the door is one of `open_here`."""
    (pid_max,) = _numbers(door, "kernel.pid_max", 1)
    (threads_max,) = _numbers(door, "kernel.threads-max", 1)
    return Tasks(parse_loadavg(door.read("loadavg")), pid_max, threads_max)


def parse_loadavg(text: bytes) -> int:
    """All tasks: `0.00 0.01 0.05 1/123 4567` is 123 (fs/proc/loadavg.c)."""
    fields = text.split()
    running, slash, total = fields[3].partition(b"/") if len(fields) == 5 else (b"", b"", b"")
    if not slash or not running.isdigit() or not total.isdigit():
        raise Unreadable("/proc/loadavg", "is not five fields with running/total as the fourth")
    return int(total)


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
