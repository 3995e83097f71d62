"""Answers of Prometheus → the hosts of a fleet. Each answer is about as large as the number of hosts."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from sockmon import format as fmt
from sockmon.fleet.hosts import FleetHost, HostLimit, State, limit_order
from sockmon.fleet.prometheus import Series
from sockmon.model.severity import URGENCY, Severity

STALE_SECONDS = 120.0
GONE_WINDOW = "1h"
TREND_SECONDS, TREND_STEPS = 3600.0, 30
MAX_LIMITS = 5
_OWN = frozenset({"__name__", "instance", "ceiling", "sockmon_verdict", "sockmon_ceiling_severity"})
NUMBERS = ("ratio", "used", "limit", "left_seconds")
OWN_NETNS = "host"
_ALARMS = "warning|critical|hit"


class Queries(NamedTuple):
    """The expressions; `{0}` in each is what `--match` selects."""

    verdicts: str = "sockmon_verdict{{{0}}} == 1"
    severities: str = 'sockmon_ceiling_severity{{sockmon_ceiling_severity!="ok",{0}}} == 1'
    fullest: str = (
        f'{{{{__name__=~"sockmon_ceiling_({"|".join(NUMBERS)})",{{0}}}}}}'
        " and on (instance, ceiling) topk by (instance) (1, sockmon_ceiling_ratio{{{0}}})"
    )
    subjects: str = (
        f'{{{{__name__=~"sockmon_subject_({"|".join(NUMBERS)})",{{0}}}}}}'
        " and on (instance, ceiling, subject, netns)"
        f' (sockmon_subject_severity{{{{sockmon_subject_severity=~"{_ALARMS}",{{0}}}}}} == 1)'
    )
    """The numbers of the subjects that have an alarm."""
    left: str = "min by (instance) (sockmon_ceiling_left_seconds{{{0}}})"
    ages: str = "time() - sockmon_sample_timestamp_seconds{{{0}}}"
    known: str = f"present_over_time(sockmon_build_info{{{{{{0}}}}}}[{GONE_WINDOW}])"
    trend: str = "max by (instance) (sockmon_ceiling_ratio{{{0}}})"


class Answers(NamedTuple):
    """The answer to each query but the trend."""

    verdicts: Sequence[Series]
    severities: Sequence[Series]
    fullest: Sequence[Series]
    subjects: Sequence[Series]
    left: Sequence[Series]
    ages: Sequence[Series]
    known: Sequence[Series]


def hosts(answers: Answers, trends: Iterable[Series] = ()) -> list[FleetHost]:
    """Return every host that had metrics within the last hour."""
    verdicts = _by_instance(answers.verdicts)
    ages = {name: _number(rows[0].value) for name, rows in _by_instance(answers.ages).items()}
    left = {name: _number(rows[0].value) for name, rows in _by_instance(answers.left).items()}
    severities = _by_instance(answers.severities)
    fullest, subjects = _by_instance(answers.fullest), _by_instance(answers.subjects)
    trend = {row.labels.get("instance", ""): row for row in trends}
    names = _by_instance([*answers.known, *answers.verdicts])
    found = []
    for name, rows in names.items():
        age = ages.get(name)
        state = _state(name in verdicts, age)
        limits = _limits(severities.get(name, ()), fullest.get(name, ()), subjects.get(name, ()))
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
    return grouped(rows, "instance")


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _state(present: bool, age: float | None) -> State:
    if not present:
        return "gone"
    return "stale" if age is not None and age > STALE_SECONDS else "live"


def _reason(state: State, age: float | None) -> str:
    if state == "gone":
        return "it had metrics within the last hour, and has none now"
    return f"its newest sample is {fmt.age(age)} old" if state == "stale" else ""


def _severity(rows: Iterable[Series]) -> Severity:
    levels = (row.labels.get("sockmon_verdict", "") for row in rows)
    return max((each for each in levels if each in URGENCY), key=URGENCY.__getitem__, default="unknown")


def _level(row: Series) -> Severity:
    level = row.labels.get("sockmon_ceiling_severity", "")
    return level if level in URGENCY else "unknown"


def _limits(
    severities: Iterable[Series], fullest: Iterable[Series], subjects: Iterable[Series]
) -> list[HostLimit]:
    """Return the alarms, each with its fullest subject, and the fullest limit if it is none of them."""
    found = {name: limit_of(name, "ok", rows) for name, rows in grouped(fullest, "ceiling").items()}
    of_ceiling = grouped(subjects, "ceiling")
    for row in severities:
        name, level = row.labels.get("ceiling", ""), _level(row)
        if level == "unknown":
            continue
        each = grouped(of_ceiling.get(name, ()), "subject", "netns").items()
        named = [limit_of(name, level, rows, "subject", *labels.split("\0")) for labels, rows in each]
        named.sort(key=limit_order)
        found[name] = named[0] if named else replace(found.get(name, HostLimit(name, level)), severity=level)
    return sorted(found.values(), key=limit_order)


def grouped(rows: Iterable[Series], *labels: str) -> Mapping[str, list[Series]]:
    """Return the rows by the values of these labels, which NUL separates: sanitized text has none."""
    found: defaultdict[str, list[Series]] = defaultdict(list)
    for row in rows:
        found["\0".join(row.labels.get(label, "") for label in labels)].append(row)
    return found


def limit_of(
    name: str,
    severity: Severity,
    rows: Iterable[Series],
    what: str = "ceiling",
    subject: str = "",
    netns: str = "",
) -> HostLimit:
    """Return a limit by the metrics of its numbers, `sockmon_ceiling_...` or `sockmon_subject_...`."""
    metrics = {row.labels.get("__name__", ""): row.value for row in rows}
    ratio, used, limit, left = (_number(metrics.get(f"sockmon_{what}_{each}", math.nan)) for each in NUMBERS)
    return HostLimit(name, severity, ratio, left, subject, used, limit, other_netns(netns))


def other_netns(name: str) -> str:
    """Return the name of a network namespace; empty for that of the host, which needs none."""
    return "" if name == OWN_NETNS else name


def _values(row: Series) -> tuple[float | None, ...]:
    """Return TREND_STEPS values that end with the newest, None where there is none."""
    step = TREND_SECONDS / TREND_STEPS
    end = row.values[-1][0]
    by_step = {round((end - at) / step): _number(value) for at, value in row.values if math.isfinite(at)}
    return tuple(by_step.get(number) for number in range(TREND_STEPS - 1, -1, -1))
