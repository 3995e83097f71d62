"""A Report: what is derived from a window of Snapshots. `check --json` writes it, field for field."""

from __future__ import annotations

from typing import Literal

import msgspec

from sockmon.model.snapshot import Missing

Severity = Literal["ok", "warning", "critical", "hit", "unknown"]
Scope = Literal["process", "user", "cgroup", "netns", "host"]
RemedyKind = Literal["application", "rlimit", "sysctl", "cgroup", "addresses"]

URGENCY: dict[Severity, int] = {"hit": 4, "critical": 3, "warning": 2, "ok": 1, "unknown": 0}
"""How bad a severity is; what is not known is worse than nothing and better than nothing else."""


class Remedy(msgspec.Struct, frozen=True):
    """What to do, in words; `key` and `value` where it is something that can be set."""

    kind: RemedyKind
    key: str | None
    value: str | None
    text: str


class Reading(msgspec.Struct, frozen=True):
    """One ceiling for one subject: how full, how fast, how long, why, and what to do."""

    ceiling: str
    subject: str
    scope: Scope
    used: int | None
    """In the unit that the ceiling states; None: unknown."""
    limit: int | None
    """None: unknown, or there is none."""
    ratio: float | None
    rate: float | None
    """Units per second over the window."""
    eta_seconds: float | None
    """None where nothing grows."""
    severity: Severity
    evidence: tuple[str, ...]
    remedies: tuple[Remedy, ...]


class Report(msgspec.Struct, frozen=True):
    """Everything that `check` says, most urgent first."""

    schema: Literal[1]
    host: str
    kernel: str
    time: str
    """UTC, ISO 8601."""
    netns: str
    verdict: Severity
    """The worst known severity."""
    readings: tuple[Reading, ...]
    missing: tuple[Missing, ...]
