"""The log: one file per user, written with the standard `logging`.

- A process of an ordinary user, including the screen under sudo: `$XDG_STATE_HOME/sockmon/sockmon.log`, by default
  in `~/.local/state`.
- A process of root (agent, helper, guard, watchdog, verbs): `/var/log/sockmon/sockmon.log`.

It has warnings and faults; with `--debug` or `SOCKMON_DEBUG` everything. A record is one line, followed by its
traceback with a `|` before each line; foreign text passes `sanitize()`. Nothing is written to the terminal but
by a service, which has no screen. A record is dropped if it cannot be written (no free descriptor, a full disk, a
directory of another user): the log must not stop a rollback or a screen.
"""

from __future__ import annotations

import fcntl
import logging
import os
import select
import stat
import sys
import threading
import time
import traceback
from contextlib import suppress
from types import TracebackType

from sockmon import user_dirs
from sockmon.text import sanitize

NAME = "sockmon.log"
DEBUG = "SOCKMON_DEBUG"
"""The variable that makes the log write everything; `--debug` sets it for child processes too."""
MAX_BYTES = 1 << 20
"""Size at which the file becomes `sockmon.log.1` and a new one starts."""
MAX_LINE = 2000

_SYSTEM = "/var/log/sockmon"
_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def start(role: str, root: str = "/") -> None:
    """Write the records of this process to the log, as `role[pid]`; `root` is the directory that a lab uses as
    `/`.

    May be called again with another role. Uncaught exceptions of threads are logged too."""
    _handle_with(_FileHandler(root), _Formatter(role))


def start_to_pipe(pipe: int, role: str) -> None:
    """Write the records of this process to `pipe`, from which another process can `append` them: for the guard,
    which must not wait for a disk. A record that does not fit into the pipe (O_NONBLOCK) is dropped."""
    _handle_with(_PipeHandler(pipe), _FormatterWithoutSource(role))


def write_to_stderr_too(role: str) -> None:
    """Write the records also to standard error, which is the journal of a service or the log of a pod: they cannot
    write the file as a rule. Called after `start`."""
    handler = _StderrHandler()
    handler.setFormatter(_Formatter(role))
    logging.getLogger().addHandler(handler)


def append(records: bytes) -> None:
    """Write records that another process has formatted and sent through its pipe."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _FileHandler) and records:
            handler.write(records)


def _handle_with(handler: logging.Handler, formatter: logging.Formatter) -> None:
    # Otherwise logging writes its own faults, and records without a handler, to stderr, the screen's terminal.
    logging.raiseExceptions = False
    logging.lastResort = None
    top = logging.getLogger()
    for old in [each for each in top.handlers if isinstance(each, (_FileHandler, _PipeHandler))]:
        top.removeHandler(old)
    handler.setFormatter(formatter)
    top.addHandler(handler)
    logging.captureWarnings(True)
    logging.getLogger("sockmon").setLevel(logging.DEBUG if os.environ.get(DEBUG) else logging.WARNING)
    threading.excepthook = _log_thread_fault
    sys.unraisablehook = _log_unraisable


def path() -> str:
    """Return the path of the log of this process, for a message about a fault; empty if it could not be
    written."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _FileHandler):
            return handler.path
    return ""


def hint() -> str:
    """Return the hint of a message about a fault: where its traceback is; empty if it could not be written."""
    return f"the traceback is in {written}; please report it" if (written := path()) else ""


