"""Which sources bind before they connect, found from the ports alone: real sockets, both ways, few and many."""

from __future__ import annotations

import random
import socket
import struct
from array import array
from contextlib import suppress
from functools import partial

import pytest

from sockmon.kernel import netlink
from sockmon.kernel.sockets.bound_sockets import BoundPorts, read_bound_idle
from sockmon.kernel.sockets.bound_sources import bound_sources
from sockmon.kernel.sockets.listeners import listeners
from sockmon.kernel.sockets.port_groups import PortGroups, port_groups
from sockmon.kernel.sockets.port_probe import finds_port, open_probe
from sockmon.kernel.sockets.port_ranges import free_table
from sockmon.kernel.sockets.socket_rows import group_sockets
from sockmon.kernel.sockets.source_ports import Scanned
from tests.netns import inside, set_sysctl

LOW, HIGH = 40000, 40199
BINDS, ORDINARY = "127.0.0.9", "127.0.0.1"
IP_LOCAL_PORT_RANGE = 51
Held = list[socket.socket]


def servers(count: int) -> Held:
    return [socket.create_server(("127.0.0.2", 9000 + number), backlog=4096) for number in range(count)]


def clients(count: int, source: str, targets: Held, bind: bool) -> Held:
    """Open so many connections to `targets` in turns; fewer if the kernel refuses."""
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


def walk(low: int = LOW, high: int = HIGH, known: frozenset[bytes] = frozenset()) -> PortGroups:
    diag = netlink.open_netlink()
    listening = [each.port for each in netlink.run(listeners(diag))]
    idle = netlink.run(read_bound_idle(diag, low, high))
    return netlink.run(port_groups(diag, low, high, (), listening, True, idle=idle, known_sources=known))


def bound_first(count: int, destinations: int) -> PortGroups:
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
    assert {group.blocked_by_bound for group in found.groups if group.source == BINDS} == {0}


def _poisoned() -> tuple[PortGroups, int, int]:
    set_sysctl("net.ipv4.ip_local_port_range", f"{LOW} {HIGH}")
    targets = servers(2)
    held = clients(30, ORDINARY, targets[:1], bind=False)
    held += clients(120, BINDS, targets, bind=True)
    before = walk()
    more = clients(300, ORDINARY, targets[:1], bind=False)
    after = next(each for each in walk().groups if each.source == ORDINARY)
    return before, after.used, len(held) + len(more)


@pytest.mark.usefixtures("needs_userns")
def test_the_ports_left_for_others_are_those_they_get() -> None:
    before, got, _ = inside(_poisoned)
    ordinary = next(each for each in before.groups if each.source == ORDINARY)
    assert (ordinary.used, HIGH - LOW + 1 - ordinary.blocked_by_bound) == (30, got)


def ordinary_clients(destinations: int, each: int, own_range: bool = False) -> PortGroups:
    targets = servers(destinations)
    held: Held = []
    for target in targets:
        for _ in range(each):
            one = socket.socket()
            if own_range:
                with suppress(OSError):  # IP_LOCAL_PORT_RANGE exists since Linux 6.3
                    one.setsockopt(socket.IPPROTO_IP, 51, struct.pack("=I", HIGH << 16 | LOW))
            one.connect(target.getsockname())
            held.append(one)
    return walk()


def _to_the_brim() -> tuple[PortGroups, PortGroups, PortGroups]:
    """One destination only, at three quarters, then full, and full as the first scan would read it."""
    set_sysctl("net.ipv4.ip_local_port_range", f"{LOW} {HIGH}")
    targets = servers(1)
    held = clients(150, BINDS, targets, bind=True)
    before = walk()
    held += clients(100, BINDS, targets, bind=True)
    return before, walk(known=before.bound.addresses), walk()


@pytest.mark.usefixtures("needs_userns")
def test_a_full_range_is_judged_by_the_previous_scan() -> None:
    before, after, first_scan = inside(_to_the_brim)
    assert [source.used for source in before.bound.sources] == [150]
    assert [source.used for source in after.bound.sources] == [200]
    assert first_scan.bound.sources == (), "one destination, every port: the two cannot be told apart"


def few_and_many() -> list[PortGroups]:
    """Few large groups and many small ones, one filled past half, and clients with a range of their own."""
    set_sysctl("net.ipv4.ip_local_port_range", f"{LOW} {HIGH}")
    return [
        ordinary_clients(2, 60),
        ordinary_clients(40, 3),
        ordinary_clients(1, 198),
        ordinary_clients(3, 40, own_range=True),
    ]


