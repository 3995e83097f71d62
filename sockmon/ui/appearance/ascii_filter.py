"""Replaces glyphs by ASCII on terminals without block characters: the Linux console, vt100, a C locale."""

from __future__ import annotations

import os
import sys

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

TERMS_WITHOUT_GLYPHS = ("linux", "vt100", "vt102", "vt220", "ansi", "dumb")
"""TERM of terminals whose fonts lack our glyphs."""

_BRAILLE = {chr(0x2800 + dots): ".:*#"[min(dots.bit_count() // 2, 3)] if dots else " " for dots in range(256)}
_TABLE = str.maketrans(
    _BRAILLE
    | dict(zip("▁▂▃▄▅▆▇█", "_.-=+*%#", strict=True))
    | dict(zip("▉▊▋▌▍▎▏", "###==--", strict=True))
    | dict.fromkeys("─━╌┄▔▖", "-")
    | dict.fromkeys("│┃▕╷", "|")
    | dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼", "+")
    | dict(zip("●▲◆✖▾▴▸→←‹›·–—−…‖∞⏎↑↓⇧×✔◀◷", "o!!Xv^>><<>.---~|%<^v^x*<@", strict=True))
)


class AsciiFilter(LineFilter):
    """Replaces each glyph by one ASCII character, as the last step before the terminal."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return the segments, each cell as wide as before."""
        return [Segment(text.translate(_TABLE), style, control) for text, style, control in segments]


def terminal_lacks_glyphs() -> bool:
    """Return whether the terminal cannot show our glyphs."""
    encoding = getattr(sys.__stdout__, "encoding", None) or "ascii"
    return os.environ.get("TERM", "") in TERMS_WITHOUT_GLYPHS or "utf" not in encoding.lower()
