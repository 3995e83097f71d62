"""Give up all privilege, and verify it: the screen shows foreign text and needs no privilege.

prctl(2), capabilities(7): the capability sets and the bounding set are emptied. Under sudo, doas and pkexec the
user id changes from root to that of the invoker. PR_SET_NO_NEW_PRIVS keeps it so for every process started from
here."""

from __future__ import annotations

import ctypes
import os
import pwd
import struct
from contextlib import suppress
from importlib.util import find_spec
from typing import NamedTuple

from sockmon.errors import PrivilegeKept, SockmonError
from sockmon.own_command import command

INVOKER_VARIABLES = ("SUDO_UID", "SUDO_GID", "DOAS_USER", "PKEXEC_UID")
"""The variables in which sudo, doas and pkexec pass on the user who called them."""
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_PR_SET_NO_NEW_PRIVS, _PR_GET_NO_NEW_PRIVS = 38, 39
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63
_OOM_SCORE, _MAX_OOM_SCORE = 200, 1000
_CAP_SETPCAP = 1 << 8
_IMPORTED_LATER = ("sockmon", "textual", "msgspec", "os")
"""Packages and a module that the screen imports after it has given up root, each from another directory."""

_libc = ctypes.CDLL(None, use_errno=True)


class Invoker(NamedTuple):
    """The user who called sudo, doas or pkexec."""

    uid: int
    gid: int


class _Capabilities(NamedTuple):
    """The bit masks of capget(2)."""

    effective: int
    permitted: int
    inheritable: int


def drop() -> None:
    """Give up all privilege of this process and its children, irreversibly.

    Raise PrivilegeKept if some privilege remains, SockmonError if the invoker cannot read the files of sockmon.
    No other thread may run, because capabilities belong to a thread."""
    _raise_oom_score()
    could_bound = bool(_capabilities().effective & _CAP_SETPCAP)
    for capability in range(_LAST_CAPABILITY + 1):
        _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    user = invoker()
    if user is not None:
        _drop_to_invoker(user)
    _libc.capset(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), struct.pack("=6I", 0, 0, 0, 0, 0, 0))
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if remaining := _remaining(user, could_bound):
        raise PrivilegeKept(
            f"the screen could not give up its privilege: it still has {', '.join(remaining)}",
            "run `sockmon check`, or start the screen as an ordinary user",
        )


def _raise_oom_score() -> None:
    """Let the kernel kill the screen before a server if memory is short (proc(5), oom_score_adj)."""
    # Before root is given up, because the file belongs to root.
    with suppress(OSError), open("/proc/self/oom_score_adj", "r+b", buffering=0) as file:
        score = min(int(file.read()) + _OOM_SCORE, _MAX_OOM_SCORE)
        file.seek(0)
        file.write(b"%d" % score)


def invoker() -> Invoker | None:
    """Return the user who called sudo, doas or pkexec; None if this is not root, or if root called it."""
    if os.geteuid() != 0:
        return None
    uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    found = Invoker(int(uid), int(gid)) if uid.isdecimal() and gid.isdecimal() else _from_passwd()
    # In a private user namespace that user id may not be mapped, and cannot be set there.
    if found is None or found.uid == 0 or not (_mapped(found.uid, "uid") and _mapped(found.gid, "gid")):
        return None
    return found


def become_invoker() -> None:
    """Be the user who called sudo, doas or pkexec from now on, as if sockmon had been started without it: ssh then
    has the keys, the known hosts and the configuration of that user. Does nothing if nobody called it.

    Raise SockmonError if that user cannot read the files of sockmon, PrivilegeKept if this is root still."""
    user = invoker()
    if user is None:
        return
    _require_readable(user)
    with suppress(OSError):
        try:
            entry = pwd.getpwuid(user.uid)
            groups = os.getgrouplist(entry.pw_name, user.gid)
            os.environ.update(HOME=entry.pw_dir, USER=entry.pw_name, LOGNAME=entry.pw_name)
        except KeyError:
            groups = [user.gid]
        os.setgroups(groups)
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)
    if {*os.getresuid(), *os.getresgid()} - {user.uid, user.gid} or any(_capabilities()):
        raise PrivilegeKept("root could not be given up for ssh", "start sockmon without sudo")


