"""The subjects of a ceiling that get series of their own: few, and named without pid."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from sockmon.assess import Assessment
from sockmon.ceilings import CEILINGS
from sockmon.model.report import Reading, ReadingNetns
from sockmon.model.severity import ALARMS, URGENCY, Severity
from sockmon.model.snapshot import Netns

DEFAULT_TOP = 5
LISTED_RATIO = 0.5
"""Use from which on a subject without an alarm has series of its own: below it the fullest ones change each
second."""
MAX_LABEL = 120
"""Characters of a label's value."""
_PID = re.compile(r"\[[0-9]+\]$")
"""What a name ends with if it is that of a process."""
OTHER = "other"
"""The label of subjects whose names would be too many: the worst of them has the series."""
Admits = Callable[[tuple[str, ...]], bool]
OWN = "own"
"""The namespace that sockmon was started in, if it has no name and is not that of the host."""
UNNAMED = "?"
"""A process may have an empty name (PR_SET_NAME of prctl(2))."""


class Subject(NamedTuple):
    """What has a limit, as labels name it: several processes with one name are one subject, the worst of them."""

    name: str
    netns: str
    """Name of its network namespace; empty if the limit is that of the host, of a process or of a cgroup."""
    reading: Reading


class CeilingUse(NamedTuple):
    """One ceiling on one host."""

    id: str
    severity: Severity
    """The worst of all subjects; unknown only if none is known."""
    fullest: Reading | None
    """The subject with the highest ratio; None if no ratio is known."""
    seconds_left: float | None
    """The least of all subjects."""
    listed: Sequence[Subject]
    """At most `top`, the most urgent first."""
    subjects: int
    """All that were judged."""

    @property
    def ratio(self) -> float | None:
        """Return the ratio of the fullest subject; None if none is known."""
        return self.fullest.ratio if self.fullest else None

    @property
    def unlisted(self) -> int:
        """Return how many subjects have no series of their own."""
        return self.subjects - len(self.listed)


def ceiling_uses(
    assessment: Assessment, top: int = DEFAULT_TOP, admits: Admits = lambda name: True
) -> list[CeilingUse]:
    """Return the use of every ceiling that has a reading, in the order of CEILINGS. A subject whose name `admits`
    refuses is OTHER."""
    readings: dict[str, list[Reading]] = {}
    for reading in assessment.report.readings:
        readings.setdefault(reading.ceiling, []).append(reading)
    judged: dict[str, int] = {}
    for key, gauge in assessment.gauges.items():
        judged[key[0]] = judged.get(key[0], 0) + (gauge.severity != "unknown")
    return [
        _use(row.id, readings[row.id], judged.get(row.id, 0), top, admits, assessment.snapshot.netns[0])
        for row in CEILINGS
        if row.id in readings
    ]


def _use(
    ceiling: str, readings: Sequence[Reading], judged: int, top: int, admits: Admits, first: Netns
) -> CeilingUse:
    known = [reading for reading in readings if reading.severity != "unknown"]
    listed: dict[tuple[str, str], Subject] = {}
    for each in [each for each in _by_name(known, first).values() if is_listed(each.reading)][:top]:
        named = each if admits((ceiling, each.name, each.netns)) else each._replace(name=OTHER, netns="")
        listed.setdefault((named.name, named.netns), named)
    left = [reading.eta_seconds for reading in known if reading.eta_seconds is not None]
    return CeilingUse(
        ceiling,
        max((each.severity for each in known), key=URGENCY.__getitem__, default="unknown"),
        max((each for each in known if each.ratio is not None), key=_ratio, default=None),
        min(left, default=None),
        [listed[name] for name in sorted(listed)],
        max(judged, len(known)),
    )


def is_listed(reading: Reading) -> bool:
    """Return whether the subject of a reading has series of its own, if there are not too many."""
    return reading.severity in ALARMS or _ratio(reading) >= LISTED_RATIO


def _ratio(reading: Reading) -> float:
    return reading.ratio or 0.0


def _by_name(readings: Iterable[Reading], first: Netns) -> Mapping[tuple[str, str], Subject]:
    """Return the worst subject of each name and namespace, the most urgent first."""
    found: dict[tuple[str, str], Subject] = {}
    for reading in sorted(readings, key=lambda each: (-URGENCY[each.severity], -_ratio(each), each.subject)):
        name = label(reading.name or _PID.sub("", reading.subject) or UNNAMED)
        netns = netns_label(reading.netns, first) if reading.netns else ""
        found.setdefault((name, netns), Subject(name, netns, reading))
    return found


def label(text: str) -> str:
    """Return foreign text, which is sanitized already, in a length that is fit for a label."""
    return text if len(text) <= MAX_LABEL else text[: MAX_LABEL - 1] + "…"


def netns_label(netns: Netns | ReadingNetns, first: Netns) -> str:
    """Return the name of a network namespace, without the pid that it has if only a process names it. `first` is
    the one that sockmon was started in: without a name it has an inode, another one after each start of a
    container."""
    if netns.kind:
        return label(netns.name)
    if netns.name.startswith("net:["):
        return OWN if netns.name == first.name else netns.name
    return label(_PID.sub("", netns.name) or UNNAMED)
