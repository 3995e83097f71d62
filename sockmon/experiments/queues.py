"""Queues: of connections that wait for accept(), and of unix datagrams."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

from sockmon.experiments.experiment import Experiment
from sockmon.model.experiment import Result, Step
from sockmon.sandbox import sockets
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.namespaces import set_sysctl
from sockmon.sandbox.parallel import measure_in_namespaces, sysctl_in_new_namespace

_SOMAXCONN = "net.core.somaxconn"
_DGRAMS = "net.unix.max_dgram_qlen"
_REQUESTED = 4096


def _fill_queue(listener: socket.socket, held: list[socket.socket]) -> int:
    """Let 60 more clients connect, and return the length of the accept queue of `listener`."""
    port = listener.getsockname()[1]
    held += [sockets.start_connect(port=port) for _ in range(60)]
    time.sleep(0.3)
    return sockets.accept_queue_length(listener)


def _change_somaxconn() -> dict[str, int]:
    held: list[socket.socket] = []
    set_sysctl(_SOMAXCONN, "8")
    with sockets.listen(backlog=_REQUESTED) as listener, ExitStack() as others:
        first = _fill_queue(listener, held)
        set_sysctl(_SOMAXCONN, "32")
        running = _fill_queue(listener, held)
        listener.listen(_REQUESTED)
        again = _fill_queue(listener, held)
        modest = others.enter_context(sockets.listen(sockets.SERVER_PORT + 1, backlog=16))
        found = {"first": first, "running": running, "again": again, "modest": _fill_queue(modest, held)}
        set_sysctl(_SOMAXCONN, "8")
        return {
            **found,
            "lowered": _fill_queue(listener, held),
            "new_namespace": int(sysctl_in_new_namespace(_SOMAXCONN)),
        }


def _somaxconn(builder: LabBuilder) -> Result:
    [found] = measure_in_namespaces(builder, 2, _change_somaxconn, ())
    steps = [
        Step(
            f"{_SOMAXCONN}=8",
            f"listen({_REQUESTED:,}) held {found['first']}",
            "its backlog is 8, and one more fits",
            found["first"] == 9,
        ),
        Step(
            f"{_SOMAXCONN}=32",
            f"the running listener held {found['running']}",
            "a running listener keeps its backlog",
            found["running"] == 9,
        ),
        Step(
            f"{_SOMAXCONN}=32",
            f"the same after listen({_REQUESTED:,}) again held {found['again']}",
            "listen() applies the new value",
            found["again"] == 33,
        ),
        Step(
            f"{_SOMAXCONN}=32",
            f"listen(16) held {found['modest']}",
            "a smaller backlog is not raised",
            found["modest"] == 17,
        ),
        Step(
            f"{_SOMAXCONN}=8",
            f"lowered again: the running listener held {found['lowered']}; a network namespace created then"
            f" has {found['new_namespace']}",
            "neither a running listener nor another namespace is affected",
            found["lowered"] == 33 and found["new_namespace"] != 8,
        ),
    ]
    numbers = (
        f"{found['first']} connections waited with somaxconn=8, {found['running']} after it was raised to 32, and"
        f" {found['again']} after listen() was called again"
    )
    return Result(steps, numbers, "a running listener keeps its backlog until it calls listen() again")


def _messages(reader: socket.socket) -> int:
    """Return how many datagrams one more sender can send until EAGAIN."""
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
    # An empty name gives it an abstract address, which is not a file.
    reader = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    reader.bind("")
    return reader


def _change_max_dgram_qlen() -> dict[str, int]:
    with ExitStack() as held:
        set_sysctl(_DGRAMS, "4")
        old, old_too = _reader(held), _reader(held)
        first = _messages(old)
        set_sysctl(_DGRAMS, "12")
        return {"first": first, "old": _messages(old_too), "new": _messages(_reader(held))}


def _dgrams(builder: LabBuilder) -> Result:
    [found] = measure_in_namespaces(builder, 1, _change_max_dgram_qlen, ())
    steps = [
        Step(
            f"{_DGRAMS}=4",
            f"{found['first']} messages wait, then EAGAIN",
            "one more than this",
            found["first"] == 5,
        ),
        Step(
            f"{_DGRAMS}=12",
            f"{found['old']} in an existing socket",
            "an existing socket keeps its limit",
            found["old"] == 5,
        ),
        Step(
            f"{_DGRAMS}=12",
            f"{found['new']} in a new socket",
            "new sockets have the new limit",
            found["new"] == 13,
        ),
    ]
    numbers = (
        f"{found['first']} messages waited in a unix datagram socket with max_dgram_qlen=4; after 12 was set, an"
        f" existing socket held {found['old']} and a new one {found['new']}"
    )
    return Result(steps, numbers, "existing sockets keep their limit")


EXPERIMENTS = (
    Experiment(_SOMAXCONN, "a running listener keeps its backlog", _somaxconn, 2),
    Experiment(_DGRAMS, "it applies only to sockets that are created later", _dgrams, 1),
)
