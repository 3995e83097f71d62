"""What a guide is: steps that observe, decide, act and verify, from a symptom to its end. Types only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import msgspec

from sockmon.guides.facts import Facts, Wanted

Verdict = Literal["supports", "contradicts", "undecided"]
Outcome = Literal[
    "verified", "do-not-tune", "not-here", "other-limit", "run-commands", "did-not-help", "cannot-be-known"
]
"""How a walk ends."""
CheckState = Literal["met", "not-met", "waiting", "unknown"]
Kind = Literal["observe", "decide", "act", "verify", "end"]


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the facts prove about a statement."""

    verdict: Verdict
    text: str
    """Why, in one sentence with numbers."""
    numbers: tuple[str, ...] = ()
    """The evidence: a line each."""
    readings: tuple[tuple[str, str], ...] = ()
    """Ceiling and subject of the readings that it rests on; the next steps are about the first."""
    commands: tuple[str, ...] = ()
    """What to run, with the place in words, if it is undecided here."""
    wait: float = 0.0
    """Seconds of sampling after which it may be decided; 0 if waiting does not help."""


Evidence = Callable[[Facts], Finding]


class Example(msgspec.Struct, frozen=True, omit_defaults=True):
    """How an application is changed: the exact directive, or a file of docs/examples/ that a test runs."""

    software: str
    """nginx, HAProxy, Envoy, Go, Java, Node, Python, PostgreSQL."""
    text: str
    file: str = ""


class Exit(NamedTuple):
    """A way out of a step."""

    to: str
    """The id of the next step."""
    label: str
    """When it is taken, in a few words."""


def _distinct(*exits: Exit) -> tuple[Exit, ...]:
    """Return the exits without a second one to the same step."""
    found: dict[str, Exit] = {}
    for each in exits:
        found.setdefault(each.to, each)
    return tuple(found.values())


@dataclass(frozen=True)
class Observe:
    """Shows numbers of this host, and what they prove about a hypothesis."""

    kind: ClassVar[Kind] = "observe"
    id: str
    title: str
    hypothesis: str
    evidence: Evidence
    supports: str
    contradicts: str
    undecided: str = "cannot-be-known"
    misconceptions: tuple[str, ...] = ()
    """Common advice that does not help here, and why: `sockmon/misconceptions.py`."""

    def exits(self) -> tuple[Exit, ...]:
        """Return the next step for each verdict."""
        return _distinct(
            Exit(self.supports, "if the evidence supports it"),
            Exit(self.contradicts, "if the evidence contradicts it"),
            Exit(self.undecided, "if it cannot be decided here"),
        )


@dataclass(frozen=True)
class Branch:
    """One answer of a decision, and what the facts prove for it."""

    to: str
    label: str
    when: Evidence


@dataclass(frozen=True)
class Decide:
    """Chooses the first branch that the evidence supports, or `otherwise`; the reader may take another."""

    kind: ClassVar[Kind] = "decide"
    id: str
    title: str
    question: str
    branches: tuple[Branch, ...]
    otherwise: str
    misconceptions: tuple[str, ...] = ()
    otherwise_label: str = "none of these"

    def exits(self) -> tuple[Exit, ...]:
        """Return its branches, and `otherwise` if no branch leads there."""
        found = [Exit(branch.to, branch.label) for branch in self.branches]
        return _distinct(*found, Exit(self.otherwise, self.otherwise_label))


def no_settings(_: Facts) -> Sequence[Wanted]:
    """Propose nothing: the cure is in the application."""
    return ()


def no_commands(_: Facts) -> Sequence[str]:
    """Name no command."""
    return ()


def no_advice(_: Facts) -> Sequence[str]:
    """Give no advice for the application."""
    return ()


@dataclass(frozen=True)
class Act:
    """Proposes a change of settings, which goes through the plan, the typed word and the hold; or one of the
    application, in words."""

    kind: ClassVar[Kind] = "act"
    id: str
    title: str
    done: str
    """The next step after the change."""
    settings: Callable[[Facts], Sequence[Wanted]] = no_settings
    advice: Callable[[Facts], Sequence[str]] = no_advice
    """What to change in the application, a sentence each."""
    examples: tuple[Example, ...] = ()
    declined: str = "run-commands"
    """The next step if nothing was changed."""
    misconceptions: tuple[str, ...] = ()

    def exits(self) -> tuple[Exit, ...]:
        """Return the next step with and without the change."""
        changed = "the application is changed" if self.settings is no_settings else "it is already changed"
        return _distinct(Exit(self.done, changed), Exit(self.declined, "go on without the change"))


@dataclass(frozen=True)
class Verify:
    """A claim that must hold for `hold` seconds without a break, and has `within` seconds to begin."""

    kind: ClassVar[Kind] = "verify"
    id: str
    title: str
    claim: str
    evidence: Evidence
    """Supports: the claim holds in this sample."""
    hold: float = 8.0
    within: float = 60.0
    met: str = "verified"
    not_met: str = "did-not-help"
    unknown: str = "cannot-be-known"
    misconceptions: tuple[str, ...] = ()

    def exits(self) -> tuple[Exit, ...]:
        """Return the next step for each state of the check."""
        return _distinct(
            Exit(self.met, "if the claim is met"),
            Exit(self.not_met, "if it is not met"),
            Exit(self.unknown, "if it cannot be known"),
        )


@dataclass(frozen=True)
class End:
    """The end of a walk."""

    kind: ClassVar[Kind] = "end"
    id: str
    title: str
    outcome: Outcome
    text: Callable[[Facts], Sequence[str]]
    """What the reader should know and do, a sentence each."""
    examples: tuple[Example, ...] = ()
    misconceptions: tuple[str, ...] = ()
    commands: Callable[[Facts], Sequence[str]] = no_commands
    """What to run after that, a command each: it is shown on a line of its own, and never wrapped."""

    def exits(self) -> tuple[Exit, ...]:
        """Return nothing: a walk ends here."""
        return ()


Step = Observe | Decide | Act | Verify | End


class Check(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of a verification."""

    state: CheckState
    seconds: float
    """Waiting: seconds until it is met or given up. Otherwise: how long the claim has held, or was observed."""
    finding: Finding


MAX_BRIEF = 38


@dataclass(frozen=True)
class Guide:
    """A walkthrough for one symptom: a row of steps, the first of which is the beginning."""

    name: str
    title: str
    symptom: str
    """The symptom in the words of a user, such as an error message."""
    brief: str
    """The same in at most MAX_BRIEF characters, for a narrow list."""
    ceilings: tuple[str, ...]
    """The ceilings that it leads to."""
    lab: str
    """The lab on which it is walked with `--lab`, and on which a test does so."""
    steps: tuple[Step, ...]
    fits: Callable[[Facts], str] | None = None
    """Returns why it fits the present report, in one line, or nothing; None: an alarm of its ceilings fits."""
    asks_number: bool = False
    """True if the reader may give a number."""
    question: str = "At which number does it stop? (Enter: not known)"
    """Asks for it."""
    number_examples: tuple[str, ...] = ("32720", "32,7xx", "470/s")
    """Numbers as the reader may type them."""
    lab_number: str = ""
    """The number on its lab; empty: the limit that the lab reaches."""
    lab_note: str = ""
    """What is different on its lab, which is shown before the walk: such as a change that a lab cannot make."""

    @property
    def shown_examples(self) -> str:
        """Return `32720, 32,7xx or 470/s`."""
        *others, last = self.number_examples
        return f"{', '.join(others)} or {last}" if others else last
