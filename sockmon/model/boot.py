"""The forecast of a value after a reboot, and the drift of values that were kept."""

from __future__ import annotations

import msgspec

from sockmon.model.limit_origin import LimitOrigin
from sockmon.model.writers import Writer


class BootOverride(msgspec.Struct, frozen=True):
    """A line that would win at boot even if our own file had a line for the key."""

    program: str
    """`systemd-sysctl` or `sysctl --system`."""
    at: str
    """`FILE:LINE`."""
    value: str | None
    """The value that it sets; None if it excludes the key."""


class BootForecast(msgspec.Struct, frozen=True):
    """What a reboot does to a key, and what else sets it."""

    value: str | None
    """The value that the files of sysctl.d set; None if none does, or if the two programs differ."""
    sentences: tuple[str, ...] = msgspec.field(name="boot")
    """A sentence for each program: `under systemd-sysctl: /etc/sysctl.d/99-x.conf:3 sets 5`; one if they agree."""
    managers: tuple[str, ...] = ()
    """What else sets it, where, and what that means, a sentence each."""
    overrides: tuple[BootOverride, ...] = msgspec.field(name="rivals", default=())
    """Lines for which `keep --persist` would refuse to write the value, because they would win."""
    unread: tuple[str, ...] = ()
    """Files that could not be read, with the reason: they may have such a line."""
    unit: str = ""
    """For a limit, the systemd unit of the process; empty if it has none."""
    writers: tuple[Writer, ...] = ()
    """The programs that write it while the machine runs."""
    origin: LimitOrigin | None = None
    """For a limit, what set it and where a change lasts; None for a sysctl, or if the process has ended."""


class Drift(msgspec.Struct, frozen=True):
    """A value that was kept, and has changed since, or will change at the next reboot."""

    key: str
    kept: str
    now: str | None
    """None if it can no longer be read; `message` has the reason."""
    id: str
    """Id of the transaction that kept it."""
    pid: int = 0
    message: str = msgspec.field(name="words", default="")
    """Who kept it and when, and what it is now: a sentence. If `now` is the kept value, it is about the next
    reboot."""
