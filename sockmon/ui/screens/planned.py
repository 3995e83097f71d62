"""The words of the tuning panel: what to know of one line, and what the plan is so far."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from rich.text import Text

from sockmon.ceilings.sections import sentence
from sockmon.model.change import Proposal
from sockmon.tuning import listing
from sockmon.tuning.here import Here
from sockmon.ui.screens.knobs import Line
from sockmon.ui.staged import Made, value
from sockmon.ui.widgets.changes import arrow
from sockmon.ui.widgets.facts import Fact

SELDOM = ("Try it", "Source")
"""Sections for a shell and for the docs."""


def about(line: Line, here: Here, proposal: Proposal | None) -> tuple[str, list[Fact]]:
    """Key and unit, and everything that there is to know, what the plan makes of it first."""
    title, what, sections = listing.one(line.row, here)
    facts = [*_planned(line, proposal), Fact("", Text(what))]
    for section in sections:
        if section.name == "Advised" and line.advised is not None:
            asked = Text.assemble((value(line.advised), "sev-warning"), f"  {sentence(line.reason)}")
            facts.append(Fact("Advised", asked))
        elif section.name not in SELDOM:
            hang = 2 if len(section.paragraphs) > 1 else 0
            facts += [
                Fact("" if place else section.name, Text(text), hang)
                for place, text in enumerate(section.paragraphs)
            ]
    return title, facts


def _planned(line: Line, proposal: Proposal | None) -> Iterator[Fact]:
    for each in proposal.previews if proposal else ():
        if each.setting.name == line.key:
            yield Fact("In the plan", Text(arrow(each.effect), "accent"))
            for place, warning in enumerate(each.warnings):
                yield Fact("" if place else "Think of", Text(f"▲ {sentence(warning)}", "sev-warning"), 2)


def so_far(made: Made, more: Mapping[str, str], key: Callable[[str], str]) -> Text:
    """The plan in a line: how many changes, what to think of, what `more` belongs to it; `key`: an action's."""
    proposal, error = made
    if error:
        return Text.assemble(("✖ ", "sev-hit"), error.message)
    if proposal is None:
        edit, take = key("open"), key("tune.advice")
        return Text(f" nothing yet · {edit} edits a value · {take} takes the advice", "muted")
    settings = proposal.plan.settings
    if not settings:
        return Text(f" {', '.join(proposal.already)}: that is the value already", "muted")
    text = Text.assemble((f" {len(settings)} change{'s' if len(settings) > 1 else ''}", "accent"))
    if len(settings) == 1 and not more:
        only = settings[0]
        text.append(f"  {only.name.rpartition('.')[2]}  {value(only.old)} → {value(only.new)}")
    warnings = sum(len(preview.warnings) for preview in proposal.previews)
    if warnings:
        text.append(f" · ▲ {warnings} to think of", "sev-warning")
    for name, new in more.items():
        text.append(f" · {key('tune.advice')} adds {name.rpartition('.')[2]} = {value(new)}")
    return text
