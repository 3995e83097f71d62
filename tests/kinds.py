"""What a load can be made of: one function a kind, real sockets on loopback, run inside a private namespace.

Ports of the listeners are fixed and below every ephemeral range: who reads `ss` knows which kind it sees.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import resource
import socket
import struct
import subprocess
from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import chain, count, islice
from pathlib import Path
from shutil import which
from time import monotonic

from tests.crew import FOREVER, Crew
from tests.netns import TOOLS, set_sysctl

WEB, STUCK, TIME_WAIT, FORGETFUL, FIN_WAIT, HALF_OPEN, SIX, MAPPED, CHURN, SINK, DATABASE = (
    8080, 8081, 8090, 8082, 8083, 8084, 8086, 8087, 8088, 9000, 5432,
)  # fmt: skip
LOW = 40000
"""First port of a narrowed ip_local_port_range."""
PER_PROCESS = 15_000
"""Sockets that one process holds at most; the hard limit may say less."""
TIME_WAIT_SECONDS = 60

_SO_ATTACH_FILTER = 26
_IP_BIND_ADDRESS_NO_PORT = 24
_TCP_REPAIR = 19
_FIN_WAIT2 = 5


def port_range() -> tuple[int, int]:
    """net.ipv4.ip_local_port_range of this namespace, both ends included."""
    low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    return int(low), int(high)


def narrow(ports: int) -> None:
    """Leave `ports` ephemeral ports, from LOW on."""
    set_sysctl("net.ipv4.ip_local_port_range", f"{LOW} {LOW + ports - 1}")


def parts(total: int) -> Iterator[int]:
    """`total` cut into what single processes can hold."""
    most = min(PER_PROCESS, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100)
    while total > 0:
        yield min(most, total)
        total -= most


def listen(port: int, backlog: int = 4096, family: int = socket.AF_INET) -> socket.socket:
    """A listening socket on every address; an IPv6 one takes IPv4 too."""
    return socket.create_server(
        ("", port), family=family, backlog=backlog, dualstack_ipv6=family == socket.AF_INET6
    )


def connect(address: str, port: int, source: str = "") -> socket.socket:
    """A connected socket, from `source` with a port that the kernel chooses at connect()."""
    client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    if source:
        client.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
        client.bind((source, 0))
    client.connect((address, port))
    return client


def accept(listener: socket.socket, total: int) -> Iterator[float]:
    """Accept `total` connections and hold them."""
    held = [listener.accept()[0] for _ in range(total)]
    yield FOREVER
    del held


def serve(crew: Crew, name: str, port: int, total: int, family: int = socket.AF_INET) -> None:
    """Processes that share one listener and accept `total` connections between them, as prefork servers do."""
    with listen(port, family=family) as listener:
        for part in parts(total):
            crew.start(name, partial(accept, listener, part))


def hold(address: str, port: int, sources: Iterator[str], total: int) -> Iterator[float]:
    """Connect `total` times and stay."""
    held = [connect(address, port, source) for source in islice(sources, total)]
    yield FOREVER
    del held


def established(crew: Crew, total: int) -> None:
    """Many clients of one healthy server."""
    serve(crew, "web-server", WEB, total)
    low, high = port_range()
    each = min(250, max(1, (high - low) // 4))
    addresses = (f"127.1.{number >> 8 & 255}.{number & 255}" for number in count(1))
    sources = chain.from_iterable([address] * each for address in addresses)
    for part in parts(total):
        crew.start("clients", partial(hold, "127.0.0.1", WEB, iter(list(islice(sources, part))), part))


def ports(crew: Crew, used: int, listener_inside: bool) -> None:
    """A proxy with `used` connections to one database."""
    port = LOW + 7 if listener_inside else DATABASE
    serve(crew, "database", port, used)
    for part in parts(used):
        crew.start("proxy", partial(hold, "127.0.0.1", port, iter([""] * part), part))


def six(crew: Crew, total: int, mapped: bool) -> None:
    """Pairs of AF_INET6 sockets, over IPv6 or over IPv4."""
    port, address = (MAPPED, "::ffff:127.0.0.1") if mapped else (SIX, "::1")
    serve(crew, "server-mapped" if mapped else "server-v6", port, total, socket.AF_INET6)
    for part in parts(total):
        name = "client-mapped" if mapped else "client-v6"
        crew.start(name, partial(hold, address, port, iter([""] * part), part))


def time_wait(crew: Crew, total: int) -> None:
    """Connections whose client closed first; made again when their minute is over."""
    low, high = port_range()
    if total > (most := int(Path("/proc/sys/net/ipv4/tcp_max_tw_buckets").read_text())):
        raise RuntimeError(f"time_wait: {total} are more than net.ipv4.tcp_max_tw_buckets, {most}")
    # Past half of the range connect() takes a TIME_WAIT socket's port again, and that socket is gone.
    crew.start("short-lived", partial(_time_wait, total, max(1, (high - low) // 3)))


def _time_wait(total: int, each: int) -> Iterator[float]:
    listener = listen(TIME_WAIT)
    born: deque[float] = deque()
    while True:
        while born and born[0] < monotonic() - TIME_WAIT_SECONDS:
            born.popleft()
        for number in range(len(born), total):
            client = connect(f"127.0.0.{number // each + 1}", TIME_WAIT)
            server = listener.accept()[0]
            client.close()
            server.close()
            born.append(monotonic())
        yield 0.2


def churn(crew: Crew, rate: float, seconds: float) -> None:
    """`rate` short connections a second, for so many seconds."""
    crew.start("churner", partial(_churn, rate, seconds))


def _churn(rate: float, seconds: float) -> Iterator[float]:
    listener = listen(CHURN)
    start, made = monotonic(), 0
    while made < rate * seconds:
        while made < min(monotonic() - start, seconds) * rate:
            client = connect("127.0.0.1", CHURN)
            server = listener.accept()[0]
            client.close()
            server.close()
            made += 1
        yield 0.02


def fds(crew: Crew, used: int, limit: int, leak: float) -> None:
    """A process with `used` descriptors under a soft limit, that loses `leak` more a second."""
    crew.start("leaky-worker", partial(_fds, used, limit, leak))


def _fds(used: int, limit: int, leak: float) -> Iterator[float]:
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    # The listing itself is one of those that it lists.
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(used + 1 - len(os.listdir("/proc/self/fd")))]
    yield 1 / leak if leak else FOREVER
    while leak:
        try:
            held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError as full:
            if full.errno != errno.EMFILE:
                raise
        yield 1 / leak


def stuck_listener(crew: Crew, backlog: int, overflow: int) -> None:
    """A server that never accepts, its queue full, and `overflow` clients more that keep trying."""
    with listen(STUCK, backlog) as listener:
        crew.start("stuck-app", partial(accept_never, listener))
    crew.start("waiting", partial(_overflow, backlog + 1, overflow))


def accept_never(listener: socket.socket) -> Iterator[float]:
    """Hold a listener and look away."""
    yield FOREVER
    listener.close()


def _overflow(fitting: int, more: int) -> Iterator[float]:
    held = [connect("127.0.0.1", STUCK) for _ in range(fitting)]
    held += [_try_to_connect(STUCK) for _ in range(more)]
    yield FOREVER
    del held


def _try_to_connect(port: int, deaf: bool = False) -> socket.socket:
    """A socket in SYN_SENT; a deaf one never hears the SYN-ACK, so that the listener's half stays SYN_RECV."""
    client = socket.socket()
    client.setblocking(False)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 20)
    if deaf:
        drop_all = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
        program = struct.pack("HxxxxxxP", 1, ctypes.addressof(drop_all))
        client.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
    client.connect_ex(("127.0.0.1", port))
    return client


