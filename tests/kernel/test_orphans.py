"""Sockets that no process holds and whose FIN is not acknowledged: by local port and peer."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

import pytest

from sockmon.kernel import netlink
from sockmon.kernel.sockets.tcp_states import count_states
from sockmon.model.queues import OrphanGroup
from tests.kernel.test_tcp_queues import connected, fill
from tests.netns import inside


def groups() -> tuple[OrphanGroup, ...]:
    return netlink.run(count_states(netlink.open_netlink())).orphan_groups


def orphaned(address: str) -> tuple[tuple[OrphanGroup, ...], tuple[OrphanGroup, ...], int]:
    """Return the groups before and after the server closes two connections whose client does not read."""
    with ExitStack() as held:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        listener = held.enter_context(socket.create_server((address, 0), family=family))
        port = listener.getsockname()[1]
        served = []
        for _ in range(2):
            held.enter_context(socket.create_connection(listener.getsockname()[:2]))
            served.append(listener.accept()[0])
            fill(served[-1])
        connected(held, address)[0].shutdown(socket.SHUT_WR)  # has an owner
        before = groups()
        for each in served:
            each.close()
        give_up = time.monotonic() + 30
        while not (after := groups()) and time.monotonic() < give_up:
            time.sleep(0.01)
        return before, after, port


@pytest.mark.usefixtures("needs_userns")
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_orphans_are_counted_by_port_and_peer(address: str) -> None:
    before, (group,), port = inside(orphaned, address)
    assert before == ()
    assert (group.port, group.remote, group.sockets) == (port, address, 2)
    assert group.send_queue > 65_536
