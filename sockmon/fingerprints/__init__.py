"""What a plateau at a certain number points to: this machine's own limits, and the well-known ones."""

from sockmon.fingerprints.here import here
from sockmon.fingerprints.known import KNOWN
from sockmon.fingerprints.mark import Mark, Number, parse
from sockmon.model.snapshot import Snapshot

MOST = 8
"""Marks that an answer has."""
FAR = 0.01
"""Marks further away than this share of the number are no explanation of it."""

__all__ = ["Mark", "Number", "fingerprints", "nearest", "parse"]


def fingerprints(number: Number, snapshot: Snapshot | None) -> list[Mark]:
    """What a plateau at `number` points to, nearest first; where a ceiling has a mark of this machine its
    well-known ones are left out."""
    near = [mark for mark in _ranked(number, snapshot) if _distance(mark, number) <= FAR * number.high]
    ours = {mark.ceiling for mark in near if mark.here}
    return [mark for mark in near if mark.here or mark.ceiling is None or mark.ceiling not in ours][:MOST]


def nearest(number: Number, snapshot: Snapshot | None) -> list[Mark]:
    """The marks below and above `number`, for one that nothing explains."""
    ranked = _ranked(number, snapshot)
    below = next((mark for mark in ranked if mark.high < number.low), None)
    above = next((mark for mark in ranked if mark.low > number.high), None)
    return [mark for mark in (below, above) if mark]


def _ranked(number: Number, snapshot: Snapshot | None) -> list[Mark]:
    marks = [*(here(snapshot) if snapshot else ()), *KNOWN]
    found = [mark for mark in marks if (mark.per == "second") == number.rate]
    return sorted(found, key=lambda mark: (_distance(mark, number), mark.high - mark.low, not mark.here))


def _distance(mark: Mark, number: Number) -> int:
    return max(mark.low - number.high, number.low - mark.high, 0)
