"""The one error tree. Only `cli` writes to stderr and sets exit codes; all other rooms raise one of these.

SockmonError
├── ReadError         a kernel interface is absent, forbidden or broken (becomes `Snapshot.missing`)
│   ├── NotPresent    the kernel has no such file here: module not loaded, other namespace, older kernel
│   └── Forbidden     the kernel, or a sandbox around sockmon, refuses to answer this user
├── PrivilegeKept     the screen could not give up its privilege, so it does not start
├── NoFreeTask        there are too few free processes or threads
├── NoSuchNamespace   the network namespace does not exist or cannot be entered
├── BadRecording      the file is empty, incomplete, or not a recording
├── SourceLost        the stream ended: the agent exited, or the pipe was closed
├── Misuse            the command line is wrong (exit code 64)
│   ├── NoSuchName    no ceiling, sysctl or symptom has this name, or several have
│   ├── NoSuchLab     no lab has this name
│   ├── NoSuchGuide   no guide has this name
│   └── InvalidValue  the value is not valid for the sysctl: which field of it, why, and what is allowed
├── ScreenFault       the screen raised an exception; the traceback is in the log (exit code 70)
├── PlanRejected      the change cannot be made here, or would do harm
├── LabUnavailable    the lab cannot be built here: no user namespaces, no writable cgroup, an older kernel
├── TuningError       the change was refused, or no guard answered
├── FilterError       the filter is not valid: which term, and what is expected
├── BadTheme          the theme file is not valid (reported, never fatal)
└── BadSettings       the config file is not valid (reported, never fatal)
"""

from __future__ import annotations

from collections.abc import Sequence


class SockmonError(Exception):
    """An error with a message, and a hint what to do."""

    exit_code = 1
    """The exit code of every verb except `check`; numbers above 63 are those of sysexits.h."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


PREFIX = "sockmon: "
"""The start of an error on stderr; the lines after it are the hint."""


def reported(lines: Sequence[str]) -> tuple[str, str] | None:
    """Return message and hint of the error that a process of sockmon wrote to stderr; None if it wrote no
    error."""
    for at, line in enumerate(lines):
        if line.startswith(PREFIX):
            return line.removeprefix(PREFIX), " ".join(text.strip() for text in lines[at + 1 :])
    return None


class ReadError(SockmonError):
    """A reader failed; `reader` is its name, the message is the reason."""

    code = 0
    """The errno with which the kernel answered a netlink request; 0 if it did not answer with one."""

    def __init__(self, reader: str, reason: str, hint: str = "") -> None:
        super().__init__(reason, hint)
        self.reader = reader


class NotPresent(ReadError):
    """This kernel or this namespace does not have the file."""


class PrivilegeKept(SockmonError):
    """Some privilege remains after it was given up; the message names it."""

    exit_code = 77


class Forbidden(ReadError):
    """The kernel refuses to answer this process: EPERM or EACCES."""


class ScreenFault(SockmonError):
    """The screen raised an exception that is not handled."""

    exit_code = 70


class NoFreeTask(SockmonError):
    """The kernel refuses to start a process or thread for this user or cgroup."""

    exit_code = 75


class NoSuchNamespace(SockmonError):
    """The network namespace does not exist, or may not be entered."""


class BadRecording(SockmonError):
    """The file is empty, incomplete, or not a recording."""

    foreign = ""
    """The last line of a stream of which no line could be used, clean; empty if it had none."""


class SourceLost(SockmonError):
    """The stream of Snapshots ended unexpectedly."""


class Misuse(SockmonError):
    """The command line is wrong; the hint is what to type instead."""

    exit_code = 64


class NoSuchName(Misuse):
    """No ceiling, sysctl or symptom has this name, or several have; the hint has the nearest names."""


class NoSuchLab(Misuse):
    """No lab has this name."""


class NoSuchGuide(Misuse):
    """No guide has this name."""


class InvalidValue(Misuse):
    """The value may not be written to the sysctl; all text is sanitized."""

    def __init__(self, key: str, field: str, value: str, reason: str, allowed: str) -> None:
        where = f"{key}, {field}" if field else key
        super().__init__(f"{where}: `{value}` {reason}", f"allowed: {allowed}")
        self.key = key
        self.field = field
        self.value = value
        self.reason = reason
        self.allowed = allowed


class PlanRejected(SockmonError):
    """The change cannot be made here, or would do harm; the message is the reason."""


class NotTuned(PlanRejected):
    """The key is no setting of sockmon; the message has the reason: removed, or it limits no connections."""


class LabUnavailable(SockmonError):
    """The lab cannot be built on this machine, or by this user; the message is the reason."""


class TuningError(SockmonError):
    """Nothing was changed, or no change is pending; the message is the reason."""


class FilterError(SockmonError):
    """The filter is not valid; the hint is what is expected."""

    def __init__(self, message: str, hint: str = "", unfinished: bool = False) -> None:
        super().__init__(message, hint)
        self.unfinished = unfinished
        """True if more characters can make it valid, so that it is not reported while it is typed."""


class BadTheme(SockmonError):
    """The theme file is not valid."""


class BadSettings(SockmonError):
    """The config file is not valid."""
