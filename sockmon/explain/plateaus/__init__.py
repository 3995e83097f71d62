"""What a plateau at a certain number points to: limits of this machine, and well-known numbers.

Pure: may import `ceilings`, `misconceptions` and `model`. Tests: tests/test_plateaus.py.
"""

from dataclasses import replace

from sockmon.explain.plateaus.from_snapshot import local_plateaus, plateaus_of
from sockmon.explain.plateaus.plateau import Number, Plateau, parse
from sockmon.explain.plateaus.well_known import WELL_KNOWN
from sockmon.model.report import Reading
from sockmon.model.snapshot import Snapshot

MAX_PLATEAUS = 8
"""Plateaus in an answer."""
MAX_DISTANCE = 0.01
"""Share of the number; a plateau that is further away does not explain it."""

__all__ = ["Number", "Plateau", "explains", "is_at", "matching_plateaus", "nearest", "parse", "plateaus_of"]


def matching_plateaus(number: Number, snapshot: Snapshot | None) -> list[Plateau]:
    """Return the plateaus at `number`, the nearest first; those of this machine replace the well-known ones of the
    same ceiling."""
    near = [item for item in _ranked(number, snapshot) if explains(item, number)]
    ours = {item.ceiling for item in near if item.local}
    misconceptions = {item.ceiling: item.misconception for item in near if item.misconception}
    kept = (item for item in near if item.local or item.ceiling is None or item.ceiling not in ours)
    return [replace(item, misconception=misconceptions.get(item.ceiling, "")) for item in kept][:MAX_PLATEAUS]


def nearest(number: Number, snapshot: Snapshot | None) -> list[Plateau]:
    """Return the plateaus below and above a `number` that none explains."""
    ranked = _ranked(number, snapshot)
    below = next((item for item in ranked if item.high < number.low), None)
    above = next((item for item in ranked if item.low > number.high), None)
    return [item for item in (below, above) if item]


def explains(plateau: Plateau, number: Number) -> bool:
    """Return whether `plateau` is so near to `number` that it explains it."""
    return plateau.rate == number.rate and _distance(plateau, number) <= MAX_DISTANCE * number.high


def is_at(reading: Reading, number: Number) -> bool:
    """Return whether the limit of a reading explains the number, such as two maps for each thread."""
    if not reading.limit or reading.limit < 0:
        return False
    found = plateaus_of(reading.ceiling, reading.subject, reading.limit, reading.used or 0)
    return any(explains(item, number) for item in found)


def _ranked(number: Number, snapshot: Snapshot | None) -> list[Plateau]:
    plateaus = [*(local_plateaus(snapshot) if snapshot else ()), *WELL_KNOWN]
    found = [item for item in plateaus if item.rate == number.rate]
    return sorted(found, key=lambda item: (_distance(item, number), item.high - item.low, not item.local))


def _distance(plateau: Plateau, number: Number) -> int:
    return max(plateau.low - number.high, number.low - plateau.high, 0)
