"""What is new and what is getting worse; a first look and a long watch agree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sockmon.assess import Assessor
from sockmon.assess.assessment import Assessment
from sockmon.assess.tendency import tendency
from sockmon.model.report import Reading
from sockmon.model.snapshot import Files
from tests.snapshots import snapshot
from tests.ui.fake_app import WALL, assess, busy

KEY = ("process-fds", "nginx[1044]")


def reading(**changes: Any) -> Reading:
    fields: dict[str, Any] = {"used": 842, "limit": 1024, "ratio": 0.82, "rate": 0.0, "eta_seconds": None}
    fields |= {"severity": "warning", "evidence": (), "remedies": (), **changes}
    return Reading(*KEY, "process", **fields)


def at(began: float | None, started: float) -> Assessment:
    since = {} if began is None else {KEY: began}
    return replace(assess(busy(100)), since=since, started=started)


@pytest.mark.parametrize(
    ("began", "started", "expected"),
    [
        (WALL + 90, WALL - 300, "new"),
        (WALL + 30, WALL - 300, None),
        (WALL + 100, WALL + 100, None),
        (WALL + 90, WALL + 60, None),
        (None, WALL - 300, None),
    ],
)
def test_an_alarm_is_new_for_a_minute_and_never_on_the_first_samples(
    began: float | None, started: float, expected: str | None
) -> None:
    assert tendency(reading(), at(began, started)) == expected


@pytest.mark.parametrize(
    ("changes", "worse"),
    [
        ({"rate": 0.2}, True),
        ({"rate": 0.1}, False),
        ({"rate": -5.0}, False),
        ({"rate": None}, False),
        ({"rate": 5.0, "ratio": 1.0, "used": 1024, "severity": "hit"}, False),
        ({"rate": 5.0, "ratio": 0.1, "used": 102, "severity": "ok"}, False),
        ({"rate": 5.0, "ratio": 0.6, "used": 614, "severity": "ok"}, True),
        ({"rate": 5.0, "ratio": None, "limit": None}, False),
        ({"rate": 5.0, "limit": -1}, False),
    ],
)
def test_what_grows_by_a_hundredth_of_the_limit_in_a_minute_is_getting_worse(
    changes: dict[str, Any], worse: bool
) -> None:
    assert (tendency(reading(**changes), at(WALL - 40, WALL - 300)) == "worse") == worse


@pytest.mark.parametrize(("began", "expected"), [(WALL + 90, "known"), (WALL + 30, None)])
def test_an_alarm_that_was_unknown_is_known_for_a_minute_also_on_the_first_samples(
    began: float, expected: str | None
) -> None:
    found = replace(at(began, started=WALL + 80), first_known=frozenset({KEY}))
    assert tendency(reading(), found) == expected


@pytest.mark.parametrize(("unknown_for", "first_known"), [(3, False), (10, True)])
def test_what_was_unknown_for_some_seconds_is_first_known(unknown_for: int, first_known: bool) -> None:
    assessor = Assessor()
    for second in range(unknown_for):
        assessor.add(snapshot(float(second), files=None))
    full = snapshot(float(unknown_for), files=Files(2_000, 2_000, 1_048_576))
    found = assessor.add(full)
    assert ("system-fds", "web-1") in found.since
    assert (("system-fds", "web-1") in found.first_known) == first_known
    assert assessor.add(snapshot(unknown_for + 1.0)).first_known == frozenset()


def test_an_alarm_that_was_ok_before_is_not_first_known() -> None:
    assessor = Assessor()
    for second in range(10):
        assessor.add(snapshot(float(second)))
    found = assessor.add(snapshot(10.0, files=Files(2_000, 2_000, 1_048_576)))
    assert ("system-fds", "web-1") in found.since
    assert not found.first_known
