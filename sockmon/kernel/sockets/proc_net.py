"""The text of /proc/net/tcp, udp, raw and unix, which is read if netlink is refused (tcp_ipv4.c, af_unix.c).

Rows are turned into the messages that sock_diag would have sent, so everything that counts sockets reads both.
Text is slow (27 rows a read, some 5 µs a row here) and has less: no backlog of a listener, no tcp_info, no socket
that is only bound, no queue of a unix socket.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Mapping

from sockmon.errors import NotPresent, ReadError
from sockmon.kernel.netlink import HEADER, BlockHandler, Incremental, attribute
from sockmon.kernel.sockets import diag_filter, sock_diag, unix_diag
from sockmon.kernel.sockets.sock_diag import CLOSE, ESTABLISHED, LISTEN, MESSAGE, READER, UNKNOWN, TextDiag

TCP, UDP, RAW = ("net/tcp", "net/tcp6"), ("net/udp", "net/udp6"), ("net/raw", "net/raw6")
UNIX = "net/unix"
FILES = (*TCP, *UDP, *RAW, UNIX)
LABEL = (
    "sockets are read from the text of /proc/net, which is slower and does not show the backlog of a listener,"
    " sockets that are bound only, round-trip times, or the queues of unix sockets"
)
MAX_ROWS = 1_000_000
"""Rows of one file that are read at most: some 5 s of a processor."""

_CHUNK_BYTES = 65536
_MESSAGE = struct.Struct("=16xBBBB4s16s16s16xIIII")
"""struct inet_diag_msg after struct nlmsghdr: family, state, timer, retransmits, ports, addresses, queues, ..."""
_UNIX = struct.Struct("=BBBBI8x")
_LISTENING = 0x10000  # __SO_ACCEPTCON
_CONNECTED = 3  # SS_CONNECTED
_MAX_LINE_BYTES = 4096
_PROTOCOLS = {socket.IPPROTO_UDP: UDP, socket.IPPROTO_RAW: RAW}
_FAMILIES = {int(socket.AF_INET): 0, int(socket.AF_INET6): 1}


class ProcNet(TextDiag):
    """Dumps from open text files: path → descriptor. One dump at a time."""

    def __init__(self, files: Mapping[str, int]) -> None:
        self._files = files

    def tcp(self, states: int, absorb: BlockHandler, program: bytes, sport: int) -> Incremental[None]:
        """Dump TCP sockets of both families, as `sock_diag.tcp`; raise ReadError."""
        for family, path in zip(_FAMILIES, TCP, strict=True):
            if path != TCP[0] and path not in self._files:  # IPv6 is off
                continue
            yield from self._inet(path, family, states, absorb, program, sport)

    def inet(self, family: int, protocol: int, absorb: BlockHandler) -> Incremental[None]:
        """Dump the sockets of one family and protocol; raise NotPresent if the kernel has no such file,
        ReadError."""
        path = _PROTOCOLS[protocol][_FAMILIES[family]]
        yield from self._inet(path, family, ~0, absorb, b"", 0)

    def unix(self, absorb: BlockHandler) -> Incremental[None]:
        """Dump the unix sockets, with a name but without queues; raise ReadError.

        A name can contain a line feed and what looks like another row. So a row proves nothing: the caller accepts
        only those whose inode it has found in a table of descriptors, and an inode with two rows is left out."""
        rows: dict[int, bytes | None] = {}
        for line in self._lines(UNIX):
            if line is None:
                yield
                continue
            found = _unix_row(line)
            if found is not None:
                rows[found[0]] = None if found[0] in rows else found[1]
        for row in rows.values():
            if row is not None:
                absorb(row, len(row))

    def _inet(
        self, path: str, family: int, states: int, absorb: BlockHandler, program: bytes, sport: int
    ) -> Incremental[None]:
        block = bytearray()
        for line in self._lines(path):
            if line is None:
                if block:
                    absorb(bytes(block), MESSAGE)
                    block.clear()
                yield
                continue
            message = _message(path, family, line)
            state = message[sock_diag.STATE]
            if states == 1 << LISTEN and state != LISTEN:
                break  # listeners come first
            if not states >> state & 1 or (sport and sport != sock_diag.local_port(message)):
                continue
            if not program or diag_filter.matches(program, message):
                block += message
        if block:
            absorb(bytes(block), MESSAGE)

    def _lines(self, path: str) -> Iterator[bytes | None]:
        """Yield the lines after the first, and None after each read."""
        descriptor = self._files.get(path)
        if descriptor is None:
            raise NotPresent(READER, f"/proc/{path} does not exist")
        at, rest, number = 0, b"", -1
        while data := _read(descriptor, path, at):
            at += len(data)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                number += 1
                if number > MAX_ROWS:
                    raise ReadError(
                        READER, f"/proc/{path} has more than {MAX_ROWS:,} rows: too many without netlink"
                    )
                if number:
                    yield line
            if len(rest) > _MAX_LINE_BYTES:
                raise ReadError(READER, f"/proc/{path} is not lines of text")
            yield None
        if rest:
            raise ReadError(READER, f"/proc/{path} ends within a row")


def open_fallback(files: Mapping[str, int], name: str) -> ProcNet | None:
    """Return the text that replaces the netlink socket `name`, from files by `NAME PATH`; None if not even
    /proc/net/tcp could be opened."""
    found = {path: files[f"{name} {path}"] for path in FILES if f"{name} {path}" in files}
    return ProcNet(found) if TCP[0] in found else None


def _read(descriptor: int, path: str, at: int) -> bytes:
    try:
        return os.pread(descriptor, _CHUNK_BYTES, at)
    except OSError as error:
        raise ReadError(READER, f"/proc/{path}: {error.strerror}") from error


def _message(path: str, family: int, line: bytes) -> bytes:
    """Return one row as struct inet_diag_msg; raise ReadError if it is not a socket."""
    try:
        _, local, remote, state, queues, timer, _, uid, _, inode, *_ = line.split(None, 10)
        source, sport = _endpoint(local, family)
        destination, dport = _endpoint(remote, family)
        state_number = int(state, 16)
        return _MESSAGE.pack(
            family,
            state_number,
            int(timer[:2], 16),
            0,
            sport + dport,
            source,
            destination,
            int(queues[9:17], 16),
            UNKNOWN if state_number == LISTEN else int(queues[:8], 16),
            int(uid),
            int(inode),
        )
    except (ValueError, struct.error):
        raise ReadError(READER, f"/proc/{path} has a row that is not a socket") from None


def _endpoint(text: bytes, family: int) -> tuple[bytes, bytes]:
    """Return `0100007F:1F90` as address and port in network order; each group of four bytes is a native u32."""
    address, _, port = text.partition(b":")
    groups = [int(address[at : at + 8], 16) for at in range(0, len(address), 8)]
    if len(groups) != (1 if family == socket.AF_INET else 4) or len(port) != 4:
        raise ValueError(text)
    return struct.pack(f"={len(groups)}I", *groups), bytes.fromhex(port.decode("ascii"))


def _unix_row(line: bytes) -> tuple[int, bytes] | None:
    """Return inode and struct unix_diag_msg with the name; None if the line is not a row but the rest of a
    name."""
    fields = line.split(None, 7)
    if len(fields) < 7 or not fields[0].endswith(b":"):
        return None
    try:
        flags, kind, state, inode = int(fields[3], 16), int(fields[4], 16), int(fields[5], 16), int(fields[6])
        number = LISTEN if flags & _LISTENING else ESTABLISHED if state == _CONNECTED else CLOSE
        body = _UNIX.pack(int(socket.AF_UNIX), kind, number, 0, inode)
    except (ValueError, struct.error):
        return None
    if len(fields) > 7:
        name = fields[7]
        body += attribute(unix_diag.NAME, b"\0" + name[1:] if name.startswith(b"@") else name)
    return inode, HEADER.pack(16 + len(body), 20, 0, 0) + body
