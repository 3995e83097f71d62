"""The order of causes: what this machine proves, what a line of a log names, what has an alarm, then the usual
order. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sockmon.explain.log_line import LogLine
from sockmon.explain.observation import Observation
from sockmon.explain.symptoms import Cause

COUNT_TOLERANCE = 2
"""A program counts a few tasks more or less than the kernel."""


def rank_causes(
    causes: Sequence[Cause], line: LogLine | None, proved: Collection[str], now: Observation
) -> list[Cause]:
    """Return `causes`, the most likely on this machine first. `proved`: keys of causes."""
    readings = now.report.readings if now.report else ()
    alarms = {row.ceiling: place for place, row in reversed(list(enumerate(now.alarms)))}
    counted = {
        row.ceiling
        for row in readings
        if line and line.count and row.limit and abs(row.limit - line.count) <= COUNT_TOLERANCE
    }

    def order(cause: Cause) -> tuple[bool, bool, bool, int]:
        return (
            cause.key not in proved or not cause.key,
            not (line and line.names(cause)),
            cause.ceiling not in counted,
            alarms.get(cause.ceiling or "", len(readings)),
        )

    return sorted(causes, key=order)
