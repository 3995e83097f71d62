"""Synthetic hosts, whose samples are written at once, into the past and the future.

A Prometheus that scrapes 10,000 targets has the same series (a test compares them), five of its own for each
target, and something else to do while it is measured."""

from __future__ import annotations

import http.client
import struct
from collections.abc import Mapping, Sequence
from contextlib import closing

from benchmarks.fleet_pages import KINDS, Kind, Line

HISTORY_SECONDS, WATCH_SECONDS = 3540, 2400
STEP_SECONDS = 60
RARE = 4
"""Series that no query reads over the last hour begin now, and have a sample each four steps: a query takes one of
the last five minutes."""
LONG = (
    "sockmon_ceiling_ratio",
    "sockmon_fullest_ratio",
    "sockmon_build_info",
    "sockmon_sample_timestamp_seconds",
)
RACKS = 40
_PLACE = "host-00000"
"""Stands for the name of a host in what is written for each kind: all names have this length."""


def host_name(number: int) -> str:
    """Return the label `instance` of a host."""
    return f"host-{number:05d}"


class Hosts:
    """Many hosts of a few kinds."""

    def __init__(self, page: Sequence[Line], count: int, older: int = 0) -> None:
        """`page`: what a real host publishes; `older`: so many have an exporter of before."""
        self.count = count
        self._older = older
        self.kinds = [Kind(page, number % KINDS, number >= KINDS) for number in range(2 * KINDS)]

    def write(self, address: tuple[str, int], now: float) -> None:
        """Write what scrapes have found in the last hour, and what they will find in the next WATCH_SECONDS; raise
        RuntimeError if it is refused."""
        messages: dict[int, bytes] = {}
        with closing(http.client.HTTPConnection(*address, timeout=120)) as connection:
            for number in range(self.count):
                kind = number % KINDS + KINDS * (number < self._older)
                if kind not in messages:
                    messages[kind] = _message(self.kinds[kind], now)
                message = messages[kind].replace(_PLACE.encode(), host_name(number).encode())
                remote_write(connection, message.replace(b"rack-00", b"rack-%02d" % (number % RACKS)))


def remote_write(connection: http.client.HTTPConnection, message: bytes) -> None:
    """Write the `series` of a message (POST /api/v1/write); raise RuntimeError if they are refused."""
    # A block of Snappy that is one literal: https://github.com/google/snappy/blob/main/format_description.txt
    body = _varint(len(message)) + b"\xfc" + struct.pack("<I", len(message) - 1) + message
    headers = {
        "Content-Type": "application/x-protobuf",
        "Content-Encoding": "snappy",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    }
    connection.request("POST", "/api/v1/write", body, headers)
    reply = connection.getresponse()
    answer = reply.read()
    if reply.status // 100 != 2:
        raise RuntimeError(f"the history is refused: {reply.status} {answer[:200]!r}")


def _message(kind: Kind, now: float) -> bytes:
    times = [now + seconds for seconds in range(-HISTORY_SECONDS, WATCH_SECONDS + 1, STEP_SECONDS)]
    columns = list(zip(*(kind.values(at) for at in times), strict=True))
    rare = slice(HISTORY_SECONDS // STEP_SECONDS, None, RARE)
    parts = []
    for line, values in zip(kind.lines, columns, strict=True):
        labels = {**line.labels, "__name__": line.name, "instance": _PLACE, "job": "sockmon", "rack": "rack-00"}
        points = list(zip(times, values, strict=True))
        parts.append(series(labels, points if line.name in LONG else points[rare]))
    return b"".join(parts)


def series(labels: Mapping[str, str], points: Sequence[tuple[float, float]]) -> bytes:
    """Return a series with these times (seconds since the epoch) and values, as a WriteRequest has it
    (prometheus/prompb/remote.proto)."""
    # A label without a value is none.
    names = [_bytes(1, _text(1, name) + _text(2, value)) for name, value in sorted(labels.items()) if value]
    samples = [
        _bytes(2, _field(1, 1) + struct.pack("<d", value) + _field(2, 0) + _varint(int(1000 * at)))
        for at, value in points
    ]
    return _bytes(1, b"".join([*names, *samples]))


def _field(number: int, kind: int) -> bytes:
    return bytes([number << 3 | kind])


def _bytes(number: int, content: bytes) -> bytes:
    return _field(number, 2) + _varint(len(content)) + content


def _text(number: int, content: str) -> bytes:
    return _bytes(number, content.encode())


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])
