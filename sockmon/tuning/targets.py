"""What can be written: a sysctl, or a limit of a live process. Opened before anything is touched, and kept open,
so that putting a value back needs no free descriptor and no fork.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
from typing import Protocol

from sockmon.errors import NotTuned
from sockmon.kernel import sysctl
from sockmon.model.change import Setting
from sockmon.model.clean import clean
from sockmon.tunables import BY_KEY

_KEY = re.compile(r"[a-z0-9_]+(\.[A-Za-z0-9_-]+)+")
_VALUE = re.compile(r"[0-9A-Za-z ,.:_-]*")
_LIMIT = re.compile(r"([0-9]{1,18}|unlimited):([0-9]{1,18}|unlimited)")
_LIMITS = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
_PORT_LISTS = frozenset({"net.ipv4.ip_local_reserved_ports"})
_LONG = 512 * 1024
_PROC_SUPER_MAGIC = 0x9FA0
_ST_RDONLY = 1
_CAP_SYS_RESOURCE = 24

_libc = ctypes.CDLL(None, use_errno=True)


class Target(Protocol):
    """One thing with a value."""

    def read(self) -> str:
        """The value now, in the form that a Setting has it; OSError where it cannot be read."""

    def write(self, value: str) -> None:
        """Set it; OSError where the kernel refuses it or takes only a part."""

    def same(self, one: str, other: str) -> bool:
        """Whether two values mean the same."""

    def close(self) -> None:
        """Let go of it."""


def open_target(setting: Setting) -> Target:
    """The target of `setting`; NotTuned where it is none of ours, FileNotFoundError where it is gone, OSError."""
    require_sound(setting)
    return ProcessLimit(setting) if setting.pid else Sysctl(setting.key)


def require_sound(setting: Setting) -> None:
    """NotTuned unless key and values are of the kind that the guard writes: a known tunable, harmless bytes."""
    key, shape = clean(setting.key, 80), _LIMIT if setting.pid else _VALUE
    if setting.pid:
        if setting.key not in _LIMITS:
            raise NotTuned(f"{key} is no limit of a process that sockmon sets")
    elif not _KEY.fullmatch(setting.key) or setting.key not in BY_KEY or not BY_KEY[setting.key].writable:
        raise NotTuned(f"{key} is no sysctl that sockmon sets")
    for name, value in (("old", setting.old), ("new", setting.new)):
        if len(value) >= _LONG or not shape.fullmatch(value):
            raise NotTuned(f"{key}: the {name} value holds what no such value can hold")


class Sysctl:
    """A file under /proc/sys, as the namespaces of this process have it."""

    def __init__(self, key: str) -> None:
        self.key = key
        self._file = os.open(f"/proc/{sysctl.path(key)}", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self._require_proc()
        except BaseException:
            self.close()
            raise

    def _require_proc(self) -> None:
        """A file that was mounted over the kernel's own would take anything, and change nothing."""
        room = (ctypes.c_long * 32)()
        if _libc.fstatfs(self._file, ctypes.byref(room)) or room[0] != _PROC_SUPER_MAGIC:
            raise NotTuned(f"{self.key}: what is at /proc/{sysctl.path(self.key)} is not the kernel's")
        if os.fstatvfs(self._file).f_flag & _ST_RDONLY:
            raise NotTuned(f"{self.key}: /proc/sys is mounted read-only here", "change it on the host")

    def read(self) -> str:
        # A bitmap yields what fits the first read, and nothing to a second one.
        return " ".join(os.pread(self._file, _LONG, 0).decode("ascii", "replace").split())

    def write(self, value: str) -> None:
        # An empty value is written as a line feed: writing nothing does nothing.
        data, done = value.encode("ascii") + b"\n", 0
        while done < len(data):
            taken = os.pwrite(self._file, data[done:], done)
            done += taken
            # Only a list of ports is taken piece by piece; the kernel adds the later ones to the first.
            if done < len(data) and (taken <= 0 or self.key not in _PORT_LISTS):
                raise OSError(22, f"only {done} of {len(data)} bytes were taken")

    def same(self, one: str, other: str) -> bool:
        if self.key in _PORT_LISTS:
            return _ports(one) == _ports(other)
        return one.split() == other.split()

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _ports(text: str) -> list[tuple[int, int]]:
    """`1-3,4,9` → [(1, 4), (9, 9)]: the same list, however it is written; what is no list equals only itself."""
    found: list[tuple[int, int]] = []
    pairs = [part.partition("-") for part in re.split(r"[ ,]+", text) if part]
    if not all(first.isdigit() and (last.isdigit() or not dash) for first, dash, last in pairs):
        return [(-1, hash(text))]
    for low, high in sorted((int(first), int(last or first)) for first, _, last in pairs):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return found


class ProcessLimit:
    """A limit of the process that has this pid and began at this time: prlimit(2).

    FileNotFoundError where that process has ended. The number could only be used again between our look at the
    start time and the call; the kernel has no prlimit by pidfd."""

    def __init__(self, setting: Setting) -> None:
        self.key, self._pid, self._start = setting.key, setting.pid, setting.start
        self._stat = os.open(f"/proc/{self._pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._require_alive()
        except BaseException:
            self.close()
            raise

    def _require_alive(self) -> None:
        try:
            fields = os.pread(self._stat, 4096, 0).rpartition(b")")[2].split()
        except ProcessLookupError:
            fields = []
        # proc_pid_stat(5): starttime is field 22, the state field 3.
        if len(fields) < 20 or int(fields[19]) != self._start or fields[0] in (b"Z", b"X"):
            raise FileNotFoundError(2, f"process {self._pid} has ended")

    def read(self) -> str:
        self._require_alive()
        found = resource.prlimit(self._pid, _LIMITS[self.key])
        return ":".join("unlimited" if one == resource.RLIM_INFINITY else str(one) for one in found)

    def write(self, value: str) -> None:
        self._require_alive()
        try:
            resource.prlimit(self._pid, _LIMITS[self.key], _numbers(value))
        except ValueError as error:
            raise OSError(22, "a soft limit above the hard one") from error

    def same(self, one: str, other: str) -> bool:
        return one == other

    def close(self) -> None:
        if self._stat >= 0:
            os.close(self._stat)
            self._stat = -1


def has_ended(setting: Setting) -> bool:
    """Whether it is a limit of a process that is no more."""
    if not setting.pid:
        return False
    try:
        ProcessLimit(setting).close()
    except FileNotFoundError:
        return True
    return False


def by_hand(setting: Setting) -> str:
    """The command with which a person puts the old value back."""
    if setting.pid:
        return f"prlimit --pid {setting.pid} --{setting.key}={setting.old}"
    return f"sysctl -w '{setting.key}={setting.old}'"


def require_way_back(setting: Setting) -> None:
    """NotTuned where the old limit could not be set again: who may lower a hard limit may not raise it."""
    if setting.pid and not _may_raise():
        old, new = (_numbers(value)[1] for value in (setting.old, setting.new))
        if new >= 0 and (old < 0 or new < old):
            raise NotTuned(
                f"{setting.name}: a lower hard limit could not be raised again", "it takes CAP_SYS_RESOURCE"
            )


def _numbers(value: str) -> tuple[int, int]:
    soft, _, hard = value.partition(":")
    return _number(soft), _number(hard)


def _number(limit: str) -> int:
    return resource.RLIM_INFINITY if limit == "unlimited" else int(limit)


def _may_raise() -> bool:
    with open("/proc/thread-self/status", "rb") as file:
        line = next(line for line in file if line.startswith(b"CapEff:"))
    return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)
