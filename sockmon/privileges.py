"""Give up every privilege that can be given up: the screen shows foreign text, and needs none of them.

prctl(2), capabilities(7): the capability sets and the bounding set are emptied, under sudo also root, and
PR_SET_NO_NEW_PRIVS keeps it so for whatever is started from here.
"""

from __future__ import annotations

import ctypes
import os
import struct

from sockmon.errors import SockmonError

_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63


def drop() -> None:
    """Irreversible, for this process and its children. Does what it may; a user without any loses nothing."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(_LAST_CAPABILITY + 1):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    _become_invoker()
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    libc.capset(header, struct.pack("=6I", 0, 0, 0, 0, 0, 0))
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _must_reach_our_files(uid: int, gid: int) -> None:
    """What is not imported yet is imported as the invoker: an installation below /root cannot be."""
    os.setegid(gid)
    os.seteuid(uid)
    try:
        reachable = all(os.access(path, os.R_OK, effective_ids=True) for path in (__file__, os.__file__))
    finally:
        os.seteuid(0)
        os.setegid(0)
    if not reachable:
        raise SockmonError(
            f"the user that called sudo (uid {uid}) cannot read {os.path.dirname(__file__)}",
            "the screen runs as that user: install sockmon where they can read it, or start it from a root shell",
        )


def _become_invoker() -> None:
    """Under sudo, become who called it."""
    uid, gid = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if os.geteuid() != 0 or not uid.isdecimal() or not gid.isdecimal() or uid == "0":
        return
    _must_reach_our_files(int(uid), int(gid))
    os.setgroups([])
    os.setresgid(int(gid), int(gid), int(gid))
    os.setresuid(int(uid), int(uid), int(uid))
