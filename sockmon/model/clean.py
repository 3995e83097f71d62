"""The one place where foreign text becomes harmless: process names, paths, names of files, recordings.

Code points of the categories Cc, Cf, Cs, Co, Zl and Zp never survive: a terminal would obey them (ESC, C1), show
the line in another order than it was written (bidi), or break it in two.
"""

from __future__ import annotations

import unicodedata

_FORBIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_REPLACEMENT = "�"


def clean(raw: bytes | str, limit: int = 256) -> str:
    """`raw` as text that a terminal can be given: nothing forbidden, at most `limit` characters; what is cut ends
    in an ellipsis."""
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    # What is printable to Python is less than what we allow (it also refuses unassigned code points).
    if not text.isprintable():
        text = "".join(map(_harmless, text))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _harmless(character: str) -> str:
    return _REPLACEMENT if unicodedata.category(character) in _FORBIDDEN else character
