"""The text of the tuning panel: the facts of one setting, and the plan in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from rich.text import Text

from sockmon import format
from sockmon.document import Section, sentence
from sockmon.model.plan import Proposal
from sockmon.tunables import Tunable
from sockmon.tunables.sections import untuned_sections
from sockmon.tuning.planning import catalog, naming
from sockmon.tuning.planning.context import PlanContext
from sockmon.tuning.planning.draft import DraftResult
from sockmon.tuning.planning.proposal_pages import format_value, warning_sections
from sockmon.ui.detail.section_facts import section_facts
from sockmon.ui.tuning.hold_text import short_name
from sockmon.ui.tuning.panel_rows import PanelRow
from sockmon.ui.tuning.plan_view import count_warnings
from sockmon.ui.widgets.labelled_list import Labelled

NOT_IN_PANEL = ("commands", "source")
"""Kinds of sections for the shell and the docs."""


def setting_facts(line: PanelRow, here: PlanContext, proposal: Proposal | None) -> tuple[str, list[Labelled]]:
    """Return key and unit, and the facts of the setting, its effect and warnings in the plan first."""
    title, what, sections = catalog.setting_page(line.row, here)
    first, rest = list(_planned_facts(line, proposal)), [Labelled("What it is", Text(what))]
    for section in sections:
        if section.kind == "advice" and line.advised is not None:
            asked = Text.assemble((format_value(line.advised), "sev-warning"), f"  {sentence(line.reason)}")
            first.append(Labelled(section.name, asked))
        elif section.kind not in NOT_IN_PANEL:
            # A terminal of 24 lines has room for little else.
            (first if section.kind == "state" else rest).extend(section_facts([section]))
    return title, [*first, *rest]


def unlisted_facts(typed: str) -> tuple[str, list[Labelled]]:
    """Return title and facts for a filter that no setting matches: about the key that it names, which sockmon does
    not tune, or the nearest keys."""
    found = naming.matching_keys(typed)
    about = found[0].about if len(found) == 1 else None
    if about is not None and not isinstance(about, Tunable):
        sections = [section for section in untuned_sections(about) if section.kind not in NOT_IN_PANEL]
        now = Section("Now", ("The panel does not read its value.",))
        return found[0].key, [Labelled("", Text(about.description)), *section_facts([now, *sections])]
    near = [each.key for each in found] or naming.nearest_keys(typed)
    facts = [Labelled("", Text("No setting matches the filter."))]
    if near:
        facts.append(Labelled("Nearest", Text(", ".join(near))))
    return "Selected setting", facts


def _planned_facts(line: PanelRow, proposal: Proposal | None) -> Iterator[Labelled]:
    for each in proposal.previews if proposal else ():
        if each.setting.name == line.key:
            yield Labelled("Effect", Text(each.effect, "accent"))
            yield from section_facts(warning_sections(each.warnings))


def plan_summary(result: DraftResult, more: Mapping[str, str], key: Callable[[str], str], advised: bool) -> Text:
    """Return the plan in a line: the number of changes and warnings, and `more` that belongs to it.

    `key` returns the key of an action; `advised` is True if there is advice to use."""
    proposal, error = result
    if error:
        return Text.assemble(("✖ ", "sev-hit"), error.message)
    if proposal is None:
        take = f" · {key('tune.advice')}: use advice" if advised else ""
        return Text(f" empty · {key('open')}: edit value{take}", "muted")
    settings = proposal.plan.settings
    if not settings:
        return Text(f" {', '.join(proposal.already)}: already set to this value", "muted")
    text = Text.assemble((f" {format.plural(len(settings), 'change')}", "accent"))
    if len(settings) == 1 and not more:
        only = settings[0]
        text.append(f"  {short_name(only.name)}  {format_value(only.old)} → {format_value(only.new)}")
    if counted := count_warnings(proposal):
        text.append(" · ").append_text(counted)
    for name, new in more.items():
        text.append(f" · {key('tune.advice')} adds {short_name(name)} = {format_value(new)}")
    return text
