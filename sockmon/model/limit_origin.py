"""Where a limit of a process comes from: who set it, and where a change lasts."""

from __future__ import annotations

from typing import Literal

import msgspec

Resource = Literal["nofile", "nproc", "memlock"]
SourceKind = Literal[
    "unit",
    "manager",
    "built-in",
    "login",
    "pid 1",
    "container",
    "engine",
    "script",
    "program",
    "inherited",
    "unknown",
]
StarterKind = Literal["unit", "user unit", "login", "container", "process", "unknown"]


class LimitSource(msgspec.Struct, frozen=True, omit_defaults=True):
    """What gives a process a limit.

    `unit` is a directive of a unit, `manager` one of system.conf or user.conf, `built-in` the default of systemd,
    `login` a line of limits.conf, `pid 1` the limits of process 1, `container` the settings of one container,
    `engine` the default of a container engine, `script` a line with ulimit, `program` setrlimit() or prlimit()
    after the start, `inherited` the process that started it."""

    kind: SourceKind
    name: str = ""
    """The unit, the process or the container engine."""
    file: str = ""
    line: int = 0
    text: str = ""
    """The setting as the file has it: `LimitNOFILE=1024`."""
    soft: int | None = None
    """What it gives, or UNLIMITED; None if it leaves this limit alone, or if the number is not known."""
    hard: int | None = None

    @property
    def at(self) -> str:
        """`FILE:LINE`; the file alone if the line is not known."""
        return f"{self.file}:{self.line}" if self.line else self.file


class Starter(msgspec.Struct, frozen=True, omit_defaults=True):
    """What starts the process, and has to give it another limit for the change to last."""

    kind: StarterKind = "unknown"
    name: str = ""
    """The unit, the login program, the container or the process."""
    user: str = ""
    """The user of a login or of a user's service manager."""
    engine: str = ""
    """docker, podman, kubernetes, lxc or systemd-nspawn, of a container."""


class LimitOrigin(msgspec.Struct, frozen=True, omit_defaults=True):
    """The soft and hard limit of a process now, what set them, and what the configuration gives at its next start.

    Numbers are descriptors, tasks or bytes; UNLIMITED is -1."""

    pid: int
    start: int
    resource: Resource
    soft: int
    hard: int
    soft_source: LimitSource
    hard_source: LimitSource
    """The same as `soft_source` if one source set both."""
    starter: Starter
    next_start: LimitSource | None = None
    """What the configuration gives at the next start, if that is not what the process has now."""
    edited: bool = False
    """True if that configuration was changed after the process started."""
    manager_hard: int | None = None
    """The hard limit of the service manager of a user, above which no unit of that user gets."""
    unread: tuple[str, ...] = ()
    """Files that may decide it and could not be read: `FILE: REASON`."""


class ConfiguredLimit(msgspec.Struct, frozen=True):
    """A line of the configuration that asks for a limit: of limits.conf, a unit, or the service manager."""

    at: str
    """`FILE:LINE`."""
    text: str
    """`* hard nofile 500000`, `LimitNOFILE=500000`."""
    hard: int
    """The hard limit that it asks for."""
    kind: Literal["login", "unit", "manager"]
    login: str = ""
    """The domain of limits.conf: a user, a group, `*`."""


class ConfiguredLimits(msgspec.Struct, frozen=True):
    """All that the configuration asks for, and what could not be read of it."""

    rows: tuple[ConfiguredLimit, ...] = ()
    unread: tuple[str, ...] = ()
    refuses_login: bool = True
    """True if pam_limits ends a session whose limit the kernel refuses; Debian's and Ubuntu's log it and go on."""
    login_programs: tuple[str, ...] = ()
    """The services of /etc/pam.d that run pam_limits."""
