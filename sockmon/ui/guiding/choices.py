"""What the reader can do at a step, the first of which Enter does: go on, make the change, take another branch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from rich.text import Text

from sockmon import format as fmt
from sockmon.ceilings import TITLES
from sockmon.guides.guide import Act, Observe, Verify
from sockmon.guides.report import next_guides
from sockmon.guides.walk import Walk
from sockmon.ui.widgets.column import Column

ChoiceKind = Literal["take", "plan", "refuse", "wait", "copy", "write", "ceiling", "guide", "again", "list"]


class Choice(NamedTuple):
    """One thing that the reader can do."""

    kind: ChoiceKind
    label: str
    target: str = ""
    """The next step, a guide, or a ceiling."""
    subject: str = ""
    """The subject of the ceiling."""
    suggested: bool = False
    """Whether the evidence leads there."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies it while its label changes."""
        return self.kind, self.target, self.subject


def columns(walk: Walk) -> tuple[Column[Choice], ...]:
    """Return the columns of the choices: a mark for the suggested one, and what it does."""

    def goal(choice: Choice) -> Text:
        if choice.kind in ("take", "refuse"):
            return Text.assemble(("→ ", "faint"), walk.title_of(choice.target))
        text = TITLES[choice.target] if choice.kind == "ceiling" else choice.target
        return Text(text, "muted")

    return (
        Column("", 1, lambda choice: Text("▸", "accent") if choice.suggested else Text()),
        Column("CHOICE", 0, lambda choice: Text(choice.label, _style(choice)), pin=True),
        Column("THEN", 36, goal, keep_when_narrow=False),
    )


def _style(choice: Choice) -> str:
    return "muted" if choice.kind == "wait" else "strong" if choice.suggested else ""


def choices(walk: Walk, refused: bool) -> list[Choice]:
    """Return what can be done; `refused`: the change that an act proposes cannot be made here."""
    if walk.outcome:
        return list(_at_the_end(walk))
    first = _first(walk, refused)
    done = walk.suggested.to if walk.suggested else first.target
    others = (Choice("take", each.label, each.to) for each in walk.exits if each.to != done)
    return [first, *others, *_ceiling(walk)]


def _first(walk: Walk, refused: bool) -> Choice:
    """Return what Enter does if the cursor was not moved."""
    if walk.suggested:
        # Several verdicts may lead to the same step, which has the label of one.
        label = "go on" if isinstance(walk.step, (Observe, Verify)) else walk.suggested.label
        return Choice("take", label, walk.suggested.to, suggested=True)
    if isinstance(walk.step, Act):
        if not walk.wanted:
            return Choice("wait", "change the application, then:")
        if refused:
            return Choice("refuse", "go on without the change", walk.step.declined, suggested=True)
        return Choice("plan", "make the change", "preview, confirm, apply", suggested=True)
    seconds = walk.check.seconds if walk.check else walk.finding.wait if walk.finding else 0.0
    return Choice("wait", f"wait: the samples decide it, {fmt.duration(seconds)} more")


def _ceiling(walk: Walk) -> Iterator[Choice]:
    """Yield the page of the reading that this step is about."""
    found = walk.finding.readings if walk.finding else ()
    for ceiling, subject in found[:1] or ((walk.facts.focus,) if walk.facts.focus else ()):
        yield Choice("ceiling", "the page of this limit", ceiling, subject)


def _at_the_end(walk: Walk) -> Iterator[Choice]:
    for guide in next_guides(walk):
        yield Choice("guide", f"guide: {guide.title}", guide.name, suggested=True)
    yield Choice("copy", "copy the summary, as Markdown")
    yield Choice("write", "write the summary to a file")
    yield Choice("list", "the other guides")
    yield Choice("again", "begin this guide again")
    yield from _ceiling(walk)
