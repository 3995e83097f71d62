"""The network namespace that `--netns` names: that of a container, pod, machine or unit, or a name of ip-netns(8).

A container is in the namespace of its oldest process, whichever program made that: containers of a pod share one.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from fnmatch import fnmatchcase
from functools import partial
from typing import NamedTuple

from sockmon.errors import NoSuchNamespace, ReadError
from sockmon.kernel.namespaces.cgroup_owner import CgroupOwner
from sockmon.kernel.namespaces.discovery import FoundNetns, find_namespaces
from sockmon.kernel.namespaces.names import NamespaceNames
from sockmon.kernel.namespaces.nsfs_mounts import given_name
from sockmon.kernel.namespaces.state_files import StateFiles
from sockmon.kernel.netlink import run
from sockmon.kernel.processes import proc_files
from sockmon.model.other_netns import HOST, NAMED, NetnsName
from sockmon.text import sanitize

MIN_ID_DIGITS = 12
"""Of a container's id, as runtimes print it; a shorter number is a pid."""
MAX_TRIED = 8
"""Processes of a namespace by which it is tried to open."""
_HEX = frozenset("0123456789abcdef")


class ProcessStart(NamedTuple):
    """A process: pid and start time in clock ticks since boot."""

    pid: int
    start: int


class _Match(NamedTuple):
    """A namespace with the name, and how to reach it: a mount, or a process with its owner."""

    found: FoundNetns[ProcessStart]
    called: NetnsName
    exact: bool
    path: str
    pid: int = 0
    owner: CgroupOwner | None = None


def is_id(word: str) -> bool:
    """Return whether a word is the beginning of a container's id, or all of it."""
    return len(word) >= MIN_ID_DIGITS and _HEX.issuperset(word)


def distinct_names(called: Mapping[int, NetnsName]) -> dict[int, str]:
    """Return the name of each; containers with the same name have the beginning of their id too, as in
    `web@0123456789ab`, which `open_named` takes."""
    counts = Counter(each.name for each in called.values())
    return {
        key: f"{each.name}@{each.container[:MIN_ID_DIGITS]}"
        if counts[each.name] > 1 and each.container
        else each.name
        for key, each in called.items()
    }


class OpenedNetns(NamedTuple):
    """A descriptor of a network namespace."""

    descriptor: int
    entry: str
    """What `ip netns exec` or `nsenter` takes for it: a name, a pid or a path."""
    called: NetnsName | None = None


def open_named(word: str, proc_root: str = proc_files.PROC, state_root: str = "") -> OpenedNetns | None:
    """Open the network namespace called `word`; return None if there is none.

    Raise NoSuchNamespace if several are called so, PermissionError if this user may not open it. The descriptor is
    of the namespace that had the name when it was opened, however fast pids and inodes are reused."""
    with suppress(ReadError):
        proc = proc_files.open_proc(proc_root)
        try:
            with closing(NamespaceNames(proc, StateFiles(state_root))) as names:
                return _open_one(word, _matches(word, names, proc), names, proc)
        finally:
            os.close(proc)
    return None


class Matching(NamedTuple):
    """A network namespace whose name matches, and what opens it; that raises OSError if it has ended meanwhile."""

    called: NetnsName
    open: Callable[[], OpenedNetns]


@contextmanager
def matching(pattern: str, proc_root: str = proc_files.PROC, state_root: str = "") -> Iterator[list[Matching]]:
    """Find the network namespaces whose name, or its last part, matches the shell `pattern`; raise ReadError.

    Each has one name here, that of its oldest process; one without a name matches nothing."""
    proc = proc_files.open_proc(proc_root)
    try:
        with closing(NamespaceNames(proc, StateFiles(state_root))) as names:
            every = run(find_namespaces(visible_processes(proc), proc))
            named = [(names.name(found).called, found) for found in every]
            fitting = [(called, found) for called, found in named if called and _fits(called, found, pattern)]
            fitting.sort(key=lambda pair: (pair[0].name, pair[1].inode))
            yield [Matching(called, partial(_open_any, found, called, names, proc)) for called, found in fitting]
    finally:
        os.close(proc)


def _fits(called: NetnsName, found: FoundNetns[ProcessStart], pattern: str) -> bool:
    given = (given_name(point) for point in found.mounts)
    every = (called.name, called.name.rpartition("/")[2], *given)
    return any(fnmatchcase(name, pattern) for name in every if name)


