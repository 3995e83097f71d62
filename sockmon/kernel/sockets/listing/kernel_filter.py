"""The terms that the kernel can filter by, as a mask of states and a program; the others are left to us."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from ipaddress import IPv6Network, ip_network
from typing import NamedTuple

from sockmon.kernel.sockets import diag_filter, sock_diag
from sockmon.kernel.sockets.sock_diag import STATES
from sockmon.model.conntrack_flows import FlowValue, NetworkValue, RangeValue, TextValue
from sockmon.model.socket_list import SocketTerm

MAX_PROGRAM_BYTES = 4096
"""The kernel checks a program in quadratic time, and runs it for each socket."""
_SIDES = {"src": (False,), "dst": (True,), "sport": (False,), "dport": (True,), "port": (False, True)}
_MAPPED = ip_network("::ffff:0:0/96")


class KernelFilter(NamedTuple):
    """What a dump of TCP sockets is asked for, and the terms that its answer must still be compared with."""

    states: int
    """A mask of 1 << state."""
    program: bytes
    rest: tuple[SocketTerm, ...]


def kernel_filter(terms: Sequence[SocketTerm]) -> KernelFilter:
    """Split the terms: states and ports always, networks unless they contain both families' addresses."""
    states, program = sock_diag.EVERY_STATE, b""
    rest: list[SocketTerm] = []
    for term in terms:
        if term.field == "state":
            states &= matching_states(term)
            continue
        compiled = _program(term)
        if compiled is None or len(program) + len(compiled) > MAX_PROGRAM_BYTES:
            rest.append(term)
        else:
            program = diag_filter.both(program, compiled)
    return KernelFilter(states, program, tuple(rest))


def matching_states(term: SocketTerm) -> int:
    """Return the mask of the TCP states that a `state` term passes."""
    wanted = [value.text for value in term.values if isinstance(value, TextValue)]
    return sum(
        1 << number
        for number, name in STATES.items()
        if any(text in name.casefold() for text in wanted) is not term.negated
    )


def _program(term: SocketTerm) -> bytes | None:
    """Return the program of a term; None if the kernel cannot compare it exactly as we do."""
    sides = _SIDES.get(term.field)
    if sides is None:
        return None
    parts = [_condition(value, remote) for value in term.values for remote in sides]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or not known:
        return None
    program = reduce(diag_filter.either, known)
    return diag_filter.negated(program) if term.negated else program


def _condition(value: FlowValue, remote: bool) -> bytes | None:
    if isinstance(value, RangeValue):
        return diag_filter.ports_filter(value.low, value.high, remote)
    if not isinstance(value, NetworkValue):
        return None
    network = ip_network(value.network)
    if isinstance(network, IPv6Network) and network.overlaps(_MAPPED):
        # We take a v4-mapped address for IPv4, the kernel for IPv6.
        return None
    return diag_filter.network_filter(network.network_address.packed, network.prefixlen, remote)
