"""Numbers in the text of /proc: the kernel counts up to 64 bits, and the JSON stream carries no more."""

from __future__ import annotations

_MAX_DIGITS = 20
_SAFE_DIGITS = 19  # of a number that 64 bits hold in any case


def is_count(text: bytes | str) -> bool:
    """Return whether `text` is decimal digits only, of a number that certainly fits into 64 bits."""
    return text.isdigit() and text.isascii() and len(text) <= _SAFE_DIGITS


def parse_integer(text: bytes | str, base: int = 10) -> int:
    """Return the number; raise ValueError if it does not fit into 64 bits or is not a number."""
    if len(text) > _MAX_DIGITS or not -(1 << 63) <= (number := int(text, base)) < 1 << 64:
        raise ValueError("not a number of 64 bits")
    return number
