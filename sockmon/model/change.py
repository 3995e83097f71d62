"""What shall be changed, and what became of it: a Plan is made without privilege, the guard alone acts on it."""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["applying", "holding", "kept", "reverted", "conflict", "stuck", "refused", "rebooted"]
"""Where a transaction stands: `conflict` met another's change and left it, `stuck` could not write one back."""


class Setting(msgspec.Struct, frozen=True):
    """One value to change: a sysctl, or a limit of a live process."""

    key: str
    """`net.core.somaxconn`; `nofile` or `nproc` of a process."""
    old: str
    """What it was when the plan was made, tokens separated by single spaces; limits as SOFT:HARD."""
    new: str
    pid: int = 0
    """0: a sysctl."""
    start: int = 0
    """The process's start time: pids are used again."""


class Plan(msgspec.Struct, frozen=True):
    """What one transaction changes, in the order of writing; reverting goes the other way."""

    settings: tuple[Setting, ...]
    netns: int
    """Inode of the network namespace that the values were read in."""
    boot_id: str


class Preview(msgspec.Struct, frozen=True):
    """What one Setting will do, before it is done."""

    setting: Setting
    unit: str
    effect: str
    """Old and new in numbers: `28,232 -> 64,512 ports to each destination`."""
    when: str
    """From when on it counts, and for what."""
    keeps: tuple[str, ...]
    """What stays as it is, existing listeners by name."""
    scope: str
    """Who else gets the new value."""
    risk: str
    cost: int | None
    """Bytes of memory that the kernel may take more than before; None: not known, `risk` has the words."""
    warnings: tuple[str, ...]


class Proposal(msgspec.Struct, frozen=True):
    """A Plan and everything that somebody should know before it is acted on."""

    plan: Plan
    """Without settings where there is nothing to do."""
    previews: tuple[Preview, ...]
    """One for each setting, in the same order."""
    already: tuple[str, ...]
    """Keys that have the wanted value."""
    revert: str
    """How the old values come back."""
    commands: tuple[str, ...]
    """The same by hand, for a shell with the privilege."""
    back: tuple[str, ...]
    """And what puts the old values back, in the reverse order."""


class Who(msgspec.Struct, frozen=True):
    """Who asked for it."""

    uid: int
    user: str
    login: str
    """loginuid's name, or SUDO_USER: the person behind root; empty where it is not known."""
    terminal: str


class Transaction(msgspec.Struct, frozen=True):
    """A plan that was acted on."""

    id: str
    plan: Plan
    who: Who
    begun: float
    """Wall clock, seconds since the epoch."""
    hold: float
    """Seconds after which it goes back by itself."""
    deadline: float
    """CLOCK_BOOTTIME, seconds."""
    state: State
    persisted: bool = False
    words: tuple[str, ...] = ()
    """What went wrong or differs, a sentence each."""


class Outlook(msgspec.Struct, frozen=True):
    """What a restart makes of a key, and who else writes it."""

    value: str | None
    """What it will be by the files of sysctl.d; None where none sets it, or the two programs differ."""
    boot: tuple[str, ...]
    """A sentence for each program: `systemd-sysctl: /etc/sysctl.d/99-x.conf:3 sets 5`; one where they agree."""
    managers: tuple[str, ...] = ()
    """Who else sets it, with where and what that means, a sentence each."""


class Drift(msgspec.Struct, frozen=True):
    """A value that was kept, and is another now."""

    key: str
    kept: str
    now: str | None
    """None: it cannot be read any more, `words` says why."""
    id: str
    """Of the transaction that kept it."""
    pid: int = 0
    words: str = ""
