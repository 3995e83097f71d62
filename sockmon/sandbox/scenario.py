"""What a lab is, what sockmon must report in it, and what of that a report lacks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sockmon.model.report import Reading, RemedyKind, Report
from sockmon.model.severity import ALARMS, Severity

if TYPE_CHECKING:
    from sockmon.sandbox.builder import LabBuilder


@dataclass(frozen=True)
class Expect:
    """A Reading that the report must have; ranges include both ends and are in the unit of the ceiling."""

    ceiling: str
    subject: str
    """A regular expression that matches somewhere in the Reading's subject."""
    used: tuple[int, int] | None
    """None: any."""
    limit: tuple[int, int] | None
    severity: tuple[Severity, ...]
    remedy: RemedyKind | None = None
    """The kind of the first remedy; None: any."""
    key: str | None = None
    """What the first remedy sets; None: any."""
    netns: str = ""
    """A regular expression that matches somewhere in the name of the Reading's network namespace; empty: any."""


def hit(
    ceiling: str, subject: str, limit: int, remedy: RemedyKind | None = None, key: str | None = None
) -> Expect:
    """Return the expectation that `subject` is exactly at `limit`."""
    return Expect(ceiling, subject, (limit, limit), (limit, limit), ("hit",), remedy, key)


@dataclass(frozen=True)
class Lab:
    """A host that reaches one ceiling, or a healthy host that reaches none."""

    name: str
    ceiling: str | None
    """The id of the ceiling that is reached; None: a healthy host."""
    title: str
    scenario: str
    """What happens, in one sentence of at most 108 characters."""
    what_to_see: str
    """What to look for on the screen, at most 76 characters: it has one line of 80 columns."""
    claim: str
    """What the lab shows about sockmon."""
    build: Callable[[LabBuilder], None] | None
    """Builds it inside its namespaces: a top-level function or a `partial` of one. None: it is a recording."""
    expect_first: Expect | None
    """What must come first; None: there must be no alarm."""
    expect_also: tuple[Expect, ...] = ()
    expect_no_alarm: tuple[str, ...] = ()
    """Ceilings that must raise no alarm."""
    expect_unjudged: str = ""
    """What the report must say it did not judge, such as `1 other network namespace`, or a part of it; empty:
    anything."""
    needs: tuple[str, ...] = ()
    """`root`, `nft` or another program, `Linux 6.14`, `cgroup:pids`."""
    check_seconds: float = 2.0
    """How long a check must observe it."""
    recording: str | None = None
    """A file in `labs/recordings/`: a host-wide setting, or for users who lack what `build` needs."""
    size: int = 0
    """How many namespaces it has, for a lab that can be larger or smaller (`replace(lab, size=…)`); else 0."""
    deadline: float = 3600.0
    """Seconds after which the lab is killed in any case."""

    @property
    def recorded(self) -> bool:
        """True if it can only be replayed."""
        return self.build is None

    @property
    def summary(self) -> str:
        """Two lines: what happens, and what to look for."""
        return f"{self.scenario}\n{self.what_to_see}"


def unmet_expectations(lab: Lab, report: Report) -> list[str]:
    """Return one sentence for each expectation of `lab` that `report` does not meet."""
    expected = (*((lab.expect_first,) if lab.expect_first else ()), *lab.expect_also)
    return [
        *(_check_first(lab.expect_first, _own_readings(report, expected)) if lab.expect_first else ()),
        *(fault for expect in lab.expect_also for fault in _check_present(expect, report)),
        *_check_no_alarm(lab, report, expected),
        *_check_unjudged(lab.expect_unjudged, report),
    ]


def _own_readings(report: Report, expected: tuple[Expect, ...]) -> list[Reading]:
    """Return the Readings without unexpected host-wide ones: a lab shares these limits with the host."""
    named = {expect.ceiling for expect in expected}
    return [reading for reading in report.readings if reading.scope != "host" or reading.ceiling in named]


def _check_first(expect: Expect, readings: list[Reading]) -> Iterator[str]:
    if not readings:
        yield f"nothing is reported, expected {expect.ceiling}"
    elif differences := list(_differences(expect, readings[0])):
        yield f"the first is {_describe(readings[0])}: {', '.join(differences)}"


def _check_present(expect: Expect, report: Report) -> Iterator[str]:
    """Yield nothing if a Reading matches, else what is wrong with the most similar one."""
    candidates = [(list(_differences(expect, reading)), reading) for reading in report.readings]
    differences, closest = min(candidates, key=lambda each: len(each[0]), default=(["nothing is reported"], None))
    if differences:
        found = _describe(closest) if closest else "none"
        yield f"no {expect.ceiling} as expected; closest is {found}: {', '.join(differences)}"


def _check_no_alarm(lab: Lab, report: Report, expected: tuple[Expect, ...]) -> Iterator[str]:
    for reading in report.readings:
        # A host-wide limit may be reached because of other programs on the host.
        forbidden = reading.ceiling in lab.expect_no_alarm or (
            lab.expect_first is None and reading.scope != "host"
        )
        if reading.severity in ALARMS and forbidden and all(any(_differences(each, reading)) for each in expected):
            yield f"unexpected alarm: {_describe(reading)}: {'; '.join(reading.evidence)}"


def _check_unjudged(expected: str, report: Report) -> Iterator[str]:
    if expected and not any(expected in entry.unjudged for entry in report.missing):
        yield f"{expected} is not among what is not judged"


def _differences(expect: Expect, reading: Reading) -> Iterator[str]:
    if reading.ceiling != expect.ceiling:
        yield f"not {expect.ceiling}"
    if not re.search(expect.subject, reading.subject):
        yield f"subject does not match {expect.subject!r}"
    name = reading.netns.name if reading.netns else ""
    if not re.search(expect.netns, name):
        yield f"it is of network namespace {name!r}, not {expect.netns!r}"
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


def _describe(reading: Reading) -> str:
    return f"{reading.ceiling} {reading.subject} {reading.used} / {reading.limit} {reading.severity}"
