"""Filters that run in the kernel: struct inet_diag_bc_op (net/ipv4/inet_diag.c, inet_diag_bc_run and _audit).

After an operation that holds the next one follows; one that does not hold jumps by `no`. A socket passes if the
program ends exactly at its end; a jump four bytes past the end rejects it.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

from sockmon.kernel.sockets import sock_diag
from sockmon.kernel.sockets.sock_diag import DPORT, DST, FAMILY, SPORT, SRC

_JMP, _S_GE, _S_LE, _D_GE, _D_LE, _AUTO, _S_COND, _D_COND, _DEV_COND = 1, 2, 3, 4, 5, 6, 7, 8, 9
_ANY_PORT = -1
_OP = struct.Struct("=BBH")


def local_port_filter(intervals: Sequence[tuple[int, int]], bytes_after: int = 0) -> bytes:
    """Return a filter for sockets whose local port lies in one of `intervals`: (first, last), ascending, without
    overlap.

    It is a binary search: its cost grows with the logarithm of their number. `bytes_after`: bytes of program that
    follow."""
    if len(intervals) == 1:
        low, high = intervals[0]
        reject = bytes_after + 4
        accept = _OP.pack(_JMP, 4, 4 + bytes_after)
        return _compare(_S_GE, low, 20 + reject) + _compare(_S_LE, high, 12 + reject) + accept
    middle = len(intervals) // 2
    above = local_port_filter(intervals[middle:], bytes_after)
    below = local_port_filter(intervals[:middle], bytes_after + len(above))
    return _compare(_S_LE, intervals[middle - 1][1], 8 + len(below)) + below + above


def _compare(code: int, port: int, no: int) -> bytes:
    return _OP.pack(code, 8, no) + _OP.pack(0, 0, port)


def numbered_filter(program: bytes) -> bytes:
    """Return a filter for sockets that `program` passes and whose port was given to bind() as a number.

    INET_DIAG_BC_AUTO holds for all others: SOCK_BINDPORT_LOCK is what bind() sets for a number."""
    reject = _OP.pack(_JMP, 4, 4 + len(program) + 4)
    return _OP.pack(_AUTO, 4, 4 + len(reject)) + reject + program


def connection_filter(source: bytes, destination: bytes, port: int, device: int = 0) -> bytes:
    """Return a filter for sockets from address `source` to `destination` and `port`, bound to the device with this
    index (0: to none); IPv4 includes v4-mapped."""
    bound = _OP.pack(_DEV_COND, 8, 12) + struct.pack("=I", device)
    remote = _condition(_D_COND, destination, port, len(bound)) + bound
    return _condition(_S_COND, source, _ANY_PORT, len(remote)) + remote


def local_address_filter(source: bytes) -> bytes:
    """Return a filter for sockets bound to address `source`; 0.0.0.0 stands for all of IPv4."""
    return _condition(_S_COND, source, _ANY_PORT, 0)


def both(first: bytes, second: bytes) -> bytes:
    """Return a filter for what both programs pass: a rejection of the first one also jumps over the second."""
    program, at = bytearray(first), 0
    while at < len(first):
        code, yes, no = _OP.unpack_from(first, at)
        if no == len(first) - at + 4:
            _OP.pack_into(program, at, code, yes, no + len(second))
        at += yes
    return bytes(program) + second


def either(first: bytes, second: bytes) -> bytes:
    """Return a filter for what one of the programs passes: a rejection of the first one falls on the second."""
    return first + _OP.pack(_JMP, 4, 4 + len(second)) + second


def negated(program: bytes) -> bytes:
    """Return a filter for what `program` rejects."""
    return program + _OP.pack(_JMP, 4, 8)


def ports_filter(low: int, high: int, remote: bool) -> bytes:
    """Return a filter for sockets whose local or remote port is in low..high; one without any passes nothing."""
    low, high = max(low, 0), min(high, 65535)
    if low > high:
        return negated(b"")
    first, last = (_D_GE, _D_LE) if remote else (_S_GE, _S_LE)
    return _compare(first, low, 20) + _compare(last, high, 12)


def network_filter(address: bytes, bits: int, remote: bool) -> bytes:
    """Return a filter for sockets with a local or remote address in a network; IPv4 includes v4-mapped."""
    condition = struct.pack("=BB2xi", _family(address), bits, _ANY_PORT) + address
    size = _OP.size + len(condition)
    return _OP.pack(_D_COND if remote else _S_COND, size, size + 4) + condition


def matches(program: bytes, message: bytes) -> bool:
    """Return whether `program` passes a struct inet_diag_msg, as inet_diag_bc_run() decides it; for sockets from
    text."""
    at = 0
    while at < len(program):
        code, yes, no = _OP.unpack_from(program, at)
        at += yes if _condition_holds(code, program, at + _OP.size, message) else no
    return at == len(program)


def _condition_holds(code: int, program: bytes, at: int, message: bytes) -> bool:
    if code == _JMP:
        return False
    if code in (_S_GE, _S_LE, _D_GE, _D_LE):
        port_at, bound = DPORT if code in (_D_GE, _D_LE) else SPORT, _OP.unpack_from(program, at)[2]
        port = int.from_bytes(message[port_at : port_at + 2], "big")
        return bool(port >= bound if code in (_S_GE, _D_GE) else port <= bound)
    if code == _DEV_COND:
        return message[sock_diag.IF : sock_diag.IF + 4] == program[at : at + 4]
    family, bits, port = struct.unpack_from("=BB2xi", program, at)
    port_at, address_at = (DPORT, DST) if code == _D_COND else (SPORT, SRC)
    if port not in (_ANY_PORT, int.from_bytes(message[port_at : port_at + 2], "big")):
        return False
    address, wanted = message[address_at : address_at + 16], program[at + 8 : at + 8 + (bits + 7) // 8]
    if family == message[FAMILY]:
        return _same_bits(address, wanted, bits)
    plain = sock_diag.unmapped(address)
    return family == socket.AF_INET and len(plain) == 4 and _same_bits(plain, wanted, bits)


def _same_bits(address: bytes, wanted: bytes, bits: int) -> bool:
    whole, rest = divmod(bits, 8)
    if address[:whole] != wanted[:whole]:
        return False
    return not rest or address[whole] >> (8 - rest) == wanted[whole] >> (8 - rest)


def _family(address: bytes) -> int:
    return int(socket.AF_INET if len(address) == 4 else socket.AF_INET6)


def _condition(code: int, address: bytes, port: int, bytes_after: int) -> bytes:
    """Return one condition. `bytes_after`: bytes of program that follow it, which a rejection must jump over."""
    bits = 8 * len(address) if any(address) else 0
    condition = struct.pack("=BB2xi", _family(address), bits, port) + address
    size = 4 + len(condition)
    return _OP.pack(code, size, size + bytes_after + 4) + condition
