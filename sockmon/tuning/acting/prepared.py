"""An action that was shown and not carried out yet, and what carrying it out has done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from sockmon import format
from sockmon.model.acting import PreparedAction


@dataclass
class Outcome:
    """What was done, and why not to all."""

    done: int = 0
    not_done: Counter[str] = field(default_factory=Counter)
    """Reason → sockets or flows."""

    @property
    def messages(self) -> tuple[str, ...]:
        """Return a sentence for each reason."""
        return tuple(f"{format.count(number)} left: {reason}" for reason, number in self.not_done.most_common())


@dataclass(frozen=True)
class Prepared:
    """What the screen shows, and what carries it out, with a descriptor of /proc; it raises SockmonError or
    OSError if nothing could be done."""

    shown: PreparedAction
    target: str
    """As the history has it."""
    netns: int
    carry_out: Callable[[int], Outcome]
