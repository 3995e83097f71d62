"""Programs of terms pass the same sockets in the kernel as our own comparison does, and as `ss` says."""

from __future__ import annotations

import socket

import pytest

from sockmon.kernel import netlink
from sockmon.kernel.sockets import diag_filter, sock_diag
from sockmon.kernel.sockets.listing.block import Block
from sockmon.kernel.sockets.listing.kernel_filter import kernel_filter
from sockmon.kernel.sockets.listing.term_match import Facts, block_mask
from sockmon.model.conntrack_flows import FlowValue, NetworkValue, PrefixValue, RangeValue, TextValue
from sockmon.model.socket_list import SocketTerm
from tests.kernel.all_states import AllStates
from tests.netns import inside

FACTS = Facts(("host",), str, {})
Counts = tuple[int, int, int]


def term(field: str, *values: FlowValue, negated: bool = False) -> SocketTerm:
    return SocketTerm(field, values, negated)


def _terms(port: int) -> list[tuple[SocketTerm, ...]]:
    here, six = NetworkValue("127.0.0.0/8"), NetworkValue("::1/128")
    return [
        (term("sport", RangeValue(port, port)),),
        (term("port", RangeValue(port, port), RangeValue(1, 100)),),
        (term("dport", RangeValue(0, port - 1)), term("dport", RangeValue(1, 65535))),
        (term("sport", RangeValue(70_000, 80_000)),),
        (term("port", RangeValue(port, port), negated=True),),
        (term("src", here),),
        (term("dst", six),),
        (term("src", here, negated=True), term("dport", RangeValue(port, port))),
        (term("src", here, six), term("dst", NetworkValue("127.0.0.1/32")), term("port", RangeValue(port, 65535))),
        (term("state", TextValue("wait")),),
        (term("state", TextValue("wait"), negated=True), term("src", here)),
        (term("src", NetworkValue("::/0")),),
        (term("src", PrefixValue("127.0")), term("q", RangeValue(1, 1 << 40))),
    ]


def _counts() -> list[Counts]:
    """Return for each of the terms: sockets by the kernel's filter, by our columns, and by our own interpreter."""
    real = AllStates()
    real.populate()
    diag, found = netlink.open_netlink(), []
    for terms in _terms(real.four.getsockname()[1]):
        asked = kernel_filter(terms)
        filtered = by_columns = by_program = 0

        def count_filtered(data: bytes, stride: int) -> None:
            nonlocal filtered
            filtered += sum(block_mask(Block("tcp", data, stride), asked.rest, FACTS))  # noqa: B023

        def count_all(data: bytes, stride: int) -> None:
            nonlocal by_columns, by_program
            block = Block("tcp", data, stride)
            by_columns += sum(block_mask(block, terms, FACTS))  # noqa: B023
            rest = block_mask(block, asked.rest, FACTS)  # noqa: B023
            for number in range(block.count):
                message = block.message(number)
                state = asked.states >> message[sock_diag.STATE] & 1  # noqa: B023
                by_program += bool(state and rest[number] and diag_filter.matches(asked.program, message))  # noqa: B023

        netlink.run(sock_diag.tcp(diag, asked.states, count_filtered, asked.program))
        netlink.run(sock_diag.tcp(diag, sock_diag.EVERY_STATE, count_all))
        found.append((filtered, by_columns, by_program))
    return found


@pytest.mark.usefixtures("needs_userns")
def test_the_kernel_filters_as_we_do() -> None:
    counts = inside(_counts)
    assert all(one == two == three for one, two, three in counts), counts
    assert counts[3][0] == 0
    assert sum(one > 0 for one, _, _ in counts) >= len(counts) - 4, counts


def test_a_program_that_nothing_passes_and_its_opposite() -> None:
    nothing = diag_filter.negated(b"")
    message = bytes(sock_diag.MESSAGE)
    assert not diag_filter.matches(nothing, message)
    assert diag_filter.matches(diag_filter.negated(nothing), message)
    assert not diag_filter.matches(diag_filter.both(b"", nothing), message)
    assert diag_filter.matches(diag_filter.either(nothing, b""), message)


def test_v4_mapped_networks_are_left_to_us() -> None:
    asked = kernel_filter([term("src", NetworkValue("::ffff:0:0/96")), term("src", NetworkValue("10.0.0.0/8"))])
    assert [each.values for each in asked.rest] == [(NetworkValue("::ffff:0:0/96"),)]
    assert asked.program == diag_filter.network_filter(socket.inet_aton("10.0.0.0"), 8, remote=False)
