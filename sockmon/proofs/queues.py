"""Queues: of connections that wait to be accepted, and of unix datagrams."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

from sockmon.labs.namespaces import set_sysctl
from sockmon.labs.stage import Stage
from sockmon.proofs import sockets
from sockmon.proofs.apart import apart, in_a_new_namespace
from sockmon.proofs.proof import Finding, Proof, Step

_SOMAXCONN = "net.core.somaxconn"
_DGRAMS = "net.unix.max_dgram_qlen"
_ASKED = 4096


def _fits(listener: socket.socket, held: list[socket.socket]) -> int:
    """Connections in the queue of `listener` after 60 more clients came."""
    port = listener.getsockname()[1]
    held += [sockets.begin(port=port) for _ in range(60)]
    time.sleep(0.3)
    return sockets.queued(listener)


def _listening() -> dict[str, int]:
    held: list[socket.socket] = []
    set_sysctl(_SOMAXCONN, "8")
    with sockets.server(backlog=_ASKED) as listener, ExitStack() as others:
        first = _fits(listener, held)
        set_sysctl(_SOMAXCONN, "32")
        running = _fits(listener, held)
        listener.listen(_ASKED)
        again = _fits(listener, held)
        modest = others.enter_context(sockets.server(sockets.PORT + 1, backlog=16))
        found = {"first": first, "running": running, "again": again, "modest": _fits(modest, held)}
        set_sysctl(_SOMAXCONN, "8")
        return {**found, "lowered": _fits(listener, held), "elsewhere": int(in_a_new_namespace(_SOMAXCONN))}


def _somaxconn(stage: Stage) -> Finding:
    [found] = apart(stage, 2, _listening, ())
    steps = [
        Step(
            f"{_SOMAXCONN}=8", f"listen({_ASKED:,}) held {found['first']}", "its backlog is 8", found["first"] == 9
        ),
        Step(
            f"{_SOMAXCONN}=32",
            f"the running listener held {found['running']}",
            "a running listener keeps its backlog",
            found["running"] == 9,
        ),
        Step(
            f"{_SOMAXCONN}=32",
            f"the same after listen({_ASKED:,}) again held {found['again']}",
            "listen() takes the new value",
            found["again"] == 33,
        ),
        Step(
            f"{_SOMAXCONN}=32",
            f"listen(16) held {found['modest']}",
            "who asks for less gets no more",
            found["modest"] == 17,
        ),
        Step(
            f"{_SOMAXCONN}=8",
            f"lowered again: the running listener held {found['lowered']}; a network namespace that was made now"
            f" has {found['elsewhere']}",
            "neither a running listener nor another namespace is reached",
            found["lowered"] == 33 and found["elsewhere"] != 8,
        ),
    ]
    numbers = (
        f"{found['first']} connections waited with somaxconn=8, {found['running']} after it was raised to 32, and"
        f" {found['again']} after listen() was called again"
    )
    return Finding(steps, numbers, "a running listener keeps its backlog until it calls listen() again")


def _messages(reader: socket.socket) -> int:
    """Datagrams that one more sender gets rid of until EAGAIN."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(reader.getsockname())
        sender.setblocking(False)
        sent = 0
        try:
            while sent < 100:
                sender.send(b"line")
                sent += 1
        except BlockingIOError:
            pass
        return sent


def _reader(held: ExitStack) -> socket.socket:
    # Without a name of its own it gets an abstract one, which is no file.
    reader = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    reader.bind("")
    return reader


def _unread() -> dict[str, int]:
    with ExitStack() as held:
        set_sysctl(_DGRAMS, "4")
        old, old_too = _reader(held), _reader(held)
        first = _messages(old)
        set_sysctl(_DGRAMS, "12")
        return {"first": first, "old": _messages(old_too), "new": _messages(_reader(held))}


def _dgrams(stage: Stage) -> Finding:
    [found] = apart(stage, 1, _unread, ())
    steps = [
        Step(
            f"{_DGRAMS}=4",
            f"{found['first']} messages wait, then EAGAIN",
            "one more than this",
            found["first"] == 5,
        ),
        Step(f"{_DGRAMS}=12", f"{found['old']} in a socket from before", "it keeps its limit", found["old"] == 5),
        Step(
            f"{_DGRAMS}=12",
            f"{found['new']} in a new socket",
            "new sockets have the new limit",
            found["new"] == 13,
        ),
    ]
    numbers = (
        f"{found['first']} messages waited in a unix datagram socket with max_dgram_qlen=4; raised to 12, a socket"
        f" from before took {found['old']} and a new one {found['new']}"
    )
    return Finding(steps, numbers, "sockets that exist keep their limit")


PROOFS = (
    Proof(_SOMAXCONN, "a running listener keeps its backlog", _somaxconn, 2),
    Proof(_DGRAMS, "only sockets that are made from then on hold more", _dgrams, 1),
)
