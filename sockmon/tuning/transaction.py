"""What the command line and the screen ask for: apply a plan, and decide about what is held, from any login."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress

import msgspec

from sockmon.errors import NotTuned
from sockmon.kernel.users import Users
from sockmon.model.change import Plan, Transaction, Who
from sockmon.model.clean import clean
from sockmon.tuning.history import newest, read
from sockmon.tuning.hold import Reply, Request, Verb, receive_line
from sockmon.tuning.places import Places
from sockmon.tuning.recover import boot_id, netns, recover
from sockmon.tuning.watcher import Order

HOLD = 60.0
_NOBODY = 4294967295
_LONGEST_REPLY = 8 << 20
_PATIENCE = 30.0
_BARE = {"LC_ALL": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}

__all__ = ["HOLD", "apply", "ask", "boot_id", "history", "netns", "recover", "undoing", "whoami"]


def apply(plan: Plan, who: Who, hold: float = HOLD, root: str = "/") -> Transaction:
    """Have a guard apply `plan`; it returns when the values are there and are held for `hold` seconds.

    The state says what became of it: `holding`, `refused` with nothing touched, `reverted`, `conflict` or `stuck`.
    `root` is where run, var and etc are. NotTuned where there is no answer."""
    order = msgspec.json.encode(Order(plan, who, hold, root))
    argv = [sys.executable, "-I", "-m", "sockmon.tuning.watcher"]
    try:
        with subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_BARE
        ) as starter:
            assert starter.stdin is not None
            assert starter.stdout is not None
            starter.stdin.write(order)
            starter.stdin.close()
            # The guard lets go of the pipe when it holds; the first line is the answer.
            line = starter.stdout.readline()
    except OSError as error:
        raise NotTuned(f"the guard could not be started: {error.strerror}") from error
    try:
        return msgspec.json.decode(line, type=Transaction)
    except msgspec.DecodeError:
        raise NotTuned("the guard ended without a word", "sockmon tune history shows what became of it") from None


def ask(verb: Verb, root: str = "/", *, id: str = "", seconds: float = 0.0, persist: bool = False) -> Transaction:
    """Ask the guard that holds to keep, revert, extend, or how it stands.

    Where none holds, what a dead one left is healed, and the transaction that was asked about is the answer, as it
    ended: whoever asks looks at its state. Without an `id` only `status` is answered by the last one.
    NotTuned where there is nothing to decide, or with the guard's reason."""
    places = Places(root)
    try:
        reply = _asked(places, Request(verb, id, seconds, persist))
        if reply is not None and reply.transaction is not None:
            return reply.transaction
        if reply is not None:
            raise NotTuned(reply.error)
        recover(root)
        ended = read(places, id) if id else next(iter(newest(places, 1)), None)
    finally:
        places.close()
    if ended is None:
        raise NotTuned("no change is being held")
    if not id and verb != "status":
        words = f": {ended.words[-1]}" if ended.words else ""
        raise NotTuned(f"no change is being held; the last one, {ended.id}, is {ended.state}{words}")
    return ended


def _asked(places: Places, request: Request) -> Reply | None:
    """The guard's answer; None where there is no guard, or where it ended before it heard us."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as connection:
        try:
            connection.settimeout(_PATIENCE)
            connection.connect(places.address())
            connection.sendall(msgspec.json.encode(request) + b"\n")
            return msgspec.json.decode(receive_line(connection, _LONGEST_REPLY, _PATIENCE), type=Reply)
        except (OSError, NotTuned, msgspec.DecodeError):
            return None


def undoing(kept: Transaction) -> Plan:
    """The plan that takes a kept change back, the last setting first, here and in this boot; the guard refuses it
    where somebody has changed the values since."""
    settings = reversed(kept.plan.settings)
    return Plan(
        tuple(msgspec.structs.replace(each, old=each.new, new=each.old) for each in settings), netns(), boot_id()
    )


def history(root: str = "/") -> list[Transaction]:
    """What was done, newest first. NotTuned where it may not be read."""
    places = Places(root)
    try:
        return newest(places)
    finally:
        places.close()


def whoami() -> Who:
    """Who asks: the user, and behind sudo or su the person who logged in."""
    users, uid, login = Users(), os.getuid(), ""
    with suppress(OSError, ValueError), open("/proc/self/loginuid", "rb") as file:
        number = int(file.read(32))
        login = users.name(number) if number != _NOBODY else ""
    terminal = ""
    for stream in (0, 1, 2):
        with suppress(OSError):
            terminal = terminal or os.ttyname(stream).removeprefix("/dev/")
    return Who(uid, users.name(uid), login or clean(os.environ.get("SUDO_USER", ""), 64), clean(terminal, 64))
