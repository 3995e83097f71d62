"""The loads of tests/host_runs.py: each drives the kernel to a limit of the whole host that was lowered.

A worker's pause between steps is the pace at which the recording shows it."""

from __future__ import annotations

import errno
import os
import select
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path

from sockmon.labs.crew import FOREVER, Crew
from sockmon.labs.loads.pairs import accept, connect, listen
from sockmon.labs.loads.places import WEB
from sockmon.labs.loads.threads import STACK, is_served, start_serving
from sockmon.labs.namespaces import enter, set_sysctl

NOBODY = 65534
FILES, WATCHES, THREADS = 400, 2000, 320
PAGES = 4000
"""Of TCP and UDP memory: well above the 256 that each processor takes from the account at once."""
ORPHANS = 64
NEIGHBOURS = 1024
PEERS = 1500
BACKLOG, PORTS = 200, 300

_SO_RCVBUFFORCE = 33


@dataclass(frozen=True)
class Run:
    """One limit: what is set, what is built, how it is recorded."""

    settings: Callable[[], dict[str, str]]
    """Called right before: what is in use already is added."""
    build: Callable[[Crew], None]
    seconds: float = 9.0
    interval: float = 1.0


def _become_nobody() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def _file_max() -> dict[str, str]:
    used = int(Path("/proc/sys/fs/file-nr").read_text().split()[0])
    return {"fs.file-max": str(used + FILES)}


