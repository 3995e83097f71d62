"""Transmit queues: equal to what tc prints and to the errors that a sender gets; disciplines that are not here."""

from __future__ import annotations

import errno
import shutil
import socket
import struct
from contextlib import closing
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sockmon.errors import ReadError
from sockmon.kernel import transmit_queues
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.netlink import attribute, run
from sockmon.kernel.netns import open_current
from sockmon.model.snapshot import TransmitQueue
from sockmon.sandbox.veth_host import run_tool
from tests.kernel.fake_netlink import done, fake, message, plain
from tests.netns import TOOL_PATH, inside

PEER = "192.0.2.2"
_IP_RECVERR = 11


def read() -> tuple[TransmitQueue, ...]:
    with closing(open_current()) as handle:
        return run(transmit_queues.read(handle))


def set_up(*qdisc: str, more: tuple[str, ...] = ()) -> bool:
    """Set up a veth device with this queue; return False if the kernel does not have it."""
    run_tool("ip", "link", "add", "one", *more, "type", "veth", "peer", "name", "two")
    run_tool("ip", "address", "add", "192.0.2.1/24", "dev", "one")
    for device in ("one", "two"):
        run_tool("ip", "link", "set", device, "up")
    run_tool("ip", "neigh", "add", PEER, "lladdr", "02:00:00:00:00:02", "dev", "one")
    try:
        run_tool("tc", "qdisc", "add", "dev", "one", "root", *qdisc)
    except RuntimeError:
        return False
    return True


def flooded() -> tuple[TransmitQueue, int] | None:
    """The queue of a device that is too slow for 300 datagrams, and the errors that their sender got."""
    if not set_up("tbf", "rate", "8kbit", "burst", "1600", "limit", "3000"):
        return None
    refused = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_IP, _IP_RECVERR, 1)
        for _ in range(300):
            try:
                sender.sendto(bytes(200), (PEER, 9))
            except OSError as error:
                refused += error.errno == errno.ENOBUFS
    (queue,) = read()
    return queue, refused


@pytest.fixture
def needs_tools(needs_userns: None) -> None:
    missing = [name for name in ("ip", "tc") if not shutil.which(name, path=TOOL_PATH)]
    if missing:
        pytest.skip(f"needs {missing}")


@pytest.mark.usefixtures("needs_tools")
def test_each_error_of_the_sender_is_a_packet_that_did_not_fit() -> None:
    found = inside(flooded)
    if found is None:
        pytest.skip("this kernel has no tbf")
    queue, refused = found
    assert (queue.device, queue.kind, queue.root, queue.in_bytes, queue.limit) == (
        "one",
        "bfifo",
        "tbf",
        True,
        3000,
    )
    # The neighbour discovery of the device itself may be among them.
    assert 0 < refused <= (queue.overflowed or 0) <= refused + 20
    assert queue.dropped == queue.overflowed
    assert 0 < queue.waiting <= 3000


def several_queues() -> tuple[TransmitQueue, ...] | None:
    return read() if set_up("mq", more=("numtxqueues", "4")) else None


@pytest.mark.usefixtures("needs_tools")
def test_the_queues_of_one_device_are_one_row() -> None:
    found = inside(several_queues)
    if found is None:
        pytest.skip("this kernel has no mq")
    (queue,) = found
    assert (queue.device, queue.root, queue.queues, queue.overflowed) == ("one", "mq", 4, 0)
    assert queue.parent != "root"


def no_queue() -> tuple[TransmitQueue, ...]:
    run_tool("ip", "link", "add", "one", "type", "veth", "peer", "name", "two")
    run_tool("ip", "link", "set", "one", "up")
    return read()


@pytest.mark.usefixtures("needs_tools")
def test_devices_without_a_queue_are_no_rows() -> None:
    assert inside(no_queue) == ()


def qdisc(kind: str, options: bytes = b"", details: bytes = b"", drops: int = 7) -> bytes:
    stats = attribute(1, struct.pack("=QI", 9000, 60)) + attribute(3, struct.pack("=IIIII", 5, 700, drops, 0, 0))
    stats += attribute(4, details) if details else b""
    body = struct.pack("=B3xiIII", 0, 2, 0x80010000, 0xFFFFFFFF, 2) + attribute(1, kind.encode() + b"\0")
    return body + (attribute(2, options) if options else b"") + attribute(7, stats)


def link(index: int = 2) -> bytes:
    stats = struct.pack("=8Q", 0, 0, 0, 0, 0, 0, 0, 3) + bytes(136)
    return struct.pack("=BxHiII", 0, 1, index, 0, 0) + (
        attribute(3, b"eth0\0") + attribute(13, struct.pack("=I", 500)) + attribute(23, stats)
    )


def from_answers(*answers: tuple[int, bytes]) -> tuple[TransmitQueue, ...]:
    """What is read if the kernel answers each dump with one message."""
    route = fake(*(plain(message(kind, body), done()) for kind, body in answers))
    return run(transmit_queues.read(cast(NetnsHandle, SimpleNamespace(route=route))))


FQ_CODEL_LIMIT = attribute(1, struct.pack("=I", 5000)) + attribute(2, struct.pack("=I", 10240))
CASES: list[tuple[str, bytes, bytes, dict[str, Any]]] = [
    ("fq_codel", FQ_CODEL_LIMIT, struct.pack("=III", 0, 1514, 2) + bytes(24), {"limit": 10240, "overflowed": 2}),
    ("codel", FQ_CODEL_LIMIT, struct.pack("=5I", 0, 0, 0, 0, 0) + struct.pack("=3I", 4, 0, 0), {"overflowed": 4}),
    ("fq", attribute(1, struct.pack("=I", 10000)), b"", {"limit": 10000, "overflowed": 7}),
    ("pfifo_fast", bytes(20), b"", {"limit": 500, "overflowed": 7}),
    ("cake", b"", b"", {"limit": None, "overflowed": None}),
    ("netem", struct.pack("=6I", 0, 1000, 0, 0, 0, 0), b"", {"limit": 1000, "overflowed": None}),
]


@pytest.mark.parametrize(("kind", "options", "details", "wanted"), CASES, ids=[case[0] for case in CASES])
def test_disciplines_that_also_drop_by_design(
    kind: str, options: bytes, details: bytes, wanted: dict[str, Any]
) -> None:
    (queue,) = from_answers((36, qdisc(kind, options, details)), (16, link()))
    assert (queue.device, queue.kind, queue.parent, queue.waiting) == ("eth0", kind, "root", 5)
    assert (queue.sent, queue.dropped, queue.device_dropped) == (60, 7, 3)
    assert {name: getattr(queue, name) for name in wanted} == wanted


def test_a_device_that_went_away_is_left_out() -> None:
    assert from_answers((36, qdisc("pfifo")), (16, link(index=9))) == ()


@pytest.mark.parametrize("body", [qdisc("pfifo")[:60], struct.pack("=B3xiIII", 0, 2, 0, 0xFFFFFFFF, 2)])
def test_a_malformed_discipline_is_an_error(body: bytes) -> None:
    with pytest.raises(ReadError):
        from_answers((36, body), (16, link()))
