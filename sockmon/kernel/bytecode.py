"""Filters that run in the kernel: struct inet_diag_bc_op (net/ipv4/inet_diag.c, inet_diag_bc_run and _audit).

An operation that holds goes on behind itself; one that does not jumps by `no`. A socket passes when the program
is left exactly at its end; jumping four bytes past the end rejects it.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

_JMP, _S_GE, _S_LE, _S_COND, _D_COND = 1, 2, 3, 7, 8
_ANY_PORT = -1
_OP = struct.Struct("=BBH")


def local_port_in(intervals: Sequence[tuple[int, int]], behind: int = 0) -> bytes:
    """Pass sockets whose local port lies in one of `intervals`: (first, last), ascending, without overlap.

    A binary search: its cost grows with the logarithm of their number. `behind`: bytes of program that follow."""
    if len(intervals) == 1:
        low, high = intervals[0]
        beyond = behind + 4
        accept = _OP.pack(_JMP, 4, 4 + behind)
        return _compare(_S_GE, low, 20 + beyond) + _compare(_S_LE, high, 12 + beyond) + accept
    middle = len(intervals) // 2
    above = local_port_in(intervals[middle:], behind)
    below = local_port_in(intervals[:middle], behind + len(above))
    return _compare(_S_LE, intervals[middle - 1][1], 8 + len(below)) + below + above


def _compare(code: int, port: int, no: int) -> bytes:
    return _OP.pack(code, 8, no) + _OP.pack(0, 0, port)


def between(source: bytes, destination: bytes, port: int) -> bytes:
    """Pass sockets from address `source` to `destination` and `port`; IPv4 covers v4-mapped."""
    far = _condition(_D_COND, destination, port, 0)
    return _condition(_S_COND, source, _ANY_PORT, len(far)) + far


def local_address(source: bytes) -> bytes:
    """Pass sockets bound to address `source`; 0.0.0.0 stands for all of IPv4."""
    return _condition(_S_COND, source, _ANY_PORT, 0)


def _condition(code: int, address: bytes, port: int, behind: int) -> bytes:
    """`behind`: bytes of program that follow this condition, which a refusal must jump over."""
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    bits = 8 * len(address) if any(address) else 0
    condition = struct.pack("=BB2xi", family, bits, port) + address
    size = 4 + len(condition)
    return _OP.pack(code, size, size + behind + 4) + condition
