"""What an experiment on one setting has measured. The field names are those of `sockmon prove --json`."""

from __future__ import annotations

import msgspec


class ExperimentInfo(msgspec.Struct, frozen=True):
    """One experiment in the list that `sockmon prove --json` prints."""

    key: str
    title: str = ""
    seconds: int = 0
    """About how long it takes; 0: not known."""
    unavailable: str = ""
    """Why it cannot run here; empty if it can."""


class Step(msgspec.Struct, frozen=True):
    """One setting, and what was measured with it."""

    setting: str
    """What was set before, in the form of sysctl(8) or prlimit(1)."""
    measured: str
    """The numbers, with their units."""
    documented: str = msgspec.field(name="words")
    """What sockmon documents about this setting."""
    confirmed: bool = msgspec.field(name="holds")
    """False: this kernel behaves differently."""


class Result(msgspec.Struct, frozen=True):
    """What an experiment has measured."""

    steps: list[Step]
    numbers: str
    """The decisive numbers: a sentence without its full stop."""
    claim: str
    """What the numbers show if every step is confirmed."""

    @property
    def confirmed(self) -> bool:
        """True if the kernel did what sockmon documents, in every step."""
        return all(step.confirmed for step in self.steps)

    @property
    def verdict(self) -> str:
        """One sentence with the numbers, without its full stop."""
        if self.confirmed:
            return f"{self.numbers}: {self.claim}"
        return f"{self.numbers}: this kernel does not behave as documented, which is: {self.claim}"


class ExperimentReport(msgspec.Struct, frozen=True):
    """A Result as `sockmon prove KEY --json` prints it."""

    key: str
    kernel: str
    confirmed: bool = msgspec.field(name="holds")
    verdict: str
    steps: list[Step]
