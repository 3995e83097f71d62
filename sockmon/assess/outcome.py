"""Did a change help: what has become of the alarms that were its reason. One rule for guides, screen and CLI."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from msgspec.structs import replace

from sockmon.assess.assessment import Assessment
from sockmon.assess.counters import counters_of
from sockmon.assess.severity_rules import HIT_RELEASE_RATIO, Gauge
from sockmon.assess.successor import Successor, find_successor, identity_of
from sockmon.ceilings import BY_ID
from sockmon.model.outcome import Outcome, OutcomeKind, Reason
from sockmon.model.report import Reading
from sockmon.model.severity import ALARMS, URGENCY, Severity
from sockmon.model.snapshot import Snapshot
from sockmon.model.transaction import Transaction

QUIET_SECONDS = 8.0
"""Seconds without movement after which a counter counts as quiet."""
PATIENCE_SECONDS = 20.0
"""Seconds that an alarm has to end before it counts as unchanged, but at most half of the hold: the parts of a
sample are read by budget, so some of its numbers may be from before the change."""
_WINDOW_SECONDS = 60.0
"""Seconds for which a counter that moved can keep a reading at an early stage."""


def reason_of(reading: Reading, snapshot: Snapshot) -> Reason:
    """Return an alarm as the reason for a change."""
    counters = proof_counters(reading.ceiling, reading.subject, counters_of(snapshot))
    return Reason(
        reading.ceiling,
        reading.subject,
        reading.severity,
        reading.used,
        reading.limit,
        tuple(counters.items()),
        identity_of(reading.subject, snapshot) if BY_ID[reading.ceiling].scope == "process" else None,
    )


def proof_counters(ceiling: str, subject: str, counters: Mapping[str, int]) -> dict[str, int]:
    """Return those of `counters` whose increase proves a hit of this subject: its own, if they are told apart."""
    proofs = BY_ID[ceiling].hit_counters
    found = {name: value for name, value in counters.items() if name.partition(" ")[0] in proofs}
    return {name: value for name, value in found.items() if name.partition(" ")[2] == subject} or found


def successor_of(reason: Reason, now: Assessment) -> Successor:
    """Return what the alarm is about now: the same subject, or what took its place after a restart."""
    key = (reason.ceiling, reason.subject)
    if key in now.gauges or BY_ID[reason.ceiling].scope != "process":
        return Successor(key)
    return find_successor(reason.ceiling, reason.identity, now)


def judge_outcome(reason: Reason, now: Assessment, moving: bool) -> Outcome:
    """Return what one sample proves about an alarm; `moving`: a counter that proves a hit increases."""
    ceiling, successor = BY_ID[reason.ceiling], successor_of(reason, now)
    found = Outcome(
        "unknown",
        reason.ceiling,
        reason.subject,
        reason.severity,
        limit_before=reason.limit,
        new_process=successor.process,
        candidates=successor.candidates,
    )
    gauge = now.gauges.get(successor.key) if successor.key else None
    if gauge is None and ceiling.scope == "process":
        return replace(found, cause="several" if successor.candidates else "ended")
    if gauge is None and any(
        row.ceiling == ceiling.id and row.severity == "unknown" for row in now.report.readings
    ):
        return replace(found, cause="unread")
    if gauge is None:
        return replace(found, kind="left", severity="ok")
    if gauge.severity == "unknown":
        return replace(found, cause="unread")
    severity = _severity_now(gauge, moving)
    found = replace(found, severity=severity, used=gauge.used, limit=gauge.limit)
    if successor.process and _has_just_begun(reason, gauge, severity):
        return replace(found, cause="restarted")
    return replace(found, kind=_kind(reason.severity, severity))


def _has_just_begun(reason: Reason, gauge: Gauge, severity: Severity) -> bool:
    """Return whether a new process is less urgent than the old one only because it does not use as much yet. A
    queue is not filled step by step: there the counters decide."""
    if BY_ID[reason.ceiling].needs_movement or not gauge.limit or reason.used is None:
        return False
    if severity in ALARMS and URGENCY[severity] >= URGENCY[reason.severity]:
        return False
    return _severity_of(max(reason.used, gauge.used or 0) / gauge.limit, gauge) in ALARMS


def _severity_now(gauge: Gauge, moving: bool) -> Severity:
    """Return the severity without the hits that counters proved earlier in the window."""
    if gauge.severity != "hit" or moving or (gauge.ratio or 0.0) >= HIT_RELEASE_RATIO:
        return gauge.severity
    return _severity_of(gauge.ratio or 0.0, gauge)


def _severity_of(ratio: float, gauge: Gauge) -> Severity:
    """Return the severity of a ratio by the levels of `gauge`, without its counters."""
    if gauge.critical is not None and ratio >= gauge.critical:
        return "critical"
    return "warning" if gauge.warning is not None and ratio >= gauge.warning else "ok"


def _kind(before: Severity, now: Severity) -> OutcomeKind:
    if now not in ALARMS:
        return "left"
    if before not in ALARMS or URGENCY[now] == URGENCY[before]:
        return "unchanged"
    return "eased" if URGENCY[now] < URGENCY[before] else "worse"


class OutcomeWatch:
    """Follows the alarms that were the reason for one change, from sample to sample."""

    def __init__(self, change: Transaction) -> None:
        self.id = change.id
        self.outcomes: tuple[Outcome, ...] = ()
        """One for each reason, as of the last sample; empty before the first one after the change."""
        self._last = 0.0
        self._change = change
        self._patience = min(PATIENCE_SECONDS, change.hold / 2)
        self._alarms = [_Followed(reason) for reason in change.plan.reasons if reason.ceiling in BY_ID]

    def add(self, now: Assessment) -> tuple[Outcome, ...]:
        """Take the next sample; return `outcomes`."""
        seconds = now.snapshot.wall - self._change.begun
        if seconds <= self._last:
            return self.outcomes
        self._last = seconds
        plan = self._change.plan
        # Of several namespaces the one that was changed, with what is the host's.
        now = now.of(plan.netns)
        here = (now.snapshot.netns[0].inode, now.snapshot.host.boot_id) == (plan.netns, plan.boot_id)
        counters = counters_of(now.snapshot)
        self.outcomes = tuple(
            each.add(now, counters, seconds, self._patience) if here else each.elsewhere(seconds)
            for each in self._alarms
        )
        return self.outcomes


class _Followed:
    """One alarm."""

    def __init__(self, reason: Reason) -> None:
        self._reason = reason
        self._values = dict(reason.counters)
        self._quiet_since = 0.0
        self._samples: deque[tuple[float, dict[str, int]]] = deque()
        self._left_at: float | None = None

    def elsewhere(self, seconds: float) -> Outcome:
        reason = self._reason
        return Outcome(
            "unknown", reason.ceiling, reason.subject, reason.severity, seconds=seconds, cause="elsewhere"
        )

    def add(self, now: Assessment, counters: Mapping[str, int], seconds: float, patience: float) -> Outcome:
        reason = self._reason
        key = successor_of(reason, now).key
        values = proof_counters(reason.ceiling, key[1] if key else reason.subject, counters)
        if values != self._values:
            self._quiet_since, self._values = seconds, values
        self._samples.append((seconds, values))
        while len(self._samples) > 2 and self._samples[1][0] <= seconds - QUIET_SECONDS:
            self._samples.popleft()
        rates = self._rates()
        found = judge_outcome(reason, now, any(rate > 0 for _, rate in rates))
        found = replace(found, seconds=seconds, rates=rates)
        found = self._unless_too_early(found, now.gauges.get(key) if key else None, patience)
        if found.kind != "left":
            self._left_at = None
            return found
        self._left_at = seconds if self._left_at is None else self._left_at
        return replace(found, seconds=self._left_at)

    def _rates(self) -> tuple[tuple[str, float], ...]:
        """Return the increase per second of each counter in the last seconds, or since the change."""
        (first, before), (last, values) = self._samples[0], self._samples[-1]
        if first == last:
            return tuple((name, 0.0) for name in values) if self._quiet_since == 0 else ()
        return tuple(
            (name, max(0.0, (value - before[name]) / (last - first)))
            for name, value in values.items()
            if name in before
        )

    def _unless_too_early(self, found: Outcome, gauge: Gauge | None, patience: float) -> Outcome:
        """Return the outcome, or that it is too early for it."""
        if found.kind == "unknown":
            return found
        quiet = found.seconds - self._quiet_since if self._values else None
        if found.kind == "left" or (found.kind == "eased" and found.severity != "hit"):
            if self._reason.severity == "hit" and quiet is not None and quiet < QUIET_SECONDS:
                return replace(found, kind="waiting", quiet=quiet)
            return found if found.kind == "left" or found.seconds >= patience else replace(found, kind="waiting")
        early = quiet is not None and quiet > 0 and gauge is not None and _early_stage(gauge)
        if found.seconds < patience or (early and found.seconds < _WINDOW_SECONDS):
            return replace(found, kind="waiting")
        return found


def _early_stage(gauge: Gauge) -> bool:
    """Return whether neither the level nor the time left makes it an alarm: a counter inside the window may."""
    return gauge.eta_seconds is None and (gauge.ratio or 0.0) < (gauge.warning or 0.0)
