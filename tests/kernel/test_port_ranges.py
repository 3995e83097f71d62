"""Ranges of ports, the filters made of them, and the table of states: pure functions."""

from __future__ import annotations

import struct
from array import array
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockmon.errors import Unreadable
from sockmon.kernel.bound_sources import _knows_bound_inactive
from sockmon.kernel.bytecode import local_port_in
from sockmon.kernel.port_ranges import parse_ranges, reserved_in, usable
from sockmon.kernel.tcp_states import RareStates, states
from sockmon.model.snapshot import Sockstat, StateCount


@pytest.mark.parametrize(
    ("text", "ranges"),
    [("", []), ("\n", []), ("8080\n", [(8080, 8080)]), ("1-3,8080", [(1, 3), (8080, 8080)])],
)
def test_reserved_ports_are_parsed(text: str, ranges: list[tuple[int, int]]) -> None:
    assert parse_ranges(text) == ranges


@pytest.mark.parametrize("text", ["x", "1-", "1,,2", "3-1", "65536", "-1", "1-2-3"])
def test_what_is_no_list_of_ports_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        parse_ranges(text)


def test_usable_counts_every_taken_port_once() -> None:
    assert usable(32768, 60999, (), ()) == 28232
    assert usable(100, 199, [(0, 109), (105, 114)], [114, 115, 80], {115, 116}) == 100 - 17
    assert usable(100, 199, parse_ranges("1-65535"), ()) == 0
    assert reserved_in(100, 199, [(0, 109), (105, 114), (300, 400)]) == 15


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
    program = local_port_in(intervals)
    for probe in {port, *edges}:
        assert _passes(program, probe) == any(low <= probe <= high for low, high in intervals)


@pytest.mark.parametrize(
    ("release", "known"),
    [("6.18.44", True), ("6.8.0-31-generic", True), ("6.7.9", False), ("5.15.0", False), ("odd", False)],
)
def test_which_kernels_tell_bound_ports(release: str, known: bool) -> None:
    assert _knows_bound_inactive(release) is known


def test_a_race_between_counters_never_goes_below_zero() -> None:
    rare = RareStates(Counter({(2, 8): 10, (2, 5): 4}), Counter({2: 4}), array("Q"))
    own = Sockstat(0, 3, None, 1, 0, None, 0, None, None)
    table = states(rare, own, 5, ())
    assert table["ESTABLISHED"] == StateCount(0, 0, None)
    assert table["TIME_WAIT"] == StateCount(0, None, None)
    assert table["CLOSE_WAIT"] == StateCount(10, 10, 0)
