"""The change that a step of a guide proposes: plan, preview, typed word, guard and decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sockmon.cli.confirm import confirm
from sockmon.cli.tune import format_proposal, planning_context
from sockmon.cli.tune_apply import DEFAULT_HOLD, MAX_HOLD
from sockmon.errors import PlanRejected
from sockmon.tuning.planning.draft import suggested_changes
from sockmon.tuning.planning.plan import make_plan
from sockmon.tuning.planning.reasons import with_reasons
from sockmon.tuning.transaction.actor import current_actor
from sockmon.tuning.transaction.client import apply, decide, observe

if TYPE_CHECKING:
    from sockmon.guides.walk import Walk
    from sockmon.model.plan import Proposal
    from sockmon.model.transaction import Transaction
    from sockmon.tuning.transaction.control_socket import Verb


def propose(walk: Walk) -> Proposal:
    """Return the plan for what this step proposes, with the further changes that its warnings suggest; raise
    PlanRejected if it cannot be made here."""
    wanted = {each.key: each.value for each in walk.wanted}
    context = planning_context(wanted, None)
    found = make_plan(wanted, context)
    if more := suggested_changes(found):
        found = make_plan({**more, **wanted}, context)
    if not found.plan.settings:
        raise PlanRejected(f"{', '.join(found.already)}: the value is already set")
    return found


def carry_out(walk: Walk, proposal: Proposal, confirmed: bool) -> Transaction:
    """Show the preview, let the user confirm it unless it is `confirmed`, and have a guard apply it."""
    hold = hold_seconds(walk)
    click.echo(format_proposal(proposal), err=True, color=True)
    if not confirmed:
        confirm(f"The change is rolled back after {hold:.0f} s unless you keep it.")
    now = walk.facts.now
    plan = with_reasons(proposal.plan, now.report, now.snapshot, walk.progress.focus)
    return apply(plan, current_actor(), hold)


def hold_seconds(walk: Walk) -> float:
    """Return a hold that outlasts the verification which follows the change."""
    return min(max(DEFAULT_HOLD, walk.needed_hold), MAX_HOLD)


def settle(walk: Walk, verb: Verb, persist: bool = False) -> None:
    """Keep or roll back the pending change, and note what became of it."""
    for change in walk.progress.changes:
        if change.state == "holding":
            if walk.outcomes:
                observe(change.id, walk.outcomes)
            walk.changed(decide(verb, id=change.id, persist=persist))


def is_pending(walk: Walk) -> bool:
    """Return whether a change of this walk is held."""
    return any(change.state == "holding" for change in walk.progress.changes)
