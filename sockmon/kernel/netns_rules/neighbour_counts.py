"""The neighbours of the namespace of this process, counted by link and state: RTM_GETNEIGH, struct ndmsg."""

from __future__ import annotations

import socket
import struct
from collections import Counter

from sockmon.kernel.netlink import dump, run
from sockmon.model.netns_rules import MAX_ROWS, NeighbourCount

READER = "neighbours"
_GET, _MESSAGE_BYTES = 30, 28
_NEIGHBOUR = struct.Struct("=B3xiH")
"""Family, index of the link and state of struct ndmsg."""
_FAMILIES: dict[int, int] = {socket.AF_INET: 4, socket.AF_INET6: 6}
_STATES = {
    0x00: "NONE", 0x01: "INCOMPLETE", 0x02: "REACHABLE", 0x04: "STALE", 0x08: "DELAY", 0x10: "PROBE",
    0x20: "FAILED", 0x40: "NOARP", 0x80: "PERMANENT",
}  # fmt: skip


def count_neighbours(route: socket.socket) -> tuple[tuple[NeighbourCount, ...], int]:
    """Return the counts of each link and family, largest first, and the number of entries; raise ReadError."""
    found: Counter[tuple[int, int, int]] = Counter()

    def absorb(block: bytes, stride: int) -> None:
        found.update(_NEIGHBOUR.unpack_from(block, at + 16) for at in range(0, len(block), stride))

    for each in _FAMILIES:
        body = struct.pack("=BxxxiHBB", each, 0, 0, 0, 0)
        run(dump(route, READER, _GET, body, absorb, _MESSAGE_BYTES))
    by_link: dict[tuple[int, int], dict[str, int]] = {}
    for (family, link, state), count in found.items():
        if family in _FAMILIES:
            states = by_link.setdefault((_FAMILIES[family], link), {})
            name = _STATES.get(state, f"state {state:#x}")
            states[name] = states.get(name, 0) + count
    rows = [NeighbourCount(family, link, states) for (family, link), states in by_link.items()]
    rows.sort(key=lambda row: -sum(row.states.values()))
    return tuple(rows[:MAX_ROWS]), sum(sum(row.states.values()) for row in rows)
