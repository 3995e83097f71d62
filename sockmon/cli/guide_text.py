"""The text of a guide for a dumb terminal: the list, one step, and the keys that lead out of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sockmon import format as fmt
from sockmon.cli.text_page import wrap
from sockmon.document import sentence
from sockmon.guides import Guide
from sockmon.guides.guide import Act, Decide, End, Example, Finding, Step, Verify
from sockmon.guides.labels import CHECK_LABELS, VERDICT_LABELS, check_seconds
from sockmon.guides.report import next_guides, statement_of
from sockmon.guides.walk import Walk

MAX_WIDTH = 100
LETTERS = "abcdefghi"


def list_lines(rows: Sequence[tuple[Guide, str]], width: int) -> list[str]:
    """Return the list of guides: those that fit the present report first, each with the reason."""
    room = max(len(guide.name) for guide, _ in rows)
    lines = []
    others = "The others:" if any(why for _, why in rows) else "No guide fits this host now. All guides:"
    for fits, heading in ((True, "For this host now:"), (False, others)):
        found = [(guide, why) for guide, why in rows if bool(why) is fits]
        lines += [heading] if found else []
        for guide, why in found:
            lines += _wrapped(f"{guide.name:<{room}}  {why or guide.symptom}", width, 2, room + 4)
    return [
        *lines,
        "Walk through one:       sockmon guide NAME",
        "On its lab, isolated:   sockmon guide NAME --lab",
    ]


def head_lines(guide: Guide, number: str, width: int) -> list[str]:
    """Return the title of a walk and its symptom."""
    return [
        guide.title,
        *_wrapped(sentence(guide.symptom), width, 2),
        *([f"  Number: {number}"] if number else []),
        "",
    ]


def step_lines(walk: Walk, width: int) -> list[str]:
    """Return the step that is shown, with what the facts prove."""
    step = walk.step
    if isinstance(step, End):
        lines = [f"Result: {step.title}", *_paragraphs(walk.advice, width), *_examples(step.examples, width)]
        lines += _misconceptions(step, width)
        return [*lines, *(f"  Its guide: sockmon guide {guide.name}" for guide in next_guides(walk))]
    lines = [f"{len(walk.progress.path) + 1}. {step.title}"]
    if statement := statement_of(step):
        claim = f", for {fmt.duration(step.hold)}" if isinstance(step, Verify) else ""
        question = statement.endswith("?")
        lines += _wrapped(statement if question else sentence(f"{statement}{claim}"), width, 3)
    if isinstance(step, Act):
        return [*lines, *_act_lines(walk, step, width), *_misconceptions(step, width)]
    if isinstance(step, Decide):
        to = walk.suggested
        lines += _wrapped(f"Suggested: {sentence(to.label)}", width, 3) if to else []
    return [*lines, *state_lines(walk, width), *_misconceptions(step, width)]


def state_lines(walk: Walk, width: int) -> list[str]:
    """Return what the facts prove at this step, or the state of a verification."""
    if walk.check:
        check = walk.check
        return _wrapped(
            f"{CHECK_LABELS[check.state]}, {check_seconds(check)}: {sentence(check.finding.text)}", width, 3, 5
        )
    return _finding_lines(walk.finding, width) if walk.finding else []


def _finding_lines(finding: Finding, width: int) -> list[str]:
    lines = _wrapped(f"{VERDICT_LABELS[finding.verdict]}: {sentence(finding.text)}", width, 3, 5)
    for number in finding.numbers:
        lines += _wrapped(number, width, 5, 7)
    # A command is not wrapped, so that it can be copied.
    lines += [f"     {command}" for command in finding.commands]
    if finding.wait > 0:
        lines.append(f"     wait {fmt.duration(finding.wait)}: more samples decide it")
    return lines


def _act_lines(walk: Walk, step: Act, width: int) -> Iterator[str]:
    for wanted in walk.wanted:
        yield from _wrapped(f"Change: {wanted.key} = {wanted.value}: {sentence(wanted.reason)}", width, 3, 5)
    if walk.wanted and walk.place.cannot_change:
        yield from _wrapped(f"Not from here: {sentence(walk.place.cannot_change)}", width, 3, 5)
    for text in walk.advice:
        yield from _wrapped(f"Application: {sentence(text)}", width, 3, 5)
    yield from _examples(step.examples, width)


def _examples(examples: Sequence[Example], width: int) -> Iterator[str]:
    for each in examples:
        file = f" (docs/examples/{each.file})" if each.file else ""
        yield from _wrapped(f"{each.software}: {each.text}{file}", width, 5, 7)


def _misconceptions(step: Step, width: int) -> Iterator[str]:
    for text in step.misconceptions:
        yield from _wrapped(f"Misconception: {text}", width, 3, 5)


def key_lines(walk: Walk, width: int) -> list[str]:
    """Return the keys that lead out of this step, a line each, and the prompt."""
    keys = []
    if isinstance(walk.step, Act) and walk.suggested is None and walk.wanted:
        keys.append(("Enter", "preview the change, and make it"))
    elif walk.suggested:
        keys.append(("Enter", f"go on to: {walk.title_of(walk.suggested.to)}"))
    letters = zip(LETTERS, walk.exits, strict=False)
    keys += [(key, f"{each.label}: {walk.title_of(each.to)}") for key, each in letters if each != walk.suggested]
    keys.append(("q", "quit; p: back to the step before" if walk.progress.path else "quit"))
    return [line for key, text in keys for line in _wrapped(f"{key:<5} {text}", width, 3, 9)]


def _paragraphs(texts: Sequence[str], width: int) -> Iterator[str]:
    for text in texts:
        yield from _wrapped(text, width, 2, 4)


def _wrapped(text: str, width: int, indent: int, hang: int | None = None) -> list[str]:
    room = min(width, MAX_WIDTH)
    return wrap(" " * indent + text, room, indent if hang is None else hang, break_words=False)
