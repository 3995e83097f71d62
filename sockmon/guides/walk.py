"""A walk through one guide: a state machine over a stream of Assessments. It knows the step, what the facts prove
there, where the evidence leads, and the path that was taken; a front end draws it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from sockmon.assess import Assessment
from sockmon.assess.counters import counters_of
from sockmon.assess.outcome import OutcomeWatch
from sockmon.assess.successor import identity_of
from sockmon.ceilings import TITLES
from sockmon.guides import ends
from sockmon.guides.facts import HERE, Facts, Place, Wanted
from sockmon.guides.guide import Act, Check, Decide, End, Exit, Finding, Guide, Observe, Outcome, Step, Verify
from sockmon.guides.progress import By, Change, Passed, Progress
from sockmon.model.outcome import Outcome as ReasonOutcome
from sockmon.model.transaction import Transaction

UNKNOWN_SECONDS = 3.0
"""How long a claim must be undecided until it counts as unknown: a single sample may lack it."""
MAX_WAIT_SECONDS = 60.0
"""How long more samples are awaited at one step, whatever its finding asks for."""
SPARE_SECONDS = 60.0
"""Time of a hold that is left after the verification, to decide about the change."""
FAILED_STATES = frozenset(("refused", "reverted", "conflict", "stuck", "rebooted"))
"""States of a change that has no effect any more."""


class Walk:
    """One walk. `add` gives it each new Assessment; `take` goes to the next step."""

    def __init__(
        self,
        guide: Guide,
        first: Assessment,
        place: Place = HERE,
        number: str = "",
        progress: Progress | None = None,
    ) -> None:
        """Begin at the first step, or where `progress` ends."""
        self.guide = guide
        self.place = place
        self.steps = _steps(guide)
        host = first.snapshot.host
        self.progress = Progress(
            guide.name,
            host.name,
            host.boot_id,
            first.snapshot.wall,
            guide.steps[0].id,
            number,
            netns=first.snapshot.netns[0].inode,
        )
        if progress is not None:
            self.progress = _of_this_version(guide, self.steps, progress)
        self._first = first.snapshot
        self._counters = counters_of(first.snapshot)
        self._watch: OutcomeWatch | None = None
        self._facts = self._facts_of(first, {})
        self._enter()

    def add(self, now: Assessment) -> None:
        """Take the next Assessment of the stream."""
        counters = counters_of(now.snapshot)
        moved = {name: value - self._counters[name] for name, value in counters.items() if name in self._counters}
        self._counters = counters
        self._facts = self._facts_of(now, {name: step for name, step in moved.items() if step > 0})
        if self._watch is not None:
            self._watch.add(now)
        self._evaluate()

    @property
    def outcomes(self) -> tuple[ReasonOutcome, ...]:
        """What has become of the alarms that were the reason for the last change, as of the newest sample."""
        return self._watch.outcomes if self._watch else ()

    @property
    def facts(self) -> Facts:
        """What is known now."""
        return self._facts

    @property
    def step(self) -> Step:
        """The step that is shown."""
        return self.steps[self.progress.step]

    @property
    def finding(self) -> Finding | None:
        """What the facts prove at this step; None if it proves nothing, as an act."""
        return self._finding

    @property
    def check(self) -> Check | None:
        """The state of the verification; None at another step."""
        return self._check

    @property
    def outcome(self) -> Outcome | None:
        """How the walk has ended; None if it has not."""
        return self.step.outcome if isinstance(self.step, End) else None

    @property
    def wanted(self) -> tuple[Wanted, ...]:
        """The settings that this step proposes to change; empty at another step, or if there are none."""
        return tuple(self.step.settings(self._facts)) if isinstance(self.step, Act) else ()

    @property
    def advice(self) -> tuple[str, ...]:
        """What this step advises in words: to an application, or at the end."""
        if isinstance(self.step, Act):
            return tuple(self.step.advice(self._facts))
        return tuple(self.step.text(self._facts)) if isinstance(self.step, End) else ()

    @property
    def commands(self) -> tuple[str, ...]:
        """What to run at the end; empty at another step."""
        return tuple(self.step.commands(self._facts)) if isinstance(self.step, End) else ()

    @property
    def change(self) -> Change | None:
        """The last change that was made at this step, if one was."""
        found = [change for change in self.progress.changes if change.step == self.progress.step]
        return found[-1] if found else None

    @property
    def needed_hold(self) -> float:
        """The seconds of a hold that outlasts the verification after this step; 0 if none follows."""
        then = self.steps[self.step.done] if isinstance(self.step, Act) else None
        return then.within + then.hold + SPARE_SECONDS if isinstance(then, Verify) else 0.0

    def title_of(self, step: str) -> str:
        """Return the title of a step."""
        return self.steps[step].title

    @property
    def exits(self) -> tuple[Exit, ...]:
        """Every way out of this step."""
        return self.step.exits()

    @property
    def suggested(self) -> Exit | None:
        """The exit that the evidence leads to; None at the end, and while something has to be awaited or done."""
        to = self._suggested()
        return next((each for each in self.exits if each.to == to), None)

    def take(self, to: str) -> None:
        """Go to the step `to`, which must be one of `exits`; the evidence or the reader chose it."""
        if to not in {each.to for each in self.exits}:
            raise ValueError(f"{self.guide.name}: {self.progress.step} does not lead to {to}")
        by: By = "evidence" if to == self._suggested() else "reader"
        passed = Passed(
            self.progress.step,
            to,
            self._facts.snapshot.wall,
            by,
            self._finding,
            self._check,
            self.wanted,
            self.advice,
        )
        focus, identity = self.progress.focus, self.progress.identity
        if self._finding and self._finding.verdict == "supports" and self._finding.readings:
            focus = self._finding.readings[0]
        if focus and focus != self.progress.focus:
            identity = identity_of(focus[1], self._facts.snapshot)
        self._update(step=to, path=(*self.progress.path, passed), focus=focus, identity=identity)
        self._enter()

    def back(self) -> bool:
        """Go to the step before; return False at the first. A change that was made stays made."""
        if not self.progress.path:
            return False
        *path, last = self.progress.path
        self._update(step=last.step, path=tuple(path))
        self._enter()
        return True

    def changed(self, transaction: Transaction) -> None:
        """Note what became of a change that was made at this step or before: pending, kept, rolled back."""
        known = next((each for each in self.progress.changes if each.id == transaction.id), None)
        if known is None:
            self._watch = OutcomeWatch(transaction)
        step = known.step if known else self.progress.step
        lost = tuple(each.name for each in transaction.not_kept)
        plan, state = transaction.plan, transaction.state
        note = Change(step, transaction.id, plan.settings, state, transaction.persisted, lost)
        others = tuple(each for each in self.progress.changes if each.id != transaction.id)
        before = self.progress.before if known else self._facts.reading
        failed = "; ".join(transaction.messages).rstrip(".") if state in FAILED_STATES else ""
        self._update(changes=(*others, note), before=before, refusal=failed or self.progress.refusal)

    def refused(self, reason: str) -> None:
        """Note why the change of this step cannot be made, and go on without it."""
        self._update(refusal=reason)
        if isinstance(self.step, Act):
            self.take(self.step.declined)

    def _update(self, **changes: object) -> None:
        self.progress = replace(self.progress, **changes)
        self._facts = self._facts_of(self._facts.now, self._facts.moved)

    def _facts_of(self, now: Assessment, moved: Mapping[str, int]) -> Facts:
        kept = self.progress
        changed = {change.step for change in kept.changes if change.state not in FAILED_STATES}
        proposed = (each for passed in kept.path if passed.step not in changed for each in passed.wanted)
        return Facts(
            now=now,
            place=self.place,
            guide=self.guide.name,
            ceilings=self.guide.ceilings,
            number=kept.number,
            passed=tuple(passed.step for passed in kept.path),
            focus=kept.focus,
            identity=kept.identity,
            before=kept.before,
            first=self._first,
            moved=moved,
            proposed=tuple(dict.fromkeys(proposed)),
            refusal=kept.refusal,
            pending=any(change.state == "holding" for change in kept.changes),
        )

    def _enter(self) -> None:
        """Begin a step: its times count from now."""
        self._entered_at = self._facts.snapshot.at
        self._since: tuple[str, float] | None = None
        self._evaluate()

    def _evaluate(self) -> None:
        step, self._check = self.step, None
        if isinstance(step, (Observe, Verify)):
            self._finding: Finding | None = step.evidence(self._facts)
        elif isinstance(step, Decide):
            found = (branch.when(self._facts) for branch in step.branches)
            self._finding = next((each for each in found if each.verdict == "supports"), None)
        else:
            self._finding = None
        if isinstance(step, Verify) and self._finding:
            self._check = self._checked(step, self._finding)

    def _checked(self, step: Verify, finding: Finding) -> Check:
        """Return the state of a verification: how long the last verdict has been the same decides it."""
        now = self._facts.snapshot.at
        if self._since is None or self._since[0] != finding.verdict:
            self._since = (finding.verdict, now)
        lasted, observed = now - self._since[1], now - self._entered_at
        if self.place.source == "recording":
            return Check("unknown", lasted, finding)
        if finding.verdict == "supports":
            left = step.hold - lasted
            return Check("met", lasted, finding) if left <= 0 else Check("waiting", left, finding)
        if finding.verdict == "undecided" and finding.wait <= 0 and lasted >= UNKNOWN_SECONDS:
            return Check("unknown", lasted, finding)
        if observed >= step.within:
            return Check("not-met" if finding.verdict == "contradicts" else "unknown", observed, finding)
        return Check("waiting", step.within - observed, finding)

    def _suggested(self) -> str | None:
        step, finding = self.step, self._finding
        if isinstance(step, Observe) and finding:
            if finding.verdict == "undecided" and finding.wait > 0 and self._may_wait():
                return None
            return {"supports": step.supports, "contradicts": step.contradicts}.get(
                finding.verdict, step.undecided
            )
        if isinstance(step, Decide):
            branches = (branch.to for branch in step.branches if branch.when(self._facts).verdict == "supports")
            return next(branches, step.otherwise)
        if isinstance(step, Verify) and self._check:
            states = {"met": step.met, "not-met": step.not_met, "unknown": step.unknown}
            return states.get(self._check.state)
        return self._suggested_by_act(step) if isinstance(step, Act) else None

    def _may_wait(self) -> bool:
        """Return whether more samples come, and were not awaited for long enough."""
        waited = self._facts.snapshot.at - self._entered_at
        return self.place.source != "recording" and waited < MAX_WAIT_SECONDS

    def _suggested_by_act(self, step: Act) -> str | None:
        if self.change:
            return step.declined if self.change.state in FAILED_STATES else step.done
        if not self.wanted:
            # The reader says when an application was changed.
            return None if self.advice else step.done
        return step.declined if self.place.cannot_change else None


def step_of(guide: Guide, progress: Progress) -> Step:
    """Return the step that a walk with this progress shows."""
    steps = _steps(guide)
    return steps[_of_this_version(guide, steps, progress).step]


def _steps(guide: Guide) -> dict[str, Step]:
    return {**ends.BY_ID, **{step.id: step for step in guide.steps}}


def _of_this_version(guide: Guide, steps: dict[str, Step], kept: Progress) -> Progress:
    """Return `kept` as far as its steps still exist and lead to each other; it may be of an older version."""
    path: list[Passed] = []
    at = guide.steps[0].id
    for passed in kept.path:
        if passed.step != at or passed.to not in {each.to for each in steps[at].exits()}:
            break
        path.append(passed)
        at = passed.to
    focus = kept.focus if kept.focus and kept.focus[0] in TITLES else None
    return replace(kept, path=tuple(path), step=at, focus=focus)
