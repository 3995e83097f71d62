"""/proc/net/softnet_stat: packets that wait for, or were lost before, the network stack of each processor.

One line a processor that is online, hexadecimal, without names (softnet_seq_show() of net/core/net-procfs.c); the
same numbers in every network namespace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockmon.errors import Unreadable
from sockmon.model.snapshot import Softnet

if TYPE_CHECKING:
    from sockmon.kernel.netns import Door

_READER = "softnet"
_DROPPED, _SQUEEZED, _BACKLOG, _CPU, _INPUT = 1, 2, 11, 12, 13


def read(door: Door) -> Softnet:
    """All processors together, and the longest input queue among them; raises Absent, Unreadable."""
    return parse(door.read("net/softnet_stat"))


def parse(text: bytes) -> Softnet:
    """Counters are summed; raises Unreadable where the lines are too short or not hexadecimal.

    The limit is compared with the input queue alone (enqueue_to_backlog(), net/core/dev.c), which has a column of
    its own on new kernels; an older column adds what is being worked on. Still older kernels show no queue."""
    try:
        rows = [[int(field, 16) for field in line.split()] for line in text.splitlines()]
    except ValueError:
        raise Unreadable(_READER, "is not made of hexadecimal numbers") from None
    if not rows or any(len(row) <= _SQUEEZED for row in rows):
        raise Unreadable(_READER, "has fewer columns than any kernel is known to write")
    dropped, squeezed = sum(row[_DROPPED] for row in rows), sum(row[_SQUEEZED] for row in rows)
    if any(len(row) <= _CPU for row in rows):
        return Softnet(dropped, squeezed, None, None)
    longest = max(rows, key=_queue)
    return Softnet(dropped, squeezed, _queue(longest), longest[_CPU])


def _queue(row: list[int]) -> int:
    return row[_INPUT] if len(row) > _INPUT else row[_BACKLOG]