def _open_any(found: FoundNetns[ProcessStart], called: NetnsName, names: NamespaceNames, proc: int) -> OpenedNetns:
    """Open a namespace by a mount, or by the oldest of its processes that this user may read."""
    if found.mounts:
        return _open_match(_Match(found, called, True, found.mounts[0]), names, proc)
    refused = OSError(errno.ESRCH, os.strerror(errno.ESRCH))
    for row in sorted(found.processes, key=lambda row: (row.start, row.pid))[:MAX_TRIED]:
        try:
            return _open_match(_Match(found, called, True, "", row.pid), names, proc)
        except OSError as error:
            refused = error
    raise refused


def _open_match(match: _Match, names: NamespaceNames, proc: int) -> OpenedNetns:
    entry = given_name(match.path) or match.path or str(match.pid)
    return OpenedNetns(_open(match, names, proc), entry, match.called)


def _open_one(word: str, matches: list[_Match], names: NamespaceNames, proc: int) -> OpenedNetns | None:
    exact = [match for match in matches if match.exact]
    # Of those in one namespace the first: a mount, or the oldest process.
    by_inode = {match.found.inode or -match.found.proc_inode: match for match in reversed(exact or matches)}
    if len(by_inode) > 1:
        raise _ambiguous(word, list(by_inode.values()))
    for match in by_inode.values():
        with suppress(FileNotFoundError, ProcessLookupError):
            if match.called.kind == HOST:
                return _open_any(match.found, match.called, names, proc)
            return _open_match(match, names, proc)
    return None


def _matches(word: str, names: NamespaceNames, proc: int) -> list[_Match]:
    every = run(find_namespaces(visible_processes(proc), proc))
    matches = [
        _Match(found, NetnsName(NAMED, sanitize(word)), True, point)
        for found in every
        for point in found.mounts
        if given_name(point) == word
    ]
    first = ((found, row) for found in every for row in found.processes if row.pid == 1 and word == HOST)
    matches += [_Match(found, NetnsName(HOST, HOST), True, "", row.pid) for found, row in first]
    name, _, digits = word.rpartition("@")
    for owner, (row, found) in _oldest_of_owners(every, names).items():
        called = names.name_of(owner)
        distinct = called.name == name and is_id(digits) and owner.id.startswith(digits)
        if called.name == word or owner.pod == word or distinct:
            matches.append(_Match(found, called, True, "", row.pid, owner))
        elif called.name.rpartition("/")[2] == word or (is_id(word) and owner.id.startswith(word)):
            matches.append(_Match(found, called, False, "", row.pid, owner))
    return matches


def visible_processes(proc: int) -> Iterator[ProcessStart]:
    """Yield the visible processes below the descriptor of /proc, without kernel threads."""
    for name in os.listdir(f"/proc/self/fd/{proc}"):
        if name.isdecimal():
            with suppress(OSError, ValueError):
                stat = proc_files.parse_stat(proc_files.read(f"{name}/stat", proc))
                if not stat.kernel_thread:
                    yield ProcessStart(int(name), stat.start)


def _oldest_of_owners(
    every: list[FoundNetns[ProcessStart]], names: NamespaceNames
) -> dict[CgroupOwner, tuple[ProcessStart, FoundNetns[ProcessStart]]]:
    """Return the oldest process of each owner, and its namespace."""
    oldest: dict[CgroupOwner, tuple[ProcessStart, FoundNetns[ProcessStart]]] = {}
    rows = ((row.start, row.pid, row, found) for found in every for row in found.processes)
    for _, pid, row, found in sorted(rows, key=lambda entry: entry[:2]):
        if (owner := names.owner_in(pid, found)) is not None:
            oldest.setdefault(owner, (row, found))
    return oldest


def _open(match: _Match, names: NamespaceNames, proc: int) -> int:
    """Open a namespace, then make sure that it is the one that was found: while it is open it keeps its inode."""
    path = match.path or f"{match.pid}/ns/net"
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=proc)
    same = os.fstat(descriptor).st_ino == match.found.inode
    if same and (match.owner is None or names.owner_in(match.pid, match.found) == match.owner):
        return descriptor
    os.close(descriptor)
    raise ProcessLookupError


def _ambiguous(word: str, matches: list[_Match]) -> NoSuchNamespace:
    places = [f"{_label(match)}: --netns {match.path or match.pid}" for match in matches]
    return NoSuchNamespace(
        f"{sanitize(word)} is the name of several network namespaces", "; ".join(map(sanitize, sorted(places)))
    )


def _label(match: _Match) -> str:
    called = match.called
    digits = f" {called.container[:MIN_ID_DIGITS]}" if called.container else ""
    return f"{called.kind} {called.name}{f' of {called.runtime}{digits}' if called.runtime else ''}"
