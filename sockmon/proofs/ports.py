"""Local ports: how many there are towards one destination, and which are not handed out."""

from __future__ import annotations

import os
import socket
from typing import Any

from sockmon.labs.namespaces import set_sysctl
from sockmon.labs.stage import Stage
from sockmon.proofs import sockets
from sockmon.proofs.apart import apart, in_a_new_namespace, sysctl
from sockmon.proofs.proof import Finding, Proof, Step

_RANGE = "net.ipv4.ip_local_port_range"
_RESERVED = "net.ipv4.ip_local_reserved_ports"
_FEW, _MORE, _KEPT_BACK = 20, 50, 8
_LOW = sockets.LOW
_SECOND = sockets.PORT + 1


def _fillings() -> tuple[list[int], str]:
    """Connections towards one destination and a second, then more of the first with a wider range; the range of a
    namespace that is made then."""
    with sockets.server(), sockets.server(_SECOND):
        sockets.port_range(_FEW)
        first, second = sockets.fill(), sockets.fill(port=_SECOND)
        sockets.port_range(_MORE)
        return [len(first), len(second), len(first + sockets.fill())], in_a_new_namespace(_RANGE)


def _port_range(stage: Stage) -> Finding:
    [[[first, second, wider], elsewhere]] = apart(stage, 1, _fillings, ())
    few, more = f"{_LOW} {_LOW + _FEW - 1}", f"{_LOW} {_LOW + _MORE - 1}"
    steps = [
        Step(
            f'{_RANGE}="{few}"',
            f"{first} connections towards one destination, then EADDRNOTAVAIL; {second} more towards a second",
            "the limit is towards each destination",
            (first, second) == (_FEW, _FEW),
        ),
        Step(
            f'{_RANGE}="{more}"',
            f"{wider} connections towards the first, those from before included",
            "it counts at once, and open connections stay",
            wider == _MORE,
        ),
        Step(
            f'{_RANGE}="{more}"',
            f"a network namespace that was made then has {elsewhere}",
            "each namespace begins with the default",
            elsewhere != more,
        ),
        _inbound(stage),
    ]
    numbers = (
        f"{first} connections towards one destination, {second} more towards a second with ip_local_port_range of"
        f" {_FEW} ports, and {wider} towards the first with {_MORE}"
    )
    return Finding(steps, numbers, "this limits the connections towards each destination, at once")


def _accepting() -> list[int]:
    """Connections that a server takes whose own range is far smaller; clients from two addresses."""
    with sockets.server() as listener:
        sockets.port_range(_FEW)
        total = sum(len(sockets.fill(source=source)) for source in ("127.0.0.2", "127.0.0.3", "127.0.0.4"))
        return [total, sockets.queued(listener)]


def _inbound(stage: Stage) -> Step:
    [[clients, accepted]] = apart(stage, 1, _accepting, ())
    return Step(
        f'{_RANGE}="{_LOW} {_LOW + _FEW - 1}"',
        f"a server took {accepted} connections from three addresses",
        "it does not limit a server, and each source address has as many",
        clients == accepted == 3 * _FEW,
    )


def _write_nothing(key: str) -> None:
    door = os.open(f"/proc/sys/{key.replace('.', '/')}", os.O_WRONLY)
    os.write(door, b"")
    os.close(door)


def _reserving() -> dict[str, Any]:
    """Connections with ports reserved, whether one of those can be had by its number, and then without."""
    with sockets.server():
        sockets.port_range(_FEW)
        set_sysctl(_RESERVED, f"{_LOW}-{_LOW + _KEPT_BACK - 1}")
        held = sockets.fill()
        ours = [client.getsockname()[1] for client in held]
        by_number = socket.create_connection((sockets.LOOPBACK, sockets.PORT), source_address=("", _LOW))
        _write_nothing(_RESERVED)
        after = sysctl(_RESERVED)
        set_sysctl(_RESERVED, "\n")
        more = sockets.fill()
        by_number.close()
        inside = sum(port < _LOW + _KEPT_BACK for port in ours)
        return {"first": len(held), "inside": inside, "after": after, "then": len(more)}


def _reserved(stage: Stage) -> Finding:
    [found] = apart(stage, 1, _reserving, ())
    steps = [
        Step(
            f"{_RESERVED}={_LOW}-{_LOW + _KEPT_BACK - 1}",
            f"{found['first']} of {_FEW} ports handed out, {found['inside']} of them reserved; port {_LOW} was had"
            " by its number",
            "reserved ports are not handed out, except to who asks for one by its number",
            (found["first"], found["inside"]) == (_FEW - _KEPT_BACK, 0),
        ),
        Step(
            f"{_RESERVED}=",
            f"a write of no bytes reported no error, and left {found['after']}",
            "it is emptied by a line feed, not by nothing",
            bool(found["after"]),
        ),
        Step(
            f"{_RESERVED}=",
            f"{found['then']} more handed out: the range is used up",
            "it counts at once",
            found["then"] == _KEPT_BACK - 1,
        ),
    ]
    numbers = (
        f"of {_FEW} ports {found['first']} were handed out with {_KEPT_BACK} in ip_local_reserved_ports, and"
        f" {found['then']} more when it was empty again"
    )
    return Finding(steps, numbers, "reserved ports are handed out only to who asks for one by its number")


PROOFS = (
    Proof(_RANGE, "the ports towards each destination, and not of the host", _port_range, 1),
    Proof(_RESERVED, "ports that are handed out only by their number", _reserved, 1),
)
