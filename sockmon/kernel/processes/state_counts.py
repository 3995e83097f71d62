"""How many TCP sockets each process has in which state: one dump, matched with the descriptors that are known.

The descriptors are those of the last walk over /proc, so that no process is read for it. The index of their
sockets is bounded; what goes beyond is sampled and marked as an estimate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes.process_sockets import ProcessSockets
from sockmon.kernel.sockets import sock_diag
from sockmon.kernel.sockets.sock_diag import STATES, Diag
from sockmon.model.process_states import ProcessStates

MAX_INDEXED = 300_000
"""Sockets in the index at most: some 30 MB while it is used."""
_KERNEL = -1
"""The slot of inode 0: no descriptor refers to the socket."""


class _Slot(NamedTuple):
    held: ProcessSockets
    scale: float


class OwnerIndex:
    """Which process holds a socket, by inode; a socket that several share belongs to the first."""

    def __init__(self) -> None:
        self.by_inode: dict[int, int] = {0: _KERNEL}
        self.slots: list[_Slot] = []

    def fill(self, processes: Iterable[ProcessSockets], limit: int = MAX_INDEXED) -> Incremental[None]:
        """Add the sockets of `processes`, a process in each step; of all of them each k-th one if they are more
        than `limit`."""
        every = [held for held in processes if held.inodes]
        step = -(-sum(len(held.inodes) for held in every) // limit) or 1
        for held in every:
            inodes = held.inodes[::step]
            slot = len(self.slots)
            self.slots.append(_Slot(held, held.scale * len(held.inodes) / len(inodes)))
            for inode in inodes:
                self.by_inode.setdefault(inode, slot)
            yield


class StateCounts:
    """Counts the sockets of one or several dumps by process and state."""

    def __init__(self, index: OwnerIndex) -> None:
        self._index = index
        self._counts: Counter[tuple[int | None, int]] = Counter()

    def dump(self, diag: Diag) -> Incremental[None]:
        """Count the TCP sockets of one network namespace; raise ReadError."""
        yield from sock_diag.tcp(diag, sock_diag.EVERY_STATE, self._absorb)

    def _absorb(self, block: bytes, stride: int) -> None:
        slots = map(self._index.by_inode.get, sock_diag.inodes(block, stride))
        self._counts.update(zip(slots, block[sock_diag.STATE :: stride], strict=True))

    @property
    def total(self) -> dict[str, int]:
        """All sockets by state."""
        total: Counter[str] = Counter()
        for (_, state), sockets in self._counts.items():
            total[_name(state)] += sockets
        return dict(total.most_common())

    @property
    def kernel(self) -> dict[str, int]:
        """Those that no descriptor refers to."""
        return {_name(state): sockets for (slot, state), sockets in self._counts.items() if slot == _KERNEL}

    def rows(self) -> list[ProcessStates]:
        """Return the processes that have any, the most sockets first."""
        states: dict[int, dict[str, int]] = {}
        for (slot, state), sockets in self._counts.items():
            if slot is not None and slot != _KERNEL:
                states.setdefault(slot, {})[_name(state)] = round(sockets * self._index.slots[slot].scale)
        rows = [
            ProcessStates(held.pid, held.start, held.name, states[slot], scale != 1.0)
            for slot, (held, scale) in enumerate(self._index.slots)
            if slot in states
        ]
        rows.sort(key=lambda row: (-sum(row.states.values()), row.pid))
        return rows

    def unknown(self, rows: Iterable[ProcessStates]) -> dict[str, int]:
        """Return those that are neither of the kernel nor of one of `rows`; of estimates at least the difference
        to all."""
        rest = Counter(self.total)
        rest.subtract(self.kernel)
        for row in rows:
            rest.subtract(row.states)
        return {state: sockets for state, sockets in rest.items() if sockets > 0}


def _name(state: int) -> str:
    return STATES.get(state, f"state {state}")
