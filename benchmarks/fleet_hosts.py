"""Synthetic hosts: a web server with the page of each, and their last hour, which is written at once."""

from __future__ import annotations

import asyncio
import http.client
import struct
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

from benchmarks.fleet_pages import KINDS, Kind, Line

HISTORY_STEP_SECONDS = 60
SHORT_HISTORY_SECONDS = 540
"""Of series that no query reads over the last hour."""
LONG_HISTORY = ("sockmon_ceiling_ratio", "sockmon_fullest_ratio", "sockmon_build_info")
PAGE_SECONDS = 5.0
"""For how long a page stays the same, as `sockmon export` samples each 5 s."""
RACKS = 40
_PLACE = "host-00000"
"""Stands for the name of a host in what is written for each kind: all names have this length."""


def host_name(number: int) -> str:
    """Return the label `instance` of a host."""
    return f"host-{number:05d}"


class HostPages:
    """Answers `GET /NUMBER` with the page of that host, once `open` is set."""

    def __init__(self, page: Sequence[Line], older: int) -> None:
        """`page`: what a real host publishes; `older`: so many hosts have an exporter of before."""
        self.kinds = [Kind(page, number % KINDS, number >= KINDS) for number in range(2 * KINDS)]
        self._older = older
        self._texts = [[line.text for line in kind.lines] for kind in self.kinds]
        self._pages: dict[int, tuple[float, bytes]] = {}
        self.open = False
        self.port = 0

    def kind_of(self, number: int) -> int:
        """Return the index of the kind of a host."""
        return number % KINDS + KINDS * (number < self._older)

    def page(self, number: int) -> bytes:
        """Return the page of a host."""
        kind, now = self.kind_of(number), time.time() // PAGE_SECONDS * PAGE_SECONDS
        at, page = self._pages.get(kind, (0.0, b""))
        if at != now:
            values = self.kinds[kind].values(now)
            lines = [f"{text} {value!r}\n" for text, value in zip(self._texts[kind], values, strict=True)]
            page = "".join(lines).encode()
            self._pages[kind] = now, page
        return page

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                body = self.page(int(head.split(b" ", 2)[1].strip(b"/"))) if self.open else b""
                status = b"200 OK" if self.open else b"503 Service Unavailable"
                more = b"Content-Type: text/plain; version=0.0.4\r\nContent-Length: %d\r\n\r\n" % len(body)
                writer.write(b"HTTP/1.1 " + status + b"\r\n" + more + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@contextmanager
def serving(pages: HostPages) -> Iterator[None]:
    """Serve the pages on a free port of loopback, in a thread."""
    loop, ready = asyncio.new_event_loop(), threading.Event()

    async def serve() -> None:
        server = await asyncio.start_server(pages.answer, "127.0.0.1", 0, backlog=4096)
        pages.port = server.sockets[0].getsockname()[1]
        ready.set()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True, name="pages of the hosts")
    thread.start()
    ready.wait()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def write_history(address: tuple[str, int], pages: HostPages, hosts: int, end: float, seconds: int) -> None:
    """Write what a scrape each minute until `end` would have found; raise RuntimeError if it is refused."""
    times = [end - back for back in range(seconds, -1, -HISTORY_STEP_SECONDS)]
    messages: dict[int, bytes] = {}
    with closing(http.client.HTTPConnection(*address, timeout=120)) as connection:
        for number in range(hosts):
            kind = pages.kind_of(number)
            if kind not in messages:
                messages[kind] = _message(pages.kinds[kind], times)
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


def _message(kind: Kind, times: Sequence[float]) -> bytes:
    columns = list(zip(*(kind.values(at) for at in times), strict=True))
    short = SHORT_HISTORY_SECONDS // HISTORY_STEP_SECONDS
    parts = []
    for line, values in zip(kind.lines, columns, strict=True):
        labels = {**line.labels, "__name__": line.name, "instance": _PLACE, "job": "sockmon", "rack": "rack-00"}
        points = list(zip(times, values, strict=True))
        parts.append(series(labels, points if line.name in LONG_HISTORY else points[-short:]))
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
