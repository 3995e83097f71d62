"""What a symptom is: an error, a counter, a TCP state or common advice, and what can cause it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["errno", "counter", "state", "message", "advice"]
PORT_KEYS = ("listener", "time-wait", "client", "accepted", "bound", "not-listening", "other-address")
"""Keys of causes that one port can prove here."""


class Cause(NamedTuple):
    """One possible cause."""

    ceiling: str | None
    """None: it is not a limit."""
    description: str
    """How to tell that it is this cause."""
    title: str = ""
    """What the cause is called, if it is not a ceiling."""
    marks: tuple[str, ...] = ()
    """Regular expressions; a line of a log that contains one of them names this cause."""
    key: str = ""
    """What evidence on this machine calls this cause by; see `log_line.py` and `evidence.py`."""


@dataclass(frozen=True, kw_only=True)
class Symptom:
    """A symptom and its causes, the most likely first."""

    name: str
    kind: Kind
    description: str
    causes: Sequence[Cause]
    other_names: Sequence[str] = ()
    """The text of the error, or lines of the kernel log."""
    misconceptions: Sequence[str] = ()
    """Common advice that does not help, and why."""
    related: Sequence[str] = ()
    """Counters whose values are shown too, because they are the proof."""
