"""Checks again and again for a pending change, for interrupted ones, and for drift; reports what has changed."""

from __future__ import annotations

import os
import time
from contextlib import suppress

import msgspec

from sockmon.errors import SockmonError
from sockmon.model.boot import Drift
from sockmon.model.helper_protocol import HelperStatus
from sockmon.model.transaction import Transaction
from sockmon.tuning.helper.drift import find_drift
from sockmon.tuning.transaction.client import pending_change, result_of
from sockmon.tuning.transaction.recovery import recover_at_start, unfinished_journals

HOLD_INTERVAL, IDLE_INTERVAL, ENDING_INTERVAL = 1.0, 2.0, 0.1
"""Seconds between two checks: while a change is pending, while none is, and until the result of one is known."""
DRIFT_INTERVAL = 30.0
"""Seconds between two checks of the kept values, and of journals that could not be recovered."""
_RESULT_TIMEOUT = 5.0
"""Seconds to wait for the result of a change: if its guard was killed, the watchdog has to write it first."""


class StatusMonitor:
    """Polls the state below a root; remembers the status that was sent last."""

    def __init__(self, root: str, disabled: bool = False) -> None:
        """`disabled`: report an empty status only, because there is no state to read."""
        self._root = root
        self._disabled = disabled or os.geteuid() != 0
        self._last_sent: HelperStatus | None = None
        self._pending: Transaction | None = None
        self._missing_since = 0.0
        self._unrecovered_journals: tuple[str, ...] = ()
        self._unrecovered: tuple[Transaction, ...] = ()
        self._recovered: tuple[Transaction, ...] = ()
        self._drift: tuple[Drift, ...] = ()
        self._next = self._next_check = 0.0

    def poll(self) -> HelperStatus | None:
        """Return the status if it has to be sent: the first time, after a change of it, and each second while a
        change is pending."""
        now = time.monotonic()
        if now < self._next:
            return None
        if not self._disabled:
            # If it cannot be read, for lack of a descriptor, the last status stays valid until it can.
            with suppress(SockmonError, OSError):
                self._refresh(now)
        busy = HOLD_INTERVAL if self._pending else IDLE_INTERVAL
        self._next = now + (ENDING_INTERVAL if self._missing_since else busy)
        return self._status_if_due()

    def seconds_to_next(self) -> float:
        """Return the seconds until the next check."""
        return max(0.0, self._next - time.monotonic())

    def poll_now(self) -> None:
        """Make the next poll() check at once."""
        self._next = 0.0

    def _refresh(self, now: float) -> None:
        journals = unfinished_journals(self._root)
        found = pending_change(self._root) if journals else None
        if found is None and journals and (journals != self._unrecovered_journals or now >= self._next_check):
            self._recover()
        if found is None and self._pending is not None:
            found = self._until_result_known(now)
            if found is None:
                self._next_check = 0.0
        self._pending = found
        if found is None and now >= self._next_check:
            self._next_check = now + DRIFT_INTERVAL
            self._drift = find_drift(self._root)

    def _until_result_known(self, now: float) -> Transaction | None:
        """Return the change that was pending until its result is in the history, or the wait for that is over."""
        assert self._pending is not None
        self._missing_since = self._missing_since or now
        if result_of(self._pending.id, self._root) is None and now < self._missing_since + _RESULT_TIMEOUT:
            return self._pending
        self._missing_since = 0.0
        return None

    def _recover(self) -> None:
        found = recover_at_start(self._root)
        self._unrecovered = tuple(one for one in found if one.state == "applying")
        self._recovered += tuple(one for one in found if one.state != "applying")
        self._unrecovered_journals = unfinished_journals(self._root)

    def _status_if_due(self) -> HelperStatus | None:
        left = max(0.0, self._pending.deadline - time.clock_gettime(time.CLOCK_BOOTTIME)) if self._pending else 0.0
        status = HelperStatus(self._pending, left, self._unrecovered, self._drift, self._recovered)
        before, self._last_sent = self._last_sent, status
        if self._pending is None and before is not None:
            return None if msgspec.structs.replace(before, seconds_left=0.0) == status else status
        return status
