"""What is held, as the screen knows it: counts down by itself between two words of the desk, and knows the end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Literal

from sockmon.model.change import Drift, Transaction
from sockmon.model.desk import Standing

Clock = Callable[[], float]
Wish = Literal["keep", "persist", "revert"]
EARLY = 0.5
"""Seconds of a hold in which nobody can have read what is held: a key then was meant for something else."""
LAST = 10
"""Seconds before the end from which on it is urgent."""
READ = 3.0
"""Seconds that a good end stays whatever key is pressed."""
STAYS = 60.0
"""Seconds after which a good end goes by itself."""
HELD = ("applying", "holding")


class Hold:
    """The change that is held, or the last one's end; `clock` counts monotonic seconds."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self.held: Transaction | None = None
        self.ended: Transaction | None = None
        """What became of it, while that is shown."""
        self.lost = ""
        """The id of one that ended without a word of how; empty: none."""
        self.ours: set[str] = set()
        """Ids of what was applied from this screen."""
        self.wish: Wish | None = None
        """What the desk was asked to do with it, and has not answered yet."""
        self.persisting = False
        """Whether it was to be persisted too."""
        self.failed = ""
        """Why the last wish came to nothing."""
        self.pending: tuple[Transaction, ...] = ()
        self.drift: tuple[Drift, ...] = ()
        self.deaf = ""
        """Why nothing can be decided from here any more; empty where it can."""
        self._hidden: object = None
        self._begun = self._deadline = self._end_at = 0.0

    @property
    def left(self) -> int:
        """Whole seconds until it goes back."""
        return max(0, math.ceil(self._deadline - self.clock()))

    @property
    def share(self) -> float:
        """How much of the time is left, 0 to 1."""
        return min(self.left / self.held.hold, 1.0) if self.held and self.held.hold > 0 else 0.0

    @property
    def early(self) -> bool:
        """Whether nobody can have read yet what is held."""
        return self.clock() - self._begun < EARLY

    @property
    def urgent(self) -> bool:
        """Whether it goes back within seconds."""
        return self.held is not None and self.left <= LAST

    @property
    def live(self) -> bool:
        """Whether there is something to decide, and somebody who hears it."""
        return self.held is not None and not self.deaf

    @property
    def bad(self) -> bool:
        """Whether the end is not what was wished for."""
        ended = self.ended
        if ended is None:
            return bool(self.lost)
        return ended.state in ("conflict", "stuck") or (self.persisting and not ended.persisted)

    @property
    def noted(self) -> bool:
        """Whether there is something left behind or drifted that was not hidden."""
        return bool(self.pending or self.drift) and self._hidden != (self.pending, self.drift)

    @property
    def shown(self) -> bool:
        """Whether there is anything to say at all."""
        return bool(self.held or self.ended or self.lost or self.noted)

    def stand(self, standing: Standing) -> bool:
        """Take how things stand; True where what was held has ended and nobody said how."""
        self.pending, self.drift = standing.pending, standing.drift
        held = standing.held
        if held is not None and self.ended is not None and held.id == self.ended.id:
            # Sent before it ended.
            return False
        if held is not None:
            self._hold(held, standing.left)
            return False
        if self.held is None:
            return False
        self.lost, self.held = self.held.id, None
        return True

    def tell(self, transaction: Transaction) -> None:
        """Take what became of an order or of a wish."""
        if transaction.state in HELD:
            left = self._deadline - self.clock() if self._is_held(transaction) else transaction.hold
            self._hold(transaction, left)
        elif transaction.state != "refused" or self._is_held(transaction):
            self._end(transaction)

    def recall(self, transactions: tuple[Transaction, ...]) -> None:
        """Look in the history for the end of one that ended without a word."""
        for each in transactions if self.lost else ():
            if each.id == self.lost and each.state not in HELD:
                self._end(each)

    def fail(self, message: str) -> None:
        """The wish came to nothing."""
        self.failed, self.wish = message, None

    def want(self, wish: Wish) -> None:
        """The desk is being asked."""
        self.wish, self.failed = wish, ""
        self.persisting = wish == "persist"

    def hide(self, any_key: bool = False) -> bool:
        """Let go of what is only told; `any_key`: only of a good end that was there to be read. False: nothing."""
        shown = self.ended is not None or bool(self.lost)
        if any_key and not (shown and not self.bad and self.clock() - self._end_at >= READ):
            return False
        if shown:
            self.ended, self.lost = None, ""
            return True
        hidden = self.held is None and self.noted
        self._hidden = (self.pending, self.drift) if hidden else self._hidden
        return hidden

    def tick(self) -> None:
        """Time went by: a good end goes by itself, and what nobody can tell about ends with its time."""
        if self.ended and not self.bad and self.clock() - self._end_at >= STAYS:
            self.ended = None
        if self.held and self.deaf and self.clock() - self._deadline >= READ:
            self.lost, self.held = self.held.id, None

    def _is_held(self, transaction: Transaction) -> bool:
        return self.held is not None and self.held.id == transaction.id

    def _hold(self, transaction: Transaction, left: float) -> None:
        if not self._is_held(transaction):
            self._begun = self.clock()
            self.ended, self.lost, self.wish, self.failed, self.persisting = None, "", None, "", False
        self.held = transaction
        self._deadline = self.clock() + left

    def _end(self, transaction: Transaction) -> None:
        if self._is_held(transaction):
            self.held = None
        self.ended, self.lost, self.wish, self.failed = transaction, "", None, ""
        self._end_at = self.clock()
