"""The time between a change and its end: whoever comes to the guard's socket may keep it, end it or ask.

One line of JSON each way. Only root and the guard's own user are heard, a line is short, and nobody is waited for.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from contextlib import suppress
from typing import Literal

import msgspec

from sockmon.errors import NotTuned
from sockmon.model.change import Transaction
from sockmon.tuning.guard import Guard

Verb = Literal["keep", "revert", "extend", "status"]

LONGEST_REQUEST = 4096
_PATIENCE = 1.0
_LOOK_EVERY = 1.0


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked of a guard."""

    ask: Verb
    id: str = ""
    """Only of the transaction with this id; empty: of the one that is held."""
    seconds: float = 0.0
    persist: bool = False


class Reply(msgspec.Struct, frozen=True):
    """What it answers: how things stand now, or why not."""

    transaction: Transaction | None = None
    error: str = ""


_requests = msgspec.json.Decoder(Request)


def hold(guard: Guard) -> Transaction:
    """Wait until somebody decides, or the time is up; the end of it."""
    listener = guard.listener
    assert listener is not None
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while not guard.late:
        # Sleeping through a suspend makes poll late, never the deadline: that is asked again when we wake.
        left = guard.deadline - time.clock_gettime(time.CLOCK_BOOTTIME)
        ready = poll.poll(max(0.0, min(_LOOK_EVERY, left)) * 1000)
        # Whoever comes when the time is up comes too late, so that there is one outcome.
        if ready and not guard.late and (ended := _serve(guard, listener)) is not None:
            return ended
        guard.look()
    guard.words.append("the time was up")
    return guard.revert()


def _serve(guard: Guard, listener: socket.socket) -> Transaction | None:
    """Hear one caller; the end of the transaction where that is what it asked for."""
    try:
        connection, _ = listener.accept()
    except OSError:
        return None
    with connection:
        ended, reply = _answer(guard, connection)
        with suppress(OSError):
            connection.settimeout(_PATIENCE)
            connection.sendall(msgspec.json.encode(reply) + b"\n")
    return ended


def _answer(guard: Guard, connection: socket.socket) -> tuple[Transaction | None, Reply]:
    try:
        _require_allowed(connection)
        request = _requests.decode(receive_line(connection, LONGEST_REQUEST))
        if request.id not in ("", guard.status().id):
            raise NotTuned(f"what is held is {guard.status().id}")
        _require_waiting(connection)
        transaction = _act(guard, request)
    except NotTuned as error:
        return None, Reply(error=error.message)
    except msgspec.DecodeError:
        return None, Reply(error="this is no request")
    except OSError as error:
        return None, Reply(error=f"nothing was decided: {error.strerror or error}")
    return (None if transaction.state == "holding" else transaction), Reply(transaction)


def _act(guard: Guard, request: Request) -> Transaction:
    if request.ask == "keep":
        return guard.keep(request.persist)
    if request.ask == "revert":
        guard.words.append("it was asked to go back")
        return guard.revert()
    return guard.extend(request.seconds) if request.ask == "extend" else guard.status()


def _require_allowed(connection: socket.socket) -> None:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    if uid not in (0, os.geteuid()):
        raise NotTuned(f"user {uid} may not ask")


def _require_waiting(connection: socket.socket) -> None:
    """Whoever has given up was told that nothing came of it: a guard that was stopped must not do it later."""
    connection.settimeout(0)
    with suppress(BlockingIOError):
        if not connection.recv(1, socket.MSG_PEEK):
            raise NotTuned("the other side hung up")


def receive_line(connection: socket.socket, longest: int, patience: float = _PATIENCE) -> bytes:
    """One line, without waiting longer than `patience` in all; NotTuned where there is none."""
    end, line = time.monotonic() + patience, b""
    while not line.endswith(b"\n"):
        left = end - time.monotonic()
        if left <= 0 or len(line) > longest:
            raise NotTuned("a line came too slowly, or was too long")
        connection.settimeout(left)
        part = connection.recv(longest + 1 - len(line))
        if not part:
            raise NotTuned("the other side hung up")
        line += part
    return line
