"""Who eats a ceiling: the owners that the Snapshot knows, as one line; nothing where it knows none."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rich.text import Text

from sockmon.format import count
from sockmon.model.detail import Focus, GroupFocus, ListenerFocus, ProcessFocus
from sockmon.model.snapshot import Listener, Netns, Owner, PortGroup, Process, Snapshot

TOP = 5
NUMBERS: dict[str, Callable[[Process], int | None]] = {
    "system-fds": lambda process: process.fds,
    "tcp-memory": lambda process: process.sockets,
    "udp-memory": lambda process: process.sockets,
    "pid-max": lambda process: process.threads,
    "threads-max": lambda process: process.threads,
}
"""Host-wide ceilings, and what each process takes of them."""


def find_process(snapshot: Snapshot, pid: int, start: int) -> Process | None:
    """The process in the Snapshot; None where it has ended, or processes could not be read."""
    rows = snapshot.processes.rows if snapshot.processes else ()
    return next((row for row in rows if row.pid == pid and row.start == start), None)


def find_netns(snapshot: Snapshot, inode: int) -> Netns | None:
    """The namespace in the Snapshot."""
    return next((netns for netns in snapshot.netns if netns.inode == inode), None)


def find_group(snapshot: Snapshot, focus: GroupFocus) -> PortGroup | None:
    """The group of ports in the Snapshot; None where it is empty, or too small to be listed."""
    netns = find_netns(snapshot, focus.netns)
    wanted = (focus.source, focus.destination, focus.port)
    groups = netns.ports.groups if netns and netns.ports else ()
    return next((group for group in groups if (group.source, group.destination, group.port) == wanted), None)


def find_listener(snapshot: Snapshot, focus: ListenerFocus) -> Listener | None:
    """The listener in the Snapshot; None where it is closed."""
    netns = find_netns(snapshot, focus.netns)
    return next((item for item in (netns and netns.listeners) or () if item.inode == focus.inode), None)


def name(process: Process | Owner) -> str:
    """`nginx[1044]`."""
    return f"{process.name}[{process.pid}]"


def largest_owner(focus: Focus | None, snapshot: Snapshot) -> Owner | None:
    """Who holds most of a group of ports; None where that is not known, or the focus is something else."""
    group = find_group(snapshot, focus) if isinstance(focus, GroupFocus) else None
    return group.owners[0] if group and group.owners else None


def who(ceiling: str, focus: Focus | None, snapshot: Snapshot) -> Text:
    """The largest owners and what they hold, largest first; empty where nothing is known."""
    if isinstance(focus, GroupFocus):
        return _of_group(find_group(snapshot, focus))
    if isinstance(focus, ProcessFocus):
        return _of_process(find_process(snapshot, focus.pid, focus.start))
    if isinstance(focus, ListenerFocus):
        listener = find_listener(snapshot, focus)
        return join([pair(name(listener.owner), "accepts")]) if listener and listener.owner else Text()
    if ceiling in NUMBERS and snapshot.processes:
        return _largest(snapshot.processes.rows, NUMBERS[ceiling])
    if ceiling == "conntrack-table":
        tables = [netns.conntrack.table for netns in snapshot.netns if netns.conntrack and netns.conntrack.table]
        table = sorted(tables[0].items(), key=lambda item: -item[1])[:TOP] if tables else []
        return join(pair(kind, count(number)) for kind, number in table)
    return Text()


def _of_group(group: PortGroup | None) -> Text:
    if group is None:
        return Text()
    parts = [pair(name(owner), held(owner)) for owner in group.owners]
    if group.time_wait:
        parts.append(pair(count(group.time_wait), "in TIME_WAIT have no owner any more"))
    return join(parts)


def _of_process(process: Process | None) -> Text:
    if process is None:
        return Text()
    parts = [pair(name(process), f"of {process.user}")]
    if process.sockets is not None:
        parts.append(pair(count(process.sockets), "sockets"))
    if process.close_wait is not None:
        parts.append(pair(count(process.close_wait), "in CLOSE_WAIT"))
    if process.command != process.name:
        parts.append(Text(process.command, style="muted"))
    return join(parts)


def _largest(rows: Iterable[Process], number: Callable[[Process], int | None]) -> Text:
    known = [(number(row) or 0, row) for row in rows if number(row)]
    known.sort(key=lambda item: -item[0])
    return join(pair(name(row), count(value)) for value, row in known[:TOP])


def held(owner: Owner) -> str:
    """How many sockets an owner holds; an estimate says so."""
    return f"~{count(owner.sockets)}" if owner.estimated else count(owner.sockets)


def pair(one: str, other: str) -> Text:
    """Something and its number, set apart."""
    return Text.assemble((one, "strong"), " ", other)


def join(parts: Iterable[Text]) -> Text:
    """Parts in one line, a dot between."""
    # The base style of what joins would become that of the whole.
    return Text.assemble((" · ", "faint")).join(parts)