@pytest.mark.usefixtures("needs_userns")
def test_ordinary_clients_are_not_bound_sources() -> None:
    assert [found.bound.sources for found in inside(few_and_many)] == [()] * 4


def _idle() -> PortGroups:
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
        pytest.skip("this kernel does not show bound sockets")
    (source,) = found.bound.sources
    assert (source.source, source.used, source.idle, source.destinations, source.odd) == (BINDS, 40, 40, 0, 1.0)


def verdict(groups: list[list[int]], low: int = 32768, high: int = 60999) -> bool:
    """Return whether one source with these ports, a list for each destination, is judged to bind first."""
    chunks = [
        (array("I", [number] * len(ports)), array("H", ports), array("I", range(1, len(ports) + 1)))
        for number, ports in enumerate(groups)
    ]
    used = {number: len(ports) for number, ports in enumerate(groups)}
    source = [socket.inet_aton(BINDS)] * len(groups)
    steps = bound_sources(Scanned(chunks, used, {}, source), free_table(low, high), low, BoundPorts({}, {}))
    return bool(netlink.run(steps).sources)


def as_connect_chooses(count: int, draw: random.Random, low: int = 32768, high: int = 60999) -> list[int]:
    """Return ports in the order of __inet_hash_connect(): a random start, then steps of two to sixteen."""
    size = high - low + 1
    at, taken = draw.randrange(0, size, 2), []
    for _ in range(count):
        taken.append(low + at % size)
        at += 2 + 2 * draw.randrange(8)
    return taken


def test_groups_that_share_no_port_by_chance_are_not_bound_sources() -> None:
    draw = random.Random(3)
    for destinations, each in (2, 500), (3, 500), (7, 110), (20, 60), (700, 1), (700, 5):
        for _ in range(30):
            assert not verdict([as_connect_chooses(each, draw) for _ in range(destinations)])


def test_explicit_port_numbers_are_recognized_because_they_are_never_shared() -> None:
    ports = list(range(33000, 45000))
    random.Random(5).shuffle(ports)
    assert verdict([ports[number::40] for number in range(40)])


def test_connections_accepted_by_a_listener_that_is_gone_are_not_bound_sources() -> None:
    assert not verdict([[33001 + 2 * (number % 30)] for number in range(3000)])


def _from_many(shape: str) -> tuple[PortGroups, bool]:
    """Connect from 60 addresses, three ports each; also return whether a plain connect() works then."""
    set_sysctl("net.ipv4.ip_local_port_range", f"{LOW} {HIGH}")
    kept = servers(2)
    target, other = (server.getsockname() for server in kept)
    held: Held = []
    for number in range(180 if shape != "every port" else HIGH - LOW + 1):
        one = socket.socket()
        held.append(one)
        if shape == "connect":
            one.setsockopt(socket.IPPROTO_IP, 24, 1)
        one.bind((f"127.0.3.{number % 60 + 1}", LOW + number if shape in ("number", "every port") else 0))
        one.connect(target)
    diag = netlink.open_netlink()
    idle = netlink.run(read_bound_idle(diag, LOW, HIGH))
    probe = open_probe()
    assert probe
    ask = partial(finds_port, probe)
    found = netlink.run(port_groups(diag, LOW, HIGH, (), (), True, idle=idle, finds_port=ask))
    with suppress(OSError), socket.socket() as plain:
        plain.connect(other)
        return found, bool(kept)
    return found, False


@pytest.mark.usefixtures("needs_userns")
def test_ports_that_many_addresses_bind_are_added_up() -> None:
    found, works = inside(_from_many, "bind")
    assert (found.bound.sources, found.bound.small_sources, found.bound.exhausted, works) == ((), 60, None, True)
    assert found.bound.lost > 60
    found, works = inside(_from_many, "number")
    assert (found.bound.small_sources, works) == (60, True)
    assert (found.bound.lost, found.bound.numbered) == (180, 180), "the kernel reports the numbers"
    found, works = inside(_from_many, "connect")
    assert (found.bound.lost, found.bound.small_sources, works) == (0, 0, True)


@pytest.mark.usefixtures("needs_userns")
def test_when_no_port_is_left_for_anybody_the_kernel_says_so() -> None:
    found, works = inside(_from_many, "every port")
    assert (found.bound.exhausted, works) == (True, False)
    assert found.bound.lost == HIGH - LOW + 1
    assert {group.blocked_by_bound for group in found.groups} == {0}


