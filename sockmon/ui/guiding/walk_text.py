"""The text of a walk: the steps that were taken, and what the facts prove at the step that is shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.text import Text

from sockmon import format as fmt
from sockmon.document import sentence
from sockmon.errors import SockmonError
from sockmon.guides.guide import Act, Check, CheckState, Decide, End, Finding, Outcome, Verdict, Verify
from sockmon.guides.labels import CHECK_LABELS, STATEMENT_LABELS, VERDICT_LABELS, check_seconds
from sockmon.guides.progress import Passed
from sockmon.guides.report import statement_of
from sockmon.guides.software import examples_of
from sockmon.guides.walk import FAILED_STATES, Walk
from sockmon.ui.tuning.history import state_text
from sockmon.ui.widgets.bar import plain_bar
from sockmon.ui.widgets.labelled_list import Labelled

STEP_GUTTER = 4
"""Cells for the mark and the number of a step."""
VERDICT_STYLES: dict[Verdict, tuple[str, str]] = {
    "supports": ("●", "accent"),
    "contradicts": ("–", "muted"),
    "undecided": ("?", "sev-unknown"),
}
"""Verdict → glyph and style: that something supports a hypothesis is neither good nor bad."""
CHECK_STYLES: dict[CheckState, tuple[str, str]] = {
    "met": ("✔", "sev-ok"),
    "not-met": ("✖", "sev-hit"),
    "waiting": ("◷", "sev-warning"),
    "unknown": ("?", "sev-unknown"),
}
OUTCOME_STYLES: dict[Outcome, tuple[str, str]] = {
    "verified": ("✔", "sev-ok"),
    "do-not-tune": ("●", "accent"),
    "not-here": ("–", "muted"),
    "other-limit": ("●", "accent"),
    "run-commands": ("▸", "sev-warning"),
    "did-not-help": ("✖", "sev-hit"),
    "cannot-be-known": ("?", "sev-unknown"),
}
BAR_CELLS = 20


# The steps


def step_items(walk: Walk) -> Iterator[Labelled]:
    """Yield a line for each step: those that were taken, the one that is shown, and the others."""
    path = walk.progress.path
    for number, passed in enumerate(path, 1):
        yield _step(number, _passed_mark(walk, passed), walk.title_of(passed.step), "")
    current = ("▸", "heading")
    yield _step(len(path) + 1, current, walk.step.title, "strong")
    taken = {passed.step for passed in path} | {walk.step.id}
    others = [step for step in walk.guide.steps if step.id not in taken]
    if others and walk.outcome is None:
        yield Labelled("", Text())
        for step in others:
            yield Labelled("", Text.assemble(("·  ", "faint"), (step.title, "muted")), STEP_GUTTER)


def _step(number: int, mark: tuple[str, str], title: str, style: str) -> Labelled:
    return Labelled("", Text.assemble(mark, f"{number:>2} ", (title, style)), STEP_GUTTER)


def _passed_mark(walk: Walk, passed: Passed) -> tuple[str, str]:
    if passed.check:
        return CHECK_STYLES[passed.check.state]
    if isinstance(walk.steps[passed.step], Act):
        changes = [each for each in walk.progress.changes if each.step == passed.step]
        made = any(each.state not in FAILED_STATES for each in changes)
        return ("✔", "accent") if made else ("–", "muted")
    return VERDICT_STYLES[passed.finding.verdict] if passed.finding else ("●", "accent")


# The evidence


def evidence(walk: Walk, refusal: SockmonError | None, examples_key: str = "") -> Iterator[Labelled]:
    """Yield what the facts prove at this step; `refusal`: why the plan of an act cannot be made here;
    `examples_key`: the key that shows the examples for other software, empty to show them."""
    step = walk.step
    if isinstance(step, End):
        yield from _end(walk, step)
        yield from _examples(walk, examples_key)
    elif isinstance(step, Act):
        yield from _act(walk, step, refusal)
        yield from _examples(walk, examples_key)
    else:
        yield from _statement(walk)
        if isinstance(step, Decide) and walk.suggested:
            yield Labelled("Suggested", Text(sentence(walk.suggested.label), "accent"))
        if walk.check:
            yield from _check(walk.check, step)
        elif walk.finding:
            yield from _finding(walk.finding, decides=isinstance(step, Decide))
    for text in step.misconceptions:
        yield Labelled("Misconception", Text(text, "muted"))


def _statement(walk: Walk) -> Iterator[Labelled]:
    step, text = walk.step, statement_of(walk.step)
    if isinstance(step, Verify):
        text = f"{text}, for {fmt.duration(step.hold)}"
    yield Labelled(STATEMENT_LABELS[step.kind], Text(text if text.endswith("?") else sentence(text), "strong"))


def _finding(finding: Finding, decides: bool) -> Iterator[Labelled]:
    if not decides:
        yield _verdict(finding)
    yield Labelled("Why", Text(sentence(finding.text)))
    yield from _numbers(finding)


def _verdict(finding: Finding) -> Labelled:
    glyph, style = VERDICT_STYLES[finding.verdict]
    verdict = Text.assemble((f"{glyph} {VERDICT_LABELS[finding.verdict]}", style))
    if finding.wait > 0:
        verdict.append(f"  more samples decide it: {fmt.duration(finding.wait)}", "muted")
    return Labelled("Verdict", verdict)


def _check(check: Check, step: object) -> Iterator[Labelled]:
    glyph, style = CHECK_STYLES[check.state]
    state = Text.assemble((f"{glyph} {CHECK_LABELS[check.state]}", style), f", {check_seconds(check)}")
    if check.state == "waiting" and isinstance(step, Verify):
        whole = step.hold if check.finding.verdict == "supports" else step.within
        state.append(f"  {plain_bar(1 - check.seconds / whole, BAR_CELLS)}", "muted")
    yield Labelled("State", state)
    yield Labelled("Now", Text(sentence(check.finding.text)))
    yield from _numbers(check.finding)


def _numbers(finding: Finding) -> Iterator[Labelled]:
    yield from _listed("Evidence", finding.numbers)
    yield from _listed("Run", finding.commands, "strong")


def _listed(label: str, lines: Iterable[str], style: str = "") -> Iterator[Labelled]:
    for place, line in enumerate(lines):
        yield Labelled("" if place else label, Text(line, style), indent=2)


def _act(walk: Walk, step: Act, refusal: SockmonError | None) -> Iterator[Labelled]:
    for wanted in walk.wanted:
        reason = f"  {sentence(wanted.reason)}" if wanted.reason else ""
        yield Labelled("Change", Text.assemble((f"{wanted.key} = {wanted.value}", "strong"), reason), indent=2)
    if walk.wanted and walk.place.cannot_change:
        text = sentence(f"nothing can be changed from here: {walk.place.cannot_change}")
        yield Labelled("Read-only", Text(text, "sev-warning"))
    elif refusal:
        yield Labelled("Refused", Text(sentence(refusal.message), "sev-warning"))
    yield from changes(walk, step.id)
    yield from _listed("Application", map(sentence, walk.advice))


def changes(walk: Walk, step: str = "") -> Iterator[Labelled]:
    """Yield what became of the changes of a step, or of all."""
    for change in walk.progress.changes:
        if step in ("", change.step):
            settings = ", ".join(f"{each.name} {each.old or 'empty'} → {each.new}" for each in change.settings)
            yield Labelled("Changed", Text.assemble(state_text(change.state), f"  {settings}"), indent=2)


def _examples(walk: Walk, key: str) -> Iterator[Labelled]:
    found = examples_of(walk.step, walk.facts)
    shown = found.fitting if key else (*found.fitting, *found.others)
    for each in shown:
        file = f" (docs/examples/{each.file})" if each.file else ""
        yield Labelled("Example", Text.assemble((each.software, "strong"), f"  {each.text}{file}"), indent=2)
    if key and found.others:
        label = "" if shown else "Example"
        yield Labelled(
            label, Text.assemble((key, "accent"), f" shows those for {found.names_of_others}"), indent=2
        )


def _end(walk: Walk, step: End) -> Iterator[Labelled]:
    glyph, style = OUTCOME_STYLES[step.outcome]
    yield Labelled("Result", Text(f"{glyph} {step.title}", style))
    yield from _listed("", walk.advice)
    yield from _listed("Run", walk.commands, "strong")
    yield from changes(walk)
