"""The columns of the list of sockets, and what they are called in a query."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from rich.text import Text

from sockmon import format
from sockmon.ceilings.evidence import process_label
from sockmon.model.socket_list import (
    HALF_OPEN,
    KEPT_BY_KERNEL,
    NO_FILE,
    NOT_ACCEPTED,
    ORPHAN,
    TCP,
    ListedSocket,
)
from sockmon.ui.detail.socket_table import rtt_text, state_text
from sockmon.ui.widgets.table import Column

NO_OWNER = {
    KEPT_BY_KERNEL: ("kernel", "closed by its process; the kernel keeps it until TIME_WAIT ends"),
    HALF_OPEN: ("half open", "the handshake is not finished, so no process has it yet"),
    NOT_ACCEPTED: ("not accepted", "in the accept queue of its listener: no process has accepted it yet"),
    ORPHAN: ("orphan", "closed by its process; the peer has not acknowledged that yet"),
    NO_FILE: ("no file", "no descriptor refers to it"),
}
"""Why a socket has no owner → in short, and as a sentence."""
SORTS = {
    "STATE": "state",
    "LOCAL": "local",
    "REMOTE": "remote",
    "RECV-Q": "recvq",
    "SEND-Q": "sendq",
    "OWNER": "owner",
    "RTT ms": "rtt",
    "RETRANS": "retrans",
    "SENT": "sent",
    "RECEIVED": "received",
    "PROTO": "proto",
}
"""Title of a column → what the agent sorts by."""
WIDE_TABLE = 120


def columns(width: int, several: bool) -> list[Column[ListedSocket]]:
    """Return the columns for a table of that width; `several`: of several namespaces, so each row says which."""
    wide = width >= WIDE_TABLE
    shown: list[Column[ListedSocket]] = [
        Column("STATE", 11, lambda row: state_text(row.state), lambda row: row.state),
        Column("LOCAL", 22 if wide else 16, _local, lambda row: _end(row, False), pin=True, cut="middle"),
        Column("REMOTE", 0, _remote, lambda row: _end(row, True), pin=True, cut="middle"),
        Column("RECV-Q", 6, lambda row: _queue(row.recv_queue), lambda row: row.recv_queue, "right"),
        Column("SEND-Q", 6, lambda row: _queue(row.send_queue), lambda row: row.send_queue, "right"),
        Column("OWNER", 20 if wide else 13, owner_text, _owner_key, cut="middle"),
        Column("RTT ms", 8, lambda row: rtt_text(row.rtt), lambda row: row.rtt, "right", keep_when_narrow=False),
        Column("RETRANS", 7, _retransmits, lambda row: row.retransmits, "right", keep_when_narrow=False),
        Column("PROTO", 6, lambda row: row.key.protocol, lambda row: row.key.protocol, keep_when_narrow=False),
        Column("SENT", 7, _sent, lambda row: row.sent_ago, "right", keep_when_narrow=False),
        Column("RECEIVED", 8, _received, lambda row: row.received_ago, "right", keep_when_narrow=False),
        Column("USER", 10, lambda row: Text(row.user or format.NOTHING, "muted"), keep_when_narrow=False),
    ]
    if several:
        place: Column[ListedSocket] = Column("NAMESPACE", 16, lambda row: Text(row.netns, "muted"), cut="middle")
        shown.insert(6 if wide else 1, place)
    return shown


def _local(row: ListedSocket) -> Text:
    return Text(row.local) if row.local else Text("(no name)", "faint")


def _remote(row: ListedSocket) -> Text:
    unconnected = not row.remote or row.remote in ("0.0.0.0:0", "[::]:0")
    if not unconnected:
        return Text(row.remote)
    return Text(format.NOTHING if row.key.protocol == TCP else f"{format.NOTHING} {row.key.protocol}", "faint")


@lru_cache(8192)
def _address_key(address: str) -> tuple[int, bytes]:
    found = ip_address(address)
    found = getattr(found, "ipv4_mapped", None) or found
    return found.version, found.packed


def _end(row: ListedSocket, remote: bool) -> Any:
    """Return what orders addresses, as the agent does: IPv4, IPv6, then names."""
    key = row.key
    if not key.source:
        name = row.remote if remote else row.local
        return (9, name.encode(), 0) if name else None
    address, port = (key.destination, key.destination_port) if remote else (key.source, key.source_port)
    return (*_address_key(address), port)


def _queue(size: int | None) -> Text:
    return Text(format.short(size), "" if size else "faint")


def _retransmits(row: ListedSocket) -> Text:
    if row.retransmits is None:
        return Text(format.NOTHING, "faint")
    return Text(format.short(row.retransmits), "sev-warning" if row.retransmits else "faint")


def _sent(row: ListedSocket) -> Text:
    return _age(row.sent_ago)


def _received(row: ListedSocket) -> Text:
    return _age(row.received_ago)


def _age(seconds: float | None) -> Text:
    return Text(format.NOTHING, "faint") if seconds is None else Text(format.age(seconds))


def owner_text(row: ListedSocket) -> Text:
    """Return the owner, or why there is none; `?` if one is not known."""
    if row.owner:
        return Text(process_label(row.owner))
    if row.no_owner:
        return Text(NO_OWNER.get(row.no_owner, (row.no_owner,))[0], "faint")
    return Text(format.UNKNOWN, "sev-unknown")


def _owner_key(row: ListedSocket) -> tuple[str, int] | None:
    return (row.owner.name, row.owner.pid) if row.owner else None
