"""The head of the tuning panel: why nothing can be applied, and the limit that the panel was opened from."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from sockmon import ceilings, format
from sockmon.document import sentence
from sockmon.model.report import Reading
from sockmon.model.severity import ALARMS
from sockmon.tuning.planning.advice import SETTABLE_KINDS, advised_remedies, settable_remedies
from sockmon.ui.appearance.styles import SEVERITY_STYLES
from sockmon.ui.detail.ceiling_text import usage_line
from sockmon.ui.widgets.column import cut_middle
from sockmon.ui.widgets.labelled_list import Labelled

_OTHER_CELLS = 20
"""Cells of a line next to the title, the subject and the ratio."""
_MIN_SUBJECT_CELLS = 16


def read_only_facts(why: str) -> Iterator[Labelled]:
    """Yield the fact that no change can be applied; none if `why` is empty."""
    if why:
        yield Labelled("Read-only", Text.assemble(("No change can be applied: ", "sev-warning"), why))


def limit_facts(reading: Reading, room: int | None) -> Iterator[Labelled]:
    """Yield the limit with its use, and what to do rather than tune; `room`: the cells of a narrow screen."""
    title = ceilings.TITLES.get(reading.ceiling, reading.ceiling)
    if room is None:
        numbers = Text.assemble((reading.subject, "strong"), "  ", usage_line(reading))
    else:
        numbers = _short_numbers(reading, room - _OTHER_CELLS - len(title))
    yield Labelled("Limit", Text.assemble((title, "heading"), "  ", numbers))
    first = next(iter(reading.remedies), None)
    if not settable_remedies(reading):
        text = f"no sysctl fixes this{': ' + first.text if first else ''}"
        yield Labelled("Do not tune", Text(sentence(text), "sev-warning"))
    elif first and reading.severity in ALARMS and not advised_remedies(reading):
        yield Labelled("Do not tune", Text(sentence(first.text), "sev-warning"))
    elif first and first.kind not in SETTABLE_KINDS:
        yield Labelled("Better", Text(sentence(first.text)))


def _short_numbers(reading: Reading, room: int) -> Text:
    """Return the subject and the ratio alone, for one line."""
    look = SEVERITY_STYLES[reading.severity]
    full = Text(f"  {look.glyph} {format.ratio(reading.ratio)}", look.style)
    subject = cut_middle(Text(reading.subject, "strong"), max(room - full.cell_len, _MIN_SUBJECT_CELLS))
    return Text.assemble(subject, full)
