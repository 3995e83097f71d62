"""The requests that the screen, which has no privilege, sends to the helper, which has kept it; and the answers.

Both are JSON, one message a line, tagged by `kind`. Both processes are of one version, so the names may change.
The helper does nothing but what is here.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from sockmon.model.acting import CarryOutAction, PrepareAction, PreparedAction
from sockmon.model.boot import Drift
from sockmon.model.current_settings import CurrentSettings
from sockmon.model.outcome import Outcome
from sockmon.model.plan import NetnsTarget, Plan
from sockmon.model.transaction import Transaction

Verb = Literal["keep", "revert", "extend"]


class ReadSettings(msgspec.Struct, frozen=True, tag="read", tag_field="kind"):
    """Read these keys now; `nofile@1044` is a limit of process 1044."""

    keys: tuple[str, ...]
    netns: NetnsTarget | None = None
    """The network namespace whose sysctls are read; None: the one that the screen was started for."""


class Apply(msgspec.Struct, frozen=True, tag="apply", tag_field="kind"):
    """Have a guard apply `plan` and hold it."""

    plan: Plan
    hold: float
    """Seconds."""


class ResolveHold(msgspec.Struct, frozen=True, tag="resolve", tag_field="kind"):
    """Keep, roll back or extend the pending change."""

    verb: Verb
    id: str
    persist: bool = False
    seconds: float = 0.0


class NoteOutcomes(msgspec.Struct, frozen=True, tag="note", tag_field="kind"):
    """Have the guard note what has become of the reasons of the pending change `id`, for the history."""

    id: str
    outcomes: tuple[Outcome, ...]


class GetHistory(msgspec.Struct, frozen=True, tag="get-history", tag_field="kind"):
    """Read the history."""


Request = ReadSettings | Apply | ResolveHold | NoteOutcomes | GetHistory | PrepareAction | CarryOutAction


class SettingsRead(msgspec.Struct, frozen=True, tag="settings", tag_field="kind"):
    """The current values, and what else a plan is made from."""

    settings: CurrentSettings
    cannot_apply: str
    """The reason why no change can be applied from here: no root, a read-only /proc/sys; empty if it can."""


class HelperStatus(msgspec.Struct, frozen=True, tag="status", tag_field="kind"):
    """The pending change, interrupted ones and drift; sent without a request: at the start, when it changes, and
    each second while a change is pending."""

    pending: Transaction | None
    seconds_left: float = 0.0
    """Seconds until the pending change is rolled back."""
    unrecovered: tuple[Transaction, ...] = ()
    """Interrupted changes that cannot be recovered from here, as those of another network namespace."""
    drift: tuple[Drift, ...] = ()
    """Kept values that are no longer in effect."""
    recovered: tuple[Transaction, ...] = ()
    """Interrupted changes that were recovered since the helper started, with their result."""


class ChangeResult(msgspec.Struct, frozen=True, tag="result", tag_field="kind"):
    """The transaction after an Apply or a ResolveHold."""

    transaction: Transaction


class ActionResult(msgspec.Struct, frozen=True, tag="acted", tag_field="kind"):
    """What a CarryOutAction has done, as it is in the history."""

    transaction: Transaction


class OutcomesTaken(msgspec.Struct, frozen=True, tag="taken", tag_field="kind"):
    """The answer to NoteOutcomes, also if no guard could note them: nothing depends on it."""


class History(msgspec.Struct, frozen=True, tag="history", tag_field="kind"):
    """The history, newest first."""

    transactions: tuple[Transaction, ...]


class RequestFailed(msgspec.Struct, frozen=True, tag="failed", tag_field="kind"):
    """The last request failed."""

    message: str
    hint: str = ""


Answer = (
    SettingsRead
    | HelperStatus
    | ChangeResult
    | OutcomesTaken
    | History
    | PreparedAction
    | ActionResult
    | RequestFailed
)
