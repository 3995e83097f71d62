"""bind(): who may take a low port, and what happens when ports are bound before a connection is made."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack
from typing import Any

from sockmon import privileges
from sockmon.labs.namespaces import set_sysctl
from sockmon.labs.stage import Stage
from sockmon.proofs import sockets
from sockmon.proofs.apart import apart
from sockmon.proofs.other import Other
from sockmon.proofs.proof import Finding, Proof, Step

_START = "net.ipv4.ip_unprivileged_port_start"
_RANGE = "net.ipv4.ip_local_port_range"
_REUSE = "net.ipv4.ip_autobind_reuse"
_PORTS = 20
_SECOND = sockets.PORT + 1


class _Service:
    """A program without any privilege, which binds ports and holds them."""

    def __init__(self) -> None:
        self.held = ExitStack()
        self.dropped = False

    def __call__(self, port: int) -> str:
        """The name of the error with which bind() failed, or nothing."""
        if not self.dropped:
            privileges.drop()
            self.dropped = True
        try:
            self.held.enter_context(sockets.server(port))
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        return ""


def _low_ports() -> dict[str, Any]:
    service = Other(_Service())
    set_sysctl(_START, "1024")
    found: dict[str, Any] = {"default": [service.ask(80), service.ask(1024)]}
    set_sysctl(_START, "80")
    found["lower"] = service.ask(80)
    set_sysctl(_START, "2000")
    found["higher"] = service.ask(1500)
    with socket.create_connection((sockets.LOOPBACK, 80), 5):
        found["range"] = _refused(_RANGE, "1500 40000")
    service.end()
    return found


def _refused(key: str, value: str) -> str:
    try:
        set_sysctl(key, value)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return ""


def _port_start(stage: Stage) -> Finding:
    [found] = apart(stage, 1, _low_ports, ())
    steps = [
        Step(
            f"{_START}=1024",
            f"without privilege bind() to 80 {_went(found['default'][0])}, to 1024 {_went(found['default'][1])}",
            "below this a port needs privilege",
            found["default"] == ["EACCES", ""],
        ),
        Step(f"{_START}=80", f"bind() to 80 {_went(found['lower'])}", "it counts at once", not found["lower"]),
        Step(
            f"{_START}=2000",
            f"bind() to 1500 {_went(found['higher'])}; the service on port 80 still took a connection",
            "what is bound stays bound",
            found["higher"] == "EACCES",
        ),
        Step(
            f"{_RANGE}='1500 40000'",
            f"the write {_went(found['range'])}",
            "the range of local ports cannot begin below this",
            found["range"] == "EINVAL",
        ),
    ]
    numbers = (
        f"without privilege bind() to port 80 {_went(found['default'][0])} with ip_unprivileged_port_start=1024"
        f" and {_went(found['lower'])} with 80"
    )
    return Finding(steps, numbers, "this is the first port that needs no privilege, at once, for new sockets")


def _went(error: str) -> str:
    return f"failed with {error}" if error else "succeeded"


def _bound(held: ExitStack, late: bool = False) -> list[socket.socket]:
    """Sockets with SO_REUSEADDR that are bound to port 0 until that fails, 20 at most; `late` leaves the port to
    connect()."""
    found: list[socket.socket] = []
    while len(found) < _PORTS:
        client = held.enter_context(socket.socket())
        client.settimeout(5)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if late:
            client.setsockopt(socket.IPPROTO_IP, sockets.IP_BIND_ADDRESS_NO_PORT, 1)
        try:
            client.bind((sockets.LOOPBACK, 0))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return found
        found.append(client)
    return found


def _connected(clients: list[socket.socket], port: int) -> int:
    """How many of them connect() to `port`; the others find no port (EADDRNOTAVAIL)."""
    through = 0
    for client in clients:
        try:
            client.connect((sockets.LOOPBACK, port))
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
        else:
            through += 1
    return through


def _sharing() -> dict[str, int]:
    with ExitStack() as held:
        held.enter_context(sockets.server())
        sockets.port_range(_PORTS)
        set_sysctl(_REUSE, "0")
        found = {"first": _connected(_bound(held), sockets.PORT), "none": len(_bound(held))}
        set_sysctl(_REUSE, "1")
        shared = _bound(held)
        return {**found, "shared": len(shared), "same": _connected(shared, sockets.PORT)}


def _bound_late() -> list[int]:
    """Connections to two destinations whose sockets left the port to connect()."""
    with ExitStack() as held:
        for port in (sockets.PORT, _SECOND):
            held.enter_context(sockets.server(port))
        sockets.port_range(_PORTS)
        set_sysctl(_REUSE, "0")
        return [_connected(_bound(held, late=True), port) for port in (sockets.PORT, _SECOND)]


def _autobind(stage: Stage) -> Finding:
    [found], [late] = apart(stage, 1, _sharing, ()), apart(stage, 1, _bound_late, ())
    steps = [
        Step(
            f"{_REUSE}=0",
            f"{found['first']} sockets with SO_REUSEADDR were bound to port 0 and connected, {found['none']} more"
            " for a second destination",
            "each port is bound once, whatever the destination",
            (found["first"], found["none"]) == (_PORTS, 0),
        ),
        Step(
            f"{_REUSE}=1",
            f"{found['shared']} more were bound, and {found['same']} of them connected to the first destination:"
            " EADDRNOTAVAIL",
            "bind() succeeds, and connect() fails where the connection exists already",
            (found["shared"], found["same"]) == (_PORTS, 0),
        ),
        Step(
            f"{_REUSE}=0",
            f"with IP_BIND_ADDRESS_NO_PORT on every socket {late[0]} connected to the first destination and"
            f" {late[1]} to a second",
            "this option of the socket is the cure",
            late == [_PORTS, _PORTS],
        ),
    ]
    numbers = (
        f"with {_PORTS} ports all bound, {found['none']} more sockets were bound with ip_autobind_reuse=0 and"
        f" {found['shared']} with 1, of which {found['same']} connected to the same destination"
    )
    return Finding(steps, numbers, "this lets bind() share a port, and makes no room towards a destination")


PROOFS = (
    Proof(_START, "the first port that needs no privilege", _port_start, 1),
    Proof(_REUSE, "bind() shares ports, and connect() to the same place fails", _autobind, 1),
)
