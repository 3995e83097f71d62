"""The part of a Snapshot about the transmit queues of the devices of one network namespace."""

from __future__ import annotations

import msgspec


class TransmitQueue(msgspec.Struct, frozen=True):
    """The queue of packets that wait for a device: the fullest one, if it has several."""

    device: str
    kind: str
    """Its queueing discipline: pfifo_fast, fq_codel, ..."""
    parent: str
    """`root`, or the class above it: `8006:1`."""
    root: str
    """The discipline at the root of the device; the same as `kind` if it is this one."""
    queues: int
    waiting: int
    """Packets, or bytes if `in_bytes`."""
    limit: int | None
    in_bytes: bool
    sent: int
    """Packets, from all queues of the device."""
    dropped: int
    overflowed: int | None
    """How many of them did not fit; None if the discipline drops others too, and does not count these apart."""
    device_dropped: int
    """tx_dropped: packets that were dropped below the queue."""


class TransmitQueues(msgspec.Struct, frozen=True):
    """The transmit queues of the devices that have one, the worst first, at most 50."""

    at: float
    rows: tuple[TransmitQueue, ...]
