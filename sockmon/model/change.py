"""What shall be changed, and what became of it: a Plan is made without privilege, the guard alone acts on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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

    @property
    def name(self) -> str:
        """The key that it is asked for by: `net.core.somaxconn`, or `nofile@1044`."""
        return f"{self.key}@{self.pid}" if self.pid else self.key


class Plan(msgspec.Struct, frozen=True):
    """What one transaction changes, in the order of writing; reverting goes the other way."""

    settings: tuple[Setting, ...]
    netns: int
    """Inode of the network namespace that the values were read in."""
    boot_id: str
    undoes: str = ""
    """Id of the kept transaction that this takes back, with what it wrote to /etc/sysctl.d; empty: none."""


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
    boot: tuple[str, ...] = ()
    """What a restart makes of it, whether `keep --persist` would last, who else sets it: a line each."""


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


class Entry(msgspec.Struct, frozen=True):
    """What our file in /etc/sysctl.d said of a key, and says since: our lines for it, as Latin-1; empty: none."""

    key: str
    before: str
    after: str


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
    entries: tuple[Entry, ...] = ()
    """What it changed in /etc/sysctl.d: undoing it changes that back."""


def undoing(kept: Transaction, netns: int, boot_id: str) -> Plan:
    """The plan that takes a kept change back, the last setting first, with what it wrote to /etc/sysctl.d; a guard
    refuses it in another network namespace, and where somebody has changed the values since."""
    settings = reversed(kept.plan.settings)
    back = tuple(msgspec.structs.replace(each, old=each.new, new=each.old) for each in settings)
    # Numbers of namespaces say nothing about those of another boot.
    return Plan(back, kept.plan.netns if kept.plan.boot_id == boot_id else netns, boot_id, kept.id)


def standing(newest_first: Iterable[Transaction]) -> Iterator[Transaction]:
    """Of the history those changes that were kept, and not taken back since: newest first."""
    past = list(newest_first)
    gone = undone(past)
    yield from (one for one in past if one.state == "kept" and not one.plan.undoes and one.id not in gone)


def undone(newest_first: Iterable[Transaction]) -> set[str]:
    """Ids of what was taken back since; an undo that was taken back itself took back nothing."""
    found: set[str] = set()
    for one in newest_first:
        if one.state == "kept" and one.plan.undoes and one.id not in found:
            found.add(one.plan.undoes)
    return found


class Rival(msgspec.Struct, frozen=True):
    """A line that would decide a key at boot although our own file had one for it."""

    program: str
    """`systemd-sysctl` or `sysctl --system`."""
    at: str
    """`FILE:LINE`."""
    value: str | None
    """What it sets; None: it keeps the program from setting the key."""


class Outlook(msgspec.Struct, frozen=True):
    """What a restart makes of a key, and who else writes it."""

    value: str | None
    """What it will be by the files of sysctl.d; None where none sets it, or the two programs differ."""
    boot: tuple[str, ...]
    """A sentence for each program: `systemd-sysctl: /etc/sysctl.d/99-x.conf:3 sets 5`; one where they agree."""
    managers: tuple[str, ...] = ()
    """Who else sets it, with where and what that means, a sentence each."""
    rivals: tuple[Rival, ...] = ()
    """What `keep --persist` would meet: it does not write a value that another line then undoes."""
    unread: tuple[str, ...] = ()
    """Files that may hold such a line and could not be read, with the reason."""
    unit: str = ""
    """Of a limit: the systemd unit of the process, whose drop-in makes it last; empty where there is none."""


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
    """Who kept it and when, and what it is now or why it does not last: a whole sentence. Where `now` is what was
    kept it is about the file that would bring it back at boot."""
