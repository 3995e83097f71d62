"""What a guard can write: a sysctl, or a limit of a live process. A target is opened before anything is touched
and stays open, so that a rollback needs no free descriptor and no fork."""

from __future__ import annotations

import ctypes
import os
import re
import resource
from contextlib import suppress
from typing import Protocol

from sockmon.errors import TuningError
from sockmon.kernel import sysctl
from sockmon.kernel.cgroups.limits import CGROUP_KEYS, is_path
from sockmon.kernel.processes.proc_files import start_of_living
from sockmon.model.plan import NetnsTarget, Setting, netns_prefix
from sockmon.port_lists import parse_ranges
from sockmon.text import sanitize
from sockmon.tunables import BY_KEY
from sockmon.tuning.transaction.cgroup_target import CgroupTarget, cgroup_command

_KEY = re.compile(r"[a-z0-9_]+(\.[A-Za-z0-9_-]+)+")
_VALUE = re.compile(r"[0-9A-Za-z ,.:_-]*")
_LIMIT_PAIR = re.compile(r"([0-9]{1,18}|unlimited):([0-9]{1,18}|unlimited)")
_CGROUP_VALUE = re.compile(r"max|[0-9]{1,18}")
_LIMITS = {"nofile": resource.RLIMIT_NOFILE, "nproc": resource.RLIMIT_NPROC}
_PORT_LISTS = frozenset({"net.ipv4.ip_local_reserved_ports"})
_MAX_VALUE_BYTES = 512 * 1024
_PROC_SUPER_MAGIC = 0x9FA0
_ST_RDONLY = 1
_CAP_SYS_RESOURCE = 24

_libc = ctypes.CDLL(None, use_errno=True)


class Target(Protocol):
    """A setting that can be read and written."""

    def read(self) -> str:
        """Return the value in the form of a Setting; raise OSError if it cannot be read."""

    def write(self, value: str) -> None:
        """Write the value; raise OSError if the kernel rejects it or accepts only a part."""

    def equal(self, one: str, other: str) -> bool:
        """Return whether two values mean the same."""

    def close(self) -> None:
        """Close it."""


def open_target(setting: Setting) -> Target:
    """Return the target of `setting`; raise TuningError if it is not allowed, FileNotFoundError if it is gone,
    OSError."""
    validate_setting(setting)
    if setting.cgroup:
        return CgroupTarget(setting)
    return ProcessLimit(setting) if setting.pid else Sysctl(setting.key)


def validate_setting(setting: Setting) -> None:
    """Raise TuningError unless the key is a known tunable and the values have only harmless characters."""
    key, shape = sanitize(setting.key, 80), _VALUE
    if setting.cgroup:
        shape = _CGROUP_VALUE
        if setting.key not in CGROUP_KEYS or setting.pid or not is_path(setting.cgroup):
            raise TuningError(f"{key}: not a limit of a cgroup that sockmon can change")
    elif setting.pid:
        shape = _LIMIT_PAIR
        if setting.key not in _LIMITS:
            raise TuningError(f"{key}: not a process limit that sockmon can change")
    elif not _is_writable_sysctl(setting.key):
        raise TuningError(f"{key}: not a sysctl that sockmon can change")
    for name, value in (("old", setting.old), ("new", setting.new)):
        if len(value) >= _MAX_VALUE_BYTES or not shape.fullmatch(value):
            raise TuningError(f"{key}: the {name} value is too long, or has characters that are not allowed")


def _is_writable_sysctl(key: str) -> bool:
    row = BY_KEY.get(key) if _KEY.fullmatch(key) else None
    return row is not None and row.writable and row.kind != "cgroup limit"


