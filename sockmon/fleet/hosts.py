"""What is known of each host of a fleet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from sockmon.model.severity import ALARMS, URGENCY, Severity

LEFT_RATIO = 0.5
"""Use from which on the time left of a limit without an alarm matters, as on the board of one host."""

State = Literal["live", "stale", "gone", "failed", "waiting"]
"""stale: its samples are old. gone: it had metrics within the last hour, and has none now. failed: its report
could not be read. waiting: its first sample has not come yet."""


class HostLimit(msgspec.Struct, frozen=True):
    """A limit of one host."""

    ceiling: str
    severity: Severity
    ratio: float | None = None
    seconds_left: float | None = None
    subject: str = ""
    """Empty if it is not known: a Prometheus has the subjects of alarms alone."""
    used: float | None = None
    limit: float | None = None
    """In one unit, that of the metrics or that of the report; -1 without a limit."""
    netns: str = ""
    """The network namespace of the subject; empty if it has none, or if it is that of the host."""

    @property
    def whole_subject(self) -> str:
        """Return the subject with its network namespace."""
        return f"{self.subject} ({self.netns})" if self.netns and self.subject else self.subject

    @property
    def left(self) -> float | None:
        """Return the seconds until it is reached that matter: 0 if it is hit, None far below it."""
        if self.severity == "hit":
            return 0.0
        return self.seconds_left if self.severity in ALARMS or (self.ratio or 0.0) >= LEFT_RATIO else None


class FleetHost(msgspec.Struct, frozen=True):
    """One host."""

    name: str
    """The label `instance`, or what ssh calls it."""
    state: State
    severity: Severity
    """Its verdict; unknown if its samples are stale or it is gone."""
    limits: tuple[HostLimit, ...] = ()
    """Its alarms and its fullest limit, the most urgent first."""
    seconds_left: float | None = None
    """`left` of its nearest limit."""
    unknown: int = 0
    """Limits that could not be judged."""
    age: float | None = None
    """Seconds since its newest sample; None if unknown, as with a clock that is ahead of the server's."""
    labels: Mapping[str, str] = {}
    trend: tuple[float | None, ...] = ()
    """The ratio of its fullest limit at even distances, oldest first; None where nothing was sampled. The span is
    the last hour, or that of a stream."""
    reason: str = ""
    """Why nothing is known of it."""

    @property
    def nearest(self) -> HostLimit | None:
        """Return its most urgent limit."""
        return self.limits[0] if self.limits else None

    @property
    def alarms(self) -> int:
        """Return how many of its limits have an alarm; at most as many as are listed."""
        return sum(limit.severity in ALARMS for limit in self.limits)


class Fleet(msgspec.Struct, frozen=True):
    """All hosts, the most urgent first: what `fleet --json` prints."""

    schema: Literal[1]
    source: str
    time: str
    """UTC, ISO 8601."""
    verdict: Severity
    """The worst known severity."""
    hosts: tuple[FleetHost, ...]


def ranked(hosts: Iterable[FleetHost]) -> tuple[FleetHost, ...]:
    """Return the hosts, the most urgent first; those of which nothing is known are between alarms and healthy
    ones."""
    return tuple(sorted(hosts, key=_order))


def _order(host: FleetHost) -> tuple[float, float, float, str]:
    # An unknown host may be the sick one: it stands before those that are known to be fine.
    urgency = URGENCY[host.severity] if host.severity != "unknown" else URGENCY["ok"] + 0.5
    ratio = (host.nearest.ratio if host.nearest else None) or 0.0
    left = host.seconds_left if host.seconds_left is not None else float("inf")
    return -urgency, left if urgency > URGENCY["ok"] + 0.5 else 0.0, -ratio, host.name


def time_left(limits: Sequence[HostLimit]) -> float | None:
    """Return the time left of a host with these limits, the most urgent first."""
    return limits[0].left if limits else None


def limit_order(limit: HostLimit) -> tuple[float, float, str]:
    """Return the sort key of the limits of one host."""
    return -URGENCY[limit.severity], -(limit.ratio or 0.0), limit.ceiling


def worst(hosts: Iterable[FleetHost]) -> Severity:
    """Return the worst known severity; unknown if there is none."""
    return max((host.severity for host in hosts), key=URGENCY.__getitem__, default="unknown")
