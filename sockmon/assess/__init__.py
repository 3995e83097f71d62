"""Assessment: from a window of Snapshots to severities, time left (`eta.py`) and an ordered Report.

May import `ceilings` and `model`; no clock, no files, no kernel: the same stream gives the same verdicts. Tests
are in `tests/assess`."""

from sockmon.assess.assessment import Assessment, Key
from sockmon.assess.assessor import Assessor
from sockmon.assess.severity_rules import Gauge
from sockmon.assess.time_series import Point

__all__ = ["Assessment", "Assessor", "Gauge", "Key", "Point"]
