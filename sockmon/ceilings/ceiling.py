"""What a ceiling is: a row that turns the newest Snapshot, and what moved in the window, into Measures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sockmon.model.detail import Focus, ProcessFocus
from sockmon.model.report import Remedy, Scope, Severity
from sockmon.model.snapshot import Netns, Owner, Snapshot


@dataclass(frozen=True)
class Levels:
    """Ratios at which an alarm begins; each ends a little lower, so that nothing flickers."""

    warning: float
    critical: float
    gap: float = 0.05

    def leave(self, level: float) -> float:
        """The ratio below which an alarm that began at `level` ends."""
        return level - min(self.gap, level / 5)


@dataclass(frozen=True)
class Window:
    """The newest Snapshot and how far each counter moved in the window that ends with it."""

    now: Snapshot
    netns: Netns
    moved: Mapping[str, int]
    """Counter → increase inside the window; a counter that cannot be compared yet is absent. Names as in
    `sockmon.assess.trail.counters`."""
    seconds: float
    """Length of the window that `moved` covers; 0 when there is only one Snapshot."""
    fullest: Mapping[int, int]
    """Listener inode → its longest accept queue inside the window."""

    def why_missing(self, *readers: str) -> str:
        """The reason why one of `readers` could not be read."""
        for item in self.now.missing:
            if item.reader in readers:
                return f"{item.reader}: {item.reason}"
        return f"{readers[0]}: not read yet"


@dataclass(frozen=True, eq=False)
class Measure:
    """One subject of one ceiling, before it is judged."""

    subject: str
    used: int | None
    limit: int | None
    pressing: int | None = None
    """What decides the severity where it is less than `used` (ports in TIME_WAIT that can be taken again)."""
    hit: bool = False
    """The limit has been met although `used` does not show it: a counter moved."""
    at_least: Severity = "ok"
    """A warning stage that only a counter shows."""
    momentary: bool = False
    """A queue: one full sample is no alarm, two in a row are."""
    lasts: float | None = None
    """Seconds after which `passing` units go away by themselves: where only they grow, at r per second, they level
    off at r × lasts."""
    passing: int = 0
    """How many of `used` do so; the rest stays."""
    levels: Levels | None = None
    """Where the ceiling's own levels do not fit this host."""
    at: float | None = None
    """When it was read, where that is not the Snapshot's own time."""
    focus: Focus | None = None
    unseen: str = ""
    """Why `used` or `limit` could not be seen; without a counter that proves a hit the Measure is unknown."""
    about: object = None
    """What the ceiling needs again to explain this Measure."""


@dataclass(frozen=True)
class Words:
    """What `explain` and the screen of a ceiling say about it, in sentences; every fact checked."""

    counted: str
    """What is counted, where the kernel keeps the number, and what is not counted."""
    shows: Sequence[str]
    """How the limit shows when it is met: errno, counters, lines of the kernel's log."""
    live: str
    """How to raise it at once."""
    lasting: str
    """How to make that last."""
    costs: str
    """What a higher limit costs, and what can go wrong."""
    myths: Sequence[str] = ()
    """Advice that does not help, and why."""
    keys: Sequence[str] = ()
    """Sysctls that it is made of."""
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
    what: str
    """One sentence: what happens when it is met."""
    measure: Callable[[Window], Iterable[Measure]]
    evidence: Callable[[Window, Measure], Sequence[str]]
    remedies: Callable[[Window, Measure], Sequence[Remedy]]
    words: Words | None = None
    proofs: Sequence[str] = ()
    """Counters of `Window.moved` whose movement proves a hit."""
    as_of: Callable[[Snapshot], object] | None = None
    """What changes when there is something new to measure; without it every Snapshot is."""


_FEW = 0.05
ENOUGH = 1 << 40
"""A limit beyond which nobody is advised to raise it: it is none."""


def unknown(subject: str, reason: str) -> Measure:
    """A Measure of something that could not be seen, and why."""
    return Measure(subject, None, None, unseen=reason)


def nearly_all(seen: int, unseen: int) -> bool:
    """True where so few were not seen that a reading stands without them; `missing` says that there are some."""
    return unseen <= _FEW * (seen + unseen)


def largest(owners: Sequence[Owner]) -> ProcessFocus | None:
    """What opens when a reading is opened that several processes share: the one that holds most."""
    return ProcessFocus(owners[0].pid, owners[0].start) if owners else None


def number(sysctls: Mapping[str, str], key: str) -> int | None:
    """A sysctl as a number; None where this namespace does not have it, or a forged recording has words there."""
    try:
        return int(sysctls[key])
    except (KeyError, ValueError):
        return None


def raised(limit: int, factor: int = 2) -> int:
    """A round value above `limit`: the next power of two that gives at least `factor` times as much."""
    return 1 << max(limit * factor - 1, 1).bit_length()


def moved(window: Window, *counters: str) -> list[str]:
    """`ListenOverflows +14 in 10 s` for each of `counters` that moved in the window."""
    return [
        f"{name.rpartition('.')[2]} +{window.moved[name]:,} in {max(window.seconds, 1):.0f} s"
        for name in counters
        if window.moved.get(name, 0) > 0
    ]
