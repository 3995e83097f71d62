"""/proc/net/softnet_stat: packets that wait for, or were lost before, the network stack of each processor.

One line for each processor that is online, hexadecimal, without names (softnet_seq_show() of
net/core/net-procfs.c); the numbers are the same in every network namespace.
"""

from __future__ import annotations

from sockmon.errors import ReadError
from sockmon.kernel.integers import parse_integer
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.model.snapshot import Softnet

_READER = "softnet"
_END_OF_U32 = 1 << 32
_DROPPED, _SQUEEZED, _BACKLOG, _CPU, _INPUT = 1, 2, 11, 12, 13


def read(handle: NetnsHandle) -> Softnet:
    """Return the sums over all processors, and the longest input queue; raise NotPresent or ReadError."""
    return parse(handle.read("net/softnet_stat"))


def parse(text: bytes) -> Softnet:
    """Return the sums of the counters, and the longest queue; raise ReadError if lines are too short or not
    hexadecimal.

    The limit applies to the input queue alone (enqueue_to_backlog(), net/core/dev.c), which has its own column on
    new kernels; an older column includes what is being processed. Still older kernels show no queue."""
    try:
        rows = [[parse_integer(field, 16) for field in line.split()] for line in text.splitlines()]
    except ValueError:
        raise ReadError(_READER, "has a field that is not a hexadecimal number") from None
    if not rows or any(len(row) <= _SQUEEZED for row in rows):
        raise ReadError(_READER, "has fewer columns than any known kernel writes")
    if any(number >= _END_OF_U32 for row in rows for number in row):
        raise ReadError(_READER, "has numbers of more than 32 bits")
    dropped, squeezed = sum(row[_DROPPED] for row in rows), sum(row[_SQUEEZED] for row in rows)
    if any(len(row) <= _CPU for row in rows):
        return Softnet(dropped, squeezed, None, None)
    longest = max(rows, key=_queue)
    return Softnet(dropped, squeezed, _queue(longest), longest[_CPU])


def _queue(row: list[int]) -> int:
    return row[_INPUT] if len(row) > _INPUT else row[_BACKLOG]
