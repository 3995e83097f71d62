"""What a ceiling is: a row that turns the newest Snapshot, and what moved in the window, into Measures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sockmon.model.detail import Focus
from sockmon.model.report import Remedy, Scope, Severity
from sockmon.model.snapshot import Netns, Snapshot


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
    """Counter → increase inside the window; a counter that cannot be compared yet is absent."""
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
    """Seconds after which a unit goes away by itself: what grows at r per second levels off at r × lasts."""
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
    as_of: Callable[[Snapshot], object] | None = None
    """What changes when there is something new to measure; without it every Snapshot is."""


ENOUGH = 1 << 40
"""A limit beyond which nobody is advised to raise it: it is none."""


def unknown(subject: str, reason: str) -> Measure:
    """A Measure of something that could not be seen, and why."""
    return Measure(subject, None, None, unseen=reason)


def number(sysctls: Mapping[str, str], key: str) -> int | None:
    """A sysctl as a number; None where this namespace does not have it."""
    text = sysctls.get(key)
    return int(text) if text is not None else None


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
