"""How bad a Measure is: its ratio, its time left and its counters, compared with the last verdict."""

from __future__ import annotations

from typing import NamedTuple

from sockmon.assess.eta import NO_TREND, Climb, Trend, seconds_left
from sockmon.ceilings.ceiling import Ceiling, Levels, Measure
from sockmon.model.severity import ALARMS, URGENCY, Severity

MIN_TREND_SECONDS = 30.0
"""Seconds of history that an alarm by time left needs."""
MIN_TREND_RATIO = 0.5
SOON_WARNING, SOON_CRITICAL = 60.0, 20.0
"""Seconds left from which on the growth of the last seconds is an alarm, if a quarter of the limit is used."""
MIN_SOON_SECONDS, MIN_SOON_GROWTH = 2.5, 8
"""Seconds of history, and units of growth in them, that this needs."""
MIN_SOON_RATIO = 0.25
HIT_RELEASE_RATIO = 0.99
"""A limit that was hit stays hit until its use falls below this ratio: at the limit the number changes by one."""


class Gauge(NamedTuple):
    """The numbers of one ceiling and subject, also of those that the Report leaves out."""

    used: int | None
    limit: int | None
    ratio: float | None
    rate: float | None
    eta_seconds: float | None
    severity: Severity
    warning: float | None = None
    """Ratio at which a warning begins; None if unknown."""
    critical: float | None = None
    """None if unknown, or if it is never critical."""


class Verdict(NamedTuple):
    """A Measure with its numbers and its severity."""

    ceiling: Ceiling
    measure: Measure
    gauge: Gauge
    effective_ratio: float | None
    """The ratio that decides the severity."""
    over: bool = False
    """True if more is used than the limit allows."""

    def unchanged(self, measure: Measure) -> bool:
        """Return whether `measure` is ok and has the numbers of this verdict, as nearly all processes have."""
        gauge = self.gauge
        return (
            gauge.severity == "ok"
            and gauge.rate == 0.0
            and measure.used == gauge.used
            and measure.limit == gauge.limit
            and measure.effective_used == self.measure.effective_used
            and measure.levels == self.measure.levels
            and not measure.hit
            and measure.min_severity == "ok"
        )


def judge(ceiling: Ceiling, measure: Measure, before: Verdict | None = None, trend: Trend = NO_TREND) -> Verdict:
    """Return the verdict on `measure`; `before` is its last verdict."""
    used, limit = measure.used, measure.limit
    rate = trend.growth.rate if trend.growth else None
    if used is None or limit is None:
        gauge = Gauge(used, limit, None, rate, None, _severity_without_ratio(measure))
        return Verdict(ceiling, measure, gauge, None)
    effective_used = _effective_used(measure, used)
    free = limit - effective_used
    expires = _expires_below_limit(measure, used, limit, trend)
    left = None if expires or _levels_off(trend.whole, free) else seconds_left(free, trend.effective)
    ratio = _ratio(effective_used, limit)
    deciding = ratio
    if measure.transient and before is not None:
        # After a sample that was unknown one full sample is no alarm either.
        deciding = min(ratio, before.effective_ratio or 0.0)
    levels = measure.levels or ceiling.levels
    severity = _severity(measure, levels, deciding, before)
    if trend.span >= MIN_TREND_SECONDS and ratio >= MIN_TREND_RATIO:
        severity = _worse(severity, _by_time(left, before, levels.warning_left, levels.critical_left))
    if trend.recent and not expires:
        soon = _seconds_left_soon(trend.recent, free, before)
        # Who wants to know later than that is not told at a quarter full.
        warning, critical = min(SOON_WARNING, levels.warning_left), min(SOON_CRITICAL, levels.critical_left)
        by_growth = _by_time(soon, before, warning, critical)
        if by_growth != "ok":
            severity, left, rate = _worse(severity, by_growth), soon, trend.recent.slope.rate
    over = used > limit
    full = over and before is not None and before.over if measure.transient else effective_used >= limit
    if measure.hit or full or (_still_hit(ratio, before) and not measure.transient):
        severity = "hit"
    gauge = Gauge(used, limit, _ratio(used, limit), rate, left, severity, *_begins(levels))
    return Verdict(ceiling, measure, gauge, ratio, over)


