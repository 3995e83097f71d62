"""The pending change as the screen knows it: it counts down between messages of the helper."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Literal

from sockmon.model.boot import Drift
from sockmon.model.helper_protocol import HelperStatus
from sockmon.model.outcome import Outcome
from sockmon.model.plan import Setting
from sockmon.model.transaction import Transaction

Clock = Callable[[], float]
HoldAction = Literal["keep", "persist", "revert"]
MIN_READ_SECONDS = 0.5
"""Seconds in which no one can have read what is pending: a key in them was meant for something else."""
URGENT_SECONDS = 10
"""Seconds before the rollback from which on the bar is red."""
CONFIRM_SECONDS = 8.0
"""Seconds in which the key that persists has to be pressed again."""
MIN_SHOWN_SECONDS = 3.0
"""Seconds that a good outcome is shown, whatever key is pressed."""
SHOWN_SECONDS = 60.0
"""Seconds after which a good outcome is hidden without a key."""
PENDING_STATES = ("applying", "holding")


class HeldChange:
    """The pending change, or the outcome of the last one; `clock` returns monotonic seconds."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self.pending: Transaction | None = None
        self.outcomes: tuple[Outcome, ...] = ()
        """What has become of the reasons of the pending change, as of the newest sample; empty before it."""
        self.ended: Transaction | None = None
        """The last change with its outcome, while that is shown."""
        self.lost_id = ""
        """The id of a change whose outcome is not known; empty if there is none."""
        self.own_ids: set[str] = set()
        """Ids of the changes that this screen has applied."""
        self.requested: HoldAction | None = None
        """What the helper was asked to do with it and has not answered yet."""
        self.persisting = False
        """Whether it should be persisted too."""
        self.failure = ""
        """Why the last request failed."""
        self.too_fast = False
        """Whether the second key came too fast to be deliberate."""
        self._confirming_since: float | None = None
        """When the key that persists was pressed first; None if it was not, or another key cancelled it."""
        self.unrecovered: tuple[Transaction, ...] = ()
        self.drift: tuple[Drift, ...] = ()
        self.disconnected = ""
        """Why the screen can no longer decide; empty if it can."""
        self._dismissed_notes: object = None
        self._held_at = self._deadline = self._ended_at = 0.0

    @property
    def seconds_left(self) -> int:
        """Whole seconds until the rollback."""
        return max(0, math.ceil(self._deadline - self.clock()))

    @property
    def share_left(self) -> float:
        """The part of the hold that is left, 0 to 1."""
        return min(self.seconds_left / self.pending.hold, 1.0) if self.pending and self.pending.hold > 0 else 0.0

    @property
    def too_early(self) -> bool:
        """Whether the bar has been shown for too short a time to be read."""
        return self.clock() - self._held_at < MIN_READ_SECONDS

    @property
    def urgent(self) -> bool:
        """Whether the rollback is seconds away."""
        return self.pending is not None and self.seconds_left <= URGENT_SECONDS

    @property
    def decidable(self) -> bool:
        """Whether a change is pending and the helper is there to keep it or roll it back."""
        return self.pending is not None and not self.disconnected

    @property
    def confirming(self) -> bool:
        """Whether the key that persists was pressed once, and may now be pressed again."""
        return (
            self._confirming_since is not None
            and self.decidable
            and self.clock() - self._confirming_since < CONFIRM_SECONDS
        )

    @property
    def persistable(self) -> tuple[Setting, ...]:
        """The settings that persisting would write: sysctls of sockmon's own network namespace and of the host;
        /etc/sysctl.d cannot hold others."""
        if self.pending is None or self.pending.plan.target is not None:
            return ()
        return tuple(each for each in self.pending.plan.settings if each.is_sysctl)

    @property
    def failed_end(self) -> bool:
        """Whether the outcome is not what was requested."""
        ended = self.ended
        if ended is None:
            return bool(self.lost_id)
        unpersisted = self.persisting and not ended.persisted
        return ended.state in ("conflict", "stuck") or bool(ended.not_kept) or unpersisted

    @property
    def has_notes(self) -> bool:
        """Whether there are interrupted changes or drift that the user has not hidden."""
        return bool(self.unrecovered or self.drift) and self._dismissed_notes != (self.unrecovered, self.drift)

    @property
    def shown(self) -> bool:
        """Whether the bar has anything to show."""
        return bool(self.pending or self.ended or self.lost_id or self.has_notes)

    def on_status(self, status: HelperStatus) -> bool:
        """Take the status; return True if the pending change has ended with an unknown outcome."""
        self.unrecovered, self.drift = status.unrecovered, status.drift
        held = status.pending
        if held is not None and self.ended is not None and held.id == self.ended.id:
            # Sent before it ended.
            return False
        if held is not None:
            self._hold(held, status.seconds_left)
            return False
        if self.pending is None:
            return False
        self.lost_id, self.pending = self.pending.id, None
        return True

    def on_result(self, transaction: Transaction) -> None:
        """Take the result of a request."""
        if transaction.state in PENDING_STATES:
            left = self._deadline - self.clock() if self._is_pending(transaction) else transaction.hold
            self._hold(transaction, left)
        elif transaction.state != "refused" or self._is_pending(transaction):
            self._end(transaction)

    def on_history(self, transactions: tuple[Transaction, ...]) -> None:
        """Take the outcome from the history, if it was not known."""
        for each in transactions if self.lost_id else ():
            if each.id == self.lost_id and each.state not in PENDING_STATES:
                self._end(each)

    def on_failure(self, message: str) -> None:
        """The request has failed."""
        self.failure, self.requested = message, None

    def ask_confirmation(self) -> None:
        """Wait for the second press of the key that persists."""
        self._confirming_since, self.too_fast, self.failure = self.clock(), False, ""

    def cancel_confirmation(self) -> None:
        """Forget the first press: another key was pressed."""
        self._confirming_since, self.too_fast = None, False

    def request(self, action: HoldAction) -> None:
        """A request is on its way to the helper."""
        self.cancel_confirmation()
        self.requested, self.failure = action, ""
        self.persisting = action == "persist"

    def dismiss(self, any_key: bool = False) -> bool:
        """Hide an outcome or notes and return True; `any_key`: only a good outcome that was shown long enough."""
        shown = self.ended is not None or bool(self.lost_id)
        if any_key and not (shown and not self.failed_end and self.clock() - self._ended_at >= MIN_SHOWN_SECONDS):
            return False
        if shown:
            self.ended, self.lost_id = None, ""
            return True
        hidden = self.pending is None and self.has_notes
        self._dismissed_notes = (self.unrecovered, self.drift) if hidden else self._dismissed_notes
        return hidden

    def tick(self) -> None:
        """Hide a good outcome after its time, and end a pending change whose helper has exited when it expires."""
        if self.ended and not self.failed_end and self.clock() - self._ended_at >= SHOWN_SECONDS:
            self.ended = None
        if self.pending and self.disconnected and self.clock() - self._deadline >= MIN_SHOWN_SECONDS:
            self.lost_id, self.pending = self.pending.id, None

    def _is_pending(self, transaction: Transaction) -> bool:
        return self.pending is not None and self.pending.id == transaction.id

    def _hold(self, transaction: Transaction, left: float) -> None:
        if not self._is_pending(transaction):
            self.cancel_confirmation()
            self._held_at = self.clock()
            self.outcomes = transaction.outcomes
            self.ended, self.lost_id, self.requested, self.failure, self.persisting = None, "", None, "", False
        self.pending = transaction
        self._deadline = self.clock() + left

    def _end(self, transaction: Transaction) -> None:
        self.cancel_confirmation()
        if self._is_pending(transaction):
            self.pending = None
        self.ended, self.lost_id, self.requested, self.failure = transaction, "", None, ""
        self._ended_at = self.clock()
