"""Who binds before it connects, told from the ports alone: real sockets, both ways, small and large."""

from __future__ import annotations

import random
import socket
import struct
from array import array
from contextlib import suppress

import pytest

from sockmon.kernel import netlink
from sockmon.kernel.bound_sources import Idle, bound_sources, idle_bound
from sockmon.kernel.listeners import listeners
from sockmon.kernel.port_groups import Grouped, port_groups
from sockmon.kernel.port_ranges import free_table
from tests.netns import inside, set_sysctl

LOW, HIGH = 40000, 40199
BINDS, ORDINARY = "127.0.0.9", "127.0.0.1"
Held = list[socket.socket]


def servers(count: int) -> Held:
    return [socket.create_server(("127.0.0.2", 9000 + number), backlog=4096) for number in range(count)]


def clients(count: int, source: str, targets: Held, bind: bool) -> Held:
    """So many connections to `targets` in turns; fewer where the kernel refuses."""
    held: Held = []
    with suppress(OSError):
        for number in range(count):
            one = socket.socket()
            held.append(one)
            if not bind:
                one.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT: connect() chooses the port
            one.bind((source, 0))
            one.connect(targets[number % len(targets)].getsockname())
    return held


def walk(low: int = LOW, high: int = HIGH, known: frozenset[bytes] = frozenset()) -> Grouped:
    diag = netlink.open_diag()
    listening = [each.port for each in netlink.run(listeners(diag))]
    idle = netlink.run(idle_bound(diag, low, high))
    return netlink.run(port_groups(diag, low, high, (), listening, True, idle=idle, known=known))


def bound_first(count: int, destinations: int) -> Grouped:
    set_sysctl("net.ipv4.ip_local_port_range", f"{LOW} {HIGH}")
    targets = servers(destinations)
    held = clients(count, BINDS, targets, bind=True)
    held += clients(30, ORDINARY, targets[:1], bind=False)
    found = walk()
    assert held
    return found


@pytest.mark.usefixtures("needs_userns")
@pytest.mark.parametrize(("count", "destinations"), [(25, 1), (90, 1), (150, 1), (90, 3), (160, 5)])
def test_a_source_that_binds_first(count: int, destinations: int) -> None:
    found = inside(bound_first, count, destinations)
    assert [(each.source, each.used, each.idle, each.shared) for each in found.bound.sources] == [
        (BINDS, count, 0, 0)
    ]
    assert found.bound.sources[0].destinations == destinations
    assert len(found.bound.inodes[0]) == count
    ordinary = next(group for group in found.groups if group.source == ORDINARY)
    assert ordinary.used == 30
    assert {group.poisoned for group in found.groups if group.source == BINDS} == {0}


def _poisoned() -> tuple[Grouped, int, int]:
    set_sysctl("net.ipv4.ip_local_port_range", f"{LOW} {HIGH}")
    targets = servers(2)
    held = clients(30, ORDINARY, targets[:1], bind=False)
    held += clients(120, BINDS, targets, bind=True)
    before = walk()
    more = clients(300, ORDINARY, targets[:1], bind=False)
    after = next(each for each in walk().groups if each.source == ORDINARY)
    return before, after.used, len(held) + len(more)


@pytest.mark.usefixtures("needs_userns")
def test_what_is_left_for_others_is_what_they_get() -> None:
    before, got, _ = inside(_poisoned)
    ordinary = next(each for each in before.groups if each.source == ORDINARY)
    assert (ordinary.used, HIGH - LOW + 1 - ordinary.poisoned) == (30, got)


def ordinary_clients(destinations: int, each: int, own_range: bool = False) -> Grouped:
    targets = servers(destinations)
    held: Held = []
    for target in targets:
        for _ in range(each):
            one = socket.socket()
            if own_range:
                with suppress(OSError):  # IP_LOCAL_PORT_RANGE is not older than Linux 6.3
                    one.setsockopt(socket.IPPROTO_IP, 51, struct.pack("=I", HIGH << 16 | LOW))
            one.connect(target.getsockname())
            held.append(one)
    return walk()


