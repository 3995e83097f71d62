"""The loads of tests/host_runs.py: each one reaches a host-wide limit that was lowered.

The pauses of a worker set the pace that the recording shows."""

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

from sockmon.sandbox.loads.aio import io_setup
from sockmon.sandbox.loads.connections import accept_and_hold, hold_open
from sockmon.sandbox.loads.port_numbers import SINK, WEB
from sockmon.sandbox.loads.threads import STACK_BYTES, is_greeted, start_thread_for
from sockmon.sandbox.loads.tracking import enable_conntrack
from sockmon.sandbox.namespaces import enter, set_sysctl
from sockmon.sandbox.sockets import connect, listen
from sockmon.sandbox.workers import FOREVER, WorkerGroup

NOBODY = 65534
FILES, WATCHES, THREADS = 400, 2000, 320
PAGES = 4000
"""TCP and UDP memory; well above the 256 pages that each processor reserves at once."""
ORPHANS = 64
NEIGHBOURS = 1024
PEERS = 1500
BUCKETS = 1024
BACKLOG, PORTS = 200, 300

_SO_RCVBUFFORCE = 33


@dataclass(frozen=True)
class Run:
    """One limit: what is set, what is built, and how it is recorded."""

    settings: Callable[[], dict[str, str]]
    """Called just before the run: it adds what is in use already."""
    build: Callable[[WorkerGroup], None]
    seconds: float = 9.0
    interval: float = 1.0


def _become_nobody() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def _file_max() -> dict[str, str]:
    used = int(Path("/proc/sys/fs/file-nr").read_text().split()[0])
    return {"fs.file-max": str(used + FILES)}


