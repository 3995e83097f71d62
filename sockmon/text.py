"""The one place that makes foreign text safe for a terminal: process names, paths, recordings.

Code points of the categories Cc, Cf, Cs, Co, Zl and Zp are replaced: a terminal would execute them (ESC, C1),
reorder the line (bidi) or break it."""

from __future__ import annotations

import unicodedata

_FORBIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_REPLACEMENT = "�"


def sanitize(raw: bytes | str, limit: int = 256) -> str:
    """Return `raw` as text that is safe for a terminal, of at most `limit` characters; longer text ends in `…`."""
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    # All that Python calls printable is safe; it also refuses unassigned code points, which are safe too.
    if not text.isprintable():
        text = "".join(map(_harmless, text))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _harmless(character: str) -> str:
    return _REPLACEMENT if unicodedata.category(character) in _FORBIDDEN else character
