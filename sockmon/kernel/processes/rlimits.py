"""/proc/PID/limits: the resource limits of any process, readable by everyone (fs/proc/base.c, proc_pid_limits)."""

from __future__ import annotations

import os
import resource
from contextlib import suppress

from sockmon.errors import ReadError, SockmonError
from sockmon.kernel.errnos import NO_SUCH_PROCESS
from sockmon.kernel.processes import proc_files
from sockmon.model.detail import Limit
from sockmon.model.snapshot import UNLIMITED
from sockmon.text import sanitize

_READER = "limits"
_COLUMNS = (b"Soft Limit", b"Hard Limit", b"Units")
_NOFILE = b"Max open files"
_NPROC = b"Max processes"
_MEMLOCK = b"Max locked memory"

AGENT_DESCRIPTORS, SCREEN_DESCRIPTORS = 80, 24
"""Descriptors that a process of ours needs: the agent of one namespace keeps some 67 open, so that it need not
open any later."""


MIN_DESCRIPTORS = 8
"""Descriptors with which a report can be made: three that are given, /proc, sock_diag, a mount, and two to read a
directory."""


def parse(text: bytes) -> tuple[Limit, ...]:
    """Return every limit, cut at the columns of the header; raise ReadError if it is not such a table."""
    header, *lines = text.split(b"\n")
    columns = _columns(header)
    return tuple(_limit(line, columns) for line in lines if line.strip())


def nofile(text: bytes) -> tuple[int, int]:
    """Return soft and hard RLIMIT_NOFILE only: the process table reads few limits, but often."""
    limit = _one(text, _NOFILE)
    return limit.soft, limit.hard


def nproc(text: bytes) -> int:
    """Return the soft RLIMIT_NPROC only."""
    return _one(text, _NPROC).soft


def memlock(text: bytes) -> int:
    """Return the soft RLIMIT_MEMLOCK only, in bytes."""
    return _one(text, _MEMLOCK).soft


def read(pid: int, proc: int | None = None) -> tuple[Limit, ...]:
    """Return the limits of one process; raise ReadError if it has ended or cannot be read."""
    own = proc_files.open_proc() if proc is None else proc
    try:
        return parse(proc_files.read(f"{pid}/limits", own, 8192))
    except OSError as error:
        ended = error.errno in NO_SUCH_PROCESS
        raise ReadError(_READER, proc_files.ended_reason(pid) if ended else str(error.strerror)) from error
    finally:
        if proc is None:
            os.close(own)


def raise_descriptor_limit() -> int:
    """Raise our own soft RLIMIT_NOFILE to the hard one; return what we may open now. Our children inherit it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # Refused if fs.nr_open was lowered below it since.
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def require_descriptors(number: int = AGENT_DESCRIPTORS) -> None:
    """Raise our soft limit to the hard one; SockmonError if that allows fewer than `number` descriptors."""
    if (allowed := raise_descriptor_limit()) < number:
        raise SockmonError(
            f"the hard limit of open files is {allowed} for this process, and sockmon needs {number}",
            f"allow more: ulimit -Hn {number} as root, or LimitNOFILE= of the unit that starts it",
        )


def descriptors_are_scarce() -> bool:
    """Raise our own soft RLIMIT_NOFILE; return whether an agent cannot keep open what it reads."""
    return raise_descriptor_limit() < AGENT_DESCRIPTORS


def _one(text: bytes, name: bytes) -> Limit:
    begin = text.find(b"\n" + name)
    if begin < 0:
        raise ReadError(_READER, f"no line `{name.decode()}` in /proc/PID/limits")
    row = text[begin + 1 :].partition(b"\n")[0]
    return _limit(row, _columns(text.partition(b"\n")[0]))


def _columns(header: bytes) -> tuple[int, int, int]:
    soft, hard, unit = map(header.find, _COLUMNS)
    if not 0 < soft < hard < unit:
        raise ReadError(_READER, "no header of limits in /proc/PID/limits")
    return soft, hard, unit


def _limit(line: bytes, columns: tuple[int, int, int]) -> Limit:
    soft, hard, unit = columns
    return Limit(
        sanitize(line[:soft].strip()),
        _value(line[soft:hard]),
        _value(line[hard:unit]),
        sanitize(line[unit:].strip()),
    )


def _value(text: bytes) -> int:
    word = text.strip()
    if word == b"unlimited":
        return UNLIMITED
    if not word.isdigit() or len(word) > 20 or int(word) >= 1 << 64:
        raise ReadError(_READER, f"not a limit in /proc/PID/limits: {sanitize(word, 40)}")
    return int(word)
