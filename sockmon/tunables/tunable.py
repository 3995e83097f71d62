"""What a tunable is: a row about a sysctl, kept by the kernel under /proc/sys, or about a limit of a process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Scope = Literal["netns", "initial netns", "host", "pid namespace", "user namespace", "process", "cgroup"]
"""What shares one value: `netns` has one of its own in each; `initial netns` is one for the host, which only the
initial network namespace shows or may write."""
SCOPE_TEXT: dict[Scope, str] = {
    "netns": "each network namespace has its own value, which starts with the default, not with the host's value",
    "initial netns": "one value for the host; only the initial network namespace can write it",
    "host": "one value for the host, containers included",
    "pid namespace": "since Linux 6.14 each pid namespace has its own value, and those of the namespaces above it"
    " apply too; before that one value for the host",
    "user namespace": "each user namespace has its own value, and those of the namespaces above it apply too",
    "cgroup": "this cgroup and all below it; what starts the cgroup the next time gives it its own value again",
    "process": "this process only; processes that it starts later inherit it, those that run already do not",
}
NETNS_AS_HOST = "each network namespace has its own value, which starts with that of the initial one"
Kind = Literal["number", "numbers", "range", "ports", "switch", "limit", "cgroup limit"]
"""How a value is written: one number, several ascending numbers, a first and a last port, a list of ports and
ranges, one of a few numbers with a meaning each, the soft and the hard limit of a process, a number or `max`."""


@dataclass(frozen=True, kw_only=True)
class Tunable:
    """One sysctl or limit: what it does, what it does not do, and when a new value takes effect."""

    key: str
    """Dotted, as for sysctl(8); for a limit its name, as for prlimit(1)."""
    unit: str
    scope: Scope
    starts_as_host: bool = False
    """True if a new network namespace gets the value of the initial one, and not the default."""
    default: str
    """The kernel's own default; a text if it depends on the machine."""
    takes_effect: str
    """When a new value takes effect, and for what."""
    after_restart: bool = False
    """True if it takes effect only for what a program creates later: after its restart, or a reload."""
    description: str
    """What it does."""
    misconceptions: Sequence[str] = ()
    """What users often expect of it, and why that is wrong."""
    ceilings: Sequence[str] = ()
    """Ids of the ceilings that it is part of, first the one on which it has the most influence."""
    aliases_and_twins: Sequence[str] = ()
    """Other keys with the same meaning: the other address family, an alias, an older place."""
    since: str = ""
    """The Linux version that introduced it, if that matters."""
    writable: bool = True
    """False for a number that the kernel only reports."""
    source: str = ""
    """The kernel file or document that decides it."""
    kind: Kind = "number"
    minimum: int = 1
    """Our own bounds for each number of the value: the kernel accepts values that no host can need."""
    maximum: int = 2**31 - 1
    step: int = 1
    """The kernel rounds up to a multiple of it; other values would not read back as they were written."""
    field_names: Sequence[str] = ()
    """Names of the numbers, if the value has several."""
    allowed: Mapping[int, str] = field(default_factory=dict)
    """The values of a switch, and what each means."""
    aliases: Sequence[str] = ()
    """Those of `aliases_and_twins` that are the same number under another name."""
    unaffected: str = ""
    """What a new value does not change."""
    risk: str = ""
    """What can go wrong with a new value."""
    cost: Callable[[Sequence[int], int], int] | None = None
    """Bytes that the kernel takes at most with these numbers; the second argument is the page size."""
    memory: str = ""
    """What a value costs, if `cost` cannot say it as a number."""
    related: Sequence[str] = ()
    """Keys that must be considered together with it."""
    may_be_unlimited: bool = False
    """True for a limit that accepts `unlimited`."""

    @property
    def scope_text(self) -> str:
        """Return what shares one value."""
        return NETNS_AS_HOST if self.starts_as_host else SCOPE_TEXT[self.scope]

    @property
    def keys(self) -> tuple[str, ...]:
        """Return every key that has this meaning."""
        return (self.key, *self.aliases_and_twins)

    @property
    def settable(self) -> bool:
        """Return whether the kernel accepts a new value."""
        return self.writable