def _open_sockets() -> Iterator[float]:
    """Open a fifth of what is left five times per second, also after a refusal: other processes close some."""
    _become_nobody()
    held: list[socket.socket] = []
    yield 1.0
    while True:
        try:
            used, _, maximum = map(int, Path("/proc/sys/fs/file-nr").read_text().split())
            for _ in range(max(maximum - used, FILES) // 5):
                # Not a comprehension, which would lose what was opened before the refusal.
                held += [socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]
        except OSError as error:
            if error.errno != errno.ENFILE:
                raise
        yield 0.2


def _system_fds(workers: WorkerGroup) -> None:
    workers.start("gatherer", _open_sockets)


def _accept_and_watch(listener: socket.socket) -> Iterator[float]:
    """Be an epoll server that ignores the error, and keeps connections that it could not watch."""
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


def _connect_in_steps(total: int, step: int) -> Iterator[float]:
    """Connect `total` clients, `step` of them each half second."""
    held: list[socket.socket] = []
    yield 0.5
    while len(held) < total:
        held += [connect("127.0.0.1", WEB) for _ in range(step)]
        yield 0.5
    yield FOREVER


def _epoll_watches(workers: WorkerGroup) -> None:
    with listen(WEB) as listener:
        workers.start("event-server", partial(_accept_and_watch, listener))
    workers.start("clients", partial(_connect_in_steps, WATCHES + 200, 200))


def _tcp_mem() -> dict[str, str]:
    pages = Path("/proc/net/sockstat").read_text().split(" mem ")[1].split()[0]
    low = int(pages) + PAGES // 2
    return {"net.ipv4.tcp_mem": f"{low} {low + PAGES // 2} {low + 2 * PAGES}"}


def _send_more(clients: int) -> Iterator[float]:
    """Let each client send 16 kB twice per second, whether it is read or not."""
    held = [connect("127.0.0.1", WEB) for _ in range(clients)]
    for client in held:
        client.setblocking(False)
    yield 0.5
    while True:
        for client in held:
            with suppress(BlockingIOError):
                client.send(bytes(16384))
        yield 0.5


def _tcp_memory(workers: WorkerGroup) -> None:
    with listen(WEB) as listener:
        workers.start("archive", partial(accept_and_hold, listener, 200))
    workers.start("producers", partial(_send_more, 200))


def _udp_mem() -> dict[str, str]:
    return {"net.ipv4.udp_mem": f"{PAGES} {PAGES * 3 // 2} {PAGES * 2}"}


def _send_datagrams(addresses: list[tuple[str, int]]) -> Iterator[float]:
    """Send about 2 MB per half second, whether they are read or not."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        yield 0.5
        while True:
            for address in addresses:
                for _ in range(64):
                    sender.sendto(bytes(1400), address)
            yield 0.5


def _udp_memory(workers: WorkerGroup) -> None:
    receivers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(16)]
    for number, receiver in enumerate(receivers):
        receiver.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 4 << 20)
        receiver.bind(("127.0.0.1", 5140 + number))
    addresses = [receiver.getsockname() for receiver in receivers]
    workers.start("collector", partial(hold_open, *receivers))
    for receiver in receivers:
        receiver.close()
    workers.start("senders", partial(_send_datagrams, addresses))


def _max_orphans() -> dict[str, str]:
    return {"net.ipv4.tcp_max_orphans": str(ORPHANS)}


def _serve_and_close(listener: socket.socket, total: int) -> Iterator[float]:
    """Fill the buffer of each client, then close 16 connections per second with that data unread."""
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


def _tcp_orphans(workers: WorkerGroup) -> None:
    with listen(WEB) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        workers.start("download", partial(_serve_and_close, listener, 160))
    workers.start("clients", partial(_connect_and_never_read, 160))


def _connect_and_never_read(total: int) -> Iterator[float]:
    """Be clients with small windows that never read."""
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
    threading.stack_size(STACK_BYTES)
    yield 0.0
    while True:
        start_thread_for(listener.accept()[0])


def _connect_repeatedly() -> Iterator[float]:
    """Connect 20 clients each 50 ms, again after the server has closed one."""
    held = []
    yield 0.4
    while True:
        for _ in range(20):
            client = connect("127.0.0.1", WEB)
            if not is_greeted(client):
                client.close()
                break
            held.append(client)
        yield 0.05


def _threads_max(workers: WorkerGroup) -> None:
    with listen(WEB) as listener:
        workers.start("thread-server", partial(_thread_server, listener))
    workers.start("clients", _connect_repeatedly)


def _thresholds() -> dict[str, str]:
    keys = [f"net.ipv4.neigh.default.gc_thresh{number}" for number in (1, 2, 3)]
    return dict(zip(keys, ("128", "512", str(NEIGHBOURS)), strict=True))


def _answer_for_all(outside: int) -> Iterator[float]:
    """Be a flat network at the other end of `uplink`, in which this namespace answers for every address."""
    enter(user_namespace=False)
    _ip(
        f"link add lan type veth peer name uplink netns {outside}",
        "link set lan up",
        "addr add 10.9.255.254/16 dev lan",
        "route add local 10.9.0.0/17 dev lo",
    )
    yield FOREVER


def _scan() -> Iterator[float]:
    """Send a datagram to each of 1,500 neighbours, 300 of them each half second, again and again."""
    addresses = cycle([(f"10.9.{number >> 8}.{number & 255}", 9) for number in range(1, PEERS + 1)])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        yield 0.5
        while True:
            for _ in range(300):
                with suppress(OSError):
                    sender.sendto(b"?", next(addresses))
            yield 0.5


def _neighbours(workers: WorkerGroup) -> None:
    workers.start("lan", partial(_answer_for_all, os.getpid()))
    workers.wait()
    _ip("addr add 10.9.255.253/16 dev uplink", "link set uplink up")
    workers.start("scanner", _scan)


def _backlog() -> dict[str, str]:
    return {"net.core.netdev_max_backlog": str(BACKLOG)}


def _broadcast() -> Iterator[float]:
    """Broadcast ten datagrams each half second; the bridge copies each to all its ports at once."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        yield 2.0
        while True:
            for _ in range(10):
                sender.sendto(b"anyone?", ("10.9.255.255", 9))
            yield 0.5


def _softnet(workers: WorkerGroup) -> None:
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
    workers.start("discovery", _broadcast)


def _ip(*commands: str) -> None:
    """Run `commands` with ip(8); raise RuntimeError with its message if one fails."""
    done = subprocess.run(
        ["ip", "-batch", "-"], input="\n".join(commands), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"ip: {done.stderr.strip()}")


def _reserve_requests() -> Iterator[float]:
    """Reserve a quarter of fs.aio-max-nr each second, then what is left of it."""
    free = _free_requests()
    yield 1.0
    for _ in range(3):
        io_setup(free // 4)
        yield 1.0
    io_setup(_free_requests())
    try:
        io_setup(1)
    except OSError as error:
        if error.errno != errno.EAGAIN:
            raise
    yield FOREVER


def _free_requests() -> int:
    used, maximum = (int(Path("/proc/sys/fs", name).read_text()) for name in ("aio-nr", "aio-max-nr"))
    return maximum - used


def _aio_events(workers: WorkerGroup) -> None:
    workers.start("database", _reserve_requests)


def _few_buckets() -> dict[str, str]:
    return {"net.netfilter.nf_conntrack_buckets": str(BUCKETS), "net.netfilter.nf_conntrack_max": str(262_144)}


def _many_flows(total: int) -> Iterator[float]:
    """Send a datagram of each of `total` flows, a twentieth of them each half second; the kernel refuses some."""
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        yield 0.0
        for number in range(total):
            with suppress(PermissionError):
                sender.sendto(b"", (f"127.{2 + (number >> 16)}.{number >> 8 & 255}.{number & 255}", SINK))
            if number % (total // 20) == 0:
                yield 0.5
    yield FOREVER


def _conntrack_buckets(workers: WorkerGroup) -> None:
    enable_conntrack()
    set_sysctl("net.netfilter.nf_conntrack_udp_timeout", "3600")
    workers.start("resolver", partial(_many_flows, 40_000))


RUNS = {
    "aio-events": Run(dict, _aio_events),
    "system-fds": Run(_file_max, _system_fds, seconds=5.0, interval=0.5),
    "epoll-watches": Run(lambda: {"fs.epoll.max_user_watches": str(WATCHES)}, _epoll_watches, seconds=12.0),
    "tcp-memory": Run(_tcp_mem, _tcp_memory),
    "udp-memory": Run(_udp_mem, _udp_memory),
    "tcp-orphans": Run(_max_orphans, _tcp_orphans),
    "threads-max": Run(_threads, _threads_max, seconds=3.0, interval=0.25),
    "neighbour-table": Run(_thresholds, _neighbours, seconds=6.0, interval=0.5),
    "conntrack-buckets": Run(_few_buckets, _conntrack_buckets, seconds=14.0),
    "softnet-backlog": Run(_backlog, _softnet),
}
