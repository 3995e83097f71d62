"""The JSON of guides: the list, and one walk with its steps and their verdicts; documented by its schema."""

from __future__ import annotations

from typing import Literal

import msgspec

from sockmon.guides import GUIDES, Guide, guides_to
from sockmon.guides.facts import Facts, Wanted
from sockmon.guides.fitting import fitting
from sockmon.guides.guide import (
    Act,
    CheckState,
    Decide,
    End,
    Example,
    Kind,
    Observe,
    Outcome,
    Step,
    Verdict,
    Verify,
)
from sockmon.guides.progress import By, Change, Passed
from sockmon.guides.walk import Walk


class GuideRow(msgspec.Struct, frozen=True):
    """One guide in the list."""

    name: str
    title: str
    symptom: str
    ceilings: tuple[str, ...]
    """The ids of the ceilings that it leads to."""
    lab: str
    asks_number: bool
    fits: str | None
    """Why it fits the present report, in one line; null if it does not."""


class GuideList(msgspec.Struct, frozen=True):
    """What `sockmon guide --json` prints: those that fit the present report first."""

    schema: Literal[1]
    guides: tuple[GuideRow, ...]


class ReadingRef(msgspec.Struct, frozen=True):
    """A reading of `check --json`."""

    ceiling: str
    subject: str


class StepRow(msgspec.Struct, frozen=True):
    """One step: as it was when it was passed, or as it would be now."""

    id: str
    kind: Kind
    title: str
    statement: str
    """The hypothesis, question or claim; empty for an act and an end."""
    passed: bool
    """True for a step of the path."""
    verdict: Verdict | None
    """Null for a step that proves nothing."""
    check: CheckState | None
    """The state of a verification that was begun."""
    text: str
    """Why: one sentence with numbers."""
    numbers: tuple[str, ...]
    readings: tuple[ReadingRef, ...]
    commands: tuple[str, ...]
    """What to run, and where, if it cannot be decided here, or at the end; `advice` of an end has them too."""
    settings: tuple[Wanted, ...]
    """What an act proposes to change."""
    advice: tuple[str, ...]
    examples: tuple[Example, ...]
    misconceptions: tuple[str, ...]
    """Common advice that does not help here, and why."""
    to: str | None
    """The next step that was taken; null if it was not passed."""
    by: By | None
    """Whether the evidence or the reader chose it."""


class WalkReport(msgspec.Struct, frozen=True):
    """What `sockmon guide NAME --json` prints."""

    schema: Literal[1]
    guide: str
    title: str
    symptom: str
    number: str
    host: str
    kernel: str
    netns: str
    time: str
    """UTC, ISO 8601."""
    source: Literal["live", "recording", "remote"]
    cannot_change: str
    """Why nothing can be changed from here; empty if it can."""
    outcome: Outcome | None
    """Null: the walk has not ended."""
    steps: tuple[StepRow, ...]
    """The path, then the steps that were not taken."""
    changes: tuple[Change, ...]
    next_guides: tuple[str, ...]
    """The guides of the limit that was found to be the cause instead."""


def guide_list(facts: Facts) -> GuideList:
    """Return the guides, those that fit first."""
    rows = ((guide, why or None) for guide, why in fitting(GUIDES, facts))
    return GuideList(
        1,
        tuple(
            GuideRow(each.name, each.title, each.symptom, each.ceilings, each.lab, each.asks_number, why)
            for each, why in rows
        ),
    )


def walk_report(walk: Walk) -> WalkReport:
    """Return a walk as it is."""
    report = walk.facts.now.report
    taken = {passed.step for passed in walk.progress.path} | {walk.step.id}
    path = [_passed(walk, passed) for passed in walk.progress.path]
    others = (step for step in walk.guide.steps if step.id not in taken)
    return WalkReport(
        schema=1,
        guide=walk.guide.name,
        title=walk.guide.title,
        symptom=walk.guide.symptom,
        number=walk.progress.number,
        host=report.host,
        kernel=report.kernel,
        netns=report.netns,
        time=report.time,
        source=walk.place.source,
        cannot_change=walk.place.cannot_change,
        outcome=walk.outcome,
        steps=(*path, _now(walk, walk.step, True), *(_now(walk, step, False) for step in others)),
        changes=walk.progress.changes,
        next_guides=tuple(guide.name for guide in next_guides(walk)),
    )


def next_guides(walk: Walk) -> list[Guide]:
    """Return the guides of the limit that was found to be the cause instead, those that fit first; empty
    unless a walk ends so."""
    if walk.outcome != "other-limit" or walk.facts.focus is None:
        return []
    found = fitting(guides_to(walk.facts.focus[0]), walk.facts)
    return [guide for guide, _ in found if guide is not walk.guide]


def statement_of(step: Step) -> str:
    """Return the hypothesis, question or claim of a step; empty if it has none."""
    if isinstance(step, Observe):
        return step.hypothesis
    if isinstance(step, Decide):
        return step.question
    return step.claim if isinstance(step, Verify) else ""


def _passed(walk: Walk, passed: Passed) -> StepRow:
    step, finding = walk.steps[passed.step], passed.finding
    return StepRow(
        id=step.id,
        kind=step.kind,
        title=step.title,
        statement=statement_of(step),
        passed=True,
        verdict=finding.verdict if finding else None,
        check=passed.check.state if passed.check else None,
        text=finding.text if finding else "",
        numbers=finding.numbers if finding else (),
        readings=tuple(ReadingRef(*key) for key in finding.readings) if finding else (),
        commands=finding.commands if finding else (),
        settings=passed.wanted,
        advice=passed.advice,
        examples=step.examples if isinstance(step, Act) else (),
        misconceptions=step.misconceptions,
        to=passed.to,
        by=passed.by,
    )


def _now(walk: Walk, step: Step, current: bool) -> StepRow:
    facts = walk.facts
    finding = step.evidence(facts) if isinstance(step, (Observe, Verify)) else None
    ended = current and isinstance(step, End)
    ends = (*walk.advice, *walk.commands) if ended else ()
    return StepRow(
        id=step.id,
        kind=step.kind,
        title=step.title,
        statement=statement_of(step),
        passed=ended,
        verdict=finding.verdict if finding else None,
        check=walk.check.state if current and walk.check else None,
        text=finding.text if finding else "",
        numbers=finding.numbers if finding else (),
        readings=tuple(ReadingRef(*key) for key in finding.readings) if finding else (),
        commands=finding.commands if finding else walk.commands if ended else (),
        settings=tuple(step.settings(facts)) if isinstance(step, Act) else (),
        advice=tuple(step.advice(facts)) if isinstance(step, Act) else ends,
        examples=step.examples if isinstance(step, (Act, End)) else (),
        misconceptions=step.misconceptions,
        to=None,
        by=None,
    )
