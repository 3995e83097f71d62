"""What the states are made of: connections by the hundred thousand, processes, flows, network namespaces."""

from __future__ import annotations

import os
import resource
import signal
import socket
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from sockmon.kernel.meminfo import parse_available
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.child_process import fork
from sockmon.sandbox.loads import ports
from sockmon.sandbox.namespaces import enter, set_sysctl
from sockmon.sandbox.workers import FOREVER, Worker
from tests.conntrack_entries import create_flows, one_client

LISTENERS = 9
"""Listeners of each process that holds connections."""
MAX_PAIRS = 9_000
"""Connections of one process, both ends."""
STARTING = 16
"""Processes that are started at the same time."""
BYTES_PER_SOCKET = 5_000
"""Kernel memory of a connected socket with its file, and the object in the process that holds it."""
SPARE_DESCRIPTORS = 100
CONNECTIONS_PER_SECOND = 200
SHORT_LIVED_DESCRIPTORS = 20
LIVING = 10
"""Processes of a kind that live at the same time while they come and go."""


def sockets_possible(wanted: int) -> int:
    """Return how many sockets this machine has room for, at most `wanted`: half of its free memory, and half of
    the open files that the host may still have."""
    free = parse_available(Path("/proc/meminfo").read_bytes()) // 2 // BYTES_PER_SOCKET
    used, _, most = map(int, Path("/proc/sys/fs/file-nr").read_text().split())
    return max(min(wanted, free, (most - used) // 2), 0)


def own_hash_table(entries: int) -> None:
    """Move into a network namespace whose sockets have a hash table of their own (Linux 6.1, tcp_set_hashinfo), of
    `entries`; 0: as large as that of the host. Else each dump would walk over the sockets of the whole host."""
    sysctls = Path("/proc/sys/net/ipv4")
    if not Path(sysctls, "tcp_child_ehash_entries").exists():
        return
    size = entries or abs(int(Path(sysctls, "tcp_ehash_entries").read_text()))
    set_sysctl("net.ipv4.tcp_child_ehash_entries", str(size))
    enter(user_namespace=False)


def hold_connections(builder: LabBuilder, sockets: int) -> None:
    """Start processes that hold so many connected sockets, both ends of each connection in one process."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    largest = min(MAX_PAIRS, (hard - SPARE_DESCRIPTORS) // 2)
    pairs = sockets // 2
    for number, begin in enumerate(range(0, pairs, largest)):
        builder.start("holder", partial(_hold_pairs, number, min(largest, pairs - begin)))
        if number % STARTING == STARTING - 1:
            builder.wait()
    builder.wait()


def _hold_pairs(number: int, pairs: int) -> Iterator[float]:
    listeners = [
        socket.create_server((f"127.0.{number + 1}.{each + 1}", 9000 + each), backlog=4096)
        for each in range(LISTENERS)
    ]
    held = []
    for each in range(pairs):
        listener = listeners[each % LISTENERS]
        held.append(socket.create_connection(listener.getsockname()))
        held.append(listener.accept()[0])
    yield FOREVER
    del held


def hold_processes(builder: LabBuilder, processes: int, descriptors: int) -> None:
    """Start processes that sleep, with so many descriptors each."""
    for number in range(processes):
        builder.start("sleeper", partial(_sleep, descriptors))
        if number % STARTING == STARTING - 1:
            builder.wait()
    builder.wait()


def _sleep(descriptors: int) -> Iterator[float]:
    held = [os.dup(0) for _ in range(descriptors - 3)]
    yield FOREVER
    del held


def hold_time_wait(builder: LabBuilder, sockets: int) -> None:
    """Start connections that are in TIME_WAIT, and made again when their minute is over."""
    ports.start_time_wait(builder.workers, sockets)
    builder.wait()


def track_flows(builder: LabBuilder, entries: int) -> None:
    """Fill the connection tracking table of this namespace; the flows stay for a day."""
    create_flows(entries, one_client)


def entries_possible(wanted: int) -> int:
    """Return how many tracked flows the host allows, at most `wanted`: its net.netfilter.nf_conntrack_max."""
    path = Path("/proc/sys/net/netfilter/nf_conntrack_max")
    return min(wanted, int(path.read_text()) - 1000) if path.exists() else wanted


def hold_namespaces(builder: LabBuilder, namespaces: int) -> None:
    """Start processes in network namespaces of their own, each with a few sockets; the first one is ours."""
    for number in range(namespaces - 1):
        builder.start("container", partial(_serve_alone, number))
        if number % STARTING == STARTING - 1:
            builder.wait()
    builder.wait()


def _serve_alone(number: int) -> Iterator[float]:
    enter(user_namespace=False)
    server = socket.create_server(("127.0.0.1", 8080))
    held = [socket.create_connection(server.getsockname()) for _ in range(2)]
    held += [server.accept()[0] for _ in range(2)]
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 5353))
    local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    local.bind(f"\0bench-{number}")
    yield FOREVER
    del held


def churn(builder: LabBuilder, seconds: float) -> None:
    """Let short connections, processes and network namespaces come and go for so many seconds."""
    ports.start_churn(builder.workers, CONNECTIONS_PER_SECOND, seconds)
    builder.start("process-churn", partial(_come_and_go, partial(_sleep, SHORT_LIVED_DESCRIPTORS), 0.2))
    builder.start("netns-churn", partial(_come_and_go, partial(_serve_alone, 0), 1.0))
    builder.wait()


def _come_and_go(worker: Worker, pause: float) -> Iterator[float]:
    """Start a process every `pause` seconds, and end the oldest of LIVING."""
    living: deque[int] = deque()
    while True:
        living.append(fork(partial(_live, worker)))
        if len(living) > LIVING:
            oldest = living.popleft()
            os.kill(oldest, signal.SIGKILL)
            os.waitpid(oldest, 0)
        yield pause


def _live(worker: Worker) -> None:
    """Be one of these processes, until it is killed."""
    for pause in worker():
        time.sleep(pause)
