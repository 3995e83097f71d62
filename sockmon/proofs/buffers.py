"""Receive buffers: what a program may ask for, and what the kernel takes by itself."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from sockmon.labs.namespaces import set_sysctl
from sockmon.labs.stage import Stage
from sockmon.proofs.apart import apart
from sockmon.proofs.proof import Finding, Proof, Step

_KEY = "net.core.rmem_max"
_TCP = "net.ipv4.tcp_rmem"
_ABSURD = 1 << 29


def _buffer(one: socket.socket) -> int:
    return one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def _asked(bytes_: int) -> int:
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, bytes_)
        return _buffer(one)


def _sizes() -> dict[str, int]:
    limit = _asked(_ABSURD) // 2
    with ExitStack() as held:
        old = held.enter_context(socket.socket())
        before = _buffer(old)
        set_sysctl(_TCP, f"4096 {4 * limit} {8 * limit}")
        new = held.enter_context(socket.socket())
        return {
            "limit": limit,
            "half": _asked(limit // 2),
            "tcp": 4 * limit,
            "new": _buffer(new),
            "before": before,
            "old": _buffer(old),
        }


def _receive(stage: Stage) -> Finding:
    [found] = apart(stage, 1, _sizes, ())
    limit = found["limit"]
    steps = [
        Step(
            f"{_KEY}={limit}",
            f"SO_RCVBUF={_ABSURD:,} gave {2 * limit:,} bytes, SO_RCVBUF={limit // 2:,} gave {found['half']:,}",
            "the most that a program may ask for; the kernel doubles what it is asked for",
            found["half"] == limit,
        ),
        Step(
            f"{_TCP}='4096 {found['tcp']} {2 * found['tcp']}'",
            f"a new TCP socket that asks for nothing has {found['new']:,} bytes",
            "it does not limit the buffers that TCP sizes itself",
            found["new"] == found["tcp"] > 2 * limit,
        ),
        Step(
            f"{_TCP}='4096 {found['tcp']} {2 * found['tcp']}'",
            f"a socket from before has {found['old']:,} bytes as before",
            "sockets that exist keep their buffers",
            found["old"] == found["before"] != found["new"],
        ),
    ]
    numbers = (
        f"with rmem_max={limit} a program that asked for {_ABSURD:,} bytes got twice {limit:,}, and a TCP socket"
        f" that asked for nothing {found['new']:,}, as tcp_rmem said"
    )
    return Finding(steps, numbers, "this limits what a program asks for, and not what TCP takes itself")


PROOFS = (Proof(_KEY, "what SO_RCVBUF may ask for; it is the host's, and not changed", _receive, 1),)