class _Formatter(logging.Formatter):
    """`2026-11-28T14:02:33Z WARNING agent[812] sockmon.agent.part: text`, and the traceback below it."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        head = f"{at} {record.levelname} {self._role}[{os.getpid()}] {record.name}: "
        lines = [head + sanitize(record.getMessage(), MAX_LINE)]
        if record.exc_info and record.exc_info[1]:
            lines += ["  | " + sanitize(line, MAX_LINE) for line in self._traceback(record.exc_info[1])]
        return "\n".join(lines) + "\n"

    def _traceback(self, fault: BaseException) -> list[str]:
        return "".join(traceback.format_exception(fault)).rstrip().split("\n")


class _FormatterWithoutSource(_Formatter):
    """The same without lines of source code: a guard must not read a file while its change is pending."""

    def _traceback(self, fault: BaseException) -> list[str]:
        """Return `FILE:LINE in FUNCTION` per frame, then the exception."""
        frames = [
            f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"
            for frame, line in traceback.walk_tb(fault.__traceback__)
        ]
        return [*frames, f"{type(fault).__name__}: {fault}"]


class _PipeHandler(logging.Handler):
    """Writes records to a pipe; drops those that do not fit."""

    def __init__(self, pipe: int) -> None:
        super().__init__()
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record with one write(2), or drop it."""
        with suppress(Exception):
            os.write(self._pipe, self.format(record).encode("utf-8", "replace"))


class _StderrHandler(logging.Handler):
    """Writes records to standard error; drops those for which a reader that is slow leaves no room."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write so much of the record that it cannot block (PIPE_BUF), or drop it."""
        with suppress(Exception):
            text = self.format(record).encode("utf-8", "replace")
            if select.select([], [2], [], 0)[1]:
                os.write(2, text if len(text) <= select.PIPE_BUF else text[: select.PIPE_BUF - 1] + b"\n")


class _FileHandler(logging.Handler):
    """Opens the file for each record, so that no descriptor stays open and several processes can write to the
    file."""

    def __init__(self, root: str) -> None:
        super().__init__()
        self._root = root
        self.path = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Append the record, or drop it."""
        with suppress(Exception):
            self.write(self.format(record).encode("utf-8", "replace"))

    def write(self, text: bytes) -> None:
        """Append `text`, or drop it."""
        self.path = next((path for folder in self._folders() if (path := _append(folder, text))), "")

    def _folders(self) -> list[str]:
        """Return the directories to try, best first; they depend on the current user of this process."""
        if self._root != "/":
            return [self._root + _SYSTEM]
        state = str(user_dirs.state())
        own = os.path.join(state, "sockmon")
        return [_SYSTEM, own] if os.geteuid() == 0 and os.environ.get("XDG_STATE_HOME") != state else [own]


def _append(folder: str, text: bytes) -> str:
    """Append `text` to the log in `folder` and return its path; empty if that is not possible or not safe."""
    with suppress(OSError):
        os.makedirs(folder, 0o700, exist_ok=True)
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | _SAFE)
        try:
            if _is_ours(os.fstat(directory)):
                _rotate(directory)
                return os.path.join(folder, NAME) if _write(directory, text) else ""
        finally:
            os.close(directory)
    return ""


def _write(directory: int, text: bytes) -> bool:
    file = os.open(NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _SAFE, 0o600, dir_fd=directory)
    try:
        seen = os.fstat(file)
        if not stat.S_ISREG(seen.st_mode) or seen.st_nlink != 1 or not _is_ours(seen):
            return False
        return os.write(file, text) == len(text)
    finally:
        os.close(file)


def _rotate(directory: int) -> None:
    """Start a new file if this one is large; only one of several processes does it."""
    try:
        large = os.stat(NAME, dir_fd=directory, follow_symlinks=False).st_size >= MAX_BYTES
    except FileNotFoundError:
        return
    if large:
        with suppress(BlockingIOError):
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(NAME, dir_fd=directory, follow_symlinks=False).st_size >= MAX_BYTES:
                os.rename(NAME, f"{NAME}.1", src_dir_fd=directory, dst_dir_fd=directory)


def _is_ours(seen: os.stat_result) -> bool:
    return seen.st_uid == os.geteuid() and not seen.st_mode & 0o022


def _log_thread_fault(died: threading.ExceptHookArgs) -> None:
    if died.exc_value is not None:
        _log_fault("a thread ended", died.exc_type, died.exc_value, died.exc_traceback)


def _log_unraisable(fault: sys.UnraisableHookArgs) -> None:
    if fault.exc_value is not None:
        _log_fault(fault.err_msg or "ignored", fault.exc_type, fault.exc_value, fault.exc_traceback)


def _log_fault(what: str, kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    logging.getLogger("sockmon").error("%s: %s", what, fault, exc_info=(kind, fault, trace))
