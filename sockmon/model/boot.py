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
    """The value that the kernel makes of it, or its text if that is not known; None if it excludes the key."""
    file: str = ""
    line: int = 0
    key: str = ""
    """The key as that line names it, which may be another name of the same number."""


class BootRequirement(msgspec.Struct, frozen=True):
    """Another key that decides whether the kernel accepts a value, as it is when our own file is read at boot."""

    key: str
    value: str | None
    """None if it is not known."""


def set_both(key: str, value: str) -> str:
    """Return how `key` gets `value` at boot before our own file is read, because that has a line that needs it."""
    return (
        f"set {key} in the same change, or put `{key} = {value}` in a file of /etc/sysctl.d that sorts before ours"
    )


class BootForecast(msgspec.Struct, frozen=True):
    """What a reboot does to a key, and what else sets it."""

    value: str | None
    """The value that the files of sysctl.d leave in the kernel; None if none sets it, if it is not known, or if
    the two programs differ."""
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
    unknown: str = ""
    """Why the value at boot is not known; empty if it is."""
    differs: bool = False
    """Whether the two programs leave different values."""
    hints: tuple[str, ...] = ()
    """Lines that look as if they set it, and why they do not, a sentence each."""
    requires: tuple[BootRequirement, ...] = ()
    """What the kernel compares a value with, one for each value that a program leaves; empty for most keys."""
    module: str = ""
    """The module that the key comes with, if it may be loaded only after the files are read; else empty."""


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
    cgroup: str = ""
