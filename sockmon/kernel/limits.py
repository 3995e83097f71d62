"""/proc/PID/limits: the resource limits of any process, readable by everyone (fs/proc/base.c, proc_pid_limits)."""

from __future__ import annotations

import errno
import os

from sockmon.errors import Unreadable
from sockmon.kernel import process_files
from sockmon.model.clean import clean
from sockmon.model.detail import Limit
from sockmon.model.snapshot import UNLIMITED

_READER = "limits"
_COLUMNS = (b"Soft Limit", b"Hard Limit", b"Units")
_NOFILE = b"Max open files"
_NPROC = b"Max processes"


def parse(text: bytes) -> tuple[Limit, ...]:
    """Every limit, cut at the columns that the header names; Unreadable when it is not such a table."""
    header, *lines = text.split(b"\n")
    columns = _columns(header)
    return tuple(_limit(line, columns) for line in lines if line.strip())


def nofile(text: bytes) -> tuple[int, int]:
    """Soft and hard RLIMIT_NOFILE alone: the table of processes asks for little, and often."""
    limit = _one(text, _NOFILE)
    return limit.soft, limit.hard


def nproc(text: bytes) -> int:
    """Soft RLIMIT_NPROC alone."""
    return _one(text, _NPROC).soft


def read(pid: int, proc: int | None = None) -> tuple[Limit, ...]:
    """The limits of one process; Unreadable when it has ended or may not be read."""
    own = process_files.open_proc() if proc is None else proc
    try:
        return parse(process_files.read(f"{pid}/limits", own, 8192))
    except OSError as error:
        gone = error.errno in (errno.ENOENT, errno.ESRCH)
        raise Unreadable(_READER, "the process has ended" if gone else str(error.strerror)) from error
    finally:
        if proc is None:
            os.close(own)


def _one(text: bytes, name: bytes) -> Limit:
    begin = text.find(b"\n" + name)
    if begin < 0:
        raise Unreadable(_READER, f"no line `{name.decode()}` in /proc/PID/limits")
    row = text[begin + 1 :].partition(b"\n")[0]
    return _limit(row, _columns(text.partition(b"\n")[0]))


def _columns(header: bytes) -> tuple[int, int, int]:
    soft, hard, unit = map(header.find, _COLUMNS)
    if not 0 < soft < hard < unit:
        raise Unreadable(_READER, "no header of limits in /proc/PID/limits")
    return soft, hard, unit


def _limit(line: bytes, columns: tuple[int, int, int]) -> Limit:
    soft, hard, unit = columns
    return Limit(
        clean(line[:soft].strip()), _value(line[soft:hard]), _value(line[hard:unit]), clean(line[unit:].strip())
    )


def _value(text: bytes) -> int:
    word = text.strip()
    if word == b"unlimited":
        return UNLIMITED
    if not word.isdigit() or len(word) > 20:
        raise Unreadable(_READER, f"not a limit in /proc/PID/limits: {clean(word, 40)}")
    return int(word)
