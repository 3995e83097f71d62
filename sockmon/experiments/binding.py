"""bind(): which ports need privilege, and what happens if sockets are bound before they connect."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack
from typing import Any

from sockmon import privileges
from sockmon.experiments.experiment import Experiment
from sockmon.model.experiment import Result, Step
from sockmon.sandbox import sockets
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.child_process import ChildProcess
from sockmon.sandbox.namespaces import set_sysctl
from sockmon.sandbox.parallel import measure_in_namespaces

_START = "net.ipv4.ip_unprivileged_port_start"
_RANGE = "net.ipv4.ip_local_port_range"
_REUSE = "net.ipv4.ip_autobind_reuse"
_PORTS = 20
_SECOND = sockets.SERVER_PORT + 1


class _Service:
    """A program without privilege, which binds ports and holds them."""

    def __init__(self) -> None:
        self.held = ExitStack()
        self.dropped = False

    def __call__(self, port: int) -> str:
        """Return the name of the error with which bind() failed, or an empty string."""
        if not self.dropped:
            privileges.drop()
            self.dropped = True
        try:
            self.held.enter_context(sockets.listen(port))
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        return ""


def _low_ports() -> dict[str, Any]:
    service = ChildProcess(_Service())
    set_sysctl(_START, "1024")
    found: dict[str, Any] = {"default": [service.call(80), service.call(1024)]}
    set_sysctl(_START, "80")
    found["lower"] = service.call(80)
    set_sysctl(_START, "2000")
    found["higher"] = service.call(1500)
    with socket.create_connection((sockets.LOOPBACK, 80), 5):
        found["range"] = _refused(_RANGE, "1500 40000")
    service.kill()
    return found


def _refused(key: str, value: str) -> str:
    try:
        set_sysctl(key, value)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return ""


def _port_start(builder: LabBuilder) -> Result:
    [found] = measure_in_namespaces(builder, 1, _low_ports, ())
    steps = [
        Step(
            f"{_START}=1024",
            f"without privilege bind() to 80 {_outcome(found['default'][0])},"
            f" to 1024 {_outcome(found['default'][1])}",
            "a port below this needs privilege",
            found["default"] == ["EACCES", ""],
        ),
        Step(
            f"{_START}=80",
            f"bind() to 80 {_outcome(found['lower'])}",
            "it takes effect at once",
            not found["lower"],
        ),
        Step(
            f"{_START}=2000",
            f"bind() to 1500 {_outcome(found['higher'])}; the service on port 80 still accepted a connection",
            "bound ports stay bound",
            found["higher"] == "EACCES",
        ),
        Step(
            f"{_RANGE}='1500 40000'",
            f"the write {_outcome(found['range'])}",
            "ip_local_port_range cannot begin below this",
            found["range"] == "EINVAL",
        ),
    ]
    numbers = (
        f"without privilege bind() to port 80 {_outcome(found['default'][0])} with ip_unprivileged_port_start=1024"
        f" and {_outcome(found['lower'])} with 80"
    )
    return Result(
        steps, numbers, "this is the first port that needs no privilege; it takes effect at once for new sockets"
    )


def _outcome(error: str) -> str:
    return f"failed with {error}" if error else "succeeded"


def _bound(held: ExitStack, late: bool = False) -> list[socket.socket]:
    """Return up to 20 sockets with SO_REUSEADDR, bound to port 0 until that fails.

    With `late` bind() leaves the choice of the port to connect()."""
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
    """Return how many of them connect to `port`; for the others there is no port (EADDRNOTAVAIL)."""
    connected = 0
    for client in clients:
        try:
            client.connect((sockets.LOOPBACK, port))
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL:
                raise
        else:
            connected += 1
    return connected


def _share_ports() -> dict[str, int]:
    with ExitStack() as held:
        held.enter_context(sockets.listen())
        sockets.limit_port_range(_PORTS)
        set_sysctl(_REUSE, "0")
        found = {"first": _connected(_bound(held), sockets.SERVER_PORT), "none": len(_bound(held))}
        set_sysctl(_REUSE, "1")
        shared = _bound(held)
        return {**found, "shared": len(shared), "same": _connected(shared, sockets.SERVER_PORT)}


def _bind_late() -> list[int]:
    """Return the connections to two destinations with sockets that left the port to connect()."""
    with ExitStack() as held:
        for port in (sockets.SERVER_PORT, _SECOND):
            held.enter_context(sockets.listen(port))
        sockets.limit_port_range(_PORTS)
        set_sysctl(_REUSE, "0")
        return [_connected(_bound(held, late=True), port) for port in (sockets.SERVER_PORT, _SECOND)]


def _autobind(builder: LabBuilder) -> Result:
    [found], [late] = (
        measure_in_namespaces(builder, 1, _share_ports, ()),
        measure_in_namespaces(builder, 1, _bind_late, ()),
    )
    steps = [
        Step(
            f"{_REUSE}=0",
            f"{found['first']} sockets with SO_REUSEADDR were bound to port 0 and connected, {found['none']} more"
            " for a second destination",
            "each port is bound once, for all destinations together",
            (found["first"], found["none"]) == (_PORTS, 0),
        ),
        Step(
            f"{_REUSE}=1",
            f"{found['shared']} more were bound, and {found['same']} of them connected to the first destination:"
            " EADDRNOTAVAIL",
            "bind() succeeds, but connect() fails if the same connection exists already",
            (found["shared"], found["same"]) == (_PORTS, 0),
        ),
        Step(
            f"{_REUSE}=0",
            f"with IP_BIND_ADDRESS_NO_PORT on every socket {late[0]} connected to the first destination and"
            f" {late[1]} to a second",
            "this socket option is the solution",
            late == [_PORTS, _PORTS],
        ),
    ]
    numbers = (
        f"with {_PORTS} ports all bound, {found['none']} more sockets were bound with ip_autobind_reuse=0 and"
        f" {found['shared']} with 1, of which {found['same']} connected to the same destination"
    )
    return Result(steps, numbers, "bind() can share a port, but there are no more ports towards a destination")


EXPERIMENTS = (
    Experiment(_START, "the first port that needs no privilege", _port_start, 1),
    Experiment(_REUSE, "bind() can share ports, but connect() to the same destination fails", _autobind, 1),
)