def _to_the_brim() -> tuple[Grouped, Grouped, Grouped]:
    """One destination only, at three quarters, then full, and full as the first look would see it."""
    set_sysctl("net.ipv4.ip_local_port_range", f"{LOW} {HIGH}")
    targets = servers(1)
    held = clients(150, BINDS, targets, bind=True)
    before = walk()
    held += clients(100, BINDS, targets, bind=True)
    return before, walk(known=before.bound.addresses), walk()


@pytest.mark.usefixtures("needs_userns")
def test_a_full_range_is_told_by_what_was_seen_before() -> None:
    before, after, first_look = inside(_to_the_brim)
    assert [source.used for source in before.bound.sources] == [150]
    assert [source.used for source in after.bound.sources] == [200]
    assert first_look.bound.sources == (), "one destination, every port: nothing tells the two apart"


def few_and_many() -> list[Grouped]:
    """Few large groups and many small ones, one filled past half, and clients with a range of their own."""
    set_sysctl("net.ipv4.ip_local_port_range", f"{LOW} {HIGH}")
    return [
        ordinary_clients(2, 60),
        ordinary_clients(40, 3),
        ordinary_clients(1, 198),
        ordinary_clients(3, 40, own_range=True),
    ]


@pytest.mark.usefixtures("needs_userns")
def test_ordinary_clients_are_none() -> None:
    assert [found.bound.sources for found in inside(few_and_many)] == [()] * 4


def _idle() -> Grouped:
    set_sysctl("net.ipv4.ip_local_port_range", f"{LOW} {HIGH}")
    held = []
    for _ in range(40):
        one = socket.socket()
        one.bind((BINDS, 0))
        held.append(one)
    return walk()


@pytest.mark.usefixtures("needs_userns")
def test_sockets_that_are_bound_and_idle_count() -> None:
    found = inside(_idle)
    if not found.bound.sources:
        pytest.skip("this kernel does not tell bound ports")
    (source,) = found.bound.sources
    assert (source.source, source.used, source.idle, source.destinations, source.odd) == (BINDS, 40, 40, 0, 1.0)


def verdict(groups: list[list[int]], low: int = 32768, high: int = 60999) -> bool:
    """Whether one source with these ports, a list for each destination, is taken for one that binds first."""
    chunks = [
        (array("I", [number] * len(ports)), array("H", ports), array("I", range(1, len(ports) + 1)))
        for number, ports in enumerate(groups)
    ]
    used = {number: len(ports) for number, ports in enumerate(groups)}
    source = [socket.inet_aton(BINDS)] * len(groups)
    steps = bound_sources(chunks, used, {}, source, free_table(low, high), low, Idle({}, {}))
    return bool(netlink.run(steps).sources)


def as_connect_chooses(count: int, draw: random.Random, low: int = 32768, high: int = 60999) -> list[int]:
    """Ports in the order of __inet_hash_connect(): a random start, then steps of two to sixteen."""
    size = high - low + 1
    at, taken = draw.randrange(0, size, 2), []
    for _ in range(count):
        taken.append(low + at % size)
        at += 2 + 2 * draw.randrange(8)
    return taken


def test_ordinary_groups_that_miss_each_other_by_chance_are_none() -> None:
    draw = random.Random(3)
    for destinations, each in (2, 500), (3, 500), (7, 110), (20, 60), (700, 1), (700, 5):
        for _ in range(30):
            assert not verdict([as_connect_chooses(each, draw) for _ in range(destinations)])


def test_explicit_port_numbers_are_told_by_never_being_shared() -> None:
    ports = list(range(33000, 45000))
    random.Random(5).shuffle(ports)
    assert verdict([ports[number::40] for number in range(40)])


def test_connections_that_were_accepted_on_ports_nobody_listens_on_any_more_are_none() -> None:
    assert not verdict([[33001 + 2 * (number % 30)] for number in range(3000)])
