"""The values of processes, port groups, listeners, sockets and readings that the filter compares."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any

from sockmon.assess import Assessment, Gauge
from sockmon.ceilings import TITLES
from sockmon.model.detail import DetailQuery, GroupQuery, ListenerQuery, ProcessQuery, Socket
from sockmon.model.other_netns import CONTAINER, POD
from sockmon.model.report import Reading, ReadingNetns
from sockmon.model.severity import ALARMS
from sockmon.model.snapshot import UNLIMITED, Listener, Netns, Owner, PortGroup, Process, Snapshot
from sockmon.ui.filtering.filter import ALL, KnownFields, RowValues
from sockmon.ui.snapshot_lookup import find_group, find_listener, find_process

GAUGE: dict[str, tuple[str, ...]] = dict.fromkeys(("used", "limit", "full", "rate", "left", "severity"), ALL)
PROCESS: KnownFields = GAUGE | {
    **dict.fromkeys(("ns", "ct", "proc", "pid", "user", "fds", "sockets", "close_wait", "threads", "rss"), ALL),
    "state": ("CLOSE_WAIT",),
}
GROUP: KnownFields = GAUGE | {
    **dict.fromkeys(("ns", "ct", "port", "src", "dst", "proc", "pid", "time_wait", "proto"), ALL),
    "state": ("TIME_WAIT",),
}
LISTENER: KnownFields = GAUGE | dict.fromkeys(
    ("ns", "ct", "port", "src", "proto", "state", "proc", "pid", "queue", "backlog"), ALL
)
SOCKET: KnownFields = dict.fromkeys(
    ("state", "proto", "src", "dst", "port", "proc", "pid", "recvq", "sendq", "rtt", "retrans"), ALL
)
OF_NETNS = dict.fromkeys(("ns", "ct"), ALL)
NETNS: KnownFields = GAUGE | OF_NETNS | dict.fromkeys(("ceiling", "sockets"), ALL)
READING: KnownFields = GAUGE | dict.fromkeys(
    ("ns", "ct", "ceiling", "proc", "pid", "user", "port", "src", "dst"), ALL
)


def seconds_left(gauge: Gauge | Reading) -> float | None:
    """Return the seconds left until the limit, 0 if it is hit; None below half full without an alarm."""
    if gauge.severity == "hit":
        return 0.0
    return gauge.eta_seconds if gauge.severity in ALARMS or (gauge.ratio or 0.0) >= 0.5 else None


def gauge_values(gauge: Gauge | Reading) -> dict[str, Any]:
    """Return usage, limit and growth of a gauge."""
    return {
        "used": gauge.used,
        "limit": inf if gauge.limit == UNLIMITED else gauge.limit,
        "full": None if gauge.ratio is None else 100 * gauge.ratio,
        "rate": gauge.rate,
        "left": seconds_left(gauge),
        "severity": gauge.severity,
    }


def netns_values(netns: Netns | ReadingNetns | None) -> dict[str, Any]:
    """Return the names of a network namespace; that of a container is both."""
    if netns is None:
        return {}
    named = netns.container and netns.kind in (CONTAINER, POD)
    return {"ns": netns.name, "ct": (netns.container or None, netns.name if named else None)}


def process_values(process: Process) -> dict[str, Any]:
    """Return the values of a process."""
    return {
        "proc": (process.name, process.command),
        "pid": process.pid,
        "user": process.user,
        "fds": process.fds,
        "sockets": process.sockets,
        "close_wait": process.close_wait,
        "threads": process.threads,
        "rss": process.rss,
        "state": "CLOSE_WAIT" if process.close_wait else None,
    }


def owners_values(owners: Iterable[Owner]) -> dict[str, Any]:
    """Return the values of owners."""
    every = tuple(owners)
    return {"proc": tuple(owner.name for owner in every), "pid": tuple(owner.pid for owner in every)}


def owner_values(owner: Owner) -> RowValues:
    """Return the values of one owner."""
    return owners_values((owner,)) | {"sockets": owner.sockets}


def group_values(group: PortGroup) -> dict[str, Any]:
    """Return the values of a port group; a socket in TIME_WAIT has no owner."""
    owned = bool(group.owners) or group.time_wait < group.used
    return (owners_values(group.owners) if owned else {}) | {
        "port": group.port,
        "src": group.source,
        "dst": group.destination,
        "proto": "tcp",
        "time_wait": group.time_wait,
        "state": "TIME_WAIT" if group.time_wait else None,
    }


def listener_values(listener: Listener) -> dict[str, Any]:
    """Return the values of a listener and its accept queue."""
    return owners_values((listener.owner,) if listener.owner else ()) | {
        "port": listener.port or None,
        "src": listener.address,
        "proto": listener.protocol,
        "state": "LISTEN",
        "queue": listener.queue,
        "backlog": listener.backlog,
    }


def endpoint(text: str) -> tuple[str, int | None]:
    """Return address and port as `ss` prints them: `10.0.0.5:443`, `[::1]:80`; a unix path has no port."""
    address, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit() and len(port) <= 5):
        return (address if port == "*" else text), None
    return address.removeprefix("[").removesuffix("]"), int(port)


def socket_values(socket: Socket) -> RowValues:
    """Return the values of a socket."""
    local, remote = endpoint(socket.local), endpoint(socket.remote)
    return owners_values((socket.owner,) if socket.owner else ()) | {
        "state": socket.state,
        "proto": socket.protocol,
        "src": local[0],
        "dst": remote[0],
        "port": (local[1], remote[1]),
        "recvq": socket.recv_queue,
        "sendq": socket.send_queue,
        "rtt": socket.rtt,
        "retrans": socket.retransmits,
    }


def reading_values(reading: Reading, assessment: Assessment) -> RowValues:
    """Return the values of a reading, and those of its subject as far as the Snapshot has them."""
    query = assessment.part_of(reading).queries.get(reading.key)
    values: dict[str, Any] = _query_values(query, assessment.snapshot) if query else {}
    if reading.scope == "user":
        values["user"] = reading.subject
    elif "user" not in values and "pid" in values:
        values["user"] = _users(values["pid"], assessment.snapshot)
    return {
        **values,
        **gauge_values(reading),
        **netns_values(reading.netns),
        "ceiling": (reading.ceiling, TITLES.get(reading.ceiling, "")),
        "subject": reading.subject,
    }


def _query_values(query: DetailQuery, snapshot: Snapshot) -> dict[str, Any]:
    if isinstance(query, ProcessQuery):
        process = find_process(snapshot, query.pid, query.start)
        return process_values(process) if process else {}
    if isinstance(query, ListenerQuery):
        listener = find_listener(snapshot, query)
        return listener_values(listener) if listener else {}
    group = find_group(snapshot, query) if isinstance(query, GroupQuery) else None
    return group_values(group) if group else {}


def _users(pids: Iterable[int], snapshot: Snapshot) -> tuple[str, ...]:
    wanted = frozenset(pids)
    rows = snapshot.processes.rows if snapshot.processes and wanted else ()
    return tuple(dict.fromkeys(row.user for row in rows if row.pid in wanted))
