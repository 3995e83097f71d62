"""Samples of unix listeners: on the real kernel."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from sockmon.agent.queue_samples import QueueSamples
from sockmon.kernel.netlink import run
from sockmon.kernel.netns import open_current
from sockmon.kernel.sockets.listeners import unix_listeners
from sockmon.kernel.sockets.sock_diag import Diag
from sockmon.model.snapshot import Listener

BACKLOG = 3


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(b"")
        listener.listen(BACKLOG)
        yield listener


@pytest.fixture
def diag() -> Iterator[Diag]:
    with closing(open_current()) as handle:
        yield handle.tick_socket


def row_of(server: socket.socket, diag: Diag, samples: QueueSamples) -> Listener:
    inode = int(socket_inode(server))
    return next(samples.add_to(item) for item in run(unix_listeners(diag)) if item.inode == inode)


def socket_inode(held: socket.socket) -> str:
    return os.readlink(f"/proc/self/fd/{held.fileno()}")[len("socket:[") : -1]


def fill_and_empty(server: socket.socket, samples: QueueSamples, diag: Diag, clients: int) -> None:
    """Sample the queue while it holds so many clients, and again when it is empty."""
    with ExitStack() as stack:
        for _ in range(clients):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(server.getsockname())
        samples.sample(diag)
        for _ in range(clients):
            server.accept()[0].close()
    samples.sample(diag)


def test_a_queue_that_was_full_between_two_samples_is_remembered(server: socket.socket, diag: Diag) -> None:
    samples = QueueSamples()
    for _ in range(2):
        fill_and_empty(server, samples, diag, BACKLOG + 1)
    row = row_of(server, diag, samples)
    assert (row.queue, row.peak, row.full_samples, row.bursts, row.samples) == (0, BACKLOG + 1, 2, 2, 4)
    assert row.has_room


def test_a_queue_that_is_as_long_as_its_backlog_is_not_full(server: socket.socket, diag: Diag) -> None:
    samples = QueueSamples()
    fill_and_empty(server, samples, diag, BACKLOG)
    assert row_of(server, diag, samples).full_samples == 0


def test_a_queue_that_stays_full_has_no_room(server: socket.socket, diag: Diag) -> None:
    samples = QueueSamples()
    with ExitStack() as stack:
        for _ in range(BACKLOG + 1):
            stack.enter_context(socket.socket(socket.AF_UNIX)).connect(server.getsockname())
        for _ in range(3):
            samples.sample(diag)
        row = row_of(server, diag, samples)
    assert (row.full_samples, row.bursts, row.has_room) == (3, 1, False)


def test_a_half_full_queue_is_sampled_more_often(server: socket.socket, diag: Diag) -> None:
    samples = QueueSamples()
    fill_and_empty(server, samples, diag, 0)
    assert not samples.filling()
    fill_and_empty(server, samples, diag, BACKLOG)
    assert samples.filling()
