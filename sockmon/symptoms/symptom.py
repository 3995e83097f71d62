"""What a symptom is: something that one reads in a log, an error or a counter, and what it can come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["errno", "counter", "state", "advice"]


class Clue(NamedTuple):
    """One possible cause, and how to tell that it is this one."""

    ceiling: str | None
    """None: no ceiling at all."""
    words: str


@dataclass(frozen=True, kw_only=True)
class Symptom:
    """A symptom and its causes, the likeliest first."""

    name: str
    kind: Kind
    words: str
    """What the kernel says with it."""
    clues: Sequence[Clue]
    also: Sequence[str] = ()
    """What else it is called: the words of the error, a line of the kernel's log."""
