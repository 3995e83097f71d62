"""Did a change help: the alarms that were its reason, and what has become of each. In histories and journals on
disk, so names stay."""

from __future__ import annotations

from typing import Literal

import msgspec

from sockmon.model.severity import Severity

OutcomeKind = Literal["left", "eased", "unchanged", "worse", "waiting", "unknown"]
"""The alarm has ended, has become less severe, is as severe as before, is more severe; it is too early to decide;
or it cannot be known."""
UnknownCause = Literal["", "ended", "unread", "elsewhere"]
"""Why it cannot be known: its process has ended, its numbers cannot be read any more, or the samples are of
another network namespace or boot than the change."""


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    """An alarm that a change is meant to end, as it was at that moment."""

    ceiling: str
    subject: str
    severity: Severity
    used: int | None = None
    limit: int | None = None
    counters: tuple[tuple[str, int], ...] = ()
    """The counters whose movement proves that the limit is hit, with their values."""


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What has become of one such alarm."""

    kind: OutcomeKind
    ceiling: str
    subject: str
    before: Severity
    """Its severity before the change."""
    seconds: float = 0.0
    """Time since the change; if the alarm has ended, when that was proved."""
    severity: Severity = "unknown"
    """Its severity now, without what counters did before the last seconds."""
    used: int | None = None
    limit: int | None = None
    limit_before: int | None = None
    rates: tuple[tuple[str, float], ...] = ()
    """Increase per second, in the last seconds, of each counter that proves a hit."""
    quiet: float | None = None
    """Waiting: the seconds for which no such counter has increased; None if something else is awaited."""
    cause: UnknownCause = ""
