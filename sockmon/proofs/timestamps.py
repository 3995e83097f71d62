"""TCP timestamps: which connections have them, and what tcp_tw_reuse does without."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from typing import Any

from sockmon.labs.namespaces import set_sysctl
from sockmon.labs.stage import Stage
from sockmon.proofs import sockets
from sockmon.proofs.apart import apart
from sockmon.proofs.proof import Finding, Proof, Step
from sockmon.proofs.time_wait import PAUSE, PORTS, freed

_KEY = "net.ipv4.tcp_timestamps"
_TCP_TIMESTAMP = 24
_SECOND_ADDRESS = "127.0.0.2"
_ALIKE = 10_000
"""Milliseconds: clocks that were read one after the other are no further apart, random ones seldom so near."""


def _open(held: ExitStack, address: str = sockets.LOOPBACK) -> socket.socket:
    return held.enter_context(socket.create_connection((address, sockets.PORT), 5))


def _clocks_apart(held: ExitStack, value: int) -> int:
    """Milliseconds between the clocks that connections to two addresses show."""
    set_sysctl(_KEY, str(value))
    one, other = (
        _open(held, address).getsockopt(socket.IPPROTO_TCP, _TCP_TIMESTAMP)
        for address in (sockets.LOOPBACK, _SECOND_ADDRESS)
    )
    distance = (one - other) % 2**32
    return min(distance, 2**32 - distance)


def _connections() -> dict[str, Any]:
    with sockets.server(), ExitStack() as held:
        set_sysctl(_KEY, "1")
        old = _open(held)
        random, plain = _clocks_apart(held, 1), _clocks_apart(held, 2)
        set_sysctl(_KEY, "0")
        old.send(b"!")
        time.sleep(0.1)
        return {
            "old": _has_them(old),
            "new": _has_them(_open(held)),
            "random": random,
            "plain": plain,
        }


def _has_them(client: socket.socket) -> bool:
    return bool(sockets.options(client) & sockets.TIMESTAMPS)


def _freed_with(value: int) -> int:
    set_sysctl(_KEY, str(value))
    return freed(1, far=False)


def _timestamps(stage: Stage) -> Finding:
    [found] = apart(stage, 3, _connections, ())
    none, all_ = apart(stage, 3, _freed_with, (0,), (1,))
    steps = [
        Step(
            f"{_KEY}=0",
            f"a connection from before has {_them(found['old'])}, a new one {_them(found['new'])}",
            "open connections go on as they began",
            found["old"] and not found["new"],
        ),
        Step(
            f"{_KEY}=0 net.ipv4.tcp_tw_reuse=1",
            f"{none} of {PORTS} ports in TIME_WAIT were free after {PAUSE} s",
            "without timestamps tcp_tw_reuse frees no port",
            none == 0,
        ),
        Step(
            f"{_KEY}=1 net.ipv4.tcp_tw_reuse=1",
            f"{all_} of {PORTS} ports in TIME_WAIT were free after {PAUSE} s",
            "with them it frees each",
            all_ == PORTS,
        ),
        Step(
            f"{_KEY}=2",
            f"the clocks of connections to two addresses are {found['plain']:,} ms apart, with 1 it was"
            f" {found['random']:,} ms",
            "on, without a random offset",
            found["plain"] < _ALIKE < found["random"],
        ),
    ]
    numbers = (
        f"of {PORTS} ports in TIME_WAIT tcp_tw_reuse=1 freed {all_} with tcp_timestamps=1 and {none} with 0; a"
        f" connection from before 0 was set kept {_them(found['old'])}, a new one had {_them(found['new'])}"
    )
    return Finding(steps, numbers, "this counts for new connections, and tcp_tw_reuse needs it")


def _them(one: bool) -> str:
    return "timestamps" if one else "none"


PROOFS = (Proof(_KEY, "new connections have them or not; tcp_tw_reuse needs them", _timestamps, 3),)
