"""How things stand: what is held, what dead guards left behind, what has drifted; looked at again and again."""

from __future__ import annotations

import os
import time
from contextlib import suppress

import msgspec

from sockmon.errors import SockmonError
from sockmon.model.change import Drift, Transaction
from sockmon.model.desk import Standing
from sockmon.tuning.recover import left_behind, recover_at_start
from sockmon.tuning.transaction import held, outcome
from sockmon.tuning.verify import verify

EACH, IDLE, SHORT = 1.0, 2.0, 0.1
"""Seconds between two looks: while something is held, while nothing is, until it is known how it ended."""
SELDOM = 30.0
"""Seconds between two looks at the values that were kept, and at journals that could not be healed."""
_PATIENCE = 5.0
"""Seconds that the end of what was held is waited for: whoever heals a killed guard has to write it first."""


class Watch:
    """Remembers what was said last."""

    def __init__(self, root: str, blind: bool = False) -> None:
        """`blind`: there is no place to look at."""
        self._root = root
        self._blind = blind or os.geteuid() != 0
        self._said: Standing | None = None
        self._held: Transaction | None = None
        self._vanished = 0.0
        self._unhealed: tuple[str, ...] = ()
        self._pending: tuple[Transaction, ...] = ()
        self._healed: tuple[Transaction, ...] = ()
        self._drift: tuple[Drift, ...] = ()
        self._next = self._next_check = 0.0

    def look(self) -> Standing | None:
        """How things stand, where that is worth a word: the first time, when it is another, and each second while
        something is held."""
        now = time.monotonic()
        if now < self._next:
            return None
        if not self._blind:
            # Where it cannot be looked at (no free descriptor) what was known stays true until it can.
            with suppress(SockmonError, OSError):
                self._look(now)
        self._next = now + (SHORT if self._vanished else EACH if self._held else IDLE)
        return self._worth(now)

    def wait(self) -> float:
        """Seconds until the next look."""
        return max(0.0, self._next - time.monotonic())

    def soon(self) -> None:
        """Look again at once: something was just done."""
        self._next = 0.0

    def _look(self, now: float) -> None:
        journals = left_behind(self._root)
        found = held(self._root) if journals else None
        if found is None and journals and (journals != self._unhealed or now >= self._next_check):
            self._heal()
        if found is None and self._held is not None:
            found = self._until_it_is_told(now)
            if found is None:
                self._next_check = 0.0
        self._held = found
        if found is None and now >= self._next_check:
            self._next_check = now + SELDOM
            self._drift = verify(self._root)

    def _until_it_is_told(self, now: float) -> Transaction | None:
        """What was held, for as long as nobody can know yet how it ended."""
        assert self._held is not None
        self._vanished = self._vanished or now
        if outcome(self._held.id, self._root) is None and now < self._vanished + _PATIENCE:
            return self._held
        self._vanished = 0.0
        return None

    def _heal(self) -> None:
        found = recover_at_start(self._root)
        self._pending = tuple(one for one in found if one.state == "applying")
        self._healed += tuple(one for one in found if one.state != "applying")
        self._unhealed = left_behind(self._root)

    def _worth(self, now: float) -> Standing | None:
        left = max(0.0, self._held.deadline - time.clock_gettime(time.CLOCK_BOOTTIME)) if self._held else 0.0
        standing = Standing(self._held, left, self._pending, self._drift, self._healed)
        before, self._said = self._said, standing
        if self._held is None and before is not None and msgspec.structs.replace(before, left=0.0) == standing:
            return None
        return standing
