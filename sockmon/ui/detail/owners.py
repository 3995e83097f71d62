"""The owners of a ceiling's usage, as the Snapshot knows them, in one line; empty if it knows none."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rich.text import Text

from sockmon.ceilings.evidence import process_label
from sockmon.format import count, size
from sockmon.model.detail import DetailQuery, GroupQuery, ListenerQuery, ProcessQuery
from sockmon.model.snapshot import Netns, Owner, PortGroup, Process, QueueOwner, Snapshot
from sockmon.ui.snapshot_lookup import find_group, find_listener, find_process

TOP_OWNERS = 5
USED_BY_PROCESS: dict[str, Callable[[Process], int | None]] = {
    "system-fds": lambda process: process.fds,
    "pid-max": lambda process: process.threads,
    "threads-max": lambda process: process.threads,
}
"""Host-wide ceiling → what each process uses of it."""

HELD_BY_PROCESS: dict[str, Callable[[Netns], tuple[QueueOwner, ...]]] = {
    "tcp-memory": lambda netns: netns.queues.owners if netns.queues else (),
    "udp-memory": lambda netns: netns.udp.readers if netns.udp else (),
}
"""Memory of the host → the processes that hold the most of it."""


def largest_owner(focus: DetailQuery | None, snapshot: Snapshot) -> Owner | None:
    """Return the process with most ports of a port group; None if unknown, or if the query is not a group."""
    group = find_group(snapshot, focus) if isinstance(focus, GroupQuery) else None
    return group.owners[0] if group and group.owners else None


def owners_line(ceiling: str, focus: DetailQuery | None, snapshot: Snapshot) -> Text:
    """Return the largest owners with their usage, largest first; empty if they are not known."""
    if isinstance(focus, GroupQuery):
        return _of_group(find_group(snapshot, focus))
    if isinstance(focus, ProcessQuery):
        return _of_process(find_process(snapshot, focus.pid, focus.start))
    if isinstance(focus, ListenerQuery):
        listener = find_listener(snapshot, focus)
        return (
            join_dots([bold_pair(process_label(listener.owner), "accepts")])
            if listener and listener.owner
            else Text()
        )
    if ceiling in USED_BY_PROCESS and snapshot.processes:
        return _largest(snapshot.processes.rows, USED_BY_PROCESS[ceiling])
    if ceiling in HELD_BY_PROCESS:
        held = [item for netns in snapshot.netns for item in HELD_BY_PROCESS[ceiling](netns)]
        return join_dots(bold_pair(process_label(item.owner), _held(item)) for item in held[:TOP_OWNERS])
    if ceiling == "conntrack-table":
        tables = [netns.conntrack.table for netns in snapshot.netns if netns.conntrack and netns.conntrack.table]
        table = sorted(tables[0].items(), key=lambda item: -item[1])[:TOP_OWNERS] if tables else []
        return join_dots(bold_pair(kind, count(number)) for kind, number in table)
    return Text()


def owner_unknown_reason(focus: DetailQuery | None, snapshot: Snapshot) -> str:
    """Return why the owner of a port group or a listener is not known; empty if it is known, or cannot exist."""
    group = find_group(snapshot, focus) if isinstance(focus, GroupQuery) else None
    listener = find_listener(snapshot, focus) if isinstance(focus, ListenerQuery) else None
    owned = bool(group.owners) or group.time_wait >= group.used if group else bool(listener and listener.owner)
    if owned or not (group or listener):
        return ""
    reason = next((missing.reason for missing in snapshot.missing if missing.reader == "owners"), "")
    return f"not known: {reason}" if reason else "not read yet; Enter reads it"


def _of_group(group: PortGroup | None) -> Text:
    if group is None:
        return Text()
    parts = [bold_pair(process_label(owner), socket_count(owner)) for owner in group.owners]
    if group.time_wait:
        parts.append(bold_pair(count(group.time_wait), "in TIME_WAIT without an owner"))
    return join_dots(parts)


def _of_process(process: Process | None) -> Text:
    if process is None:
        return Text()
    parts = [bold_pair(process_label(process), f"of {process.user}")]
    if process.sockets is not None:
        parts.append(bold_pair(count(process.sockets), "socket" if process.sockets == 1 else "sockets"))
    if process.close_wait is not None:
        parts.append(bold_pair(count(process.close_wait), "in CLOSE_WAIT"))
    if process.command != process.name:
        parts.append(Text(process.command, style="muted"))
    return join_dots(parts)


def _largest(rows: Iterable[Process], number: Callable[[Process], int | None]) -> Text:
    known = [(number(row) or 0, row) for row in rows if number(row)]
    known.sort(key=lambda item: -item[0])
    return join_dots(bold_pair(process_label(row), count(value)) for value, row in known[:TOP_OWNERS])


def _held(item: QueueOwner) -> str:
    return size(item.recv_queue + item.send_queue if item.memory is None else item.memory)


def socket_count(owner: Owner) -> str:
    """Return the number of an owner's sockets; `~` marks an estimate."""
    return f"~{count(owner.sockets)}" if owner.estimated else count(owner.sockets)


def bold_pair(one: str, other: str) -> Text:
    """Return a name in bold and its number."""
    return Text.assemble((one, "strong"), " ", other)


def join_dots(parts: Iterable[Text], room: int = 0) -> Text:
    """Return the parts with a dot between; lines of at most `room` cells end between parts, 0 is no limit."""
    text, used = Text(), 0
    for part in parts:
        if used and room and used + part.cell_len + 5 > room:
            text.append(" ·\n", "faint")
            used = 0
        elif used:
            text.append(" · ", "faint")
            used += 3
        text.append_text(part)
        used += part.cell_len
    return text
