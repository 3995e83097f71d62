"""A plan as the preview shows it: what changes with its effect and warnings, and the details in frames below."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from rich.text import Text
from textual.content import Content

from sockmon import format
from sockmon.model.plan import Proposal
from sockmon.tuning.planning.proposal_pages import pages
from sockmon.ui.detail.section_facts import GUTTER, section_facts
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList

SUBJECT = ("effect", "danger", "warnings")
"""Kinds of the sections that belong next to the prompt."""


class DetailPanel(LabelledList):
    """The details of one change, or something about all of them, in a frame."""

    def __init__(self, title: str, facts: Iterable[Labelled], gutter: int = GUTTER) -> None:
        super().__init__(gutter)
        self.add_class("panel")
        self.border_title = Content(title)
        self._content = tuple(facts)

    def on_mount(self) -> None:
        self.show(*self._content)


def subject_facts(proposal: Proposal, apart: bool = False) -> Iterator[Labelled]:
    """Yield what to know before confirming: of each change its key, old and new value, effect and warnings;
    `apart`: an empty line between changes."""
    changes = [page for page in pages(proposal) if page[2]]
    width = max((len(title) for title, *_ in changes), default=0)
    for number, (title, what, sections) in enumerate(changes):
        if number and apart:
            yield Labelled("", Text())
        yield Labelled("Change", Text.assemble((f"{title:<{width}}", "strong"), "  ", (what, "accent")), 2)
        yield from section_facts(each for each in sections if each.kind in SUBJECT)


def detail_panels(proposal: Proposal) -> Iterator[DetailPanel]:
    """Yield a frame for each change, one for each note about all, and one with the commands that do the same."""
    for title, what, sections in pages(proposal):
        if sections:
            yield DetailPanel(title, section_facts(each for each in sections if each.kind not in SUBJECT))
        else:
            yield DetailPanel(title, [Labelled("", Text(what))], 0)
    if proposal.commands:
        yield DetailPanel("By hand, without the automatic rollback", _command_facts(proposal))


def _command_facts(proposal: Proposal) -> Iterator[Labelled]:
    for name, commands in (("Apply", proposal.commands), ("And back", proposal.rollback_commands)):
        for number, command in enumerate(commands):
            yield Labelled("" if number else name, Text(command, "muted"), 2)


def count_warnings(proposal: Proposal) -> Text:
    """Return `◆ 1 danger · ▲ 2 warnings`; empty if there are none."""
    all_of_them = [warning for preview in proposal.previews for warning in preview.warnings]
    severe = sum(warning.severe for warning in all_of_them)
    parts = []
    if severe:
        parts.append(Text(f"◆ {format.plural(severe, 'danger')}", "sev-critical"))
    if len(all_of_them) > severe:
        parts.append(Text(f"▲ {format.plural(len(all_of_them) - severe, 'warning')}", "sev-warning"))
    return Text(" · ").join(parts)


def root_command(proposal: Proposal, command: str) -> str:
    """Return the shell command that does the same as root; `command` is what starts sockmon there."""
    assignments = [f"{each.name}={each.new}" for each in proposal.plan.settings]
    return shlex.join(["sudo", command, "tune", "apply", *assignments])
