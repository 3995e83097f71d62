"""What a ceiling is: a row that turns the newest Snapshot and the counter deltas of a window into Measures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from msgspec import Struct

from sockmon.ceilings.node_ports import kubernetes_process
from sockmon.model.detail import DetailQuery
from sockmon.model.report import LargestShare, Remedy, Scope
from sockmon.model.severity import Severity
from sockmon.model.snapshot import Missing, Netns, Snapshot


@dataclass(frozen=True)
class Levels:
    """Ratios, and seconds left, at which an alarm begins; it ends a little lower, or at twice the time, so that it
    does not flicker."""

    warning: float
    critical: float
    hysteresis: float = 0.05
    warning_left: float = 30 * 60.0
    """Seconds left from which on steady growth is a warning, if half of the limit is used."""
    critical_left: float = 5 * 60.0

    def release_below(self, level: float) -> float:
        """Return the ratio below which an alarm that began at `level` ends."""
        return level - min(self.hysteresis, level / 5)


SYSCTL_NOT_VISIBLE = "is not visible: another namespace, an older kernel, or /proc/sys is hidden"


@dataclass(frozen=True)
class Window:
    """The newest Snapshot, and how far each counter moved in the window that ends with it."""

    now: Snapshot
    netns: Netns
    deltas: Mapping[str, int]
    """Counter → increase inside the window; a counter that cannot be compared yet is absent. Names as in
    `sockmon.assess.counters`."""
    seconds: float
    """Length of the window that `deltas` covers; 0 if there is only one Snapshot."""
    longest_queues: Mapping[int, int]
    """Listener inode → its longest accept queue inside the window."""

    @cached_property
    def kubernetes(self) -> str:
        """The name of a process that shows that Kubernetes runs here; empty if it does not."""
        return kubernetes_process(self.now.processes.rows if self.now.processes else ())

    def missing(self, *readers: str) -> Missing:
        """Return why one of `readers` could not be read."""
        found = (item for item in self.now.missing if item.reader in readers)
        return next(found, Missing(readers[0], SYSCTL_NOT_VISIBLE if "." in readers[0] else "not read yet"))


class Measure(Struct, frozen=True, eq=False):
    """One subject of one ceiling, before its severity is decided: there is one for each process."""

    subject: str
    used: int | None
    limit: int | None
    effective_used: int | None = None
    """What decides the severity if it is less than `used` (without ports in TIME_WAIT that can be reused)."""
    hit: bool = False
    """The limit was reached although `used` does not show it: a counter moved."""
    min_severity: Severity = "ok"
    """An early stage that only a counter shows."""
    transient: bool = False
    """True for a queue: one full sample is not an alarm, two in succession are."""
    expires_after: float | None = None
    """Seconds after which `expiring` units go away by themselves: if only they grow, at r per second, they level
    off at r × expires_after."""
    expiring: int = 0
    """How many of `used` go away by themselves; the rest stays."""
    scope: Scope | None = None
    """What shares this limit; None: the scope of the ceiling."""
    levels: Levels | None = None
    """Levels of this host, if those of the ceiling do not fit it."""
    at: float | None = None
    """When it was read; None: at the time of the Snapshot."""
    query: DetailQuery | None = None
    """What to ask the agent for when the reading is opened."""
    unknown_reason: str = ""
    """Why `used` or `limit` could not be read; unless a counter proves a hit, the Measure is unknown."""
    has_evidence: bool = False
    """True if there is evidence even if it is unknown, such as who uses a resource whose limit is not visible."""
    missing: Missing | None = None
    """The entry of the Snapshot's `missing` that has the same reason."""
    name: str = ""
    """As `Reading.name`."""
    shares: tuple[LargestShare, ...] = ()
    """As `Reading.shares`."""
    payload: object = None
    """What the ceiling needs again for evidence and remedies."""


@dataclass(frozen=True)
class Manual:
    """What `explain`, the screen and the docs print about a ceiling, in sentences; every fact is checked."""

    measurement: str
    """What is counted, where the kernel keeps the number, and what is not counted."""
    symptoms: Sequence[str]
    """What shows that the limit is reached: errno, counters, kernel log lines."""
    raise_now: str
    """How to raise the limit at once."""
    cost: str
    """What a higher limit costs, and what can go wrong."""
    persist: str = "Put the same setting in a file in /etc/sysctl.d."
    """How to keep the higher limit after a restart."""
    misconceptions: Sequence[str] = ()
    """Common advice that does not help, and why."""
    sysctls: Sequence[str] = ()
    """Sysctls that the limit is made of."""
    source: str = ""
    """The kernel file or document that decides it."""


@dataclass(frozen=True)
class Ceiling:
    """A limit that can cap connections: how to measure it, how to judge it, how to explain it."""

    id: str
    title: str
    unit: str
    scope: Scope
    levels: Levels
    consequence: str
    """One sentence: what happens at the limit."""
    measure: Callable[[Window], Iterable[Measure]]
    evidence: Callable[[Window, Measure], Sequence[str]]
    remedies: Callable[[Window, Measure], Sequence[Remedy]]
    manual: Manual
    per: str = ""
    """What has a limit of its own, such as a listener; empty: the scope has."""
    hit_counters: Sequence[str] = ()
    """Counters of `Window.deltas` whose movement proves a hit."""
    needs_movement: bool = False
    """True if an alarm can rest on movement alone (a counter or a rate), which one sample does not show."""
    from_processes: bool = False
    """Measured on the processes in /proc: with hidepid it is unknown for those of other users."""
    change_key: Callable[[Window], object] | None = None
    """Returns what changes if there is something new to measure; None, or None from it: every Snapshot is new."""

    @property
    def of_netns(self) -> bool:
        """Return whether it is that of a network namespace or of its sockets; /proc shows the processes of all."""
        return self.scope == "netns" or (self.scope == "process" and not self.from_processes)
