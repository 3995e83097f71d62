"""Did the pending change help: samples this machine, reports what has become of the alarms that were its reason,
and lets the guard note it for the history."""

from __future__ import annotations

import time

import click

from sockmon.assess.outcome import QUIET_SECONDS, OutcomeWatch
from sockmon.cli.guide_samples import open_samples
from sockmon.errors import SockmonError
from sockmon.model.outcome import Outcome
from sockmon.model.plan import Plan
from sockmon.model.transaction import Transaction
from sockmon.text import sanitize
from sockmon.tuning.planning.outcome_text import outcome_text, reason_text, subject_text
from sockmon.tuning.transaction.client import observe, pending_change

MAX_SECONDS = 3 * QUIET_SECONDS
"""Seconds of sampling at most: on a busy machine the first sample alone can take as long as a counter has to be
quiet."""
SPARE_SECONDS = 5.0
"""Seconds of the hold that are left for the decision itself."""


def reason_lines(plan: Plan) -> list[str]:
    """Return what a change is meant to end, for the moment when it is applied."""
    if not plan.reasons:
        return ["No alarm has this change as its remedy, so whether it helped cannot be reported."]
    return [f"Meant to end: {sanitize(reason_text(reason), 400)}" for reason in plan.reasons]


def outcome_lines(change: Transaction) -> list[str]:
    """Return what was observed of each reason of a change: a line each."""
    return [sanitize(f"{subject_text(each)}: {outcome_text(each, change.plan)}", 400) for each in change.outcomes]


def observe_pending(id: str, root: str) -> Transaction | None:
    """Sample this machine, and return the pending change with what has become of its reasons.

    None if no change is pending, or not this one, or it has no reason; a decision does not depend on it."""
    try:
        pending = pending_change(root)
        if pending is None or (id and pending.id != id) or not pending.plan.reasons:
            return None
        left = pending.deadline - time.clock_gettime(time.CLOCK_BOOTTIME) - SPARE_SECONDS
        if left <= 0:
            return pending
        outcomes = _sample(pending, min(left, MAX_SECONDS))
        return (observe(pending.id, outcomes, root) if outcomes else None) or pending
    except (SockmonError, OSError) as error:
        click.echo(f"whether it helped is not known: {error}", err=True)
        return None


def _sample(pending: Transaction, seconds: float) -> tuple[Outcome, ...]:
    """Return the outcomes after two samples or more: as many as show whether a counter is quiet, within
    `seconds`. Empty if that is too short: one sample does not show whether a queue stays full."""
    watch, end, samples_taken = OutcomeWatch(pending), time.monotonic() + seconds, 1
    netns = pending.plan.target.entry if pending.plan.target else None
    with open_samples(None, netns) as samples:
        watch.add(samples.first)
        quiet_at = samples.first.snapshot.at + QUIET_SECONDS + 1.0
        while time.monotonic() < end:
            samples.refresh()
            if (now := samples.poll()) is not None:
                watch.add(now)
                samples_taken += 1
                if now.snapshot.at >= quiet_at:
                    break
            if not any(each.quiet is not None for each in watch.outcomes):
                break
    return watch.outcomes if samples_taken > 1 else ()
