"""The one error tree. Only `cli` writes stderr and exit codes; everyone else raises one of these.

SockmonError
├── Unreadable        a kernel interface that is absent, forbidden or broken (becomes `Snapshot.missing`)
│   └── Absent        the kernel has no such file here: a module, a key of another namespace, an older kernel
├── NoSuchNamespace   a network namespace that does not exist or cannot be entered
├── BadRecording      a recording that is empty, cut or not one
├── SourceLost        the stream ended: the agent died, the pipe closed
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


class BadTheme(SockmonError):
    """A theme file that cannot be used."""


class BadSettings(SockmonError):
    """A config file that cannot be used."""
