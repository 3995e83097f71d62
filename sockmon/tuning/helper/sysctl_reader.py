"""The current values of sysctls and process limits, and which of them may be changed here (/proc/sys,
/proc/PID/limits)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import replace

import msgspec

from sockmon.errors import NotPresent, ReadError
from sockmon.kernel import sysctl
from sockmon.kernel.cgroups.limits import CGROUP_KEYS, read_limit
from sockmon.kernel.identity import boot_id, netns_inode
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.netns import open_netns
from sockmon.kernel.processes import proc_files, rlimits
from sockmon.kernel.setns import OpenedFiles
from sockmon.model.cgroup_limit import CgroupLimit
from sockmon.model.current_settings import CurrentSettings
from sockmon.model.plan import NetnsTarget
from sockmon.model.snapshot import UNLIMITED
from sockmon.tuning.planning.context import PORT_RANGE, RESERVED_PORTS, UNPRIVILEGED_START
from sockmon.tuning.transaction.host_only import host_only_reason
from sockmon.tuning.transaction.plan_netns import ended, open_netns_of

ALWAYS_READ = (PORT_RANGE, RESERVED_PORTS, UNPRIVILEGED_START)
"""Read in any case, because they decide how many ports there are."""
_LIMIT_KEY = re.compile(r"(nofile|nproc)@([0-9]{1,10})")
_CGROUP_KEY = re.compile(rf"({'|'.join(map(re.escape, CGROUP_KEYS))})@(/.{{0,4095}})")
_PROC_LIMITS_ROWS = {"nofile": "Max open files", "nproc": "Max processes"}
_ANY_WRITE_BIT = 0o222


class SysctlReader:
    """Reads values again and again from namespaces that it opens once, so that a read needs no free descriptor
    later."""

    def __init__(self, keys: Iterable[str], netns: str | None = None) -> None:
        """Open the network namespace `netns` (None: our own) for those of `keys` that a namespace has; the others
        are the host's. Raise NoSuchNamespace."""
        self._own = NetnsHandle("", OpenedFiles(netns_inode()), "/proc")
        wanted = [key for key in (*ALWAYS_READ, *keys) if not is_limit(key)]
        self._shown = open_netns(netns, tuple(map(sysctl.path, wanted))) if netns else self._own
        self._target = _target_of(self._shown) if self.other_namespace else None
        self._boot_id = ""
        with suppress(OSError):
            self._boot_id = boot_id()
        self._memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")

    @property
    def other_namespace(self) -> bool:
        """Whether `netns` is not the namespace that we are in: a guard has to enter it."""
        return self._shown.inode != self._own.inode

    def read(self, keys: Iterable[str]) -> CurrentSettings:
        """Return the values now; `refused` has the reason for each key that cannot be read, or not changed."""
        values: dict[str, str] = {}
        refused: dict[str, str] = {}
        starts: dict[str, int] = {}
        cgroups: dict[str, CgroupLimit] = {}
        for key in dict.fromkeys((*ALWAYS_READ, *keys)):
            try:
                if limit := _LIMIT_KEY.fullmatch(key):
                    values[key], starts[key] = _read_limit(limit[1], int(limit[2]))
                    continue
                if limit := _CGROUP_KEY.fullmatch(key):
                    values[key], starts[key], cgroups[key] = read_limit(limit[1], limit[2])
                    reason = _cgroup_read_only_reason(cgroups[key].file) or host_only_reason(limit[1])
                    refused.update({key: reason} if reason else {})
                    continue
                handle = self._shown if key.startswith("net.") else self._own
                values[key] = sysctl.read(handle, key)
                reason = _read_only_reason(handle, key) or host_only_reason(key)
            except NotPresent as error:
                reason = "not in this kernel, or not visible in this network namespace"
                reason = error.message if "@" in key else reason
            except ReadError as error:
                reason = error.message
            if reason:
                refused[key] = reason
        return CurrentSettings(
            values=values,
            refused=refused,
            start_times=starts,
            cgroups=cgroups,
            netns_inode=self._shown.inode,
            boot_id=self._boot_id,
            netns_spec=self._shown.entry,
            target=self._target,
            own_netns=self._own.inode,
            memory=self._memory,
        )

    def close(self) -> None:
        """Close the namespaces."""
        self._own.close()
        self._shown.close()


def read_in(target: NetnsTarget, keys: Iterable[str]) -> CurrentSettings:
    """Return the values of `keys` in a network namespace that was sampled; raise NetnsEnded, also if another one
    has its inode, or TuningError or NoSuchNamespace if it may not be entered."""
    wanted, descriptor = list(keys), open_netns_of(target)
    try:
        with closing(SysctlReader(wanted, f"/proc/self/fd/{descriptor}")) as reader:
            found = reader.read(wanted)
    finally:
        os.close(descriptor)
    cookie = found.target.cookie if found.target else 0
    if target.cookie and cookie not in (0, target.cookie):
        raise ended(target)
    entered = msgspec.structs.replace(target, cookie=cookie) if found.target else None
    return replace(found, target=entered, netns_spec=target.entry if entered else "")


def _target_of(handle: NetnsHandle) -> NetnsTarget:
    called = handle.called
    kind, runtime = (called.kind, called.runtime) if called else ("", "")
    # A guard opens it, in another directory.
    entry = os.path.abspath(handle.entry) if "/" in handle.entry else handle.entry
    return NetnsTarget(handle.inode, handle.name, entry, handle.cookie, kind, runtime)


def read_settings(keys: Iterable[str], netns: str | None = None) -> CurrentSettings:
    """Return the values of `keys` in the network namespace `netns` (None: our own), read once, without privilege.

    `nofile@1044` is a limit of process 1044. Raise NoSuchNamespace."""
    wanted = list(keys)
    with closing(SysctlReader(wanted, netns)) as reader:
        return reader.read(wanted)


def is_limit(key: str) -> bool:
    """Return whether `key` is a limit of a process or of a cgroup, as `nofile@1044` is."""
    return _LIMIT_KEY.fullmatch(key) is not None or _CGROUP_KEY.fullmatch(key) is not None


def _cgroup_read_only_reason(file: str) -> str:
    """Return the reason why not even root can write the limit of a cgroup here; empty if it can."""
    with suppress(OSError):
        if os.statvfs(file).f_flag & os.ST_RDONLY:
            return "the cgroups are mounted read-only, as in a container: change it on the host"
    return ""


def _read_only_reason(handle: NetnsHandle, key: str) -> str:
    """Return the reason why not even root can write `key` here; empty if it can."""
    if not handle.mode(sysctl.path(key)) & _ANY_WRITE_BIT:
        return "read-only in this network namespace" if key.startswith("net.") else "read-only"
    with suppress(OSError):
        if os.statvfs(f"/proc/{sysctl.path(key)}").f_flag & os.ST_RDONLY:
            return "/proc/sys is mounted read-only, as in a container"
    return ""


def _read_limit(name: str, pid: int) -> tuple[str, int]:
    """Return SOFT:HARD of a process, and its start time; raise ReadError if it has ended.

    The start time is read before and after: the limits could be those of a new process with the same pid."""
    before = _start(pid)
    row = next((row for row in rlimits.read(pid) if row.name == _PROC_LIMITS_ROWS[name]), None)
    if row is None or before is None or _start(pid) != before:
        raise ReadError("limits", f"process {pid} has ended")
    found = ("unlimited" if each == UNLIMITED else str(each) for each in (row.soft, row.hard))
    return ":".join(found), before


def _start(pid: int) -> int | None:
    with suppress(OSError), open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
        return proc_files.start_of_living(file.read(4096))
    return None
