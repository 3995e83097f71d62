"""Sections of a document as labelled facts: the headings that the command line prints, with a style by kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.text import Text

from sockmon.document import Section, SectionKind
from sockmon.ui.widgets.labelled_list import Labelled

GUTTER = 16
"""Cells of the column of headings: a heading has at most 14."""
STYLES: dict[SectionKind, str] = {"effect": "strong", "danger": "sev-critical", "warnings": "sev-warning"}
GLYPHS: dict[SectionKind, str] = {"danger": "◆ ", "warnings": "▲ "}


def section_facts(sections: Iterable[Section], apart: bool = False) -> Iterator[Labelled]:
    """Yield a fact for each paragraph, the first of a section under its heading; `apart`: an empty line after each
    section."""
    for section in sections:
        glyph = GLYPHS.get(section.kind, "")
        hang = 2 if glyph or len(section.paragraphs) > 1 else 0
        for number, paragraph in enumerate(section.paragraphs):
            text = Text(glyph + paragraph, STYLES.get(section.kind, ""))
            yield Labelled("" if number else section.name, text, hang)
        if apart:
            yield Labelled("", Text())