def syn_recv(crew: Crew, total: int) -> None:
    """Half-open connections, kept by clients that answer nothing; at most 1,000."""
    set_sysctl("net.ipv4.tcp_synack_retries", "30")
    with listen(HALF_OPEN) as listener:
        crew.start("half-open", partial(accept_never, listener))
    crew.start("deaf-clients", partial(_half_open, total))


def _half_open(total: int) -> Iterator[float]:
    held = [_try_to_connect(HALF_OPEN, deaf=True) for _ in range(total)]
    yield FOREVER
    del held


def close_wait(crew: Crew, total: int) -> None:
    """A process that never closes what its peers have closed; the peers' halves are gone."""
    for part in parts(total):
        crew.start("forgetful", partial(_halves, FORGETFUL, part, keep_server=True))


def fin_wait2(crew: Crew, total: int) -> None:
    """A process whose peers never close; their halves are gone, so that no CLOSE_WAIT stands beside."""
    for part in parts(total):
        crew.start("fin-waiter", partial(_halves, FIN_WAIT, part, keep_server=False))


def _halves(port: int, total: int, keep_server: bool) -> Iterator[float]:
    held = []
    with listen(port) as listener:
        for _ in range(total):
            client = connect("127.0.0.1", port)
            server = listener.accept()[0]
            client.shutdown(socket.SHUT_WR)
            _await_state(client, _FIN_WAIT2)
            held.append(server if keep_server else client)
            _vanish(client if keep_server else server)
    yield FOREVER
    del held


def _await_state(one: socket.socket, state: int) -> None:
    give_up = monotonic() + 10
    while one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != state:
        if monotonic() > give_up:
            raise TimeoutError(f"no socket came to state {state}")


def _vanish(one: socket.socket) -> None:
    """Close without a word to the peer: tcp(7), TCP_REPAIR."""
    one.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
    one.close()


def udp(crew: Crew, total: int) -> None:
    """UDP sockets on ephemeral ports."""
    for part in parts(total):
        crew.start("resolver", partial(_udp, part))


def _udp(total: int) -> Iterator[float]:
    held = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(total)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    yield FOREVER


def track_connections() -> None:
    """Turn connection tracking on in this namespace; RuntimeError where nft is not there or may not."""
    nft = which("nft", path=TOOLS)
    if not nft:
        raise RuntimeError("conntrack: nft is not installed, and nothing else turns connection tracking on")
    rules = "table inet load { chain out { type filter hook output priority 0; ct state new counter; }; }"
    done = subprocess.run([nft, "-f", "-"], input=rules, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"conntrack: nft: {done.stderr.strip()}")


def conntrack(crew: Crew, total: int) -> None:
    """Tracked UDP flows that were never answered; they stay an hour."""
    set_sysctl("net.netfilter.nf_conntrack_udp_timeout", "3600")
    crew.start("flows", partial(_flows, total))


def _flows(total: int) -> Iterator[float]:
    with socket.socket(type=socket.SOCK_DGRAM) as sink, socket.socket(type=socket.SOCK_DGRAM) as sender:
        sink.bind(("", SINK))
        for number in range(total):
            sender.sendto(b"", (f"127.{2 + (number >> 16)}.{number >> 8 & 255}.{number & 255}", SINK))
            with contextlib.suppress(BlockingIOError):
                sink.recv(1, socket.MSG_DONTWAIT)
    yield FOREVER
