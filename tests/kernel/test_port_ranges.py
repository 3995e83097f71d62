"""Ranges of ports, the filters made of them, and the table of states."""

from __future__ import annotations

import socket
import struct
from array import array
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockmon.errors import ReadError
from sockmon.kernel.sockets.diag_filter import local_port_filter
from sockmon.kernel.sockets.port_ranges import parse_reserved, usable
from sockmon.kernel.sockets.tcp_states import RareStates, states
from sockmon.model.snapshot import Sockstat, StateCount
from sockmon.port_lists import count_in, last_tried
from tests.netns import inside, set_sysctl


@pytest.mark.parametrize(
    ("text", "ranges"),
    [("", []), ("\n", []), ("8080\n", [(8080, 8080)]), ("1-3,8080", [(1, 3), (8080, 8080)])],
)
def test_reserved_ports_are_parsed(text: str, ranges: list[tuple[int, int]]) -> None:
    assert parse_reserved(text) == ranges


@pytest.mark.parametrize("text", ["x", "1-", "1,,2", "3-1", "65536", "-1", "1-2-3"])
def test_a_malformed_list_of_ports_is_a_read_error(text: str) -> None:
    with pytest.raises(ReadError):
        parse_reserved(text)


def test_usable_counts_every_taken_port_once() -> None:
    assert usable(32768, 60999, (), ()) == 28232
    assert usable(100, 199, [(0, 109), (105, 114)], [114, 115, 80], {115, 116}) == 100 - 17
    assert usable(100, 199, parse_reserved("1-65535"), ()) == 0
    assert count_in([(0, 109), (105, 114), (300, 400)], 100, 199) == 15


def _chosen(low: int, high: int) -> tuple[set[int], set[int]]:
    """Return the ports that connect() and bind(0) choose in a range, tried many times."""
    set_sysctl("net.ipv4.ip_local_port_range", f"{low} {high}")
    with socket.create_server(("127.0.0.1", 9000), backlog=256) as server:
        connected = _until_refused(lambda client: client.connect(server.getsockname()))
        return connected, _until_refused(lambda client: client.bind(("127.0.0.2", 0)))


def _until_refused(take_port: Callable[[socket.socket], None]) -> set[int]:
    with ExitStack() as stack:
        ports = set()
        for _ in range(60):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # no TIME_WAIT
            with suppress(OSError):
                take_port(client)
                ports.add(client.getsockname()[1])
        return ports


def _ports_of_small_ranges() -> list[tuple[set[int], set[int]]]:
    return [_chosen(low, low + size - 1) for low in (40000, 40101) for size in (1, 2, 3)]


@pytest.mark.usefixtures("needs_userns")
def test_of_three_ports_the_kernel_never_tries_the_last() -> None:
    found = inside(_ports_of_small_ranges)
    wanted = [set(range(low, last_tried(low, low + size - 1) + 1)) for low in (40000, 40101) for size in (1, 2, 3)]
    assert found == [(ports, ports) for ports in wanted]
    assert [len(ports) for ports in wanted[:3]] == [1, 2, 2]


@pytest.mark.parametrize(
    ("high", "reserved", "usable_ports"),
    [(40002, "", 2), (40002, "40002", 2), (40002, "40000", 1), (40003, "", 4), (40004, "", 5)],
)
def test_the_limit_of_a_range_of_three_is_two(high: int, reserved: str, usable_ports: int) -> None:
    assert usable(40000, high, parse_reserved(reserved), ()) == usable_ports


def _limits_of_small_ranges() -> dict[tuple[int, int, str, int], tuple[int, int, int]]:
    """Return what `usable` says, and the fewest and the most ports that connect() took to eight destinations.

    The ranges have one to six ports, with a reserved port, and a listener at either end."""
    found = {}
    with socket.create_server(("", 5432), backlog=512) as server:
        for low, count, at in product((40000, 40001), range(1, 7), (None, 0, 1)):
            high = low + count - 1
            for listening in (0, low, high):
                reserved = "" if at is None else str(low + at)
                set_sysctl("net.ipv4.ip_local_port_range", f"{low} {high}")
                set_sysctl("net.ipv4.ip_local_reserved_ports", f"{reserved}\n")
                with ExitStack() as stack:
                    if listening:
                        stack.enter_context(socket.create_server(("127.0.0.1", listening)))
                    taken = [len(_all_ports(f"127.0.0.{number}", server)) for number in range(1, 9)]
                limit = usable(low, high, parse_reserved(reserved), [listening] if listening else [])
                found[low, count, reserved, listening] = (limit, min(taken), max(taken))
    return found


def _all_ports(address: str, server: socket.socket) -> set[int]:
    """Return the ports that connect() to `address` takes until it refuses; none of them is in use afterwards."""
    with ExitStack() as stack:

        def take(client: socket.socket) -> None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.connect((address, 5432))
            stack.enter_context(server.accept()[0])

        return _until_refused(take)


@pytest.mark.usefixtures("needs_userns")
def test_the_limit_of_a_small_range_is_what_connect_takes() -> None:
    for shape, (limit, fewest, most) in inside(_limits_of_small_ranges).items():
        # A range of an odd number of ports leaves out a different one each time: of five it gives five, or four.
        left_out = shape[1] % 2 if shape[1] > 3 else 0
        assert most == limit, shape
        assert limit - left_out <= fewest, shape


def _passes(program: bytes, port: int) -> bool:
    """inet_diag_bc_run() of net/ipv4/inet_diag.c, for the operations that a port filter uses."""
    at = 0
    while at < len(program):
        code, yes, no = struct.unpack_from("=BBH", program, at)
        operand = struct.unpack_from("=H", program, at + 6)[0] if code in (2, 3) else 0
        at += yes if (code == 2 and port >= operand) or (code == 3 and port <= operand) else no
    return at == len(program)


@given(st.sets(st.integers(0, 65535), min_size=2, max_size=20), st.integers(0, 65535))
def test_the_port_filter_passes_what_lies_in_an_interval(edges: set[int], port: int) -> None:
    ends = sorted(edges)
    intervals = list(zip(ends[::2], ends[1::2], strict=False))
    program = local_port_filter(intervals)
    for probe in {port, *edges}:
        assert _passes(program, probe) == any(low <= probe <= high for low, high in intervals)


def test_a_race_between_counters_never_goes_below_zero() -> None:
    rare = RareStates(Counter({(2, 8): 10, (2, 5): 4}), Counter({2: 4}), array("Q"))
    own = Sockstat(0, 3, None, 1, 0, None, 0, None, None)
    table = states(rare, own, 5, ())
    assert table["ESTABLISHED"] == StateCount(0, 0, None)
    assert table["TIME_WAIT"] == StateCount(0, None, None)
    assert table["CLOSE_WAIT"] == StateCount(10, 10, 0)
