"""The network namespace that a plan changes, if it is not our own: opened, entered, never taken for another one.

The kernel gives each namespace a cookie (SO_NETNS_COOKIE, Linux 5.14) that no other one gets before the next boot,
but the inode of one that has ended is used again. Nothing here keeps a namespace alive: the files of /proc/sys do
not, and read as missing when it has ended.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sockmon.errors import ReadError, TuningError
from sockmon.kernel.identity import netns_cookie, netns_inode
from sockmon.kernel.namespaces.discovery import FoundNetns, find_namespaces
from sockmon.kernel.namespaces.lookup import ProcessStart, visible_processes
from sockmon.kernel.netlink import run
from sockmon.kernel.processes import proc_files
from sockmon.kernel.setns import visiting
from sockmon.model.plan import NetnsTarget, Plan
from sockmon.tunables import BY_KEY

MAX_TRIED = 8
"""Processes of a namespace by which it is tried to open."""


class NetnsEnded(TuningError):
    """The network namespace of a plan has ended, and with it every value that the plan could have changed."""


def is_of_namespace(key: str) -> bool:
    """Return whether each network namespace has its own value of a sysctl."""
    return key in BY_KEY and BY_KEY[key].scope == "netns"


def validate_target(plan: Plan) -> None:
    """Raise TuningError unless all settings of a plan for another network namespace belong to that namespace."""
    target = plan.target
    if target is None or plan.forgets or target.inode != plan.netns:
        raise TuningError("not a valid plan for another network namespace")
    for setting in plan.settings:
        if setting.is_sysctl and not is_of_namespace(setting.key):
            raise TuningError(f"{setting.key}: the whole host has one value, not network namespace {target.name}")


@contextmanager
def inside(plan: Plan) -> Iterator[None]:
    """Be in the network namespace of `plan`; do nothing if that is ours. Raise NetnsEnded, or TuningError if it
    may not be entered."""
    if plan.target is None or plan.target.inode == netns_inode():
        yield
        return
    descriptor = open_netns_of(plan.target)
    try:
        with visiting(descriptor):
            if plan.target.cookie and netns_cookie() not in (0, plan.target.cookie):
                raise ended(plan.target)
            yield
    except PermissionError as error:
        raise TuningError(f"network namespace {plan.target.name} may not be entered: {error.strerror}") from error
    finally:
        os.close(descriptor)


def open_netns_of(target: NetnsTarget) -> int:
    """Return a descriptor of the namespace: by its entry, else by what else has the inode. The cookie is not
    compared. Raise NetnsEnded, or TuningError if it may not be opened."""
    proc = proc_files.open_proc()
    try:
        for path in _paths(target, proc):
            with suppress(FileNotFoundError, ProcessLookupError, NotADirectoryError):
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=proc)
                if os.fstat(descriptor).st_ino == target.inode:
                    return descriptor
                os.close(descriptor)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM):
            raise
        raise TuningError(f"network namespace {target.name} cannot be opened: {error.strerror}") from error
    except ReadError as error:
        raise TuningError(f"network namespace {target.name} was not found: {error.message}") from error
    finally:
        os.close(proc)
    raise ended(target)


def _paths(target: NetnsTarget, proc: int) -> Iterator[str]:
    entry = target.entry
    if entry:
        yield entry if "/" in entry else f"{entry}/ns/net" if entry.isdecimal() else f"/run/netns/{entry}"
    every: list[FoundNetns[ProcessStart]] = run(find_namespaces(visible_processes(proc), proc))
    for found in every:
        if found.inode == target.inode:
            yield from found.mounts
            yield from (f"{row.pid}/ns/net" for row in found.processes[:MAX_TRIED])


def ended(target: NetnsTarget) -> NetnsEnded:
    """Return the error about a namespace that has ended before a change."""
    return NetnsEnded(f"network namespace {target.name} has ended", "plan it again")


def ended_message(target: NetnsTarget) -> str:
    """Return the sentence about a namespace that has ended during a change."""
    return f"network namespace {target.name} has ended: nothing to roll back"
