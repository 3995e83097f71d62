"""What a proof is: a measurement on this kernel that shows what one setting does, and what it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from sockmon.labs.stage import Stage


class Step(msgspec.Struct, frozen=True):
    """One setting, and what came of it."""

    setting: str
    """What was written before, as sysctl(8) takes it, or a limit as prlimit(1) does."""
    measured: str
    """The numbers, with their units."""
    words: str
    """What they mean where they are as expected."""
    holds: bool
    """False: this kernel behaves otherwise than `words` say."""


class Finding(msgspec.Struct, frozen=True):
    """What a proof found."""

    steps: list[Step]
    numbers: str
    """The numbers that decide, in a sentence without its end."""
    claim: str
    """What they show where every step holds."""

    @property
    def holds(self) -> bool:
        """True where the kernel did what sockmon says that it does."""
        return all(step.holds for step in self.steps)

    @property
    def verdict(self) -> str:
        """One sentence, with the numbers."""
        if self.holds:
            return f"{self.numbers}: {self.claim}"
        return f"{self.numbers}: this kernel behaves otherwise than sockmon says, which is: {self.claim}"


class Proof(msgspec.Struct, frozen=True):
    """How the effect of a setting is measured in namespaces of its own."""

    key: str
    title: str
    """What it shows, at most 72 characters."""
    run: Callable[[Stage], Finding]
    """A top-level function: measures, changes, and measures again, inside."""
    seconds: int
    """About how long that takes."""
    needs: tuple[str, ...] = ()
    """As a lab's."""
