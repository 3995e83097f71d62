"""Did a change help: the alarms that were its reason, and what has become of each. In histories and journals on
disk, so names stay."""

from __future__ import annotations

from typing import Literal

import msgspec

from sockmon.model.severity import Severity

OutcomeKind = Literal["left", "eased", "unchanged", "worse", "waiting", "unknown"]
"""The alarm has ended, has become less severe, is as severe as before, is more severe; it is too early to decide;
or it cannot be known."""
UnknownCause = Literal["", "ended", "unread", "elsewhere", "several", "restarted"]
"""Why it cannot be known: its process has ended, its numbers cannot be read any more, the samples are of another
network namespace or boot than the change, several processes or listeners may have taken its place, or its new
process does not use enough yet to prove anything."""


class Identity(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an alarm is about, by what a restart of its program leaves as it is: the address of a listener, or the
    command of a process."""

    at: float
    """The sample that it is of: seconds on CLOCK_BOOTTIME. What takes its place starts later."""
    pid: int = 0
    """The process; 0 if it is a listener whose owner is not known."""
    start: int = 0
    protocol: str = ""
    """tcp or unix; empty for a process."""
    address: str = ""
    port: int = 0
    inode: int = 0
    """The socket of the listener."""
    sharing: int = 0
    """Listeners at its address, itself included."""
    uid: int = 0
    command: str = ""
    """A digest of the command line; empty for a listener."""
    unit: str = ""
    """The unit or container that started the process; empty if that is not known."""


class NewProcess(msgspec.Struct, frozen=True):
    """The process that has taken the place of another one after a restart."""

    pid: int
    start: int
    name: str


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    """An alarm that a change is meant to end, as it was at that moment."""

    ceiling: str
    subject: str
    severity: Severity
    used: int | None = None
    limit: int | None = None
    counters: tuple[tuple[str, int], ...] = ()
    """The counters whose movement proves that the limit is hit, with their values."""
    identity: Identity | None = None
    """What it is recognized by after a restart of its program; None if it is not followed over one."""


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What has become of one such alarm."""

    kind: OutcomeKind
    ceiling: str
    subject: str
    before: Severity
    """Its severity before the change."""
    seconds: float = 0.0
    """Time since the change; if the alarm has ended, when that was proved."""
    severity: Severity = "unknown"
    """Its severity now, without what counters did before the last seconds."""
    used: int | None = None
    limit: int | None = None
    limit_before: int | None = None
    rates: tuple[tuple[str, float], ...] = ()
    """Increase per second, in the last seconds, of each counter that proves a hit."""
    quiet: float | None = None
    """Waiting: the seconds for which no such counter has increased; None if something else is awaited."""
    cause: UnknownCause = ""
    new_process: NewProcess | None = None
    """The process that it was judged on, if the program was restarted; None if it is the same process."""
    candidates: int = 0
    """How many may have taken its place, if that is why it cannot be known."""
