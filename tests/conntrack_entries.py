"""Entries of a connection tracking table, made through ctnetlink: any number of them, of any kind."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Callable, Sequence

REPLIED, ASSURED, CONFIRMED = 0x2, 0x4, 0x8
TCP, UDP = 6, 17
ESTABLISHED, TIME_WAIT = 3, 7
_BATCH = 200


def attribute(kind: int, payload: bytes) -> bytes:
    """Return one struct nlattr."""
    return struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def nested(kind: int, *parts: bytes) -> bytes:
    """Return attributes inside of one."""
    return attribute(kind | 0x8000, b"".join(parts))


def one_tuple(
    kind: int, source: bytes, destination: bytes, protocol: int, ports: Sequence[int], zone: int | None = None
) -> bytes:
    """Return one direction; `ports` are two, or the id, type and code of ICMP."""
    v6 = len(source) == 16
    address = nested(1, attribute(3 if v6 else 1, source), attribute(4 if v6 else 2, destination))
    if len(ports) == 3:
        first = 7 if v6 else 4
        formats = ("!H", "!B", "!B")
    else:
        first, formats = 2, ("!H", "!H", "")
    numbers = [
        attribute(first + at, struct.pack(how, port))
        for at, (how, port) in enumerate(zip(formats, ports, strict=False))
    ]
    inside = nested(2, attribute(1, bytes([protocol])), *numbers)
    own_zone = b"" if zone is None else attribute(3, struct.pack("!H", zone))
    return nested(kind, address, inside, own_zone)


def entry(
    source: str | bytes,
    destination: str | bytes,
    protocol: int,
    ports: Sequence[int],
    *,
    state: int | None = None,
    status: int = REPLIED | ASSURED | CONFIRMED,
    zone: int = 0,
    mark: int = 0,
    timeout: int = 86_400,
    reply: tuple[bytes, bytes, Sequence[int]] | None = None,
) -> bytes:
    """Return the attributes of an entry; `reply`: source, destination and ports of an entry that is translated."""
    source, destination = (_packed(each) for each in (source, destination))
    back = reply or (destination, source, ports[::-1] if len(ports) == 2 else (ports[0], 0, ports[2]))
    found = one_tuple(1, source, destination, protocol, ports) + one_tuple(2, back[0], back[1], protocol, back[2])
    found += attribute(3, struct.pack("!I", status)) + attribute(7, struct.pack("!I", timeout))
    if state is not None:
        found += nested(4, nested(1, attribute(1, bytes([state]))))
    if mark:
        found += attribute(8, struct.pack("!I", mark))
    return found + (attribute(18, struct.pack("!H", zone)) if zone else b"")


def _packed(address: str | bytes) -> bytes:
    if isinstance(address, bytes):
        return address
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def one_client(number: int) -> bytes:
    """Return the flow of that number: of five, four are those of 10.0.0.1."""
    ports = (1024 + number % 60_000, 443 if number % 5 else 5432)
    source = bytes([10, 0, 0, 1]) if number % 5 else bytes([10, 1, number >> 8 & 255, number & 255])
    return entry(source, bytes([192, 0, 2, number // 60_000 + 1]), TCP, ports, state=TIME_WAIT)


def crowd(number: int) -> bytes:
    """Return the flow of that number, each of another client."""
    return entry(struct.pack("!I", (10 << 24) + number), "203.0.113.10", TCP, (40_000, 443), state=ESTABLISHED)


def create_flows(total: int, flow: Callable[[int], bytes]) -> None:
    """Create so many entries in the table of this namespace; raise OSError if the kernel refuses one."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netlink:
        for begin in range(0, total, _BATCH):
            bodies = map(flow, range(begin, min(begin + _BATCH, total)))
            netlink.send(b"".join(map(_request, bodies)))
            with contextlib.suppress(BlockingIOError):
                code = -struct.unpack_from("=i", netlink.recv(65536, socket.MSG_DONTWAIT), 16)[0]
                raise OSError(code, "ctnetlink")


def _request(body: bytes) -> bytes:
    family = socket.AF_INET6 if len(body) > 4 and body[8:12] == struct.pack("=HH", 20, 3) else socket.AF_INET
    return struct.pack("=IHHII", 20 + len(body), 0x100, 0x401, 0, 0) + struct.pack("=BBH", family, 0, 0) + body
