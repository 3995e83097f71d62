"""How bad a Measure is: its ratio, its time left and its counters, against where it stood before."""

from __future__ import annotations

from typing import NamedTuple

from sockmon.assess.slope import Slope, seconds_left
from sockmon.ceilings.ceiling import Ceiling, Levels, Measure
from sockmon.model.report import URGENCY, Severity

SOON = 30 * 60.0
"""Seconds to the limit that make a warning, when growth is steady and half of the limit is used."""
VERY_SOON = 5 * 60.0
TREND_SPAN = 30.0
"""Seconds of history that an alarm by time left needs."""
TREND_RATIO = 0.5
HIT_LEAVES = 0.99
"""A limit that was met stays met until this much of it is in use: at the wall the number dances by one."""


class Gauge(NamedTuple):
    """The numbers of one ceiling and subject, for those that the Report leaves out too."""

    used: int | None
    limit: int | None
    ratio: float | None
    rate: float | None
    eta_seconds: float | None
    severity: Severity


class Judged(NamedTuple):
    """A Measure and what became of it."""

    ceiling: Ceiling
    measure: Measure
    gauge: Gauge
    pressing: float | None
    """The ratio that decides, where there is one."""
    over: bool = False
    """More is used than the limit allows."""

    def stays(self, measure: Measure) -> bool:
        """True for a calm reading that has not changed: of a thousand processes nearly all, each second."""
        gauge = self.gauge
        return (
            gauge.severity == "ok"
            and gauge.rate == 0.0
            and (measure.used, measure.limit) == (gauge.used, gauge.limit)
            and (measure.pressing, measure.levels) == (self.measure.pressing, self.measure.levels)
            and not measure.hit
            and measure.at_least == "ok"
        )


def judge(
    ceiling: Ceiling,
    measure: Measure,
    growth: Slope | None,
    pressure: Slope | None,
    staying: Slope | None,
    span: float,
    before: Judged | None,
) -> Judged:
    """Severity of `measure`, by how `used` grows, what presses of it and what of it stays, over how many seconds
    that was seen, and by its last verdict."""
    used, limit = measure.used, measure.limit
    rate = growth.rate if growth else None
    if used is None or limit is None:
        severity: Severity = "hit" if measure.hit else "unknown" if measure.unseen else measure.at_least
        return Judged(ceiling, measure, Gauge(used, limit, None, rate, None, severity), None)
    pressing = measure.pressing if measure.pressing is not None else used
    left = (
        None if _levels_off(measure, used, limit, pressure, staying) else seconds_left(limit - pressing, pressure)
    )
    ratio = _ratio(pressing, limit)
    deciding = ratio
    if measure.momentary and before is not None and before.pressing is not None:
        deciding = min(ratio, before.pressing)
    severity = _severity(measure, measure.levels or ceiling.levels, deciding, before)
    if span >= TREND_SPAN and ratio >= TREND_RATIO:
        severity = _worse(severity, _by_time(left, before))
    over = used > limit
    full = over and before is not None and before.over if measure.momentary else pressing >= limit
    if measure.hit or full or (_still_hit(ratio, before) and not measure.momentary):
        severity = "hit"
    return Judged(ceiling, measure, Gauge(used, limit, _ratio(used, limit), rate, left, severity), ratio, over)


def empty(ceiling: Ceiling, measure: Measure) -> Judged:
    """What a queue that is seen for the first time was the look before: one that nothing waited in."""
    return Judged(ceiling, measure, Gauge(0, measure.limit, 0.0, None, None, "ok"), 0.0)


def _levels_off(measure: Measure, used: int, limit: int, pressure: Slope | None, staying: Slope | None) -> bool:
    """True where only what goes away by itself grows, and will have reached its plateau below the limit."""
    if measure.lasts is None or pressure is None or (staying is not None and staying.steady):
        return False
    return used - measure.passing + pressure.rate * measure.lasts < limit


def _ratio(used: int, limit: int) -> float:
    return used / limit if limit > 0 else float(used > 0)


def _severity(measure: Measure, levels: Levels, ratio: float, before: Judged | None) -> Severity:
    was = URGENCY[before.gauge.severity] if before else 0
    critical = levels.leave(levels.critical) if was >= URGENCY["critical"] else levels.critical
    warning = levels.leave(levels.warning) if was >= URGENCY["warning"] else levels.warning
    severity: Severity = "critical" if ratio >= critical else "warning" if ratio >= warning else "ok"
    return _worse(severity, measure.at_least)


def _by_time(left: float | None, before: Judged | None) -> Severity:
    """An alarm by time left ends when twice that time is left, or growth is no longer steady."""
    if left is None:
        return "ok"
    was = URGENCY[before.gauge.severity] if before else 0
    if left < VERY_SOON * (2 if was >= URGENCY["critical"] else 1):
        return "critical"
    return "warning" if left < SOON * (2 if was >= URGENCY["warning"] else 1) else "ok"


def _still_hit(ratio: float, before: Judged | None) -> bool:
    return before is not None and before.gauge.severity == "hit" and ratio >= HIT_LEAVES


def _worse(one: Severity, other: Severity) -> Severity:
    return max(one, other, key=lambda severity: URGENCY[severity])
