"""The guard's control socket: while a change is pending, any login of root may keep it, roll it back, extend it or
ask.

A line of JSON each way. Only root and the guard's own user are answered, requests are short, and no client is
waited for. Client and guard may be of different versions, so the names in JSON stay."""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from contextlib import suppress
from typing import Literal

import msgspec

from sockmon.errors import TuningError
from sockmon.model.outcome import Outcome
from sockmon.model.transaction import Transaction
from sockmon.tuning.transaction.guard import Guard

Verb = Literal["keep", "revert", "extend", "status", "observe"]

MAX_REQUEST_BYTES = 16384
_REQUEST_TIMEOUT = 1.0
_CHECK_INTERVAL = 1.0
"""Seconds between two checks for values that another process has changed."""


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A request to a guard. One that decides has no field that an older guard does not know."""

    verb: Verb = msgspec.field(name="ask")
    id: str = ""
    """Refuse it unless the pending change has this id; empty: whichever is pending."""
    seconds: float = 0.0
    persist: bool = False
    outcomes: tuple[Outcome, ...] = ()
    """For "observe"."""


class Reply(msgspec.Struct, frozen=True):
    """The transaction after the request, or the reason why the request was refused."""

    transaction: Transaction | None = None
    error: str = ""


_requests = msgspec.json.Decoder(Request)


def serve_until_decided(guard: Guard) -> Transaction:
    """Answer requests until one ends the transaction, or the hold expires, which rolls it back; return the
    result. A change of which nothing exists any more, as of a process that has ended, ends at once."""
    listener = guard.listener
    assert listener is not None
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while not guard.expired:
        # A suspend makes poll() late, but not the deadline, which is checked again after it.
        left = guard.deadline - time.clock_gettime(time.CLOCK_BOOTTIME)
        ready = poll.poll(max(0.0, min(_CHECK_INTERVAL, left)) * 1000)
        # A request after the deadline is too late, so that there is one result.
        if ready and not guard.expired and (ended := _serve_one(guard, listener)) is not None:
            return ended
        guard.note_foreign_writes()
        if guard.has_ended:
            return guard.revert()
    guard.messages.append("the hold expired")
    return guard.revert()


def _serve_one(guard: Guard, listener: socket.socket) -> Transaction | None:
    """Answer one client; return the transaction if that ended it."""
    try:
        connection, _ = listener.accept()
    except OSError:
        return None
    with connection:
        ended, reply = _answer(guard, connection)
        with suppress(OSError):
            connection.settimeout(_REQUEST_TIMEOUT)
            connection.sendall(msgspec.json.encode(reply) + b"\n")
    return ended


def _answer(guard: Guard, connection: socket.socket) -> tuple[Transaction | None, Reply]:
    try:
        _require_allowed(connection)
        request = _requests.decode(receive_line(connection, MAX_REQUEST_BYTES))
        if request.id not in ("", guard.status().id):
            raise TuningError(f"the pending change is {guard.status().id}")
        _require_connected(connection)
        transaction = _dispatch(guard, request)
    except TuningError as error:
        return None, Reply(error=error.message)
    except msgspec.DecodeError:
        return None, Reply(error="not a valid request")
    except OSError as error:
        return None, Reply(error=f"the request failed: {error.strerror or error}")
    return (None if transaction.state == "holding" else transaction), Reply(transaction)


def _dispatch(guard: Guard, request: Request) -> Transaction:
    if request.verb == "keep":
        return guard.keep(request.persist)
    if request.verb == "revert":
        guard.messages.append("rollback requested")
        return guard.revert()
    if request.verb == "observe":
        return guard.observe(request.outcomes)
    return guard.extend(request.seconds) if request.verb == "extend" else guard.status()


def _require_allowed(connection: socket.socket) -> None:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    if uid not in (0, os.geteuid()):
        raise TuningError(f"user {uid} is not allowed to decide")


def _require_connected(connection: socket.socket) -> None:
    """Raise TuningError if the client has closed the connection: it reported a failure, so a guard that was
    stopped meanwhile must not carry the request out later."""
    connection.settimeout(0)
    with suppress(BlockingIOError):
        if not connection.recv(1, socket.MSG_PEEK):
            raise TuningError("the other side closed the connection")


def receive_line(connection: socket.socket, max_bytes: int, timeout: float = _REQUEST_TIMEOUT) -> bytes:
    """Return one line; raise TuningError if it is longer than `max_bytes`, or not complete after `timeout`
    seconds."""
    end, line = time.monotonic() + timeout, b""
    while not line.endswith(b"\n"):
        left = end - time.monotonic()
        if left <= 0:
            raise TuningError(f"no complete line within {timeout:g} s")
        if len(line) > max_bytes:
            raise TuningError(f"the line is longer than {max_bytes:,} bytes")
        connection.settimeout(left)
        part = connection.recv(max_bytes + 1 - len(line))
        if not part:
            raise TuningError("the other side closed the connection")
        line += part
    return line
