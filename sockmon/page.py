"""Headings and paragraphs as lines of a terminal: a narrow column of headings, the words wrapped beside it."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence

from sockmon.ceilings.sections import Section

GUTTER = 15
NARROW = 50
"""Cells below which headings stand above their words."""
LEAST, MOST = 20, 100
"""Cells that a line has at least and at most: longer ones are hard to read."""
BOLD, FAINT, PLAIN = "\x1b[1m", "\x1b[36m", "\x1b[0m"


def paper() -> tuple[int, bool]:
    """Cells of a line of standard output, and whether it takes colour; 80 and none where it is no terminal."""
    if not sys.stdout.isatty():
        return 80, False
    colour = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return shutil.get_terminal_size().columns, colour


def page(title: str, what: str, sections: Sequence[Section], width: int, colour: bool) -> str:
    """`title`, a sentence and `sections`, in lines of at most `width` cells."""
    width = min(max(width, LEAST), MOST)
    lines = [_styled(line, BOLD, colour) for line in _wrapped(title, width)]
    lines += [*_wrapped(what, width), ""]
    for section in sections:
        lines += _section(section, width, colour)
    return "\n".join(lines)


def _section(section: Section, width: int, colour: bool) -> Iterator[str]:
    gutter = GUTTER if width >= NARROW else 2
    head = section.name.ljust(gutter) if width >= NARROW else " " * gutter
    if width < NARROW:
        yield _styled(section.name, FAINT, colour)
    # What stands in a row of several is told apart by its hanging indent.
    hang = 2 if len(section.paragraphs) > 1 else 0
    for paragraph in section.paragraphs:
        for number, line in enumerate(_wrapped(paragraph, width - gutter, hang)):
            yield (_styled(head, FAINT, colour) + line) if not number else " " * gutter + line
            head = " " * gutter


def _wrapped(text: str, width: int, hang: int = 0) -> list[str]:
    # Ids and paths have hyphens, and are copied from here: they stay whole.
    return textwrap.wrap(
        text, width, subsequent_indent=" " * hang, break_on_hyphens=False, break_long_words=True
    ) or [""]


def _styled(text: str, style: str, colour: bool) -> str:
    return f"{style}{text}{PLAIN}" if colour and text.strip() else text
