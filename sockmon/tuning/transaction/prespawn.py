"""A watchdog and a guard that are started before they are needed: when no process can be started any more, a
change can still be made and is still rolled back."""

from __future__ import annotations

import select
from contextlib import suppress
from functools import partial

import msgspec

from sockmon import free_tasks
from sockmon.errors import TuningError
from sockmon.model.plan import Plan
from sockmon.model.transaction import Actor, Transaction
from sockmon.own_process import PipedChild
from sockmon.tuning.transaction.confinement import state_root
from sockmon.tuning.transaction.guard_watchdog import MAX_ORDER_BYTES, ApplyOrder, start_pair


class PrespawnedGuard:
    """Two processes that wait for one order; without one they end when this process does, and leave nothing."""

    def __init__(self, root: str = "/") -> None:
        """Start them without waiting until they are ready; raise TuningError if the first cannot be started."""
        try:
            self._child = PipedChild()
            self._child.start(partial(start_pair, state_root(root)))
        except OSError as error:
            raise TuningError(f"the guard could not be started: {error.strerror}", free_tasks.HINT) from error
        self._ready_line = b""

    @property
    def ready(self) -> bool:
        """Whether they can take an order; waits until they have started."""
        if not self._ready_line:
            self._ready_line = self._read_line()
            self._child.wait()
        # They write nothing more before an order: if there is something to read, it is the end of the pipe.
        return bool(self._ready_line) and not select.select([self._child.stdout], [], [], 0)[0]

    def carry_out(self, plan: Plan, actor: Actor, hold: float) -> Transaction:
        """Send the order, and return the transaction; raise TuningError if there is no answer. May be called
        once."""
        if not self.ready:
            raise TuningError("the guard could not be started", free_tasks.HINT)
        order = msgspec.json.encode(ApplyOrder(plan, actor, hold)) + b"\n"
        if len(order) > MAX_ORDER_BYTES:
            raise TuningError(f"the plan has {len(order):,} bytes; at most {MAX_ORDER_BYTES:,} are allowed")
        with suppress(BrokenPipeError), self._child.stdin as pipe:
            pipe.write(order)
        try:
            return msgspec.json.decode(self._read_line(), type=Transaction)
        except msgspec.DecodeError:
            hint = "sockmon tune history shows the result"
            raise TuningError("the guard ended without an answer", hint) from None

    def close(self) -> None:
        """Close the pipes: without an order both processes end, a pending change stays with its guard."""
        with suppress(OSError):
            self._child.stdin.close()
        self._child.stdout.close()
        self._child.wait(0)

    def _read_line(self) -> bytes:
        try:
            return self._child.stdout.readline()
        except OSError:
            return b""
