"""What a report lacks of what a lab expects of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sockmon.model.report import Reading, Report
from sockmon.model.severity import ALARMS
from sockmon.sandbox.scenario import Expect, Lab


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
