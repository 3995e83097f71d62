"""Unix datagram queues, measured on real sockets: the exact number for any size, and what cannot be known."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import ExitStack, closing, suppress

from sockmon.kernel import netlink
from sockmon.kernel.sockets.datagrams import MessageSizer, read_queues
from sockmon.model.snapshot import DatagramQueue
from tests.netns import inside, set_sysctl

SIZES = (1, 100, 200, 500, 1_000, 4_000, 10_000)


def _socket(stack: ExitStack, to: str = "", name: str = "") -> socket.socket:
    made = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    if name:
        made.bind(name)
    if to:
        made.connect(to)
    made.setblocking(False)
    return made


def _fill(sender: socket.socket, size: int, most: int = 1_000) -> int:
    """Return how many messages of `size` bytes were sent before the first refusal."""
    for sent in range(most):
        try:
            sender.send(bytes(size))
        except BlockingIOError:
            return sent
    return most


def _read() -> tuple[DatagramQueue, ...]:
    with closing(netlink.open_netlink()) as diag, closing(MessageSizer()) as scale:
        return tuple(receiver.queue for receiver in netlink.run(read_queues(diag, scale)).receivers)


def _sizes() -> list[tuple[int, int, int, bool]]:
    """Return for each size: messages that were sent, those that sockmon counts, senders, mixed."""
    found = []
    for size in SIZES:
        with ExitStack() as stack:
            name = f"\0size {size}"
            receiver = _socket(stack, name=name)
            few, many = _socket(stack, to=name), _socket(stack, to=name)
            sent = _fill(few, size, 3) + _fill(many, size)
            (queue,) = _read()
            assert (queue.path, queue.inode) == (f"@size {size}", os.fstat(receiver.fileno()).st_ino)
            found.append((sent, queue.waiting, queue.senders, queue.mixed))
    return found


def test_the_exact_number_at_every_size() -> None:
    assert inside(_sizes) == [(11, 11, 2, False)] * len(SIZES)


def _limits() -> list[int]:
    """Return the capacity of a socket made before the limit was raised, and of one made afterwards; sockmon's own
    number."""
    with ExitStack() as stack:
        old = _socket(stack, name="\0old")
        set_sysctl("net.unix.max_dgram_qlen", "30")
        _socket(stack, name="\0new")
        sent = [_fill(_socket(stack, to=name), 10) for name in ("\0old", "\0new")]
        seen = {queue.path: queue.waiting for queue in _read()}
        old.recv(10)
        return [*sent, seen["@old"], seen["@new"], {queue.path: queue.waiting for queue in _read()}["@old"]]


def test_a_socket_keeps_the_limit_that_it_was_made_with() -> None:
    assert inside(_limits) == [11, 31, 11, 31, 10]


def _unknowable() -> dict[str, tuple[int, int, bool]]:
    with ExitStack() as stack:
        for name in ("\0mixed", "\0unconnected", "\0ended", "\0empty"):
            _socket(stack, name=name)
        mixed = _socket(stack, to="\0mixed")
        mixed.send(bytes(10))
        mixed.send(bytes(300))
        _socket(stack).sendto(b"x", "\0unconnected")
        with _socket(stack, to="\0ended") as ended:
            ended.send(b"x")
        left, right = map(stack.enter_context, socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
        left.setblocking(False)
        assert _fill(left, 10) > 11
        assert right
        return {queue.path: (queue.waiting, queue.senders, queue.mixed) for queue in _read()}


def test_what_cannot_be_measured_is_not_claimed() -> None:
    found = inside(_unknowable)
    assert found.keys() == {"@mixed", "@unconnected", "@ended"}
    assert found["@mixed"][2]
    assert found["@unconnected"] == found["@ended"] == (1, 0, False)


def _blocked() -> int:
    """Return what is counted while three senders wait for room."""
    with ExitStack() as stack:
        receiver = _socket(stack, name="\0stuck")
        senders = [_socket(stack, to="\0stuck") for _ in range(3)]
        _fill(senders[0], 100)
        waits = [threading.Thread(target=_send_blocking, args=(sender,)) for sender in senders]
        for each in waits:
            each.start()
        reckoned, deadline = 0, time.monotonic() + 30
        while reckoned < 14 and time.monotonic() < deadline:
            reckoned = _read()[0].waiting
        receiver.setblocking(True)
        for _ in range(14):
            receiver.recv(100)
        for each in waits:
            each.join()
    return reckoned


def _send_blocking(sender: socket.socket) -> None:
    with suppress(OSError):
        sender.setblocking(True)
        sender.send(bytes(100))


def test_a_sender_that_blocks_counts_its_message() -> None:
    assert inside(_blocked) == 11 + 3
