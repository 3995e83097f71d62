"""Local ports: how many there are towards one destination, and which of them the kernel does not choose."""

from __future__ import annotations

import os
import socket
from typing import Any

from sockmon.experiments.experiment import Experiment
from sockmon.model.experiment import Result, Step
from sockmon.sandbox import sockets
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.namespaces import set_sysctl
from sockmon.sandbox.parallel import measure_in_namespaces, read_sysctl, sysctl_in_new_namespace

_RANGE = "net.ipv4.ip_local_port_range"
_RESERVED = "net.ipv4.ip_local_reserved_ports"
_NARROW, _WIDE, _RESERVED_PORTS = 20, 50, 8
_LOW = sockets.FIRST_PORT
_SECOND = sockets.SERVER_PORT + 1


def _use_up_ports() -> tuple[list[int], str]:
    """Connect to one destination and a second, then to the first with a wider range; return the numbers.

    Also return the range of a namespace that is made then."""
    with sockets.listen(), sockets.listen(_SECOND):
        sockets.limit_port_range(_NARROW)
        first, second = sockets.connect_until_no_port(), sockets.connect_until_no_port(port=_SECOND)
        sockets.limit_port_range(_WIDE)
        return [len(first), len(second), len(first + sockets.connect_until_no_port())], sysctl_in_new_namespace(
            _RANGE
        )


def _port_range(builder: LabBuilder) -> Result:
    [[[first, second, wider], new_namespace]] = measure_in_namespaces(builder, 1, _use_up_ports, ())
    narrow, wide = f"{_LOW} {_LOW + _NARROW - 1}", f"{_LOW} {_LOW + _WIDE - 1}"
    steps = [
        Step(
            f'{_RANGE}="{narrow}"',
            f"{first} connections towards one destination, then EADDRNOTAVAIL; {second} more towards a second",
            "the limit applies to each destination",
            (first, second) == (_NARROW, _NARROW),
        ),
        Step(
            f'{_RANGE}="{wide}"',
            f"{wider} connections towards the first, including the earlier ones",
            "it takes effect at once, and open connections stay",
            wider == _WIDE,
        ),
        Step(
            f'{_RANGE}="{wide}"',
            f"a network namespace that was created then has {new_namespace}",
            "each namespace starts with the default",
            new_namespace != wide,
        ),
        _inbound(builder),
    ]
    numbers = (
        f"{first} connections towards one destination, {second} more towards a second with ip_local_port_range of"
        f" {_NARROW} ports, and {wider} towards the first with {_WIDE}"
    )
    return Result(steps, numbers, "this limits the connections towards each destination, at once")


def _accept_many() -> list[int]:
    """Connect from three addresses to a server in the same namespace; return how many connected, and its queue."""
    with sockets.listen() as listener:
        sockets.limit_port_range(_NARROW)
        total = sum(
            len(sockets.connect_until_no_port(source=source)) for source in ("127.0.0.2", "127.0.0.3", "127.0.0.4")
        )
        return [total, sockets.accept_queue_length(listener)]


def _inbound(builder: LabBuilder) -> Step:
    [[clients, accepted]] = measure_in_namespaces(builder, 1, _accept_many, ())
    return Step(
        f'{_RANGE}="{_LOW} {_LOW + _NARROW - 1}"',
        f"a server accepted {accepted} connections from three addresses",
        "it does not limit a server, and each source address has its own ports",
        clients == accepted == 3 * _NARROW,
    )


def _write_nothing(key: str) -> None:
    descriptor = os.open(f"/proc/sys/{key.replace('.', '/')}", os.O_WRONLY)
    os.write(descriptor, b"")
    os.close(descriptor)


def _reserve() -> dict[str, Any]:
    """Connect with reserved ports, from one of them by number, and then without reserved ports."""
    with sockets.listen():
        sockets.limit_port_range(_NARROW)
        set_sysctl(_RESERVED, f"{_LOW}-{_LOW + _RESERVED_PORTS - 1}")
        held = sockets.connect_until_no_port()
        local_ports = [client.getsockname()[1] for client in held]
        by_number = socket.create_connection((sockets.LOOPBACK, sockets.SERVER_PORT), source_address=("", _LOW))
        _write_nothing(_RESERVED)
        after = read_sysctl(_RESERVED)
        set_sysctl(_RESERVED, "\n")
        more = sockets.connect_until_no_port()
        by_number.close()
        inside = sum(port < _LOW + _RESERVED_PORTS for port in local_ports)
        return {"first": len(held), "inside": inside, "after": after, "then": len(more)}


def _reserved(builder: LabBuilder) -> Result:
    [found] = measure_in_namespaces(builder, 1, _reserve, ())
    steps = [
        Step(
            f"{_RESERVED}={_LOW}-{_LOW + _RESERVED_PORTS - 1}",
            f"{found['first']} of {_NARROW} ports were used, {found['inside']} of them reserved; bind() to {_LOW}"
            " succeeded",
            "the kernel does not choose reserved ports; a program can still request one by number",
            (found["first"], found["inside"]) == (_NARROW - _RESERVED_PORTS, 0),
        ),
        Step(
            f"{_RESERVED}=",
            f"a write of zero bytes reported no error, and left {found['after']}",
            "a line feed empties the list, an empty write does not",
            bool(found["after"]),
        ),
        Step(
            f"{_RESERVED}=",
            f"{found['then']} more were used: the range is exhausted",
            "it takes effect at once",
            found["then"] == _RESERVED_PORTS - 1,
        ),
    ]
    numbers = (
        f"of {_NARROW} ports {found['first']} were used with {_RESERVED_PORTS} in ip_local_reserved_ports, and"
        f" {found['then']} more when it was empty again"
    )
    return Result(
        steps, numbers, "the kernel never chooses a reserved port, but a program can request one by number"
    )


EXPERIMENTS = (
    Experiment(_RANGE, "limits the connections per destination, not per host", _port_range, 1),
    Experiment(_RESERVED, "reserved ports are used only if a program requests one by number", _reserved, 1),
)
