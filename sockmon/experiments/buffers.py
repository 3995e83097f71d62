"""Receive buffers: what a program may request, and what the kernel uses by itself."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from sockmon.experiments.experiment import Experiment
from sockmon.model.experiment import Result, Step
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.namespaces import set_sysctl
from sockmon.sandbox.parallel import measure_in_namespaces

_KEY = "net.core.rmem_max"
_TCP = "net.ipv4.tcp_rmem"
_HUGE = 1 << 29


def _buffer_size(connection: socket.socket) -> int:
    return connection.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def _size_after_request(requested: int) -> int:
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, requested)
        return _buffer_size(datagrams)


def _sizes() -> dict[str, int]:
    limit = _size_after_request(_HUGE) // 2
    with ExitStack() as held:
        old = held.enter_context(socket.socket())
        before = _buffer_size(old)
        set_sysctl(_TCP, f"4096 {4 * limit} {8 * limit}")
        new = held.enter_context(socket.socket())
        return {
            "limit": limit,
            "half": _size_after_request(limit // 2),
            "tcp": 4 * limit,
            "new": _buffer_size(new),
            "before": before,
            "old": _buffer_size(old),
        }


def _receive(builder: LabBuilder) -> Result:
    [found] = measure_in_namespaces(builder, 1, _sizes, ())
    limit = found["limit"]
    steps = [
        Step(
            f"{_KEY}={limit}",
            f"SO_RCVBUF={_HUGE:,} gave {2 * limit:,} bytes, SO_RCVBUF={limit // 2:,} gave {found['half']:,}",
            "the largest request that is granted; the kernel doubles each request",
            found["half"] == limit,
        ),
        Step(
            f"{_TCP}='4096 {found['tcp']} {2 * found['tcp']}'",
            f"a new TCP socket without a request has {found['new']:,} bytes",
            "it does not limit the buffers that TCP sizes itself",
            found["new"] == found["tcp"] > 2 * limit,
        ),
        Step(
            f"{_TCP}='4096 {found['tcp']} {2 * found['tcp']}'",
            f"an existing socket still has {found['old']:,} bytes",
            "existing sockets keep their buffers",
            found["old"] == found["before"] != found["new"],
        ),
    ]
    numbers = (
        f"with rmem_max={limit} a program that requested {_HUGE:,} bytes got twice {limit:,}, and a TCP socket"
        f" without a request {found['new']:,}, as in tcp_rmem"
    )
    return Result(steps, numbers, "this limits what a program requests, but not what TCP uses itself")


EXPERIMENTS = (Experiment(_KEY, "the largest SO_RCVBUF; it is host-wide, and is only read", _receive, 1),)
