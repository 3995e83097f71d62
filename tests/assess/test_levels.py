"""Levels that the user sets: what is refused, which rule applies, and that nothing flickers at any level."""

from __future__ import annotations

from typing import Any

import pytest

from sockmon.assess import Assessor
from sockmon.ceilings import BY_ID
from sockmon.ceilings.ceiling import Measure
from sockmon.ceilings.level_rules import LevelRule, LevelRules
from sockmon.ceilings.level_table import HIT, level_rules
from sockmon.ceilings.selector import Selector, parse_selector
from sockmon.ceilings.unix_dgram import ESTIMATE_LEVELS
from sockmon.errors import NoSuchName
from sockmon.model.report import Reading
from tests.snapshots import process, snapshot


def rules(table: dict[str, Any]) -> LevelRules:
    found, faults = level_rules(table)
    assert faults == []
    return LevelRules(found)


def readings(levels: LevelRules, fds: int) -> dict[str, Reading]:
    rows = process(fds=fds), process(pid=7, name="cron", fds=fds)
    report = Assessor(levels=levels).add(snapshot(0.0, *rows)).report
    return {row.subject: row for row in report.readings if row.ceiling == "process-fds"}


def test_a_rule_moves_the_levels_of_its_subjects_only() -> None:
    found = readings(rules({"process-fds:nginx*": {"warning": 20, "critical": 40}}), 300)
    assert (found["nginx[1044]"].severity, found["cron[7]"].severity) == ("warning", "ok")
    assert (found["nginx[1044]"].warning, found["nginx[1044]"].critical) == (0.2, 0.4)
    assert (found["cron[7]"].warning, found["cron[7]"].critical) == (0.8, 0.95)


def test_a_rule_for_a_subject_comes_before_that_of_its_ceiling_and_keeps_what_it_does_not_set() -> None:
    found = rules({"process-fds:nginx*": {"critical": 60}, "process-fds": {"warning": 30}})
    levels = found.applied(BY_ID["process-fds"], Measure("nginx[1044]", 1, 10)).levels
    assert levels is not None
    assert (levels.warning, levels.critical, levels.warning_left) == (0.3, 0.6, 1800.0)


def test_a_limit_that_is_met_is_a_hit_whatever_the_levels_are() -> None:
    levels = rules({"process-fds": {"warning": 100, "critical": 100}})
    for fds, severity in ((1000, "ok"), (1024, "hit")):
        assert {row.severity for row in readings(levels, fds).values()} == {severity}


@pytest.mark.parametrize(("warning", "critical"), [(1, 2), (10, 11), (50, 50), (79, 80), (98, 99), (0.5, 100)])
def test_at_no_level_does_an_alarm_flicker(warning: float, critical: float) -> None:
    levels = rules({"process-fds": {"warning": warning, "critical": critical}})
    for level in (warning, critical):
        assessor = Assessor(levels=levels)
        edge = max(int(level * 100), 1)
        seen = [
            assessor.add(snapshot(float(at), process(fds=edge + at % 2, soft=10_000))).report.readings
            for at in range(12)
        ]
        found = [next(row.severity for row in rows if row.ceiling == "process-fds") for rows in seen]
        assert len({*found[1:]}) == 1, found


def test_an_alarm_by_growth_begins_at_the_seconds_that_are_set() -> None:
    def severity(table: dict[str, Any]) -> str:
        assessor = Assessor(levels=rules(table))
        for at in range(60):
            report = assessor.add(snapshot(float(at), process(fds=5200 + at, soft=10_000))).report
        return next(row.severity for row in report.readings if row.ceiling == "process-fds")

    assert severity({}) == "ok"
    assert severity({"process-fds": {"warning_left": 7200}}) == "warning"
    assert severity({"process-fds": {"warning_left": 7200, "critical_left": 6000}}) == "critical"


@pytest.mark.parametrize(
    ("levels", "fault"),
    [
        ({"warning": 0}, "warning: expected per cent of the limit, above 0 and up to 100, got 0"),
        ({"critical": 100.5}, "critical: expected per cent of the limit, above 0 and up to 100, got 100.5"),
        ({"warning": -5}, "warning: expected per cent of the limit, above 0 and up to 100, got -5"),
        ({"warning": "80"}, "warning: expected a number, got '80'"),
        ({"warning": True}, "warning: expected a number, got True"),
        ({"warning": float("nan")}, "warning: expected a number, got nan"),
        ({"warning": 90, "critical": 80}, "warning 90 is above critical 80"),
        ({"warning": 97}, "warning 97 is above critical 95, which applies unless you set critical too"),
        ({"critical": 60}, "warning 80 is above critical 60, which applies unless you set warning too"),
        ({"warning_left": 0}, "warning_left: expected seconds, above 0 and up to 604,800, got 0"),
        ({"warning_left": 60, "critical_left": 90}, "warning_left 60 is less than critical_left 90"),
        ({"hit": 90}, HIT),
        ({"warn": 90}, "unknown level warn; nearest: warning"),
        ({}, "sets no level; known: warning, critical, warning_left, critical_left"),
        (80, "expected a section with warning, critical, warning_left, critical_left, got 80"),
    ],
)
def test_levels_that_make_no_sense_are_refused_with_the_reason(levels: Any, fault: str) -> None:
    assert level_rules({"process-fds": levels}) == ((), [f"levels: process-fds: {fault}"])


def test_a_rule_is_checked_against_that_of_its_ceiling() -> None:
    found, faults = level_rules({"process-fds:cron*": {"warning": 85}, "process-fds": {"critical": 82}})
    assert [str(rule.selector) for rule in found] == ["process-fds"]
    assert len(faults) == 1
    assert level_rules([1])[0] == ()


def test_an_unknown_limit_is_refused_with_the_nearest() -> None:
    assert level_rules({"acept-queue": {"warning": 50}}) == (
        (),
        ["levels: unknown limit `acept-queue`; nearest: accept-queue"],
    )
    with pytest.raises(NoSuchName) as caught:
        parse_selector("open files")
    assert caught.value.hint == "nearest: process-fds"


def test_a_subject_with_brackets_is_itself_and_a_pattern() -> None:
    assert parse_selector("accept-queue:[::]:80") == Selector("accept-queue", "[::]:80")
    assert Selector("accept-queue", "[::]:80").matches("accept-queue", "[::]:80")
    assert Selector("process-fds", "nginx[[]*").matches("process-fds", "nginx[812]")
    assert not Selector("process-fds", "nginx*").matches("process-fds", "cron[7]")
    assert not Selector("process-fds").matches("accept-queue", "nginx[812]")


def test_an_estimate_that_is_never_critical_stays_so() -> None:
    found = LevelRule(Selector("unix-dgram-queue"), warning=0.5, critical=0.6).apply(ESTIMATE_LEVELS)
    assert (found.warning, found.critical) == (0.5, ESTIMATE_LEVELS.critical)
