"""Answers of Prometheus → the hosts of a fleet. Each answer is about as large as the number of hosts."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sockmon.fleet.hosts import FleetHost, HostLimit, State, limit_order
from sockmon.fleet.prometheus import Series
from sockmon.model.severity import URGENCY, Severity

STALE_SECONDS = 120.0
GONE_WINDOW = "1h"
TREND_SECONDS, TREND_STEPS = 3600.0, 30
MAX_LIMITS = 5
_OWN = frozenset({"__name__", "instance", "ceiling", "sockmon_verdict", "sockmon_ceiling_severity"})


class Queries(NamedTuple):
    """The expressions; `{}` in each is what `--match` selects."""

    verdicts: str = "sockmon_verdict{{{}}} == 1"
    severities: str = 'sockmon_ceiling_severity{{sockmon_ceiling_severity!="ok",{}}} == 1'
    fullest: str = "topk by (instance) (1, sockmon_ceiling_ratio{{{}}})"
    left: str = "min by (instance) (sockmon_ceiling_left_seconds{{{}}})"
    ages: str = "time() - sockmon_sample_timestamp_seconds{{{}}}"
    known: str = f"present_over_time(sockmon_build_info{{{{{{}}}}}}[{GONE_WINDOW}])"
    trend: str = "max by (instance) (sockmon_ceiling_ratio{{{}}})"


class Answers(NamedTuple):
    """The answer to each query but the trend."""

    verdicts: Sequence[Series]
    severities: Sequence[Series]
    fullest: Sequence[Series]
    left: Sequence[Series]
    ages: Sequence[Series]
    known: Sequence[Series]


def hosts(answers: Answers, trends: Iterable[Series] = ()) -> list[FleetHost]:
    """Return every host that had metrics within the last hour."""
    verdicts = _by_instance(answers.verdicts)
    ages = {name: _number(rows[0].value) for name, rows in _by_instance(answers.ages).items()}
    left = {name: _number(rows[0].value) for name, rows in _by_instance(answers.left).items()}
    severities, fullest = _by_instance(answers.severities), _by_instance(answers.fullest)
    trend = {row.labels.get("instance", ""): row for row in trends}
    names = _by_instance([*answers.known, *answers.verdicts])
    found = []
    for name, rows in names.items():
        age = ages.get(name)
        state = _state(name in verdicts, age)
        limits = _limits(severities.get(name, ()), fullest.get(name, ()))
        found.append(
            FleetHost(
                name=name,
                state=state,
                severity=_severity(verdicts.get(name, ())) if state == "live" else "unknown",
                limits=tuple(limits[:MAX_LIMITS]),
                seconds_left=left.get(name),
                unknown=sum(_level(row) == "unknown" for row in severities.get(name, ())),
                age=age,
                labels={key: value for key, value in rows[0].labels.items() if key not in _OWN},
                trend=_values(trend[name]) if name in trend else (),
                reason=_reason(state, age),
            )
        )
    return found


def _by_instance(rows: Iterable[Series]) -> Mapping[str, list[Series]]:
    found: defaultdict[str, list[Series]] = defaultdict(list)
    for row in rows:
        found[row.labels.get("instance", "")].append(row)
    return found


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _state(present: bool, age: float | None) -> State:
    if not present:
        return "gone"
    return "stale" if age is not None and age > STALE_SECONDS else "live"


def _reason(state: State, age: float | None) -> str:
    if state == "gone":
        return f"it had metrics within {GONE_WINDOW}, and has none now"
    return f"its newest sample is {age:.0f} s old" if state == "stale" else ""


def _severity(rows: Iterable[Series]) -> Severity:
    levels = (row.labels.get("sockmon_verdict", "") for row in rows)
    return max((each for each in levels if each in URGENCY), key=URGENCY.__getitem__, default="unknown")


def _level(row: Series) -> Severity:
    level = row.labels.get("sockmon_ceiling_severity", "")
    return level if level in URGENCY else "unknown"


def _limits(severities: Iterable[Series], fullest: Iterable[Series]) -> list[HostLimit]:
    """Return the alarms, and the fullest limit if it is none of them."""
    ratios = {row.labels.get("ceiling", ""): row.value for row in fullest}
    alarms = {
        row.labels.get("ceiling", ""): HostLimit(
            row.labels.get("ceiling", ""), _level(row), ratios.get(row.labels.get("ceiling", ""))
        )
        for row in severities
        if _level(row) != "unknown"
    }
    others = [HostLimit(name, "ok", ratio) for name, ratio in ratios.items() if name not in alarms]
    return sorted([*alarms.values(), *others], key=limit_order)


def _values(row: Series) -> tuple[float | None, ...]:
    """Return TREND_STEPS values that end with the newest, None where there is none."""
    step = TREND_SECONDS / TREND_STEPS
    end = row.values[-1][0]
    by_step = {round((end - at) / step): value for at, value in row.values}
    return tuple(by_step.get(number) for number in range(TREND_STEPS - 1, -1, -1))
