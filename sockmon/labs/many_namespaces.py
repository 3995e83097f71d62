"""A host of containers: hundreds of network namespaces at one bridge, of which three are in trouble."""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from sockmon.sandbox import namespaces
from sockmon.sandbox.bridge import GATEWAY, address_of, build_bridge, disable_ipv6, plug_in, wait_for_device
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.container_host import NERDCTL, POD, PODMAN, ContainerHost, Home, runtimes_in_turn
from sockmon.sandbox.loads.port_numbers import DATABASE, STUCK, WEB
from sockmon.sandbox.scenario import Expect, Lab
from sockmon.sandbox.sockets import LOOPBACK, connect, limit_port_range, listen, try_connect
from sockmon.sandbox.workers import FOREVER

SIZE = 200
BACKLOG, PORTS, NETFLOW, BUFFER = 16, 200, 2055, 65_536
MAX_AT_DATABASE = 40
"""Healthy containers with a connection over the bridge: the host's neighbour table has room for some hundreds."""
_BATCH = 16
"""Processes that start at the same time, each with a pipe to its parent."""
_READY_SECONDS = 60.0
_BEGUN = b"."
_SERVICES = ("cart", "search", "mail", "stock", "prices", "images", "login", "reports")

Sockets = list[socket.socket]


class _Sick(NamedTuple):
    """A container in trouble: what its process does, once it is at the bridge."""

    name: str
    runtime: str
    process: str
    work: Callable[[], Iterator[float]]


def _healthy(over_bridge: bool) -> Iterator[float]:
    """Serve a few connections, and hold a few sockets."""
    listener = listen(WEB)
    held: Sockets = [listener, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]
    held[1].bind((LOOPBACK, 8125))
    for _ in range(2):
        held += [connect(LOOPBACK, WEB), listener.accept()[0]]
    if over_bridge:
        held.append(connect(GATEWAY, DATABASE))
    yield FOREVER
    del held


def _never_accept() -> Iterator[float]:
    with listen(STUCK, BACKLOG):
        yield FOREVER


def _use_up_ports() -> Iterator[float]:
    limit_port_range(PORTS)
    held = [connect(GATEWAY, DATABASE) for _ in range(PORTS)]
    while held:
        yield 0.2
        # It fails with EADDRNOTAVAIL.
        held += filter(None, [try_connect(GATEWAY, DATABASE)])


def _never_receive() -> Iterator[float]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as netflow:
        netflow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        netflow.bind(("", NETFLOW))
        yield FOREVER


_SICK = (
    _Sick("checkout", PODMAN, "gunicorn", _never_accept),
    _Sick("payments-0", POD, "payments", _use_up_ports),
    _Sick("collector", NERDCTL, "nfcapd", _never_receive),
)
"""Their numbers, and so their addresses, are those of this order."""


def _container(home: Home, number: int, work: Callable[[], Iterator[float]], working: int) -> Iterator[float]:
    """Be the first process of a container; report on the pipe `working` that its work has begun, or why not."""
    home.join()
    namespaces.enter(user_namespace=False)
    disable_ipv6()
    yield 0.05
    try:
        yield from wait_for_device(address_of(number))
        steps = work()
        pause = next(steps)
    except OSError as error:
        os.write(working, f"{home.name}: {error.strerror}".encode())
        raise
    os.write(working, _BEGUN)
    while True:
        yield pause
        pause = next(steps, FOREVER)


def _serve_database(listener: socket.socket) -> Iterator[float]:
    """Accept every connection and hold it."""
    held: Sockets = []
    listener.setblocking(False)
    while True:
        try:
            held.append(listener.accept()[0])
        except BlockingIOError:
            yield 0.02


def _customers() -> Iterator[float]:
    """Fill the queue of the checkout, which holds one more than its backlog, then try again and again."""
    address = address_of(0)
    held = [connect(address, STUCK) for _ in range(BACKLOG + 1)]
    while held:
        with socket.socket() as client:
            client.setblocking(False)
            client.connect_ex((address, STUCK))
        yield 0.2


def _router() -> Iterator[float]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as exporter:
        exporter.connect((address_of(2), NETFLOW))
        while True:
            for _ in range(50):
                exporter.send(bytes(1000))
            yield 0.1


def _plan(size: int) -> Iterator[_Sick]:
    """Yield the containers by their number: the sick ones, then healthy ones of every runtime."""
    yield from _SICK
    for number, runtime in zip(range(size - len(_SICK)), runtimes_in_turn(), strict=False):
        service = _SERVICES[number % len(_SERVICES)]
        yield _Sick(f"{service}-{number}", runtime, service, partial(_healthy, number < MAX_AT_DATABASE))


def _build(builder: LabBuilder) -> None:
    disable_ipv6()
    build_bridge()
    host = ContainerHost(builder)
    with listen(DATABASE) as listener:
        builder.start("postgres", partial(_serve_database, listener))
    working, to_parent = os.pipe()
    pids: dict[int, int] = {}
    homes: dict[int, Home] = {}
    for number, member in enumerate(_plan(builder.size)):
        homes[number] = host.home(member.name, member.runtime)
        worker = partial(_container, homes[number], number, member.work, to_parent)
        pids[number] = builder.start(member.process, worker)
        if len(homes) == _BATCH or number == builder.size - 1:
            builder.wait()
            for each, home in homes.items():
                home.attach(pids[each])
            plug_in({each: pids[each] for each in homes})
            homes.clear()
            builder.progress(len(pids) / builder.size, f"{len(pids)} network namespaces")
    host.finish()
    os.close(to_parent)
    _await(working, builder.size)
    builder.start("customers", _customers)
    builder.start("router", _router)
    builder.facts["runtimes"] = list(host.runtimes)


def _await(working: int, wanted: int) -> None:
    """Wait until so many containers have begun to work."""
    deadline, begun = time.monotonic() + _READY_SECONDS, 0
    while begun < wanted:
        ready = select.select([working], [], [], max(0.0, deadline - time.monotonic()))[0]
        found = os.read(working, 4096) if ready else b""
        if not found:
            raise RuntimeError(f"{wanted - begun} of {wanted} containers did not begin to work")
        if failed := found.strip(_BEGUN):
            raise RuntimeError(failed.decode())
        begun += len(found)
    os.close(working)


LAB = Lab(
    name="many-namespaces",
    ceiling="ephemeral-ports",
    title="many containers, of which three are in trouble",
    scenario="Many containers at one bridge: one has no ports left, one never accepts, one loses datagrams.",
    what_to_see="payments-0 at 200/200 ports, checkout with a full queue, collector's drops",
    claim="every network namespace is judged: the sick ones come first with their names, healthy ones are silent",
    build=_build,
    expect_first=Expect(
        "ephemeral-ports", r"→ 10\.200\.0\.1:5432$", (PORTS, PORTS), (PORTS, PORTS), ("hit",), netns="payments-0$"
    ),
    expect_also=(
        Expect(
            "accept-queue", r":8081 gunicorn\[\d+\]$", (BACKLOG + 1, BACKLOG + 1), (BACKLOG, BACKLOG), ("hit",),
            "application", netns="^checkout$",
        ),
        Expect("udp-buffers", r":2055 nfcapd\[\d+\]$", None, (2 * BUFFER,) * 2, ("hit",), netns="^collector$"),
    ),
    expect_no_alarm=(
        "accept-queue", "bound-ports", "ephemeral-ports", "process-fds", "syn-queue", "tcp-memory",
        "time-wait-buckets", "udp-buffers", "udp-ports",
    ),
    needs=("ip",),
    check_seconds=2.0,
    size=SIZE,
)  # fmt: skip
