"""Answers of Prometheus → the hosts of a fleet."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from sockmon import format as fmt
from sockmon.fleet.hosts import FleetHost, HostLimit, State, limit_order, time_left
from sockmon.fleet.prometheus import Series
from sockmon.fleet.queries import NUMBERS
from sockmon.fleet.trends import PAST_STEPS
from sockmon.model.severity import URGENCY, Severity

STALE_SECONDS = 120.0
AHEAD_SECONDS = 60.0
MAX_LIMITS = 5
_OWN = frozenset({"__name__", "instance", "ceiling", "sockmon_verdict", "sockmon_ceiling_severity"})
HOME_NETNS = frozenset({"host", "own"})
"""Labels of the network namespace that a host is looked at from."""


class Answers(NamedTuple):
    """The answer to each of the `queries`, of older hosts too."""

    known: Sequence[Series]
    verdicts: Sequence[Series]
    ages: Sequence[Series]
    fullest: Sequence[Series]
    unknown: Sequence[Series]
    severities: Sequence[Series]
    """Of the hosts whose verdict is not ok."""
    subjects: Sequence[Series]


Past = Callable[[str], Sequence[float | None]]
"""The label `instance` → the trend without its newest value, oldest first; empty if it is not known."""


def hosts(answers: Answers, past: Past) -> list[FleetHost]:
    """Return every host that had metrics within the last hour."""
    verdicts = _by_instance(answers.verdicts)
    ages = {name: _age(rows[0].value) for name, rows in _by_instance(answers.ages).items()}
    unknown = {name: round(rows[0].value) for name, rows in _by_instance(answers.unknown).items()}
    severities = _by_instance(answers.severities)
    fullest, subjects = _by_instance(answers.fullest), _by_instance(answers.subjects)
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
                seconds_left=time_left(limits),
                unknown=unknown.get(name, 0),
                age=age,
                labels={key: value for key, value in rows[0].labels.items() if key not in _OWN},
                trend=_trend(past(rows[0].instance), fullest.get(name, ())),
                reason=_reason(state, age),
            )
        )
    return found


def _by_instance(rows: Iterable[Series]) -> Mapping[str, list[Series]]:
    return grouped(rows, "instance")


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _age(value: float) -> float | None:
    """Return the age of a sample; None if the clock of the host is ahead, so that an old sample would be new."""
    return value if math.isfinite(value) and value > -AHEAD_SECONDS else None


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
        named = [limit_of(name, level, rows, *labels.split("\0")) for labels, rows in each]
        named.sort(key=limit_order)
        found[name] = named[0] if named else replace(found.get(name, HostLimit(name, level)), severity=level)
    return sorted(found.values(), key=limit_order)


def grouped(rows: Iterable[Series], *labels: str) -> Mapping[str, list[Series]]:
    """Return the rows by the values of these labels, which NUL separates: sanitized text has none."""
    found: defaultdict[str, list[Series]] = defaultdict(list)
    for row in rows:
        found["\0".join([row.labels.get(label, "") for label in labels])].append(row)
    return found


def limit_of(
    name: str,
    severity: Severity,
    rows: Iterable[Series],
    subject: str = "",
    netns: str = "",
) -> HostLimit:
    """Return a limit by the metrics of its numbers."""
    metrics = {_number_of(row): row.value for row in rows}
    ratio, used, limit, left = (_number(metrics.get(each, math.nan)) for each in NUMBERS)
    return HostLimit(name, severity, ratio, left, subject, used, limit, other_netns(netns))


def other_netns(name: str) -> str:
    """Return the name of a network namespace; empty for that which the host is looked at from."""
    return "" if name in HOME_NETNS else name


def _number_of(row: Series) -> str:
    """Return which number of a limit it is: `used` of `sockmon_fullest_used` or `sockmon_subject_used`."""
    return row.labels.get("__name__", "").removeprefix("sockmon_").partition("_")[2]


def _trend(past: Sequence[float | None], fullest: Iterable[Series]) -> tuple[float | None, ...]:
    """Return the trend up to now; empty if nothing of it is known."""
    now = max((row.value for row in fullest if _number_of(row) == "ratio"), default=math.nan)
    if not past and not math.isfinite(now):
        return ()
    return (*(past or [None] * PAST_STEPS), _number(now))