def privileged_command() -> list[str]:
    """Return the command that a user types to start sockmon with the privilege that this process has."""
    by = "doas" if "DOAS_USER" in os.environ else "sudo"
    return [by, command()] if invoker() else [command()]


def _from_passwd() -> Invoker | None:
    """Return the user who called doas, which passes on the name, or pkexec, which passes on the user id alone."""
    name, uid = os.environ.get("DOAS_USER", ""), os.environ.get("PKEXEC_UID", "")
    with suppress(KeyError, OSError, OverflowError):
        if uid.isdecimal():
            return Invoker(int(uid), pwd.getpwuid(int(uid)).pw_gid)
        if name:
            return Invoker(*pwd.getpwnam(name)[2:4])
    return None


def _mapped(number: int, kind: str) -> bool:
    """Return whether this user namespace maps the id (/proc/self/uid_map: first id, first outside, count)."""
    with suppress(OSError, ValueError), open(f"/proc/self/{kind}_map", encoding="ascii") as file:
        lines = [[int(word) for word in line.split()] for line in file]
        return any(first <= number < first + count for first, _, count in lines)
    return True


def _drop_to_invoker(user: Invoker) -> None:
    """Set all user and group ids to those of the invoker; `_remaining` reports what failed."""
    with suppress(OSError):
        os.setgroups([])
        _require_readable(user)
        os.setresgid(user.gid, user.gid, user.gid)
        os.setresuid(user.uid, user.uid, user.uid)


def _require_readable(user: Invoker) -> None:
    """Raise SockmonError if the user cannot read the packages that are not imported yet, such as some in /root."""
    os.setegid(user.gid)
    os.seteuid(user.uid)
    try:
        lost = next((path for name in _IMPORTED_LATER if (path := _location(name)) and not _readable(path)), "")
    finally:
        os.seteuid(0)
        os.setegid(0)
    if lost:
        raise SockmonError(
            f"the user who called sudo or doas (uid {user.uid}) cannot read {os.path.dirname(lost)}",
            "it runs as that user; install sockmon where they can read it, or start it from a root shell",
        )


def _location(name: str) -> str:
    """Return the file of a package without importing it; empty if it has none."""
    found = find_spec(name)
    return (found.origin or "") if found and found.has_location else os.__file__


def _readable(path: str) -> bool:
    return os.access(path, os.R_OK, effective_ids=True) and os.access(
        os.path.dirname(path), os.R_OK | os.X_OK, effective_ids=True
    )


def _remaining(user: Invoker | None, could_bound: bool) -> list[str]:
    """Return the privileges that remain, each in a few words; empty if all are gone."""
    uids, gids = os.getresuid(), os.getresgid()
    remaining = []
    if len({*uids, *([user.uid] if user else [])}) > 1:
        remaining.append(f"user ids {', '.join(map(str, uids))}")
    if len({*gids, *([user.gid] if user else [])}) > 1:
        remaining.append(f"group ids {', '.join(map(str, gids))}")
    if user is not None and os.getgroups():
        remaining.append(f"groups {', '.join(map(str, os.getgroups()))}")
    for name, mask in _capabilities()._asdict().items():
        if mask:
            remaining.append(f"{name} capabilities {mask:016x}")
    if could_bound and any(_libc.prctl(_PR_CAPBSET_READ, each, 0, 0, 0) == 1 for each in range(64)):
        remaining.append("a capability bounding set")
    if _libc.prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1:
        remaining.append("the right to gain more (no_new_privs is not set)")
    return remaining


def _capabilities() -> _Capabilities:
    """Return the capability sets of this thread; raise OSError if capget(2) fails."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    data = ctypes.create_string_buffer(24)
    if _libc.capget(header, data) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"capget: {os.strerror(code)}")
    low = struct.unpack_from("=3I", data, 0)
    high = struct.unpack_from("=3I", data, 12)
    return _Capabilities(*(one | two << 32 for one, two in zip(low, high, strict=True)))
