"""The draft on the tuning panel: the changes that the user has chosen so far, and the plan that they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from sockmon.errors import SockmonError
from sockmon.model.plan import Proposal
from sockmon.tuning.planning.context import PlanContext
from sockmon.tuning.planning.plan import make_plan


class DraftResult(NamedTuple):
    """The proposal for a draft, or the reason why there is none; neither if the draft is empty."""

    proposal: Proposal | None = None
    error: SockmonError | None = None


class DraftPlan:
    """The chosen value of each key, in the order of the choice."""

    def __init__(self) -> None:
        self.wanted: dict[str, str] = {}

    def evaluate(self, context: PlanContext | None) -> DraftResult:
        """Return the plan for the whole draft."""
        return evaluate(self.wanted, context)

    def try_value(self, key: str, value: str, context: PlanContext | None) -> DraftResult:
        """Return the plan for the draft with this value, or for the value alone if only the rest prevents it."""
        together = evaluate({**self.wanted, key: value}, context)
        if together.error is None or not self.wanted:
            return together
        alone = evaluate({key: value}, context)
        return together if alone.error else alone

    def stage(self, key: str, value: str, context: PlanContext | None) -> SockmonError | None:
        """Add `value` to the draft, or return why it is refused; the current value removes the key instead."""
        result = self.try_value(key, value, context)
        if result.error and context:
            return result.error
        if result.proposal and key in result.proposal.already:
            self.wanted.pop(key, None)
        else:
            self.wanted[key] = value
        return None

    def as_written(self, proposal: Proposal | None) -> dict[str, str]:
        """Return the values of the draft as its `proposal` would write them."""
        settled = proposal.plan.settings if proposal else ()
        new = {each.name: each.new for each in settled}
        return {key: new.get(key, text) for key, text in self.wanted.items()}

    def still_suggested(self, proposal: Proposal | None) -> dict[str, str]:
        """Return the changes that the `proposal` for the draft suggests and the draft does not have."""
        suggested = suggested_changes(proposal)
        return {key: new for key, new in suggested.items() if self.wanted.get(key) != new}


def evaluate(wanted: Mapping[str, str], context: PlanContext | None) -> DraftResult:
    """Return the plan for `wanted`; also if the context is read-only, because a plan may be looked at anyway."""
    if not wanted:
        return DraftResult()
    if context is None:
        return DraftResult(error=SockmonError("the values of this machine are not known yet"))
    try:
        return DraftResult(make_plan(wanted, replace(context, read_only_reason="")))
    except SockmonError as error:
        return DraftResult(error=error)


def suggested_changes(proposal: Proposal | None) -> dict[str, str]:
    """Return the further changes that the warnings of a plan suggest, values by key."""
    previews = proposal.previews if proposal else ()
    return dict(each.suggests for preview in previews for each in preview.warnings if each.suggests)
