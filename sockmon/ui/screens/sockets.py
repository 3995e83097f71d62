"""The table of single sockets that a process, a port group and a listener are shown with."""

from __future__ import annotations

from rich.text import Text

from sockmon import format
from sockmon.model.detail import Socket
from sockmon.ui.screens.who import name
from sockmon.ui.styles import STATES
from sockmon.ui.widgets.table import Column, Table

WIDE, NARROW = 46, 22
"""Cells of an address where there is room for IPv6, and where there is not."""
ROOM = 130


class Sockets(Table[Socket]):
    """Single sockets, sortable; addresses are cut in the middle, so that the port stays."""

    def __init__(self, owners: bool) -> None:
        super().__init__(
            columns(NARROW, owners),
            _key,
            id="sockets",
            classes="panel rest",
            columns_for=lambda width: columns(WIDE if width >= ROOM else NARROW, owners),
            opens=owners,
        )


def _key(socket: Socket) -> tuple[str, str, str, int]:
    return socket.protocol, socket.local, socket.remote, socket.inode


def columns(address: int, owners: bool) -> list[Column[Socket]]:
    """What the table says, with local addresses of so many cells; `owners`: also whose each socket is."""
    shown: list[Column[Socket]] = [
        Column("STATE", 11, lambda row: state(row.state), lambda row: row.state),
        Column("LOCAL", address, lambda row: middle(row.local, address), lambda row: row.local),
        Column("REMOTE", 0, lambda row: middle(row.remote, address), lambda row: row.remote),
        Column("RECV-Q", 8, lambda row: queue(row.recv_queue), lambda row: row.recv_queue, "right"),
        Column("SEND-Q", 8, lambda row: queue(row.send_queue), lambda row: row.send_queue, "right"),
        Column("RTT ms", 8, lambda row: milliseconds(row.rtt), lambda row: row.rtt, "right", narrow=False),
        Column("RETRANS", 8, lambda row: retransmits(row), lambda row: row.retransmits, "right", narrow=False),
        Column("PROTO", 5, lambda row: row.protocol, lambda row: row.protocol, narrow=False),
    ]
    if owners:
        shown.append(Column("OWNER", 20, owner, lambda row: name(row.owner) if row.owner else None, narrow=False))
    return shown


def state(value: str) -> Text:
    """A TCP state in its colour."""
    return Text(value, STATES.get(value, "muted"))


def middle(text: str, width: int) -> str:
    """`text` cut in the middle to at most `width` characters: `2001:db8:85a3…7334]:443`."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[-tail:]}"


def queue(size: int) -> Text:
    """Bytes (or connections) in a queue; an empty one is the rule and steps back."""
    return Text(format.count(size), "" if size else "faint")


def milliseconds(value: float | None) -> Text:
    """A round-trip time; sockets without one have a dash."""
    return Text(format.NOTHING, "faint") if value is None else Text(f"{value:,.1f}")


def retransmits(socket: Socket) -> Text:
    """Segments sent again; none is the rule and steps back."""
    if socket.retransmits is None:
        return Text(format.NOTHING, "faint")
    return Text(format.count(socket.retransmits), "sev-warning" if socket.retransmits else "faint")


def owner(socket: Socket) -> Text:
    """Whose socket it is; TIME_WAIT sockets are nobody's."""
    return Text(name(socket.owner)) if socket.owner else Text(format.NOTHING, "faint")
