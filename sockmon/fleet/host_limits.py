"""Every limit of one host: its page lists them all, which would be too much to ask for a whole fleet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sockmon.fleet.hosts import HostLimit, limit_order
from sockmon.fleet.prometheus import Series, Server, quoted
from sockmon.fleet.queries import NUMBERS
from sockmon.fleet.ranking import grouped, limit_of, other_netns
from sockmon.model.report import Reading, Report
from sockmon.model.severity import ALARMS, URGENCY, Severity
from sockmon.text import sanitize

_PARTS = "|".join(("severity", *NUMBERS))


def limits_of_host(server: Server, instance: str, selected: str = "") -> tuple[HostLimit, ...]:
    """Return all limits of a host, the most urgent first; raise PrometheusError. `selected`: see `selector`."""
    matchers = f'__name__=~"sockmon_(ceiling|subject)_({_PARTS})",instance={quoted(instance)}'
    return limits(server.query(f"{{{','.join(filter(None, (matchers, selected)))}}}"))


def limits_of_report(report: Report) -> tuple[HostLimit, ...]:
    """Return the limits of a host's own report, in its order: every alarm, and of a limit without one the fullest
    use that is known."""
    found: dict[str, list[HostLimit]] = {}
    for reading in report.readings:
        listed = found.setdefault(reading.ceiling, [])
        if reading.severity in ALARMS or not listed or listed[0].severity == "unknown" != reading.severity:
            listed[:] = [each for each in listed if each.severity != "unknown"]
            listed.append(limit_of_reading(reading))
    return tuple(sorted((each for listed in found.values() for each in listed), key=limit_order))


def limit_of_reading(reading: Reading) -> HostLimit:
    """Return a reading as a limit of a fleet; its text may be that of another host."""
    return HostLimit(
        sanitize(reading.ceiling, 60),
        reading.severity,
        reading.ratio,
        reading.eta_seconds,
        sanitize(reading.subject, 120),
        reading.used,
        reading.limit,
        other_netns(sanitize(reading.netns.name, 120) if reading.netns else ""),
    )


def limits(rows: Iterable[Series]) -> tuple[HostLimit, ...]:
    """Return every subject with an alarm, and of a limit without one its fullest use."""
    found = [
        each for name, of_ceiling in grouped(rows, "ceiling").items() if name for each in _of(name, of_ceiling)
    ]
    return tuple(sorted(found, key=limit_order))


def _of(name: str, rows: Sequence[Series]) -> list[HostLimit]:
    own = [row for row in rows if "subject" not in row.labels]
    by_subject = grouped((row for row in rows if "subject" in row.labels), "subject", "netns").items()
    subjects = [limit_of(name, _severity(each), each, *key.split("\0")) for key, each in by_subject]
    alarms = [each for each in subjects if each.severity in ALARMS]
    if alarms:
        return alarms
    limit = limit_of(name, _severity(own), own)
    return [next((each for each in subjects if each.ratio == limit.ratio), limit)]


def _severity(rows: Iterable[Series]) -> Severity:
    """Return the state that is set; unknown without one."""
    for row in rows:
        metric = row.labels.get("__name__", "")
        if metric.endswith("_severity") and row.value == 1 and (level := row.labels.get(metric, "")) in URGENCY:
            return level
    return "unknown"
