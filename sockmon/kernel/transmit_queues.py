"""The transmit queues of the devices of one namespace, as `tc -s qdisc` shows them.

A queueing discipline that has others below it (mq, htb, tbf) hands its packets to them, so only the innermost ones
are read: RTM_GETQDISC with TCA_DUMP_INVISIBLE lists those that the kernel has added too. The numbers are struct
gnet_stats_basic and gnet_stats_queue (include/uapi/linux/gen_stats.h); they need no privilege.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sockmon.errors import ReadError
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.netlink import Incremental, attribute, attributes, dump
from sockmon.model.snapshot import TransmitQueue
from sockmon.text import sanitize

READER = "transmit queues"
MAX_DEVICES = 50
"""Devices that are listed at most: those that drop most, then the fullest."""

_GET_LINK, _GET_QDISC = 18, 38
_LINK_MESSAGE, _QDISC_MESSAGE = 32, 36
"""struct nlmsghdr and struct ifinfomsg or tcmsg: where the attributes start."""
_NAME, _QUEUE_LENGTH, _STATS64, _EXT_MASK = 3, 13, 23, 29
_SKIP_STATS = 8  # RTEXT_FILTER_SKIP_STATS: without the statistics of IPv6, which are long
_TX_DROPPED = 7 * 8  # in struct rtnl_link_stats64
_KIND, _OPTIONS, _STATS2, _DUMP_INVISIBLE = 1, 2, 7, 10
_BASIC, _QUEUE, _APP, _PACKETS64 = 1, 3, 4, 8
_ROOT = 0xFFFFFFFF

_INDEX = struct.Struct("=i")
_NO_QUEUE, _KIND_AT = b"noqueue\0", _QDISC_MESSAGE + 4
"""TCA_KIND, the first attribute, of the many virtual devices without a queue."""
_NOT_QUEUES = frozenset(("noqueue", "ingress", "clsact"))
_IN_BYTES = frozenset(("bfifo",))
_LIMIT_AT = {"pfifo": 0, "bfifo": 0, "pfifo_head_drop": 0, "netem": 4, "sfq": 8}
"""Offset of the limit in the options of a discipline that has a struct there (include/uapi/linux/pkt_sched.h)."""
_LIMIT_ATTRIBUTE = {"fq": 1, "fq_pie": 1, "codel": 2, "fq_codel": 2, "pie": 2}
"""The attribute with the limit, of the others."""
_OVERFLOWS_AT = {"codel": 20, "fq_codel": 8}
"""Offset of drop_overlimit in the statistics of disciplines that also drop what has waited too long."""
_DROPS_IF_FULL = frozenset(
    (
        *("pfifo", "bfifo", "pfifo_fast", "pfifo_head_drop", "fq", "sfq"),
        *("tbf", "htb", "hfsc", "prio", "drr", "qfq", "ets", "multiq", "mq", "mqprio"),
    )
)
"""Disciplines that drop a packet only if it does not fit; others also drop by design: red, cake, netem."""


class _Discipline(NamedTuple):
    """One queueing discipline."""

    device: int
    handle: int
    parent: int
    kind: str
    packets: int
    """Waiting."""
    size: int
    """Waiting, in bytes."""
    sent: int
    dropped: int
    overflowed: int | None
    limit: int | None

    @property
    def waiting(self) -> int:
        """What waits, in the unit of the limit."""
        return self.size if self.kind in _IN_BYTES else self.packets


class _Device(NamedTuple):
    name: str
    queue_length: int
    dropped: int


def read(handle: NetnsHandle) -> Incremental[tuple[TransmitQueue, ...]]:
    """Return the queue of each device that has one, the worst first; raise ReadError."""
    disciplines: list[_Discipline] = []
    devices: dict[int, _Device] = {}
    wanted: set[int] = set()

    def add_disciplines(block: bytes, stride: int) -> None:
        disciplines.extend(
            _discipline(row) for row in _split(block, stride) if not row.startswith(_NO_QUEUE, _KIND_AT)
        )

    def add_devices(block: bytes, stride: int) -> None:
        devices.update(_device(row) for row in _split(block, stride) if _INDEX.unpack_from(row, 20)[0] in wanted)

    every = struct.pack("=B3xiIII", 0, 0, 0, 0, 0) + attribute(_DUMP_INVISIBLE, b"")
    yield from dump(handle.route, READER, _GET_QDISC, every, add_disciplines, _QDISC_MESSAGE)
    roots = {row.device: row.kind for row in disciplines if row.parent == _ROOT}
    innermost = [row for row in _innermost(disciplines) if row.kind not in _NOT_QUEUES]
    if wanted := {row.device for row in innermost}:
        brief = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + attribute(_EXT_MASK, struct.pack("=I", _SKIP_STATS))
        yield from dump(handle.route, READER, _GET_LINK, brief, add_devices, _LINK_MESSAGE)
    return tuple(sorted(_queues(innermost, devices, roots), key=_severity, reverse=True)[:MAX_DEVICES])


def _split(block: bytes, stride: int) -> Iterator[bytes]:
    return (block[at : at + stride] for at in range(0, len(block), stride))


def _discipline(message: bytes) -> _Discipline:
    found = attributes(message, _QDISC_MESSAGE, READER)
    stats = attributes(found.get(_STATS2, b""), 0, READER)
    device, handle, parent = struct.unpack_from("=iII", message, 20)
    try:
        packets, size, dropped = struct.unpack_from("=III", stats[_QUEUE])
        sent = struct.unpack_from("=Q", stats[_PACKETS64]) if _PACKETS64 in stats else ()
        (sent_packets,) = sent or struct.unpack_from("=8xI", stats[_BASIC])
        kind = sanitize(found[_KIND].rstrip(b"\0"))
        overflowed = _overflowed(kind, dropped, stats.get(_APP, b""))
        limit = _limit(kind, found.get(_OPTIONS, b""))
    except (KeyError, struct.error):
        raise ReadError(READER, "the kernel sent a queueing discipline without its statistics") from None
    return _Discipline(device, handle, parent, kind, packets, size, sent_packets, dropped, overflowed, limit)


def _overflowed(kind: str, dropped: int, details: bytes) -> int | None:
    """Return how many packets did not fit; None if the discipline does not count them apart."""
    if kind in _OVERFLOWS_AT and len(details) >= _OVERFLOWS_AT[kind] + 4:
        return int(struct.unpack_from("=I", details, _OVERFLOWS_AT[kind])[0])
    return dropped if kind in _DROPS_IF_FULL else None


def _limit(kind: str, options: bytes) -> int | None:
    if kind in _LIMIT_AT and options:
        return int(struct.unpack_from("=I", options, _LIMIT_AT[kind])[0])
    if kind in _LIMIT_ATTRIBUTE:
        payload = attributes(options, 0, READER).get(_LIMIT_ATTRIBUTE[kind])
        return int(struct.unpack("=I", payload)[0]) if payload else None
    return None


def _device(message: bytes) -> tuple[int, _Device]:
    found = attributes(message, _LINK_MESSAGE, READER)
    (index,) = _INDEX.unpack_from(message, 20)
    try:
        (length,) = struct.unpack_from("=I", found[_QUEUE_LENGTH])
        (dropped,) = struct.unpack_from("=Q", found[_STATS64], _TX_DROPPED)
        return index, _Device(sanitize(found[_NAME].rstrip(b"\0")), length, dropped)
    except (KeyError, struct.error):
        raise ReadError(READER, "the kernel sent a device without its statistics") from None


def _innermost(rows: Sequence[_Discipline]) -> Iterator[_Discipline]:
    """Yield the disciplines without another one below them. Those that the kernel has added have handle 0, as the
    root of a device may have."""
    outer = {(row.device, row.parent >> 16) for row in rows if row.parent != _ROOT}
    for row in rows:
        if (row.device, row.handle >> 16) not in outer or not (row.handle or row.parent == _ROOT):
            yield row


def _queues(
    rows: Iterable[_Discipline], devices: dict[int, _Device], roots: dict[int, str]
) -> Iterator[TransmitQueue]:
    by_device: dict[int, list[_Discipline]] = {}
    for row in rows:
        by_device.setdefault(row.device, []).append(row)
    for index, own in by_device.items():
        # A device that came after the first dump, or went before the second, is read next time.
        if index in devices:
            with_limits = [_with_limit(row, devices[index]) for row in own]
            yield _queue(with_limits, devices[index], roots.get(index, ""))


def _with_limit(row: _Discipline, device: _Device) -> _Discipline:
    return row._replace(limit=device.queue_length or None) if row.kind == "pfifo_fast" else row


def _queue(rows: Sequence[_Discipline], device: _Device, root: str) -> TransmitQueue:
    """Return the fullest of the queues of a device, with the drops of all of them."""
    fullest = max(rows, key=lambda row: (row.waiting / (row.limit or 1), row.dropped))
    overflowed = [row.overflowed for row in rows if row.overflowed is not None]
    return TransmitQueue(
        device=device.name,
        kind=fullest.kind,
        parent="root" if fullest.parent == _ROOT else f"{fullest.parent >> 16:x}:{fullest.parent & 0xFFFF:x}",
        root=root or fullest.kind,
        queues=len(rows),
        waiting=fullest.waiting,
        limit=fullest.limit,
        in_bytes=fullest.kind in _IN_BYTES,
        sent=sum(row.sent for row in rows),
        dropped=sum(row.dropped for row in rows),
        overflowed=sum(overflowed) if overflowed else None,
        device_dropped=device.dropped,
    )


def _severity(queue: TransmitQueue) -> tuple[int, float]:
    return queue.overflowed or 0, queue.waiting / (queue.limit or 1)