def _one_source(explicit: bool, answers: bool = True) -> PortGroups:
    """One address holds every port towards one destination, bound to numbers or chosen by connect()."""
    set_sysctl("net.ipv4.ip_local_port_range", f"{LOW} {HIGH}")
    (target,) = servers(1)
    held: Held = []
    for port in range(LOW, HIGH + 1):
        one = socket.socket()
        held.append(one)
        one.bind((BINDS, port)) if explicit else one.setsockopt(socket.IPPROTO_IP, 24, 1)
        one.connect(target.getsockname())
    probe = open_probe()
    assert probe
    diag = netlink.open_netlink()
    ask = partial(finds_port, probe) if answers else lambda: None
    return netlink.run(port_groups(diag, LOW, HIGH, (), (), True, finds_port=ask))


@pytest.mark.usefixtures("needs_userns")
def test_the_first_scan_of_a_full_range_tells_bind_from_connect() -> None:
    found = inside(_one_source, True)
    assert [(source.source, source.used, source.proved) for source in found.bound.sources] == [(BINDS, 200, True)]
    found = inside(_one_source, False)
    assert (found.bound.sources, found.bound.exhausted, found.unanswered) == ((), False, False)
    found = inside(_one_source, True, answers=False)
    assert [source.numbered for source in found.bound.sources] == [200], "the numbers are known without an answer"
    assert (found.bound.exhausted, found.unanswered) == (None, True)


def _half_by_number() -> PortGroups:
    """Connect 40 times with even port numbers, and accept 40 connections on a port of the range."""
    set_sysctl("net.ipv4.ip_local_port_range", f"{LOW} {HIGH}")
    targets = servers(1)
    with socket.create_server(("127.0.0.2", HIGH), backlog=64) as gone:
        clients_of_it = clients(40, ORDINARY, [gone], bind=False)
        accepted = [gone.accept()[0] for _ in clients_of_it]
    held: Held = []
    for number in range(40):
        one = socket.socket()
        held.append(one)
        one.bind((BINDS, LOW + 2 * number))
        one.connect(targets[0].getsockname())
    assert accepted
    return walk()


@pytest.mark.usefixtures("needs_userns")
def test_numbers_are_known_far_below_the_limit_and_accepted_connections_do_not_count() -> None:
    found = inside(_half_by_number)
    assert [(source.source, source.used, source.numbered) for source in found.bound.sources] == [(BINDS, 40, 40)]
    assert (found.bound.lost, found.bound.numbered) == (40, 40)


def _on_device(count: int, device: bytes, target: tuple[str, int], family: int = socket.AF_INET) -> Held:
    """Return so many connections that are bound to a device; fewer if there is no port."""
    held: Held = []
    with suppress(OSError):
        while len(held) < count:
            one = socket.socket(family)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
            one.connect(target)
            held.append(one)
    return held


def _on_a_device() -> tuple[PortGroups, int, int]:
    """Connect 50 times without a device, then 30 times on lo; return also the rows of lo, and what lo gets now."""
    set_sysctl("net.ipv4.ip_local_port_range", f"{LOW} {LOW + 99}")
    kept = servers(1)
    target = kept[0].getsockname()
    held = _on_device(50, b"", target) + _on_device(15, b"lo", target)
    held += _on_device(15, b"lo", ("::ffff:127.0.0.2", target[1]), socket.AF_INET6)
    diag = netlink.open_netlink()
    found = netlink.run(port_groups(diag, LOW, LOW + 99, (), (), False))
    rows = netlink.run(group_sockets(diag, "127.0.0.1", "127.0.0.2", target[1], 500, "lo"))
    assert len(held) == 80
    return found, rows.total, len(_on_device(100, b"lo", target))


@pytest.mark.usefixtures("needs_userns")
def test_sockets_of_a_device_are_a_group_of_their_own() -> None:
    found, rows, more = inside(_on_a_device)
    groups = [(group.device, group.used, group.taken_unbound) for group in found.groups]
    assert groups == [("", 50, 0), ("lo", 30, 50)]
    assert rows == 30
    assert more == 100 - 50 - 30, "they cannot get the ports of sockets without a device"


def _own_range() -> PortGroups | None:
    """Connect with a range of 20 ports that the sockets have for themselves, and without one: 5 times to the same
    destination, 20 times to another."""
    set_sysctl("net.ipv4.ip_local_port_range", f"{LOW} {HIGH}")
    kept = servers(2)
    held: Held = []
    for number in range(45):
        one = socket.socket()
        held.append(one)
        if number < 20:
            try:
                one.setsockopt(
                    socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, struct.pack("=I", LOW + 39 << 16 | LOW + 20)
                )
            except OSError:
                return None
        one.connect(kept[number >= 25].getsockname())
    return walk()


