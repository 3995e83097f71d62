"""Which levels the marks of a bar show: those that the gauge was judged by."""

from __future__ import annotations

from dataclasses import replace

from sockmon.assess import Gauge
from sockmon.ceilings import BY_ID
from sockmon.ceilings.ceiling import Levels
from sockmon.model.report import Reading

NEVER = 9.0
"""A ratio that no gauge has."""


def levels_of(gauge: Gauge | Reading | None, ceiling: str) -> Levels | None:
    """Return the levels of a gauge, or those of its ceiling if it does not have any; None without a ceiling."""
    row = BY_ID.get(ceiling)
    if row is None or gauge is None or gauge.warning is None:
        return row.levels if row else None
    return replace(row.levels, warning=gauge.warning, critical=gauge.critical or NEVER)
