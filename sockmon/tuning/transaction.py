"""What the command line and the screen ask for: apply a plan, and decide about what is held, from any login."""

from __future__ import annotations

import os
import socket
from contextlib import closing, suppress

import msgspec

from sockmon.errors import NotTuned
from sockmon.model import change
from sockmon.model.change import Plan, Transaction, Who
from sockmon.tuning.guard import Holder
from sockmon.tuning.history import newest, read
from sockmon.tuning.hold import Reply, Request, Verb, receive_line
from sockmon.tuning.places import NOWHERE, Places
from sockmon.tuning.recover import boot_id, netns, recover
from sockmon.tuning.standby import Standby
from sockmon.tuning.who import whoami

HOLD = 60.0
_LONGEST_REPLY = 8 << 20
_PATIENCE, _BRIEF = 30.0, 2.0

__all__ = [
    "HOLD",
    "apply",
    "ask",
    "boot_id",
    "held",
    "history",
    "netns",
    "outcome",
    "recover",
    "undoing",
    "whoami",
]


def apply(plan: Plan, who: Who, hold: float = HOLD, root: str = "/") -> Transaction:
    """Have a guard apply `plan`; it returns when the values are there and are held for `hold` seconds.

    The state says what became of it: `holding`, `refused` with nothing touched, `reverted`, `conflict` or `stuck`.
    `root` is where run, var and etc are. NotTuned where there is no answer."""
    with closing(Standby(root)) as standby:
        return standby.carry_out(plan, who, hold)


def ask(verb: Verb, root: str = "/", *, id: str = "", seconds: float = 0.0, persist: bool = False) -> Transaction:
    """Ask the guard that holds to keep, revert, extend, or how it stands.

    Where none holds, what a dead one left is healed, and the transaction that was asked about is the answer, as it
    ended: whoever asks looks at its state. Without an `id` only `status` is answered by the last one.
    NotTuned where there is nothing to decide, or with the guard's reason."""
    places = Places(root, make=False)
    try:
        reply = _asked(places, Request(verb, id, seconds, persist), _PATIENCE)
        if reply is not None and reply.transaction is not None:
            return reply.transaction
        if reply is not None:
            raise NotTuned(reply.error)
        if places.txn != NOWHERE:
            recover(root)
        ended = read(places, id) if id else next(iter(newest(places, 1)), None)
        if places.run != NOWHERE and (ended is None or not id):
            _require_free(places)
    finally:
        places.close()
    if ended is None:
        raise NotTuned("no change is being held")
    if not id and verb != "status":
        words = f": {ended.words[-1]}" if ended.words else ""
        raise NotTuned(f"no change is being held; the last one, {ended.id}, is {ended.state}{words}")
    return ended


def held(root: str = "/") -> Transaction | None:
    """What a guard holds now; None where none does. NotTuned and OSError where it cannot be known."""
    places = Places(root, make=False)
    try:
        reply = _asked(places, Request("status"), _BRIEF)
        if reply is None and places.run != NOWHERE:
            _require_free(places)
    finally:
        places.close()
    return reply.transaction if reply else None


def _require_free(places: Places) -> None:
    """NotTuned where there is a guard after all, that does not answer."""
    lock = places.lock()
    if lock is None:
        hint = ""
        with suppress(msgspec.DecodeError):
            pid = msgspec.json.decode(places.holder(), type=Holder).pid
            hint = f"if it is stopped: kill -CONT {pid}; kill -KILL {pid} has the values put back"
        raise NotTuned("a change is being held, and its guard does not answer", hint)
    os.close(lock)


def outcome(id: str, root: str = "/") -> Transaction | None:
    """How a transaction ended; None where the history does not tell."""
    places = Places(root, make=False)
    try:
        return read(places, id)
    finally:
        places.close()


def _asked(places: Places, request: Request, patience: float) -> Reply | None:
    """The guard's answer; None where there is no guard, or where it ended before it heard us."""
    if places.run == NOWHERE:
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
        try:
            connection.settimeout(patience)
            connection.connect(places.address())
            connection.sendall(msgspec.json.encode(request) + b"\n")
            return msgspec.json.decode(receive_line(connection, _LONGEST_REPLY, patience), type=Reply)
        except (OSError, NotTuned, msgspec.DecodeError):
            return None


def undoing(kept: Transaction) -> Plan:
    """The plan that takes a kept change back, here and in this boot."""
    return change.undoing(kept, netns(), boot_id())


def history(root: str = "/") -> list[Transaction]:
    """What was done, newest first. NotTuned where it may not be read."""
    places = Places(root, make=False)
    try:
        # Where it cannot be opened that is the answer, and not that nothing was done.
        return newest(places) if places.history() != NOWHERE else []
    finally:
        places.close()