@pytest.mark.usefixtures("needs_userns")
def test_a_full_range_of_the_sockets_themselves_is_noticed() -> None:
    found = inside(_own_range)
    if found is None:
        pytest.skip("this kernel has no IP_LOCAL_PORT_RANGE (Linux 6.3)")
    windows = {group.port: group.window for group in found.groups}
    assert windows[9001] is None
    low, high = windows[9000] or (0, 0)
    # A port of the other connections may follow the range.
    assert low in (LOW + 19, LOW + 20)
    assert high in (LOW + 39, LOW + 40)


WILDCARDS = ((socket.AF_INET, "0.0.0.0", 0), (socket.AF_INET6, "::", 0), (socket.AF_INET6, "::", 1))


def _idle_beside(family: int, address: str, v6only: int) -> tuple[PortGroups, int]:
    """Bind 40 ports of an address and 30 of a wildcard, then return what bind() still gives the address."""
    set_sysctl("net.ipv4.ip_local_port_range", f"{LOW} {LOW + 99}")
    held: Held = []

    def bind(count: int, family: int, address: str) -> int:
        before = len(held)
        with suppress(OSError):
            for _ in range(count):
                one = socket.socket(family)
                if family == socket.AF_INET6:
                    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
                one.bind((address, 0))
                held.append(one)
        return len(held) - before

    assert bind(40, socket.AF_INET, BINDS) + bind(30, family, address) == 70
    found = walk(LOW, LOW + 99)
    return found, bind(100, socket.AF_INET, BINDS)


@pytest.mark.usefixtures("needs_userns")
@pytest.mark.parametrize(("family", "address", "v6only"), WILDCARDS)
def test_what_bind_still_gives_an_address_depends_on_the_sockets_of_all_addresses(
    family: int, address: str, v6only: int
) -> None:
    found, left = inside(_idle_beside, family, address, v6only)
    if not found.bound.sources:
        pytest.skip("this kernel does not show bound sockets")
    source, any_address = found.bound.sources
    assert (source.source, source.used, any_address.source) == (BINDS, 40, address)
    assert 100 - source.used - source.blocked == left
    assert any_address.blocked == (0 if v6only else 40)


def _plain_beside_small() -> tuple[list[int], int]:
    """Fill what bind() of 60 addresses leaves to a plain connect(); return the limit, and how many it got."""
    set_sysctl("net.ipv4.ip_local_port_range", f"{LOW} {HIGH}")
    kept = servers(2)
    held: Held = []
    for number in range(60):
        one = socket.socket()
        held.append(one)
        one.bind((f"127.0.3.{number + 1}", 0))
        one.connect(kept[0].getsockname())
    plain = _on_device(HIGH - LOW + 1, b"", kept[1].getsockname())
    idle = netlink.run(read_bound_idle(netlink.open_netlink(), LOW, HIGH))
    found = netlink.run(port_groups(netlink.open_netlink(), LOW, HIGH, (), (), False, idle=idle))
    return [HIGH - LOW + 1 - each.blocked_by_bound for each in found.groups if each.port == 9001], len(plain)


@pytest.mark.usefixtures("needs_userns")
def test_what_many_small_sources_bind_is_missing_to_a_plain_connect() -> None:
    limits, connected = inside(_plain_beside_small)
    assert limits == [connected]
    assert connected < HIGH - LOW + 1


def lost(groups: dict[str, list[int]]) -> tuple[int, int]:
    """Return how many ports are lost, and to how many small sources: each holds these ports to one destination."""
    chunks = [
        (array("I", [number] * len(ports)), array("H", ports), array("I", range(1, len(ports) + 1)))
        for number, ports in enumerate(groups.values())
    ]
    used = {number: len(ports) for number, ports in enumerate(groups.values())}
    scanned = Scanned(chunks, used, {}, [socket.inet_aton(source) for source in groups])
    found = netlink.run(bound_sources(scanned, free_table(LOW, LOW + 999), LOW, BoundPorts({}, {})))
    return found.lost, found.small_sources


def test_more_sources_than_are_judged_one_by_one_are_added_up() -> None:
    bound = {f"10.0.0.{number}": list(range(LOW + 20 * number, LOW + 20 * number + 20)) for number in range(45)}
    assert lost(bound)[0] > 600
    draw = random.Random(7)
    chosen = {source: as_connect_chooses(20, draw, LOW, LOW + 999) for source in bound}
    assert lost(chosen) == (0, 0)
