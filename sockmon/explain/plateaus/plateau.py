"""What a plateau is: a number at which something stops; and the number that a user observed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

_NUMBER = re.compile(r"[~≈]?\s*([0-9]+x*)\s*(/\s*s(?:ec(?:ond)?)?)?", re.IGNORECASE)
_SEPARATORS = re.compile(r"(?<=\d)[,_. '’ ](?=[\dx]{3})", re.IGNORECASE)
_MAX_DIGITS = 19


class Number(NamedTuple):
    """A number that was observed: `32720`, `470/s`, or a range such as `32,7xx`."""

    low: int
    high: int
    rate: bool
    """True for a rate per second."""


@dataclass(frozen=True)
class Plateau:
    """A number at which something stops, or a range if it depends on what else is in use."""

    low: int
    high: int
    what: str
    """What stops there, and why at this number."""
    check: str
    """What to check, to know that it is this limit."""
    ceiling: str | None = None
    local: bool = False
    """True if it was derived from this machine's own limits."""
    rate: bool = False
    """True for a rate per second."""
    misconception: str = ""


def parse(text: str) -> Number | None:
    """Return `32720`, `32,720`, `32_720`, `~28232`, `470/s`, or `32,7xx` as a range; None if it is not a
    number."""
    match = _NUMBER.fullmatch(_SEPARATORS.sub("", text.strip()))
    if match is None or len(match[1]) > _MAX_DIGITS:
        return None
    digits = match[1].lower()
    return Number(int(digits.replace("x", "0")), int(digits.replace("x", "9")), match[2] is not None)
