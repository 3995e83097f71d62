"""What a process does that must outlive its terminal, or keep its privilege to itself."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import time
from contextlib import suppress

from sockmon import log

_PR_SET_DUMPABLE = 4
_MCL_CURRENT, _MCL_ONFAULT = 1, 4
_IGNORED = ("HUP", "INT", "QUIT", "TERM", "PIPE", "USR1", "USR2", "TSTP", "TTIN", "TTOU", "ALRM")
_OOM_SCORE_ADJ = b"-900"

_libc = ctypes.CDLL(None)


def clean_environment() -> dict[str, str]:
    """Return the whole environment for such a process."""
    debug = {log.DEBUG: os.environ[log.DEBUG]} if log.DEBUG in os.environ else {}
    return {"LC_ALL": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **debug}


def daemonize() -> None:
    """Leave the caller's session, environment and directory; ignore the signals that a terminal or a plain kill
    sends; write no core, and allow no other process to trace this one."""
    if os.getpid() != os.getsid(0):
        os.setsid()
    environment = clean_environment()
    os.environ.clear()
    os.environ.update(environment)
    # The time zone was that of the caller.
    time.tzset()
    os.umask(0o077)
    os.chdir("/")
    for name in _IGNORED:
        signal.signal(getattr(signal, f"SIG{name}"), signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def lock_in_memory() -> None:
    """Lock this process in memory, and protect it from the OOM killer, if allowed: a rollback must not wait for a
    disk."""
    _libc.mlockall(_MCL_CURRENT | _MCL_ONFAULT)
    with suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        file.write(_OOM_SCORE_ADJ)
