"""What a tunable is: a row about a sysctl, kept by the kernel under /proc/sys, or about a limit of a process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Reach = Literal["netns", "initial netns", "host", "pid namespace", "user namespace", "process"]
"""What shares one value: `netns` has one of its own in each; `initial netns` is one for the host, which only the
initial network namespace shows or may write."""
REACH: dict[Reach, str] = {
    "netns": "each network namespace has its own, which begins with the default, not with the host's value",
    "initial netns": "one for the host, which only the initial network namespace may write",
    "host": "one for the host, containers included",
    "pid namespace": "each pid namespace has its own since Linux 6.14, and those around it apply too; before that"
    " one for the host",
    "user namespace": "each user namespace has its own, and those around it apply too",
    "process": "this process alone; those that it starts from now on inherit it, those that run already do not",
}
Kind = Literal["number", "numbers", "range", "ports", "switch", "limit"]
"""How a value is written: one number, several in ascending order, a first and a last port, a list of ports and of
ranges, one of a few numbers that each mean something, or the soft and the hard limit of a process."""


@dataclass(frozen=True, kw_only=True)
class Tunable:
    """One sysctl or limit: what it does, what it does not do, and when a new value counts."""

    key: str
    """Dotted, as sysctl(8) takes it; of a limit its name, as prlimit(1) takes it."""
    unit: str
    scope: Reach
    default: str
    """The kernel's own default, in words where it depends on the machine."""
    effect: str
    """From when on a new value counts, and for what."""
    words: str
    """What it does."""
    myths: Sequence[str] = ()
    """What it is often said to do, and does not."""
    ceilings: Sequence[str] = ()
    """Ids of the ceilings that it is part of, the first the one that it decides most."""
    also: Sequence[str] = ()
    """Other keys with the same meaning: the other address family, an alias, an older place."""
    since: str = ""
    """The Linux that it came with, where that matters."""
    writable: bool = True
    """False for a number that the kernel only shows."""
    until: str = ""
    """Set where it is gone: since when, in words."""
    source: str = ""
    """The kernel file or document that decides it."""
    kind: Kind = "number"
    least: int = 1
    """Bounds of our own for each number of the value: the kernel takes much that no host can want."""
    most: int = 2**31 - 1
    step: int = 1
    """The kernel rounds up to multiples of it; others would not read back as they were written."""
    fields: Sequence[str] = ()
    """What the numbers of a value with several are called."""
    allowed: Mapping[int, str] = field(default_factory=dict)
    """A switch's values, and what each means."""
    aliases: Sequence[str] = ()
    """Those of `also` that are this very number under another name."""
    keeps: str = ""
    """What a new value leaves as it is."""
    risk: str = ""
    """What can go wrong with a new value, in words."""
    cost: Callable[[Sequence[int], int], int] | None = None
    """Bytes that the kernel takes at most with these numbers; the second argument is the size of a page."""
    couplings: Sequence[str] = ()
    """Keys that it must be looked at together with."""
    unlimited: bool = False
    """True for a limit that may be none at all."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that means this."""
        return (self.key, *self.also)

    @property
    def settable(self) -> bool:
        """True where this kernel may take a new value."""
        return self.writable and not self.until
