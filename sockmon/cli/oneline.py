"""`check --oneline`: a Report in the form of monitoring plug-ins, `SOCKMON STATUS - text | performance data`.

The Monitoring Plugins guidelines give the format: https://www.monitoring-plugins.org/doc/guidelines.html"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sockmon import format as fmt
from sockmon.assess.several import has_several, subject_in
from sockmon.assess.unjudged import unjudged_text
from sockmon.ceilings import CEILINGS, TITLES
from sockmon.model.report import Reading, Report
from sockmon.model.severity import ALARMS, SEVERITY_LABELS, URGENCY, Severity
from sockmon.observe import SETTINGS

STATUS: dict[Severity, str] = {
    "ok": "OK",
    "warning": "WARNING",
    "critical": "CRITICAL",
    "hit": "CRITICAL",
    "unknown": "UNKNOWN",
}
MAX_ALARMS = 3
"""Alarms that are named; the others are counted."""
MAX_SUBJECT_CELLS = 60
_UNSAFE = re.compile(r"[^A-Za-z0-9 ._:;,/@()\[\]{}%+*=#?!-]")
"""Everything else: `|` would begin the performance data, and monitoring systems pass the text on to shells."""


def as_oneline(report: Report) -> str:
    """Return the line: the alarms, what was ignored or not judged, and how full each limit is."""
    recorded = f"recorded {fmt.utc(report.time)}" if report.recording else ""
    text = "; ".join(filter(None, (_alarms(report), _left_out(report), recorded)))
    return _line(STATUS[report.verdict], text) + f" | {' '.join(_performance_data(report))}".rstrip(" |")


def failed(reason: str) -> str:
    """Return the line for a host that could not be read."""
    return _line(STATUS["unknown"], reason)


def _line(status: str, text: str) -> str:
    return f"SOCKMON {status} - {plain(text)}"


def plain(text: str) -> str:
    """Return foreign text in characters that mean nothing to a monitoring system."""
    return _UNSAFE.sub("_", text.replace("→", "to"))


def _alarms(report: Report) -> str:
    alarms = [row for row in report.readings if row.severity in ALARMS]
    if not alarms:
        known = len({row.ceiling for row in report.readings if row.severity != "unknown"})
        return f"{fmt.plural(known, 'limit')} judged, none is near" if known else "no limit could be judged"
    more = f"; {fmt.plural(len(alarms) - MAX_ALARMS, 'more alarm')}" if len(alarms) > MAX_ALARMS else ""
    several = has_several(report)
    return "; ".join(_alarm(row, several) for row in alarms[:MAX_ALARMS]) + more


def _alarm(row: Reading, several: bool) -> str:
    used = f" {fmt.count(row.used)}/{fmt.count(row.limit)}" if row.counted else ""
    left = f" full in {fmt.duration(row.eta_seconds)}" if (row.eta_seconds or 0) >= 1 else ""
    subject = subject_in(row, several)[:MAX_SUBJECT_CELLS]
    return f"{SEVERITY_LABELS[row.severity]} {TITLES[row.ceiling]} {subject}{used}{left}"


def _left_out(report: Report) -> str:
    unknown = dict.fromkeys(TITLES[row.ceiling] for row in report.readings if row.severity == "unknown")
    unjudged = unjudged_text(report.missing)
    refused = sum(entry.reader == SETTINGS for entry in report.missing)
    parts = [f"unknown: {fmt.first_names([*unknown])}" if unknown else "", ignored_text(report)]
    parts.append(f"{fmt.plural(refused, 'fault')} in {SETTINGS}" if refused else "")
    return "; ".join(filter(None, [*parts, f"not judged: {unjudged}" if unjudged else ""]))


def ignored_text(report: Report) -> str:
    """Return what was ignored, the worst first: `1 ignored: accept queue 0.0.0.0:80 (HIT)`; empty if nothing."""
    rows = sorted(report.ignored, key=lambda row: -URGENCY[row.severity])
    names = [f"{TITLES[row.ceiling]} {row.subject} ({SEVERITY_LABELS[row.severity]})" for row in rows]
    return f"{len(rows)} ignored: {fmt.first_names(names, 3)}" if rows else ""


def _performance_data(report: Report) -> Iterator[str]:
    """Yield how full each limit is, in per cent, with its levels: `accept-queue=82.1%;70;95`.

    One value a limit, that of its fullest subject: graphs need labels that stay the same."""
    for ceiling in CEILINGS:
        rows = [row for row in report.readings if row.ceiling == ceiling.id]
        known = [row for row in rows if row.ratio is not None]
        if known:
            fullest = max(known, key=lambda row: row.ratio or 0.0)
            levels = f"{_per_cent(fullest.warning)};{_per_cent(fullest.critical)}"
            yield f"{ceiling.id}={_per_cent(fullest.ratio)}%;{levels};0"
        elif any(row.severity == "unknown" for row in rows):
            yield f"{ceiling.id}=U"


def _per_cent(share: float | None) -> str:
    return "" if share is None else f"{share * 100:.1f}".removesuffix(".0")
