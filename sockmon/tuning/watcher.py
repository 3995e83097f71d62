"""The process that a change runs in: `python -m sockmon.tuning.watcher`, the order on its stdin.

It leaves its caller's session, so that no terminal can take it along, forks the guard, and heals what a killed
guard leaves behind. What became of the order is one line of JSON on stdout.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from contextlib import suppress

import msgspec

from sockmon.errors import NotTuned
from sockmon.model.change import Plan, Transaction, Who
from sockmon.tuning.guard import Guard
from sockmon.tuning.hold import hold
from sockmon.tuning.recover import recover

_MCL_CURRENT, _MCL_ONFAULT = 1, 4
_IGNORED = ("HUP", "INT", "QUIT", "TERM", "PIPE", "USR1", "USR2", "TSTP", "TTIN", "TTOU", "ALRM")
_SCORE = b"-900"


class Order(msgspec.Struct, frozen=True):
    """What a guard is started with."""

    plan: Plan
    who: Who
    hold: float
    root: str


def main() -> None:
    """Carry out the order on stdin."""
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    # Whoever started us waits for this process alone.
    if os.fork():
        os._exit(0)
    _detach()
    guard = os.fork()
    if guard == 0:
        _guard(order)
    _, status = os.waitpid(guard, 0)
    if status:
        # Ours is the newest; whoever started us reads one line.
        for healed in reversed(_heal(order.root)):
            _tell(healed)
    os._exit(0)


def _guard(order: Order) -> None:
    """The guard's whole life; never returns. Another end than 0 has it healed."""
    code = 1
    try:
        os.setsid()
        _stay()
        guard = Guard(order.plan, order.who, order.hold, order.root)
        transaction = guard.begin()
        _tell(transaction)
        os.dup2(0, 1)
        if transaction.state == "holding":
            hold(guard)
        code = 0
    finally:
        os._exit(code)


def _detach() -> None:
    os.setsid()
    os.umask(0o077)
    os.chdir("/")
    for name in _IGNORED:
        signal.signal(getattr(signal, f"SIG{name}"), signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _stay() -> None:
    """Be in memory, and the last to be taken from it, as far as we may: going back must not wait for a disk."""
    ctypes.CDLL(None).mlockall(_MCL_CURRENT | _MCL_ONFAULT)
    with suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        file.write(_SCORE)


def _heal(root: str) -> list[Transaction]:
    try:
        return recover(root)
    except (NotTuned, OSError):
        return []


def _tell(transaction: Transaction) -> None:
    with suppress(OSError):
        os.write(1, msgspec.json.encode(transaction) + b"\n")


if __name__ == "__main__":
    main()
