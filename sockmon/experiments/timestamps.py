"""TCP timestamps: which connections have them, and what tcp_tw_reuse does without them."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from typing import Any

from sockmon.experiments.experiment import Experiment
from sockmon.experiments.time_wait import PAUSE, PORTS, count_reusable
from sockmon.model.experiment import Result, Step
from sockmon.sandbox import sockets
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.namespaces import set_sysctl
from sockmon.sandbox.parallel import measure_in_namespaces

_KEY = "net.ipv4.tcp_timestamps"
_TCP_TIMESTAMP = 24
_SECOND_ADDRESS = "127.0.0.2"
_SAME_CLOCK_MS = 10_000
"""Equal clocks, read one after the other, differ by less; clocks with random offsets nearly always by more."""


def _open(held: ExitStack, address: str = sockets.LOOPBACK) -> socket.socket:
    return held.enter_context(socket.create_connection((address, sockets.SERVER_PORT), 5))


def _clock_difference(held: ExitStack, value: int) -> int:
    """Return the milliseconds between the timestamp clocks of connections to two addresses."""
    set_sysctl(_KEY, str(value))
    first, second = (
        _open(held, address).getsockopt(socket.IPPROTO_TCP, _TCP_TIMESTAMP)
        for address in (sockets.LOOPBACK, _SECOND_ADDRESS)
    )
    distance = (first - second) % 2**32
    return min(distance, 2**32 - distance)


def _change_timestamps() -> dict[str, Any]:
    with sockets.listen(), ExitStack() as held:
        set_sysctl(_KEY, "1")
        old = _open(held)
        random, plain = _clock_difference(held, 1), _clock_difference(held, 2)
        set_sysctl(_KEY, "0")
        old.send(b"!")
        time.sleep(0.1)
        return {
            "old": _has_timestamps(old),
            "new": _has_timestamps(_open(held)),
            "random": random,
            "plain": plain,
        }


def _has_timestamps(client: socket.socket) -> bool:
    return bool(sockets.tcp_options(client) & sockets.TIMESTAMPS)


def _count_reusable_with(value: int) -> int:
    set_sysctl(_KEY, str(value))
    return count_reusable(1, remote=False)


def _timestamps(builder: LabBuilder) -> Result:
    [found] = measure_in_namespaces(builder, 3, _change_timestamps, ())
    none, all_ = measure_in_namespaces(builder, 3, _count_reusable_with, (0,), (1,))
    steps = [
        Step(
            f"{_KEY}=0",
            f"an existing connection has {_them(found['old'])}, a new one has {_them(found['new'])}",
            "open connections keep what they negotiated",
            found["old"] and not found["new"],
        ),
        Step(
            f"{_KEY}=0 net.ipv4.tcp_tw_reuse=1",
            f"{none} of {PORTS} ports in TIME_WAIT were free after {PAUSE} s",
            "without timestamps tcp_tw_reuse reuses no port",
            none == 0,
        ),
        Step(
            f"{_KEY}=1 net.ipv4.tcp_tw_reuse=1",
            f"{all_} of {PORTS} ports in TIME_WAIT were free after {PAUSE} s",
            "with timestamps it reuses every port",
            all_ == PORTS,
        ),
        Step(
            f"{_KEY}=2",
            f"the clocks of connections to two addresses are {found['plain']:,} ms apart, with 1 they were"
            f" {found['random']:,} ms apart",
            "timestamps without a random offset",
            found["plain"] < _SAME_CLOCK_MS < found["random"],
        ),
    ]
    numbers = (
        f"of {PORTS} ports in TIME_WAIT tcp_tw_reuse=1 reused {all_} with tcp_timestamps=1 and {none} with 0;"
        f" with 0 an existing connection kept {_them(found['old'])}, and a new one had {_them(found['new'])}"
    )
    return Result(steps, numbers, "this applies to new connections, and tcp_tw_reuse needs it")


def _them(present: bool) -> str:
    return "timestamps" if present else "no timestamps"


EXPERIMENTS = (Experiment(_KEY, "it applies to new connections; tcp_tw_reuse needs timestamps", _timestamps, 3),)
