"""What the screen, which has no privilege, asks of the desk, which kept its own; and what the desk answers.

Both are lines of JSON, one message a line, tagged by `kind`. The desk does nothing but what is here.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sockmon.model.change import Drift, Outlook, Plan, Transaction

Verb = Literal["keep", "revert", "extend"]


class Look(msgspec.Struct, frozen=True, tag="look", tag_field="kind"):
    """Read these keys anew; `nofile@1044` is a limit of process 1044."""

    keys: tuple[str, ...]


class Apply(msgspec.Struct, frozen=True, tag="apply", tag_field="kind"):
    """Have a guard carry out `plan` and hold it."""

    plan: Plan
    hold: float
    """Seconds."""


class Decide(msgspec.Struct, frozen=True, tag="decide", tag_field="kind"):
    """Keep, revert or extend what is held."""

    verb: Verb
    id: str
    persist: bool = False
    seconds: float = 0.0


class Recall(msgspec.Struct, frozen=True, tag="recall", tag_field="kind"):
    """The history."""


Request = Look | Apply | Decide | Recall


class Looked(msgspec.Struct, frozen=True, tag="looked", tag_field="kind"):
    """How things are, for a plan to be made from."""

    values: dict[str, str]
    """By key, numbers separated by single spaces; a limit as SOFT:HARD."""
    refused: dict[str, str]
    """Why a key cannot be changed here, by key."""
    starts: dict[str, int]
    """Of the process of each `nofile@PID` that is there: its start time."""
    outlooks: dict[str, Outlook]
    """What a restart would make of each sysctl."""
    netns: int
    boot_id: str
    memory: int | None
    cannot: str
    """Why nothing may be applied from here, in words: no root, another namespace; empty where it may."""


class Standing(msgspec.Struct, frozen=True, tag="standing", tag_field="kind"):
    """What is held, left behind or has drifted; sent unasked: at the start, when it changes, and each second while
    something is held."""

    held: Transaction | None
    left: float = 0.0
    """Seconds until what is held goes back."""
    pending: tuple[Transaction, ...] = ()
    """What has a journal and no end, and could not be healed from here."""
    drift: tuple[Drift, ...] = ()
    """What was kept and is not there any more."""
    healed: tuple[Transaction, ...] = ()
    """What killed guards had left behind, as it was brought to its end since the desk is there."""


class Told(msgspec.Struct, frozen=True, tag="told", tag_field="kind"):
    """What became of an Apply or a Decide."""

    transaction: Transaction


class Recalled(msgspec.Struct, frozen=True, tag="recalled", tag_field="kind"):
    """The history, newest first."""

    transactions: tuple[Transaction, ...]


class Failed(msgspec.Struct, frozen=True, tag="failed", tag_field="kind"):
    """The last request came to nothing."""

    message: str
    hint: str = ""


Answer = Looked | Standing | Told | Recalled | Failed
