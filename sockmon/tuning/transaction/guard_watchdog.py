"""The watchdog and the guard, the two processes of a change.

    sockmon-helper, or `sockmon tune apply`
      │ forks, and waits only for that first process, which forks again and ends (prespawn.py)
      v
    sockmon-watch        the watchdog: a session of its own, child of process 1
      │ forks, and waits for the guard
      v
    sockmon-guard        a session of its own; takes the order, writes, holds, keeps or rolls back (guard.py)

Both are started before there is an order, so a change can be made, and rolled back, on a host where no process can
be started any more. An empty line on stdout says that they are ready; the order is a line of JSON on stdin; a line
of JSON on stdout is the transaction. If stdin ends without an order, both end and nothing was touched. With an
order:

    the helper, the screen or the terminal ends    the guard goes on
    the guard is killed                            the watchdog recovers from the journal at once
    the watchdog is killed                         the guard goes on
    both are killed                                a running helper, or the next start of sockmon, recovers
"""

from __future__ import annotations

import fcntl
import logging
import os
from contextlib import suppress

import msgspec

from sockmon import log
from sockmon.errors import TuningError
from sockmon.model.plan import Plan
from sockmon.model.transaction import Actor, Transaction
from sockmon.own_process import set_name
from sockmon.tuning.transaction.control_socket import serve_until_decided
from sockmon.tuning.transaction.daemonize import daemonize, lock_in_memory
from sockmon.tuning.transaction.guard import Guard
from sockmon.tuning.transaction.recovery import recover, unfinished_journals
from sockmon.tuning.transaction.systemd_scope import leave_unit

MAX_ORDER_BYTES = 64 << 20
"""A list of ports takes up to half a MiB, and each of 64 settings has an old and a new one."""

_log = logging.getLogger("sockmon.tuning.transaction.guard_watchdog")


class ApplyOrder(msgspec.Struct, frozen=True):
    """A plan for the guard, who requests it, and the seconds that it holds it."""

    plan: Plan
    actor: Actor = msgspec.field(name="who")
    hold: float


def start_pair(root: str) -> None:
    """Fork the watchdog, which forks the guard, and recovers from the journal if the guard fails; end."""
    # The caller waits for this process only.
    if os.fork():
        os._exit(0)
    daemonize()
    set_name("sockmon-watch", root)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 2)
    log.start("watchdog", root)
    log_reader, log_writer = _log_pipe()
    guard = os.fork()
    if guard == 0:
        log.start_to_pipe(log_writer, "guard")
        _run_guard(root, nothing)
    # The recovery must work on a host without free memory; the guard does the same when it has an order.
    lock_in_memory()
    # The guard alone holds the read end, so that its end is seen by the process that writes the order.
    os.dup2(nothing, 0)
    _, status = os.waitpid(guard, 0)
    recovered = _recover(root) if status else []
    # The caller reads one line, and its change is the newest.
    for transaction in reversed(recovered):
        _report(transaction)
    # Last, because the disk of the log may hang.
    with suppress(OSError):
        log.append(os.read(log_reader, 1 << 16))
    if status:
        found = ", ".join(f"{transaction.id} {transaction.state}" for transaction in recovered)
        _log.warning("the guard ended with wait status %d; recovered: %s", status, found or "nothing to recover")
    os._exit(0)


def _log_pipe() -> tuple[int, int]:
    """Return a pipe that never blocks, for the log of the guard: its disk may hang, and the guard must not."""
    ends = os.pipe()
    for end in ends:
        fcntl.fcntl(end, fcntl.F_SETFL, os.O_NONBLOCK)
    return ends


def _run_guard(root: str, nothing: int) -> None:
    """Run the guard, and exit; any exit code but 0 makes the watchdog recover."""
    code = 1
    try:
        os.setsid()
        set_name("sockmon-guard", root)
        line = _read_order() if _report_ready() else b""
        if not line:
            os._exit(0)
        order = msgspec.json.decode(line, type=ApplyOrder)
        lock_in_memory()
        guard = Guard(order.plan, order.actor, order.hold, root)
        guard.messages += leave_unit(os.getpid(), os.getppid())
        transaction = guard.apply()
        _report(transaction)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        if transaction.state == "holding":
            serve_until_decided(guard)
        code = 0
    except BaseException:
        _log.exception("the guard ended")
    finally:
        os._exit(code)


def _report_ready() -> bool:
    """Write the empty line; return False if the process that started us has ended."""
    try:
        return os.write(1, b"\n") == 1
    except BrokenPipeError:
        return False


def _read_order() -> bytes:
    """Return the line on stdin; empty if stdin ends first, or the line is too long."""
    parts = []
    length = 0
    while length <= MAX_ORDER_BYTES:
        part = os.read(0, 1 << 16)
        if not part:
            return b""
        parts.append(part)
        length += len(part)
        if part.endswith(b"\n"):
            return b"".join(parts)
    return b""


def _recover(root: str) -> list[Transaction]:
    try:
        return recover(root) if unfinished_journals(root) else []
    except (TuningError, OSError):
        _log.exception("the journal of a killed guard could not be recovered")
        return []


def _report(transaction: Transaction) -> None:
    with suppress(OSError):
        os.write(1, msgspec.json.encode(transaction) + b"\n")