def _opens_sockets() -> Iterator[float]:
    """Five times a second a fifth of what is left, and on after the first refusal: others close some too."""
    _become_nobody()
    held: list[socket.socket] = []
    yield 1.0
    while True:
        try:
            used, _, most = map(int, Path("/proc/sys/fs/file-nr").read_text().split())
            for _ in range(max(most - used, FILES) // 5):
                # Not a comprehension: what was opened before the refusal stays.
                held += [socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]
        except OSError as error:
            if error.errno != errno.ENFILE:
                raise
        yield 0.2


def _system_fds(crew: Crew) -> None:
    crew.start("gatherer", _opens_sockets)


def _accept_and_watch(listener: socket.socket) -> Iterator[float]:
    """An epoll server that keeps what it could not watch, as one does that ignores the error."""
    _become_nobody()
    poller, held = select.epoll(), []
    poller.register(listener)
    yield 0.0
    while True:
        held.append(listener.accept()[0])
        try:
            poller.register(held[-1])
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


def _come(total: int, step: int) -> Iterator[float]:
    """`total` clients, `step` of them each half second."""
    held: list[socket.socket] = []
    yield 0.5
    while len(held) < total:
        held += [connect("127.0.0.1", WEB) for _ in range(step)]
        yield 0.5
    yield FOREVER


def _epoll_watches(crew: Crew) -> None:
    with listen(WEB) as listener:
        crew.start("event-server", partial(_accept_and_watch, listener))
    crew.start("clients", partial(_come, WATCHES + 200, 200))


def _tcp_mem() -> dict[str, str]:
    pages = Path("/proc/net/sockstat").read_text().split(" mem ")[1].split()[0]
    low = int(pages) + PAGES // 2
    return {"net.ipv4.tcp_mem": f"{low} {low + PAGES // 2} {low + 2 * PAGES}"}


def _send_more(clients: int) -> Iterator[float]:
    """Each client sends 16 kB twice a second, read or not."""
    held = [connect("127.0.0.1", WEB) for _ in range(clients)]
    for client in held:
        client.setblocking(False)
    yield 0.5
    while True:
        for client in held:
            with suppress(BlockingIOError):
                client.send(bytes(16384))
        yield 0.5


def _tcp_memory(crew: Crew) -> None:
    with listen(WEB) as listener:
        crew.start("archive", partial(accept, listener, 200))
    crew.start("producers", partial(_send_more, 200))


def _udp_mem() -> dict[str, str]:
    return {"net.ipv4.udp_mem": f"{PAGES} {PAGES * 3 // 2} {PAGES * 2}"}


def _read_nothing(receivers: list[socket.socket]) -> Iterator[float]:
    yield FOREVER
    del receivers


def _datagrams(places: list[tuple[str, int]]) -> Iterator[float]:
    """Some 2 MB to each half second, read or not."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        yield 0.5
        while True:
            for place in places:
                for _ in range(64):
                    sender.sendto(bytes(1400), place)
            yield 0.5


def _udp_memory(crew: Crew) -> None:
    receivers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(16)]
    for number, receiver in enumerate(receivers):
        receiver.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 4 << 20)
        receiver.bind(("127.0.0.1", 5140 + number))
    places = [receiver.getsockname() for receiver in receivers]
    crew.start("collector", partial(_read_nothing, receivers))
    for receiver in receivers:
        receiver.close()
    crew.start("senders", partial(_datagrams, places))


def _max_orphans() -> dict[str, str]:
    return {"net.ipv4.tcp_max_orphans": str(ORPHANS)}


def _serve_and_close(listener: socket.socket, total: int) -> Iterator[float]:
    """Write to each client as much as goes, then close 16 a second with that unread."""
    held = [listener.accept()[0] for _ in range(total)]
    for client in held:
        client.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                client.send(bytes(4096))
    yield 0.5
    while held:
        for client in held[-8:]:
            client.close()
        del held[-8:]
        yield 0.5
    yield FOREVER


def _tcp_orphans(crew: Crew) -> None:
    with listen(WEB) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        crew.start("download", partial(_serve_and_close, listener, 160))
    crew.start("clients", partial(_hold_still, 160))


def _hold_still(total: int) -> Iterator[float]:
    """Clients with small windows that read nothing."""
    held = []
    for _ in range(total):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", WEB))
        held.append(client)
    yield FOREVER


def _threads() -> dict[str, str]:
    tasks = int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])
    return {"kernel.threads-max": str(tasks + THREADS)}


def _thread_server(listener: socket.socket) -> Iterator[float]:
    threading.stack_size(STACK)
    yield 0.0
    while True:
        start_serving(listener.accept()[0])


def _knock() -> Iterator[float]:
    """20 clients each 50 ms; who is hung up on comes again."""
    held = []
    yield 0.4
    while True:
        for _ in range(20):
            client = connect("127.0.0.1", WEB)
            if not is_served(client):
                client.close()
                break
            held.append(client)
        yield 0.05


def _threads_max(crew: Crew) -> None:
    with listen(WEB) as listener:
        crew.start("thread-server", partial(_thread_server, listener))
    crew.start("clients", _knock)


def _thresholds() -> dict[str, str]:
    keys = [f"net.ipv4.neigh.default.gc_thresh{number}" for number in (1, 2, 3)]
    return dict(zip(keys, ("128", "512", str(NEIGHBOURS)), strict=True))


def _answer_for_all(outside: int) -> Iterator[float]:
    """A flat network at the other end of `uplink`, with a host at every address: all are of this namespace."""
    enter(user_namespace=False)
    _ip(
        f"link add lan type veth peer name uplink netns {outside}",
        "link set lan up",
        "addr add 10.9.255.254/16 dev lan",
        "route add local 10.9.0.0/17 dev lo",
    )
    yield FOREVER


def _scan() -> Iterator[float]:
    """A datagram to each of 1,500 neighbours, 300 of them each half second, and again."""
    places = cycle([(f"10.9.{number >> 8}.{number & 255}", 9) for number in range(1, PEERS + 1)])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        yield 0.5
        while True:
            for _ in range(300):
                with suppress(OSError):
                    sender.sendto(b"?", next(places))
            yield 0.5


def _neighbours(crew: Crew) -> None:
    crew.start("lan", partial(_answer_for_all, os.getpid()))
    crew.wait()
    _ip("addr add 10.9.255.253/16 dev uplink", "link set uplink up")
    crew.start("scanner", _scan)


def _backlog() -> dict[str, str]:
    return {"net.core.netdev_max_backlog": str(BACKLOG)}


def _broadcast() -> Iterator[float]:
    """Ten datagrams to all each half second; the bridge copies each to all of its ports at once."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        yield 2.0
        while True:
            for _ in range(10):
                sender.sendto(b"anyone?", ("10.9.255.255", 9))
            yield 0.5


def _softnet(crew: Crew) -> None:
    set_sysctl("net.ipv6.conf.default.disable_ipv6", "1")
    set_sysctl("net.ipv6.conf.all.disable_ipv6", "1")
    ports = [
        line
        for number in range(PORTS)
        for line in (
            f"link add port{number} type veth peer name in{number}",
            f"link set port{number} master bridge0 up",
            f"link set in{number} up",
        )
    ]
    _ip(
        "link add bridge0 type bridge forward_delay 0",
        "link set bridge0 up",
        *ports,
        "addr add 10.9.0.1/16 brd + dev bridge0",
    )
    crew.start("discovery", _broadcast)


def _ip(*commands: str) -> None:
    """Let ip(8) do `commands`; RuntimeError with what it said where it could not."""
    done = subprocess.run(
        ["ip", "-batch", "-"], input="\n".join(commands), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"ip: {done.stderr.strip()}")


RUNS = {
    "system-fds": Run(_file_max, _system_fds, seconds=5.0, interval=0.5),
    "epoll-watches": Run(lambda: {"fs.epoll.max_user_watches": str(WATCHES)}, _epoll_watches, seconds=12.0),
    "tcp-memory": Run(_tcp_mem, _tcp_memory),
    "udp-memory": Run(_udp_mem, _udp_memory),
    "tcp-orphans": Run(_max_orphans, _tcp_orphans),
    "threads-max": Run(_threads, _threads_max, seconds=3.0, interval=0.25),
    "neighbour-table": Run(_thresholds, _neighbours, seconds=6.0, interval=0.5),
    "softnet-backlog": Run(_backlog, _softnet),
}
