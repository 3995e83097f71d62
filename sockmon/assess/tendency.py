"""Which readings are new, which are known only now, and which are getting worse."""

from __future__ import annotations

from typing import Literal

from sockmon.assess.assessment import Assessment
from sockmon.model.report import Reading
from sockmon.model.severity import ALARMS

Tendency = Literal["new", "known", "worse"]
NEW_SECONDS = 60.0
"""Seconds for which an alarm is new."""
WARM_UP_SECONDS = 60.0
"""Alarms that began this soon after the start may be older: rates and counters need samples to compare."""
WORSE_PER_MINUTE = 0.01
"""Share of the limit by which the use of what is getting worse grows in a minute."""
MIN_WORSE_RATIO = 0.5
"""Ratio from which on growth matters although there is no alarm yet."""


def tendency(reading: Reading, assessment: Assessment) -> Tendency | None:
    """Return whether the alarm of a reading is new, or could not be read before, or whether its use is growing
    towards the limit; None if none of them.

    A first look and a long watch agree: nothing is new before the watch is long enough to know."""
    key, own = reading.key, assessment.part_of(reading)
    began = own.since.get(key)
    if began is not None and began > assessment.snapshot.wall - NEW_SECONDS:
        if key in own.first_known:
            return "known"
        if began > own.started + WARM_UP_SECONDS:
            return "new"
    return "worse" if _grows(reading) else None


def _grows(reading: Reading) -> bool:
    if reading.rate is None or reading.ratio is None or not reading.limit or reading.limit < 0:
        return False
    matters = reading.severity in ALARMS or reading.ratio >= MIN_WORSE_RATIO
    return matters and reading.ratio < 1 and reading.rate * 60 >= WORSE_PER_MINUTE * reading.limit
