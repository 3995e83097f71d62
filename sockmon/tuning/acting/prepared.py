"""An action that was shown and not carried out yet, and what carrying it out has done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sockmon import format
from sockmon.errors import TuningError
from sockmon.kernel.errnos import FORBIDDEN
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


def count_outcomes(codes: Iterable[int], reason: Callable[[int], str], needs_root: str) -> Outcome:
    """Return what became of each: `codes` are 0, or the errno of the kernel, for which `reason` has the words.

    Raise TuningError if the kernel allows none of them."""
    outcome = Outcome()
    for code in codes:
        if code in FORBIDDEN and not outcome.done:
            raise TuningError(needs_root)
        if code:
            outcome.not_done[reason(code)] += 1
        else:
            outcome.done += 1
    return outcome


@dataclass(frozen=True)
class Prepared:
    """What the screen shows, and what carries it out, with a descriptor of /proc; it raises SockmonError or
    OSError if nothing could be done."""

    shown: PreparedAction
    target: str
    """As the history has it."""
    netns: int
    carry_out: Callable[[int], Outcome]
