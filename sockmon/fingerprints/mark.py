"""A number at which something stops, and the number that somebody saw."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

_NUMBER = re.compile(r"[~≈]?\s*([0-9]+x*)\s*(/\s*s(?:ec(?:ond)?)?)?", re.IGNORECASE)
_SEPARATORS = re.compile(r"(?<=\d)[,_. '’ ](?=[\dx]{3})", re.IGNORECASE)
_MOST_DIGITS = 19


NOT_PORTS = (
    "A server that stops here is not out of ports: what it accepts takes none of them, and a client with the"
    " default range stops at 28,232."
)


class Number(NamedTuple):
    """What was seen: `32720`, `470/s`, or a range such as `32,7xx`."""

    low: int
    high: int
    rate: bool
    """True for a rate by the second."""


@dataclass(frozen=True)
class Mark:
    """A number, or a range where it depends on what else is there, at which something stops."""

    low: int
    high: int
    what: str
    """What stops there, and why at this number."""
    proof: str
    """What to look at, to know that it is this."""
    ceiling: str | None = None
    here: bool = False
    """True where it was worked out from this machine's own limits."""
    per: str = ""
    """`second` for a rate."""
    myth: str = ""
    """What it is often taken for, and is not."""


def parse(text: str) -> Number | None:
    """`32720`, `32,720`, `32_720`, `~28232`, `470/s`, and `32,7xx` as a range; None: not a number."""
    match = _NUMBER.fullmatch(_SEPARATORS.sub("", text.strip()))
    if match is None or len(match[1]) > _MOST_DIGITS:
        return None
    digits = match[1].lower()
    return Number(int(digits.replace("x", "0")), int(digits.replace("x", "9")), match[2] is not None)
