"""What a benchmark is, and what it is given."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.row import Row

SOCKMON = (str(Path(sys.executable).parent / "sockmon"),)
"""The command, as it is installed: `python -m sockmon` starts itself once more as root."""


@dataclass(frozen=True)
class Run:
    """One run of a benchmark in one state."""

    state: str
    quick: bool
    """True: only to see that it works; the numbers mean nothing."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the state has: `sockets`, `processes`, `entries`, `namespaces`."""

    def rounds(self, wanted: int) -> int:
        """Return how often each case runs."""
        return 1 if self.quick else wanted

    def seconds(self, wanted: float) -> float:
        """Return for how long something is watched."""
        return min(wanted, 1.0) if self.quick else wanted


@dataclass(frozen=True)
class Benchmark:
    """A question, and how it is answered in each of some states."""

    name: str
    title: str
    text: str
    """What is compared, in plain English; a paragraph of the page."""
    states: tuple[str, ...]
    """The names of the states in which it runs; `states.py` has them."""
    measure: Callable[[Run], Iterator[Row]]
    base: str = ""
    """The id of the row that all others of the same unit are compared with; empty: none."""
    seconds: float = 240.0
    """How long it may take in one state; after that it is stopped, and the page says so."""
