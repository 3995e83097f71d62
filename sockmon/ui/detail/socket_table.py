"""The table of sockets on the pages of a process, a port group and a listener."""

from __future__ import annotations

from rich.text import Text

from sockmon import format
from sockmon.ceilings.evidence import process_label
from sockmon.model.detail import Socket
from sockmon.ui.appearance.styles import STATES
from sockmon.ui.filtering.filter import Filterable
from sockmon.ui.filtering.row_values import SOCKET, socket_values
from sockmon.ui.widgets.table import Column, Table

WIDE_ADDRESS, NARROW_ADDRESS = 46, 22
"""Cells of an address, with and without room for IPv6."""
WIDE_TABLE = 130
"""Cells of a table from which on addresses are wide."""


class SocketTable(Table[Socket]):
    """Sockets, sortable; addresses are cut in the middle, so that the port is always shown."""

    def __init__(self, owners: bool) -> None:
        known = SOCKET if owners else {field: SOCKET[field] for field in SOCKET if field not in ("proc", "pid")}
        super().__init__(
            columns(NARROW_ADDRESS, owners),
            _key,
            id="sockets",
            classes="panel rest",
            columns_for=lambda width: columns(WIDE_ADDRESS if width >= WIDE_TABLE else NARROW_ADDRESS, owners),
            filterable=Filterable(known, socket_values),
        )


def _key(socket: Socket) -> tuple[str, str, str, int]:
    return socket.protocol, socket.local, socket.remote, socket.inode


def columns(address: int, owners: bool) -> list[Column[Socket]]:
    """Return the columns, with local addresses of so many cells, and with the `owners` if asked for."""
    shown: list[Column[Socket]] = [
        Column("STATE", 11, lambda row: state_text(row.state), lambda row: row.state),
        Column("LOCAL", address, lambda row: cut_address(row.local, address), lambda row: row.local, pin=True),
        Column("REMOTE", 0, lambda row: row.remote, lambda row: row.remote, cut="middle", pin=True),
        Column("RECV-Q", 8, lambda row: queue_text(row.recv_queue), lambda row: row.recv_queue, "right"),
        Column("SEND-Q", 8, lambda row: queue_text(row.send_queue), lambda row: row.send_queue, "right"),
        Column("RTT ms", 8, lambda row: rtt_text(row.rtt), lambda row: row.rtt, "right", keep_when_narrow=False),
        Column("RETRANS", 8, retransmits_text, lambda row: row.retransmits, "right", keep_when_narrow=False),
        Column("PROTO", 5, lambda row: row.protocol, lambda row: row.protocol, keep_when_narrow=False),
    ]
    if owners:
        shown.append(
            Column(
                "OWNER",
                20,
                owner_text,
                lambda row: process_label(row.owner) if row.owner else None,
                keep_when_narrow=False,
            )
        )
    return shown


def state_text(value: str) -> Text:
    """Return a TCP state in its colour."""
    return Text(value, STATES.get(value, "muted"))


def cut_address(text: str, width: int) -> str:
    """Return `text` cut in the middle to at most `width` characters: `2001:db8:85a3…7334]:443`."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[-tail:]}"


def queue_text(size: int) -> Text:
    """Return the bytes or connections in a queue; 0 is usual, and faint."""
    return Text(format.count(size), "" if size else "faint")


def rtt_text(value: float | None) -> Text:
    """Return a round-trip time; sockets without one have a dash."""
    return Text(format.NOTHING, "faint") if value is None else Text(f"{value:,.1f}")


def retransmits_text(socket: Socket) -> Text:
    """Return the number of segments sent again; 0 is usual, and faint."""
    if socket.retransmits is None:
        return Text(format.NOTHING, "faint")
    return Text(format.count(socket.retransmits), "sev-warning" if socket.retransmits else "faint")


def owner_text(socket: Socket) -> Text:
    """Return the owner of a socket; those in TIME_WAIT have none."""
    return Text(process_label(socket.owner)) if socket.owner else Text(format.NOTHING, "faint")
