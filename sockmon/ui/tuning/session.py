"""The screen's side of the helper: its newest answers, and whether a change can be applied."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import msgspec

from sockmon.assess import Assessment
from sockmon.model.current_settings import CurrentSettings
from sockmon.model.helper_protocol import (
    Answer,
    Apply,
    ChangeResult,
    GetHistory,
    HelperStatus,
    History,
    NoteOutcomes,
    ReadSettings,
    Request,
    RequestFailed,
    ResolveHold,
    SettingsRead,
)
from sockmon.model.outcome import Outcome
from sockmon.model.plan import NetnsTarget
from sockmon.ui.tuning.held_change import URGENT_SECONDS, Clock, HeldChange, HoldAction
from sockmon.ui.workers import Helper

if TYPE_CHECKING:
    from sockmon.assess.outcome import OutcomeWatch
    from sockmon.tuning.planning.context import PlanContext

V = TypeVar("V")
HELPER_EXITED = "the privileged helper has exited; restart sockmon"


class HelperSession:
    """Sends requests to the helper and keeps its answers; `no_helper` is the reason if there is none."""

    def __init__(self, helper: Helper | None, no_helper: str = "", clock: Clock = time.monotonic) -> None:
        self.helper = helper
        self.no_helper = "" if helper else no_helper or "sockmon was started without the privileged helper"
        self.settings: CurrentSettings | None = None
        self.netns: NetnsTarget | None = None
        """The network namespace whose settings are planned; None: the one that sockmon was started for."""
        self._cannot_apply = ""
        self.status: HelperStatus | None = None
        self.hold = HeldChange(clock)
        self._exited = ""
        self._watch: OutcomeWatch | None = None
        self._noted: object = None
        """Kinds of the outcomes that were noted last, and whether the end of the hold was near."""
        self._unanswered: deque[Request] = deque()
        """Requests without an answer yet; the helper answers in their order."""

    @property
    def why_not(self) -> str:
        """Why no change can be applied; empty if one can."""
        return self.no_helper or self._exited or self._cannot_apply

    @property
    def why_no_helper(self) -> str:
        """Why there is no helper that could be asked; empty if there is one."""
        return self.no_helper or self._exited

    def plan_context(self, newest: Assessment | None) -> PlanContext | None:
        """Return what a plan is made from; None before the first values."""
        from sockmon.tuning.planning.advice import alternatives
        from sockmon.tuning.planning.context import PlanContext, from_snapshot

        snapshot = newest.snapshot if newest else None
        if newest:
            planned = self.settings.netns_inode if self.settings else self.netns.inode if self.netns else None
            newest = newest.of_first if planned is None else newest.of(planned)
        if self.settings is None:
            # Without a helper the values come from the stream, and are read-only.
            if not (self.no_helper and snapshot and snapshot.netns):
                return None
            ways_out = alternatives(newest.report if newest else None)
            return from_snapshot(snapshot, self.no_helper, ways_out, self.netns.inode if self.netns else 0)
        return PlanContext.of(self.settings, snapshot, alternatives(newest.report if newest else None))

    def plan_in(self, netns: NetnsTarget | None) -> None:
        """Read and plan the settings of another network namespace from now on."""
        if netns != self.netns:
            self.netns, self.settings = netns, None

    def ask(self, request: Request) -> bool:
        """Send a request; return False if there is no helper."""
        if isinstance(request, ReadSettings):
            request = msgspec.structs.replace(request, netns=self.netns)
        if isinstance(request, ReadSettings) and request in self._unanswered:
            # A helper that is slow or stopped gets no second request: its pipe would fill, and block the screen.
            return True
        if self.helper is None or self._exited or not self.helper.ask(request):
            return False
        self._unanswered.append(request)
        return True

    def decide(self, action: HoldAction) -> bool:
        """Request that the pending change is kept, persisted or rolled back; return False if it cannot be."""
        held = self.hold.pending
        if held is None or not self.hold.decidable:
            return False
        self._note(held.id, self.hold.outcomes)
        request = ResolveHold("revert" if action == "revert" else "keep", held.id, persist=action == "persist")
        if not self.ask(request):
            return False
        self.hold.request(action)
        return True

    def follow(self, now: Assessment) -> None:
        """Take a sample: it shows what becomes of the alarms that were the reason for the pending change."""
        held = self.hold.pending
        if held is None:
            self._watch = None
            return
        from sockmon.assess.outcome import OutcomeWatch

        if self._watch is None or self._watch.id != held.id:
            self._watch, self._noted = OutcomeWatch(held), None
        found = self.hold.outcomes = self._watch.add(now.of(held.plan.netns)) or self.hold.outcomes
        state = [each.kind for each in found], self.hold.seconds_left <= URGENT_SECONDS
        if state != self._noted and any(each.kind != "waiting" for each in found):
            self._noted = state
            self._note(held.id, found)

    def _note(self, id: str, outcomes: tuple[Outcome, ...]) -> None:
        if outcomes and not any(isinstance(request, NoteOutcomes) for request in self._unanswered):
            self.ask(NoteOutcomes(id, outcomes))

    def on_answer(self, answer: Answer) -> None:
        """Take an answer of the helper."""
        if isinstance(answer, HelperStatus):
            self.status = answer
            if self.hold.on_status(answer):
                self.ask(GetHistory())
            return
        request = self._unanswered.popleft() if self._unanswered else None
        if isinstance(answer, SettingsRead):
            self._cannot_apply = answer.cannot_apply
            if isinstance(request, ReadSettings) and request.netns == self.netns:
                self._merge(answer.settings, request.keys)
        elif isinstance(answer, ChangeResult):
            if isinstance(request, Apply):
                self.hold.own_ids.add(answer.transaction.id)
            self.hold.on_result(answer.transaction)
        elif isinstance(answer, History):
            self.hold.on_history(answer.transactions)
        elif isinstance(answer, RequestFailed) and isinstance(request, ResolveHold):
            self.hold.on_failure(answer.message)

    def on_exit(self, why: str) -> None:
        """The helper has exited; the guard goes on."""
        self._exited = f"{HELPER_EXITED} ({why})" if why else HELPER_EXITED
        self.hold.disconnected = self._exited
        self.hold.requested = None

    def _merge(self, read: CurrentSettings, asked: tuple[str, ...]) -> None:
        """Keep the values that other screens have read: each reads its own keys."""
        old = self.settings
        if old and (old.netns_inode, old.boot_id) == (read.netns_inode, read.boot_id):
            read = replace(
                read,
                values=_over(old.values, read.values, asked),
                refused=_over(old.refused, read.refused, asked),
                cgroups=_over(old.cgroups, read.cgroups, asked),
                start_times=_over(old.start_times, read.start_times, asked),
                forecasts=_over(old.forecasts, read.forecasts, asked),
            )
        self.settings = read


def _over(old: Mapping[str, V], new: Mapping[str, V], asked: tuple[str, ...]) -> dict[str, V]:
    """Return `new`, and of `old` the keys that were not `asked` for."""
    return {key: value for key, value in old.items() if key not in asked} | dict(new)
