"""What a lab is: a row that brings one ceiling about on the real kernel, and says what sockmon must make of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sockmon.model.report import URGENCY, Reading, RemedyKind, Report, Severity

if TYPE_CHECKING:
    from sockmon.labs.stage import Stage


@dataclass(frozen=True)
class Expect:
    """A Reading that must be there; numbers in the unit of its ceiling, both ends of a range included."""

    ceiling: str
    subject: str
    """A regular expression that is found in the Reading's subject."""
    used: tuple[int, int] | None
    """Lowest and highest; None: any."""
    limit: tuple[int, int] | None
    severity: tuple[Severity, ...]
    remedy: RemedyKind | None = None
    """The kind of the first remedy; None: any."""
    key: str | None = None
    """What the first remedy sets."""


@dataclass(frozen=True)
class Lab:
    """A world with something wrong in it, or, for health, with nothing wrong."""

    name: str
    ceiling: str | None
    """The id of the ceiling that is reached; None: a healthy world."""
    title: str
    does: str
    """What happens here, in one sentence of at most 108 characters."""
    look: str
    """What to look for on the screen, at most 76 characters: it has one line of 80 columns."""
    proves: str
    build: Callable[[Stage], None] | None
    """Builds it, inside its namespaces: a top-level function or a `partial` of one. None: there is a recording."""
    first: Expect | None
    """What must come first; None: nothing may be wrong."""
    also: tuple[Expect, ...] = ()
    never: tuple[str, ...] = ()
    """Ceilings that must raise no alarm."""
    needs: tuple[str, ...] = ()
    """`root`, `nft`, `Linux 6.14`, `cgroup:pids`."""
    watch: float = 2.0
    """Seconds that a check must look."""
    recording: str | None = None
    """A real run, a file in `sockmon/labs/recordings/`: of what only a setting of the whole host can show, or for
    those who lack what `build` needs."""
    alone: bool = False
    """It takes so much of what all share that nothing may run beside it."""
    deadline: float = 3600.0
    """Seconds after which all of it dies in any case."""

    @property
    def recorded(self) -> bool:
        """True where it is looked at, and not lived in."""
        return self.build is None

    @property
    def story(self) -> str:
        """Two lines: what it does, what to look for."""
        return f"{self.does}\n{self.look}"


def judge(lab: Lab, report: Report) -> list[str]:
    """What of `lab` does not hold in `report`, a sentence each; empty: it is proved."""
    expected = (*((lab.first,) if lab.first else ()), *lab.also)
    return [
        *(_first(lab.first, _ranked(report, expected)) if lab.first else ()),
        *(fault for expect in lab.also for fault in _somewhere(expect, report)),
        *_never(lab, report, expected),
    ]


def _ranked(report: Report, expected: tuple[Expect, ...]) -> list[Reading]:
    """The Readings without what the rest of the host brings in: a lab shares the host's own limits with all."""
    named = {expect.ceiling for expect in expected}
    return [reading for reading in report.readings if reading.scope != "host" or reading.ceiling in named]


def _first(expect: Expect, readings: list[Reading]) -> Iterator[str]:
    if not readings:
        yield f"nothing is reported, {expect.ceiling} should be"
    elif faults := list(_differences(expect, readings[0])):
        yield f"first comes {_words(readings[0])}: {', '.join(faults)}"


def _somewhere(expect: Expect, report: Report) -> Iterator[str]:
    """Nothing where a Reading matches, else what is wrong with the one that comes closest."""
    tried = [(list(_differences(expect, reading)), reading) for reading in report.readings]
    faults, closest = min(tried, key=lambda one: len(one[0]), default=(["nothing is reported"], None))
    if faults:
        yield f"no {expect.ceiling} as it should be; closest is {closest and _words(closest)}: {', '.join(faults)}"


def _never(lab: Lab, report: Report, expected: tuple[Expect, ...]) -> Iterator[str]:
    for reading in report.readings:
        alarm = URGENCY[reading.severity] >= URGENCY["warning"]
        # What the host is short of, its other tenants may have brought about.
        forbidden = reading.ceiling in lab.never or (lab.first is None and reading.scope != "host")
        if alarm and forbidden and all(any(_differences(one, reading)) for one in expected):
            yield f"must not come: {_words(reading)}: {'; '.join(reading.evidence)}"


def _differences(expect: Expect, reading: Reading) -> Iterator[str]:
    if reading.ceiling != expect.ceiling:
        yield f"not {expect.ceiling}"
    if not re.search(expect.subject, reading.subject):
        yield f"subject is not {expect.subject!r}"
    for name, found, wanted in (("used", reading.used, expect.used), ("limit", reading.limit, expect.limit)):
        if wanted and not (found is not None and wanted[0] <= found <= wanted[1]):
            yield f"{name} is not in {wanted[0]:,}–{wanted[1]:,}"
    if reading.severity not in expect.severity:
        yield f"severity is not {' or '.join(expect.severity)}"
    remedy = reading.remedies[0] if reading.remedies else None
    if expect.remedy and (remedy is None or remedy.kind != expect.remedy):
        yield f"the first remedy is {remedy.kind if remedy else 'missing'}, not {expect.remedy}"
    if expect.key and (remedy is None or remedy.key != expect.key):
        yield f"the first remedy sets {remedy.key if remedy else None}, not {expect.key}"


def _words(reading: Reading) -> str:
    return f"{reading.ceiling} {reading.subject} {reading.used} / {reading.limit} {reading.severity}"
