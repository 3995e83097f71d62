"""A document as text for a terminal: a narrow column of headings, and the paragraphs next to it."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence

from sockmon.document import Section
from sockmon.text import sanitize

GUTTER = 16
NARROW_WIDTH = 50
"""Cells below which a heading is above its paragraphs."""
MIN_WIDTH, MAX_WIDTH = 20, 100
"""Bounds of a line: longer lines are hard to read."""
BOLD, FAINT, PLAIN = "\x1b[1m", "\x1b[36m", "\x1b[0m"


def terminal_width_and_colour() -> tuple[int, bool]:
    """Return the columns of standard output, and whether it has colour; 80 and no colour if it is not a
    terminal."""
    if not sys.stdout.isatty():
        return 80, False
    colour = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return shutil.get_terminal_size().columns, colour


def render_page(title: str, summary: str, sections: Sequence[Section], width: int, colour: bool) -> str:
    """Return `title`, a summary and `sections` in lines of at most `width` cells; the text may quote names."""
    width = min(max(width, MIN_WIDTH), MAX_WIDTH)
    lines = [_styled(line, BOLD, colour) for line in wrap(sanitize(title, len(title)), width)]
    lines += [*(wrap(summary, width) if summary else ()), ""]
    for section in sections:
        lines += _section(section, width, colour)
    return "\n".join(lines)


def _section(section: Section, width: int, colour: bool) -> Iterator[str]:
    gutter = GUTTER if width >= NARROW_WIDTH else 2
    head = section.name.ljust(gutter) if width >= NARROW_WIDTH else " " * gutter
    if width < NARROW_WIDTH:
        yield _styled(section.name, FAINT, colour)
    # The indent separates several paragraphs of one section.
    hang = 2 if len(section.paragraphs) > 1 else 0
    for paragraph in section.paragraphs:
        for number, line in enumerate(wrap(sanitize(paragraph, len(paragraph)), width - gutter, hang)):
            yield (_styled(head, FAINT, colour) + line) if not number else " " * gutter + line
            head = " " * gutter


def wrap(text: str, width: int, hang: int = 0, break_words: bool = True) -> list[str]:
    """Return `text` in lines of at most `width` cells, all but the first indented by `hang`; keep its own indent.

    Ids and paths are copied from here, so lines do not break at hyphens, nor in a word unless `break_words`."""
    indent = " " * (len(text) - len(text.lstrip()))
    return textwrap.wrap(
        text.strip(),
        width,
        initial_indent=indent,
        subsequent_indent=" " * hang,
        break_on_hyphens=False,
        break_long_words=break_words,
    ) or [""]


def _styled(text: str, style: str, colour: bool) -> str:
    return f"{style}{text}{PLAIN}" if colour and text.strip() else text
