"""A guard and its watcher, started before they are needed: when no process can be started any more, a change can
still be made, and still goes back by itself.
"""

from __future__ import annotations

import select
import subprocess
import sys
from contextlib import suppress
from typing import IO

import msgspec

from sockmon.errors import NotTuned
from sockmon.model.change import Plan, Transaction, Who
from sockmon.tuning.apart import BARE
from sockmon.tuning.inside import home
from sockmon.tuning.watcher import LONGEST_ORDER, Order

_NO_PROCESS = "the host may be out of processes: see kernel.pid_max, pids.max of the cgroup, and ulimit -u"


class Standby:
    """Two processes that wait for one order, and end without a trace when we do."""

    def __init__(self, root: str = "/") -> None:
        """Start them, without waiting for them; NotTuned where that cannot even be begun."""
        argv = [sys.executable, "-I", "-m", "sockmon.tuning.watcher", home(root)]
        try:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=BARE
            )
        except OSError as error:
            raise NotTuned(f"the guard could not be started: {error.strerror}", _NO_PROCESS) from error
        self._told = b""

    @property
    def ready(self) -> bool:
        """Whether an order would be heard; waits until they have started."""
        if not self._told:
            self._told = self._line()
            self._process.wait()
        # They say no more before they are asked: whatever there is now is the end.
        return bool(self._told) and not select.select([self._answers], [], [], 0)[0]

    def carry_out(self, plan: Plan, who: Who, hold: float) -> Transaction:
        """Give the order, and wait for what becomes of it; NotTuned where there is no answer. Once only."""
        if not self.ready:
            raise NotTuned("the guard could not be started", _NO_PROCESS)
        order = msgspec.json.encode(Order(plan, who, hold)) + b"\n"
        if len(order) > LONGEST_ORDER:
            raise NotTuned(f"the plan is longer than {LONGEST_ORDER} bytes")
        with suppress(BrokenPipeError), self._orders as pipe:
            pipe.write(order)
        # The guard lets go of the pipe when it holds; the first line is the answer.
        try:
            return msgspec.json.decode(self._line(), type=Transaction)
        except msgspec.DecodeError:
            raise NotTuned(
                "the guard ended without a word", "sockmon tune history shows what became of it"
            ) from None

    def close(self) -> None:
        """Let them go: what waits ends, what holds goes on holding."""
        with suppress(OSError):
            self._orders.close()
        self._answers.close()
        self._process.poll()

    def _line(self) -> bytes:
        try:
            return self._answers.readline()
        except OSError:
            return b""

    @property
    def _orders(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def _answers(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout
