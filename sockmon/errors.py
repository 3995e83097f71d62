"""The one error tree. Only `cli` writes stderr and exit codes; everyone else raises one of these.

SockmonError
├── Unreadable        a kernel interface that is absent, forbidden or broken (becomes `Snapshot.missing`)
│   └── Absent        the kernel has no such file here: a module, a key of another namespace, an older kernel
├── NoSuchNamespace   a network namespace that does not exist or cannot be entered
├── BadRecording      a recording that is empty, cut or not one
├── SourceLost        the stream ended: the agent died, the pipe closed
├── NoSuchLab         there is no lab of that name
├── BadValue          what a sysctl shall be is no value for it: which number of it, why, and what is allowed
├── Refused           a change that cannot be made here, or that would do harm
├── LabUnavailable    a lab that cannot be built here: no user namespaces, no writable cgroup, an older kernel
├── NotTuned          a change that was refused, or an answer that no guard could give
├── BadTheme          a theme file that cannot be used (reported, never fatal)
└── BadSettings       a config file that cannot be used (reported, never fatal)
"""


class SockmonError(Exception):
    """What went wrong, and a hint that says what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Unreadable(SockmonError):
    """A reader could not see what it reads; `reader` is its name, the message is the reason."""

    def __init__(self, reader: str, reason: str, hint: str = "") -> None:
        super().__init__(reason, hint)
        self.reader = reader


class Absent(Unreadable):
    """There is no such file in this kernel or in this namespace."""


class NoSuchNamespace(SockmonError):
    """The network namespace is not there, or may not be entered."""


class BadRecording(SockmonError):
    """The file is not a recording, is empty, or was cut."""


class SourceLost(SockmonError):
    """The stream of Snapshots ended before it was asked to."""


class NoSuchLab(SockmonError):
    """There is no lab of that name."""


class BadValue(SockmonError):
    """A value that may not be written to a sysctl; all text is clean."""

    def __init__(self, key: str, field: str, value: str, reason: str, allowed: str) -> None:
        where = f"{key}, {field}" if field else key
        super().__init__(f"{where}: `{value}` {reason}", f"allowed: {allowed}")
        self.key = key
        self.field = field
        self.value = value
        self.reason = reason
        self.allowed = allowed


class Refused(SockmonError):
    """A change that cannot be made here, or that would do harm; the message says why, the hint what to do."""


class LabUnavailable(SockmonError):
    """The lab cannot be built on this machine, or by this user; the message is the reason."""


class NotTuned(SockmonError):
    """Nothing was touched, or nothing is held; the message is the reason."""


class BadTheme(SockmonError):
    """A theme file that cannot be used."""


class BadSettings(SockmonError):
    """A config file that cannot be used."""
