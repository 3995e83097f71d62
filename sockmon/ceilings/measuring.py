"""What ceilings need to measure: Measures of what cannot be read, and values of sysctls."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from sockmon.ceilings.ceiling import Measure
from sockmon.model.detail import ProcessQuery
from sockmon.model.snapshot import Missing, Owner

_MAX_UNREAD_SHARE = 0.05
_UNKNOWN_RELEASE = (999, 0)


def unknown_measure(subject: str, reason: str, missing: Missing | None = None) -> Measure:
    """Return a Measure of something that could not be read, with the reason."""
    return Measure(subject, None, None, unknown_reason=reason, missing=missing)


def unread_measure(subject: str, missing: Missing, before: str = "") -> Measure:
    """Return a Measure of what a reader could not read; `before` introduces the reason."""
    return unknown_measure(subject, f"{before}{missing.reader}: {missing.reason}", missing)


def nearly_all_read(read: int, unread: int) -> bool:
    """Return whether so few were not read that a reading is valid without them."""
    return unread <= _MAX_UNREAD_SHARE * (read + unread)


def is_full(measure: Measure) -> bool:
    """Return whether all of the limit is in use."""
    return measure.used is not None and measure.limit is not None and measure.used >= measure.limit


def sysctl_number(sysctls: Mapping[str, str], key: str) -> int | None:
    """Return a sysctl as a number; None if this namespace does not have it, or a forged recording has text
    there."""
    try:
        return int(sysctls[key])
    except (KeyError, ValueError):
        return None


def release(kernel: str) -> tuple[int, int]:
    """Return the first two numbers of a kernel's version; of one that has none, more than those of any other."""
    found = re.match(r"(\d+)\.(\d+)", kernel)
    return (int(found[1]), int(found[2])) if found else _UNKNOWN_RELEASE


def largest_owner(owners: Sequence[Owner]) -> ProcessQuery | None:
    """Return the query for the process that holds most of a reading that several processes share."""
    return ProcessQuery(owners[0].pid, owners[0].start) if owners else None
