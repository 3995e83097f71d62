"""How a process of ours stays that must outlive a terminal, or keep what it holds to itself."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from contextlib import suppress

BARE = {"LC_ALL": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
"""The whole environment of such a process."""

_PR_SET_DUMPABLE, _PR_SET_NAME = 4, 15
_MCL_CURRENT, _MCL_ONFAULT = 1, 4
_IGNORED = ("HUP", "INT", "QUIT", "TERM", "PIPE", "USR1", "USR2", "TSTP", "TTIN", "TTOU", "ALRM")
_SCORE = b"-900"
_MOST_DESCRIPTORS = 1 << 16

_libc = ctypes.CDLL(None)


def withdraw() -> None:
    """Leave the caller's session, its directory and its descriptors but the standard ones; hear no signal that a
    terminal or a careless kill sends, leave no core, be nobody's to trace."""
    if os.getpid() != os.getsid(0):
        os.setsid()
    os.umask(0o077)
    os.chdir("/")
    os.closerange(3, _MOST_DESCRIPTORS)
    for name in _IGNORED:
        signal.signal(getattr(signal, f"SIG{name}"), signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def call_myself(name: str) -> None:
    """What whoever looks at processes sees, in at most 15 letters (prctl(2), PR_SET_NAME)."""
    _libc.prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


def stay() -> None:
    """Be in memory, and the last to be taken from it, as far as we may: going back must not wait for a disk."""
    _libc.mlockall(_MCL_CURRENT | _MCL_ONFAULT)
    with suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        file.write(_SCORE)
