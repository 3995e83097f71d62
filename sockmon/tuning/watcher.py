"""The two processes that a change runs in: `python -m sockmon.tuning.watcher ROOT`, the order a line on its stdin.

Both are there before the order comes, so that a host without free processes can still be changed, and put right.
They leave their caller's session, so that no terminal can take them along; the guard carries the order out, the
watcher heals what a killed guard leaves behind. On stdout comes an empty line when they are ready, and a line of
JSON with what became of the order. Without an order they end as their stdin does, and nothing was touched.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import msgspec

from sockmon.errors import NotTuned
from sockmon.model.change import Plan, Transaction, Who
from sockmon.tuning.apart import call_myself, stay, withdraw
from sockmon.tuning.guard import Guard
from sockmon.tuning.hold import hold
from sockmon.tuning.recover import left_behind, recover
from sockmon.tuning.scope import own_scope

LONGEST_ORDER = 64 << 20
"""Bytes; a list of ports takes up to half a MiB, and a plan has 64 settings, each with an old and a new one."""


class Order(msgspec.Struct, frozen=True):
    """What a guard carries out."""

    plan: Plan
    who: Who
    hold: float


def main() -> None:
    """Be ready for the order on stdin."""
    root = sys.argv[1]
    # Whoever started us waits for this process alone.
    if os.fork():
        os._exit(0)
    withdraw()
    call_myself("sockmon-watcher")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 2)
    guard = os.fork()
    if guard == 0:
        _guard(root, nothing)
    # Or the end of the guard would not be the end of the pipe for whoever writes into it.
    os.dup2(nothing, 0)
    _, status = os.waitpid(guard, 0)
    if status:
        # Ours is the newest; whoever started us reads one line.
        for healed in reversed(_heal(root)):
            _tell(healed)
    os._exit(0)


def _guard(root: str, nothing: int) -> None:
    """The guard's whole life; never returns. Another end than 0 has it healed."""
    code = 1
    try:
        os.setsid()
        call_myself("sockmon-guard")
        os.write(1, b"\n")
        line = _ordered()
        if not line:
            os._exit(0)
        order = msgspec.json.decode(line, type=Order)
        stay()
        guard = Guard(order.plan, order.who, order.hold, root)
        guard.words += own_scope(os.getpid(), os.getppid())
        transaction = guard.begin()
        _tell(transaction)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        if transaction.state == "holding":
            hold(guard)
        code = 0
    finally:
        os._exit(code)


def _ordered() -> bytes:
    """The line on stdin; nothing where it ended before, or has no end."""
    parts = []
    length = 0
    while length <= LONGEST_ORDER:
        part = os.read(0, 1 << 16)
        if not part:
            return b""
        parts.append(part)
        length += len(part)
        if part.endswith(b"\n"):
            return b"".join(parts)
    return b""


def _heal(root: str) -> list[Transaction]:
    try:
        return recover(root) if left_behind(root) else []
    except (NotTuned, OSError):
        return []


def _tell(transaction: Transaction) -> None:
    with suppress(OSError):
        os.write(1, msgspec.json.encode(transaction) + b"\n")


if __name__ == "__main__":
    main()