def _begins(levels: Levels) -> tuple[float, float | None]:
    """Return the ratios at which a warning and a critical alarm begin; None if it is never critical."""
    return levels.warning, levels.critical if levels.critical <= 1 else None


def may_be_full_soon(measure: Measure) -> bool:
    """Return whether so much of the limit is used that the growth of the last seconds matters."""
    if measure.used is None or measure.limit is None:
        return False
    return _ratio(_effective_used(measure, measure.used), measure.limit) >= MIN_SOON_RATIO


def previously_empty(ceiling: Ceiling, measure: Measure) -> Verdict:
    """Return the last verdict for a queue that is seen for the first time: the queue was empty."""
    return Verdict(ceiling, measure, Gauge(0, measure.limit, 0.0, None, None, "ok"), 0.0)


def _severity_without_ratio(measure: Measure) -> Severity:
    if measure.hit:
        return "hit"
    return "unknown" if measure.unknown_reason else measure.min_severity


def _expires_below_limit(measure: Measure, used: int, limit: int, trend: Trend) -> bool:
    """Return whether only what expires grows, and will reach its plateau below the limit."""
    if measure.expires_after is None or trend.effective is None or (trend.lasting and trend.lasting.steady):
        return False
    rate = trend.effective.rate
    if trend.recent and trend.recent.slope.steady:
        rate = max(rate, trend.recent.slope.rate)
    return used - measure.expiring + rate * measure.expires_after < limit


def _levels_off(whole: Climb | None, free: float) -> bool:
    return whole is not None and whole.levels_off_within(free, significantly=True)


def _seconds_left_soon(recent: Climb, free: float, before: Verdict | None) -> float | None:
    """Return the seconds left at the growth of the last seconds; None if it is too little, or slows down."""
    if recent.span < MIN_SOON_SECONDS or recent.first + recent.second < MIN_SOON_GROWTH:
        return None
    alarmed = before is not None and before.gauge.severity in ALARMS
    if recent.levels_off_within(free, significantly=alarmed):
        return None
    return seconds_left(free, recent.slope)


def _effective_used(measure: Measure, used: int) -> int:
    return used if measure.effective_used is None else measure.effective_used


def _ratio(used: int, limit: int) -> float:
    return used / limit if limit > 0 else float(used > 0)


def _severity(measure: Measure, levels: Levels, ratio: float, before: Verdict | None) -> Severity:
    was = URGENCY[before.gauge.severity] if before else 0
    critical = levels.release_below(levels.critical) if was >= URGENCY["critical"] else levels.critical
    warning = levels.release_below(levels.warning) if was >= URGENCY["warning"] else levels.warning
    severity: Severity = "critical" if ratio >= critical else "warning" if ratio >= warning else "ok"
    return _worse(severity, measure.min_severity)


def _by_time(left: float | None, before: Verdict | None, warning: float, critical: float) -> Severity:
    """Return the severity by time left; an alarm ends at twice that time, or when growth is not steady."""
    if left is None:
        return "ok"
    was = URGENCY[before.gauge.severity] if before else 0
    if left < critical * (2 if was >= URGENCY["critical"] else 1):
        return "critical"
    return "warning" if left < warning * (2 if was >= URGENCY["warning"] else 1) else "ok"


def _still_hit(ratio: float, before: Verdict | None) -> bool:
    return before is not None and before.gauge.severity == "hit" and ratio >= HIT_RELEASE_RATIO


def _worse(one: Severity, other: Severity) -> Severity:
    return max(one, other, key=lambda severity: URGENCY[severity])
