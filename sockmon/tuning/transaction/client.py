"""What the command line and the helper use: apply a plan, and decide about the pending change, from any login."""

from __future__ import annotations

import os
import socket
from contextlib import closing

import msgspec

from sockmon.errors import TuningError
from sockmon.model.outcome import Outcome
from sockmon.model.plan import Plan
from sockmon.model.transaction import Actor, Transaction
from sockmon.tuning.transaction import lock
from sockmon.tuning.transaction.control_socket import Reply, Request, Verb, receive_line
from sockmon.tuning.transaction.history import RESULT_TEXT, newest, read
from sockmon.tuning.transaction.prespawn import PrespawnedGuard
from sockmon.tuning.transaction.recovery import recover
from sockmon.tuning.transaction.state_dirs import ABSENT, StateDirs

DEFAULT_HOLD_SECONDS = 60.0
_MAX_REPLY_BYTES = 8 << 20
_DECIDE_TIMEOUT, _STATUS_TIMEOUT = 30.0, 2.0


def apply(plan: Plan, actor: Actor, hold: float = DEFAULT_HOLD_SECONDS, root: str = "/") -> Transaction:
    """Have a guard apply `plan` and hold it for `hold` seconds; return the transaction once the values are
    written.

    Its state is `holding`, `refused` with nothing touched, `reverted`, `conflict` or `stuck`. `root` is where run,
    var and etc are. Raise TuningError if there is no answer."""
    with closing(PrespawnedGuard(root)) as guard:
        return guard.carry_out(plan, actor, hold)


def decide(
    verb: Verb, root: str = "/", *, id: str = "", seconds: float = 0.0, persist: bool = False
) -> Transaction:
    """Tell the guard of the pending change to keep, revert or extend it, or ask for its status; return the
    transaction.

    If no change is pending, interrupted ones are recovered, and the answer is the change `id` as it ended: the
    caller checks its state. Without an `id` only `status` is answered then, with the last change. Raise
    TuningError if there is nothing to decide, or with the guard's reason."""
    with closing(StateDirs(root, make=False)) as dirs:
        reply = _request(dirs, Request(verb, id, seconds, persist), _DECIDE_TIMEOUT)
        if reply is not None and reply.transaction is not None:
            return reply.transaction
        if reply is not None:
            raise TuningError(reply.error)
        if dirs.txn != ABSENT:
            recover(root)
        ended = read(dirs, id) if id else next((one for one in newest(dirs) if one.action is None), None)
        if dirs.run != ABSENT and (ended is None or not id):
            _require_no_guard(dirs)
    if ended is None:
        raise TuningError("no change is pending")
    if not id and verb != "status":
        message = f": {ended.messages[-1]}" if ended.messages else ""
        raise TuningError(f"no change is pending; the last one is {ended.id}: {RESULT_TEXT[ended.state]}{message}")
    return ended


def pending_change(root: str = "/") -> Transaction | None:
    """Return the pending change; None if there is none. Raise TuningError or OSError if that is unknown."""
    with closing(StateDirs(root, make=False)) as dirs:
        reply = _request(dirs, Request("status"), _STATUS_TIMEOUT)
        if reply is None and dirs.run != ABSENT:
            _require_no_guard(dirs)
    return reply.transaction if reply else None


def observe(id: str, outcomes: tuple[Outcome, ...], root: str = "/") -> Transaction | None:
    """Let the guard of the pending change `id` note what has become of its reasons; return the transaction.

    None if it cannot: it has ended, or it is of an older version. No decision depends on it."""
    with closing(StateDirs(root, make=False)) as dirs:
        reply = _request(dirs, Request("observe", id, outcomes=outcomes), _STATUS_TIMEOUT)
    return reply.transaction if reply else None


def _require_no_guard(dirs: StateDirs) -> None:
    """Raise TuningError if there is a guard after all, which does not answer."""
    locked = lock.acquire(dirs)
    if locked is None:
        hint = ""
        if (owner := lock.read_owner(dirs)) is not None:
            hint = f"if it is stopped: kill -CONT {owner.pid}; kill -KILL {owner.pid} rolls the change back"
        raise TuningError("a change is pending, but its guard does not answer", hint)
    os.close(locked)


def result_of(id: str, root: str = "/") -> Transaction | None:
    """Return the transaction `id` as it ended; None if the history does not have it."""
    with closing(StateDirs(root, make=False)) as dirs:
        return read(dirs, id)


def _request(dirs: StateDirs, request: Request, timeout: float) -> Reply | None:
    """Return the guard's reply; None if there is no guard, or it ended before it read the request."""
    if dirs.run == ABSENT:
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
        try:
            connection.settimeout(timeout)
            connection.connect(dirs.socket_address())
            connection.sendall(msgspec.json.encode(request) + b"\n")
            return msgspec.json.decode(receive_line(connection, _MAX_REPLY_BYTES, timeout), type=Reply)
        except (OSError, TuningError, msgspec.DecodeError):
            return None


def history(root: str = "/") -> list[Transaction]:
    """Return the history, newest first; raise TuningError if it cannot be read."""
    with closing(StateDirs(root, make=False)) as dirs:
        # An unreadable history raises here: it is not an empty one.
        return newest(dirs) if dirs.history() != ABSENT else []
