"""The text of a guide for a dumb terminal: the list, one step, and the keys that lead out of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sockmon import format as fmt
from sockmon.cli.text_page import wrap
from sockmon.document import sentence
from sockmon.guides import Guide
from sockmon.guides.guide import Act, Decide, End, Example, Exit, Finding, Step, Verify
from sockmon.guides.labels import CHECK_LABELS, STATEMENT_LABELS, VERDICT_LABELS, check_seconds
from sockmon.guides.report import next_guides, statement_of
from sockmon.guides.software import examples_of
from sockmon.guides.walk import Walk

MAX_WIDTH = 100
LETTERS = "abcdefghi"
EXAMPLES_KEY = "e"
_COMMAND = re.compile(r"`[^`]+`")
_NO_BREAK = "\x1f"
"""Stands for a space at which a line must not break; no text has this character."""


def list_lines(
    rows: Sequence[tuple[Guide, str]], width: int, options: str = "", not_sampled: str = ""
) -> list[str]:
    """Return the list of guides: those that fit the present report first, each with the reason. `options` of the
    command that walks one, such as ` --netns web`; `not_sampled`: what the list is not about, such as `3 other
    network namespaces`."""
    room = max(len(guide.name) for guide, _ in rows)
    lines = []
    others = "The others:" if any(why for _, why in rows) else "No guide fits this host now. All guides:"
    for fits, heading in ((True, "For this host now:"), (False, others)):
        found = [(guide, why) for guide, why in rows if bool(why) is fits]
        lines += [heading] if found else []
        for guide, why in found:
            lines += _wrapped(f"{guide.name:<{room}}  {why or guide.symptom}", width, 2, room + 4)
    hint = f"Not sampled: {not_sampled}; `sockmon check` judges them, and --netns NAME walks a guide in one."
    return [
        *lines,
        *(_wrapped(hint, width, 0, 2) if not_sampled else []),
        f"Walk through one:       sockmon guide NAME{options}",
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
        return [*_end_lines(walk, step, width)]
    lines = [f"{len(walk.progress.path) + 1}. {step.title}"]
    if statement := statement_of(step):
        claim = f", for {fmt.duration(step.hold)}" if isinstance(step, Verify) else ""
        text = statement if statement.endswith("?") else sentence(f"{statement}{claim}")
        lines += _wrapped(f"{STATEMENT_LABELS[step.kind]}: {text}", width, 3, 5)
    if isinstance(step, Act):
        return [*lines, *_act_lines(walk, width), *_misconceptions(step, width)]
    if isinstance(step, Decide):
        to = walk.suggested
        lines += _wrapped(f"Suggested: {sentence(to.label)}", width, 3) if to else []
    return [*lines, *state_lines(walk, width), *_misconceptions(step, width)]


def _end_lines(walk: Walk, step: End, width: int) -> Iterator[str]:
    yield f"Result: {step.title}"
    for text in walk.advice:
        yield from _wrapped(text, width, 2, 4)
    yield from map("    {}".format, walk.commands)
    yield from _examples(walk, width)
    yield from where_examples_are(walk, width)
    yield from _misconceptions(step, width)
    for guide in next_guides(walk):
        yield f"  Its guide: {walk.place.verb(f'guide {guide.name}')}"


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


def _act_lines(walk: Walk, width: int) -> Iterator[str]:
    for wanted in walk.wanted:
        yield from _wrapped(f"Change: {wanted.key} = {wanted.value}: {sentence(wanted.reason)}", width, 3, 5)
    if walk.wanted and walk.place.cannot_change:
        yield from _wrapped(f"Not from here: {sentence(walk.place.cannot_change)}", width, 3, 5)
    for text in walk.advice:
        yield from _wrapped(f"Application: {sentence(text)}", width, 3, 5)
    yield from _examples(walk, width)


def _examples(walk: Walk, width: int) -> Iterator[str]:
    """Yield the examples for the software of the process that the walk is about."""
    for each in examples_of(walk.step, walk.facts).fitting:
        yield from _example(each, width)


def where_examples_are(walk: Walk, width: int) -> list[str]:
    """Return the command that prints the examples for other software; empty if there are none."""
    others = examples_of(walk.step, walk.facts).names_of_others
    command = f"`sockmon guide {walk.guide.name} --examples`"
    return _wrapped(f"Examples for {others}: {command}", width, 5, 7) if others else []


def other_examples(walk: Walk, width: int) -> list[str]:
    """Return the examples for other software."""
    return [line for each in examples_of(walk.step, walk.facts).others for line in _example(each, width)]


def all_examples(guide: Guide, width: int) -> list[str]:
    """Return every example of a guide, by the title of its step."""
    lines = []
    for step in guide.steps:
        if isinstance(step, (Act, End)) and step.examples:
            lines += [step.title, *(line for each in step.examples for line in _example(each, width))]
    return lines or [f"{guide.title} has no examples."]


def _example(example: Example, width: int) -> list[str]:
    file = f" (docs/examples/{example.file})" if example.file else ""
    return _wrapped(f"{example.software}: {example.text}{file}", width, 5, 7)


def _misconceptions(step: Step, width: int) -> Iterator[str]:
    for text in step.misconceptions:
        yield from _wrapped(f"Misconception: {text}", width, 3, 5)


class Choice(NamedTuple):
    """One thing that the reader can do at a step."""

    label: str
    exit: Exit | None
    """Where it leads; None: it makes the change."""
    suggested: bool


def choices(walk: Walk) -> dict[str, Choice]:
    """Return what the reader can do at this step, by letter: its order does not depend on what is suggested."""
    can_change = isinstance(walk.step, Act) and bool(walk.wanted) and walk.suggested is None
    change = [Choice("preview the change, and make it", None, True)] if can_change else []
    found = [
        Choice(
            f"{'go on to' if each == walk.suggested else each.label}: {walk.title_of(each.to)}",
            each,
            each == walk.suggested,
        )
        for each in walk.exits
    ]
    return dict(zip(LETTERS, [*change, *found], strict=False))


def key_lines(walk: Walk, width: int) -> list[str]:
    """Return the keys that lead out of this step, a line each."""
    keys = [
        (f"{letter} or Enter" if each.suggested else letter, each.label) for letter, each in choices(walk).items()
    ]
    if others := examples_of(walk.step, walk.facts).names_of_others:
        keys.append((EXAMPLES_KEY, f"examples for {others}"))
    keys.append(("q", "quit; p: back to the step before" if walk.progress.path else "quit"))
    return [line for key, text in keys for line in _wrapped(f"{key:<10} {text}", width, 3, 14)]


def _wrapped(text: str, width: int, indent: int, hang: int | None = None) -> list[str]:
    """Return `text` in lines that do not break inside of a command in backquotes, so that it can be copied."""
    room = min(width, MAX_WIDTH)
    kept = _COMMAND.sub(lambda found: found[0].replace(" ", _NO_BREAK), text)
    lines = wrap(" " * indent + kept, room, indent if hang is None else hang, break_words=False)
    return [line.replace(_NO_BREAK, " ") for line in lines]