class Sysctl:
    """A file below /proc/sys, in the namespaces of this process."""

    def __init__(self, key: str) -> None:
        self.key = key
        self._file = os.open(f"/proc/{sysctl.path(key)}", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self._require_proc()
        except BaseException:
            self.close()
            raise

    def _require_proc(self) -> None:
        """Raise TuningError if another file is mounted over the kernel's: it would accept any value, and change
        nothing."""
        statfs = (ctypes.c_long * 32)()
        if _libc.fstatfs(self._file, ctypes.byref(statfs)) or statfs[0] != _PROC_SUPER_MAGIC:
            raise TuningError(f"{self.key}: another file is mounted over /proc/{sysctl.path(self.key)}")
        if os.fstatvfs(self._file).f_flag & _ST_RDONLY:
            raise TuningError(f"{self.key}: /proc/sys is mounted read-only here", "change it on the host")

    def read(self) -> str:
        # The kernel prints a bitmap into the first read only.
        return " ".join(os.pread(self._file, _MAX_VALUE_BYTES, 0).decode("ascii", "replace").split())

    def write(self, value: str) -> None:
        # An empty value is written as a line feed: writing nothing does nothing.
        data, done = value.encode("ascii") + b"\n", 0
        while done < len(data):
            taken = os.pwrite(self._file, data[done:], done)
            done += taken
            # Only a list of ports may be written in pieces: the kernel adds each piece to the list.
            if done < len(data) and (taken <= 0 or self.key not in _PORT_LISTS):
                raise OSError(22, f"only {done} of {len(data)} bytes were accepted")

    def equal(self, one: str, other: str) -> bool:
        if self.key in _PORT_LISTS:
            with suppress(ValueError):  # what is not a list equals only itself
                return parse_ranges(one) == parse_ranges(other)
        return one.split() == other.split()

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class ProcessLimit:
    """A limit of the process with this pid and this start time, by prlimit(2).

    Raise FileNotFoundError if that process has ended. The kernel has no prlimit by pidfd: the pid could be reused
    between the check of the start time and the call."""

    def __init__(self, setting: Setting) -> None:
        self.key, self._pid, self._start = setting.key, setting.pid, setting.start
        self._stat = os.open(f"/proc/{self._pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._require_alive()
        except BaseException:
            self.close()
            raise

    def _require_alive(self) -> None:
        start = None
        with suppress(ProcessLookupError):
            start = start_of_living(os.pread(self._stat, 4096, 0))
        if start != self._start:
            raise FileNotFoundError(2, f"process {self._pid} has ended")

    def read(self) -> str:
        self._require_alive()
        found = resource.prlimit(self._pid, _LIMITS[self.key])
        return ":".join("unlimited" if one == resource.RLIM_INFINITY else str(one) for one in found)

    def write(self, value: str) -> None:
        self._require_alive()
        try:
            resource.prlimit(self._pid, _LIMITS[self.key], _parse_limits(value))
        except ValueError as error:
            raise OSError(22, "the soft limit is above the hard limit") from error

    def equal(self, one: str, other: str) -> bool:
        return one == other

    def close(self) -> None:
        if self._stat >= 0:
            os.close(self._stat)
            self._stat = -1


def has_ended(setting: Setting) -> bool:
    """Return whether it is a limit of a process that has ended, or of a cgroup that was removed."""
    if setting.is_sysctl:
        return False
    try:
        open_target(setting).close()
    except FileNotFoundError:
        return True
    except (OSError, TuningError):
        return False
    return False


def rollback_command(setting: Setting, target: NetnsTarget | None = None) -> str:
    """Return the command that restores the old value by hand, in the network namespace of the plan."""
    if setting.cgroup:
        return cgroup_command(setting.key, setting.cgroup, setting.old)
    if setting.pid:
        return f"prlimit --pid {setting.pid} --{setting.key}={setting.old}"
    prefix = netns_prefix(target.entry) if target else ""
    return f"{prefix}sysctl -w '{setting.key}={setting.old}'"


def require_reversible(setting: Setting) -> None:
    """Raise TuningError if the old limit could not be set again: lowering a hard limit needs less privilege than
    raising it."""
    if setting.pid and not _can_raise_limits():
        old, new = (_parse_limits(value)[1] for value in (setting.old, setting.new))
        if new >= 0 and (old < 0 or new < old):
            raise TuningError(
                f"{setting.name}: a rollback could not raise the hard limit again", "needs CAP_SYS_RESOURCE"
            )


def _parse_limits(value: str) -> tuple[int, int]:
    soft, _, hard = value.partition(":")
    return _parse_limit(soft), _parse_limit(hard)


def _parse_limit(limit: str) -> int:
    return resource.RLIM_INFINITY if limit == "unlimited" else int(limit)


def _can_raise_limits() -> bool:
    with open("/proc/thread-self/status", "rb") as file:
        line = next(line for line in file if line.startswith(b"CapEff:"))
    return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)


def open_or_explain(setting: Setting) -> Target:
    """Open the target of `setting`; raise TuningError with the reason if that fails."""
    try:
        return open_target(setting)
    except OSError as error:
        hint = "changes need root" if isinstance(error, PermissionError) else ""
        raise TuningError(f"{setting.name}: {error.strerror}", hint) from error


def require_unchanged(target: Target, setting: Setting, undoes: str) -> None:
    """Raise TuningError unless the target has the old value; `undoes`: the change that the plan undoes."""
    try:
        now = target.read()
    except OSError as error:
        raise TuningError(f"{setting.name} cannot be read: {error.strerror}") from error
    if target.equal(now, setting.old):
        return
    now, old = now or "empty", setting.old or "empty"
    if undoes:
        hint = "it was changed since: set the value that you want with sockmon tune apply"
        raise TuningError(f"{setting.name}: it is {now} now, but change {undoes} set {old}", hint)
    raise TuningError(f"{setting.name}: it is {now} now, but was {old} when the plan was made", "plan it again")
