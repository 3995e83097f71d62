"""The plateaus of this machine, worked out from the limits that a Snapshot has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sockmon.fingerprints.mark import NOT_PORTS, Mark
from sockmon.model.snapshot import UNLIMITED, Netns, Process, Snapshot

TIME_WAIT_SECONDS = 60
LARGEST = 1 << 40
"""A limit beyond which nothing stops there."""
NAMES = 3
"""Processes that are named for one limit."""


def here(snapshot: Snapshot) -> list[Mark]:
    """Where things stop on the machine of `snapshot`."""
    netns = snapshot.netns[0]
    parts = (_ports(netns), _queues(netns), _tables(snapshot, netns), _files(snapshot), _tasks(snapshot))
    return [mark for part in parts for mark in part if 0 < mark.high < LARGEST]


def _mark(low: int, high: int, what: str, proof: str, ceiling: str, per: str = "", myth: str = "") -> Mark:
    return Mark(max(low, 1), high, what, proof, ceiling, here=True, per=per, myth=myth)


def _number(values: Mapping[str, str], key: str) -> int | None:
    text = values.get(key, "")
    return int(text) if text.isdecimal() else None


def _ports(netns: Netns) -> Iterator[Mark]:
    ports = netns.ports
    if ports is None or not ports.usable:
        return
    usable, span = ports.usable, f"{ports.low}–{ports.high}"
    odd = (ports.high - ports.low) % 2 == 0
    yield _mark(
        usable - odd,
        usable,
        f"ports {span} to one destination, {usable:,} of which are usable in the namespace {netns.name}",
        "connect() fails with EADDRNOTAVAIL",
        "ephemeral-ports",
    )
    yield _mark(
        usable // 2 - usable // 1000,
        usable // 2 + 1,
        f"half of the {usable:,} usable ports: nothing fails, but each connect() searches 50 to 100 times longer",
        "connect() takes 0.5 to 1 ms of a processor; perf shows __inet_hash_connect",
        "ephemeral-ports",
    )
    pace = usable // TIME_WAIT_SECONDS
    yield _mark(
        pace - pace // 100,
        pace + 1,
        f"new connections a second to one destination: {usable:,} usable ports, each 60 s in TIME_WAIT",
        "ss -tan state time-wait: nearly all ports towards that destination",
        "ephemeral-ports",
        per="second",
    )


def _queues(netns: Netns) -> Iterator[Mark]:
    somaxconn = _number(netns.sysctls, "net.core.somaxconn")
    backlogs: dict[int, list[str]] = {}
    for listener in netns.listeners or ():
        place = listener.address if listener.protocol == "unix" else f"{listener.address}:{listener.port}"
        backlogs.setdefault(listener.backlog, []).append(place)
    for backlog, places in backlogs.items():
        yield _mark(
            backlog,
            backlog + 1,
            f"connections that wait at {_some(places)}: the backlog is {backlog:,}, and one more fits",
            "ss -ltn: Recv-Q above Send-Q",
            "accept-queue",
        )
    if somaxconn is not None and somaxconn not in backlogs:
        yield _mark(
            somaxconn,
            somaxconn + 1,
            f"connections that wait at a listener which asked for more than net.core.somaxconn = {somaxconn}",
            "ss -ltn: Send-Q of the listener",
            "accept-queue",
        )
    length = _number(netns.sysctls, "net.unix.max_dgram_qlen")
    if length is not None:
        yield _mark(
            length,
            length + 1,
            f"messages that wait in a unix datagram socket: net.unix.max_dgram_qlen = {length}",
            "ss -xa: the reader is behind; send() blocks or fails with EAGAIN",
            "unix-dgram-queue",
        )


def _tables(snapshot: Snapshot, netns: Netns) -> Iterator[Mark]:
    limits = (
        (netns.conntrack.maximum if netns.conntrack else None, "flows in connection tracking", "conntrack-table"),
        (_number(netns.sysctls, "net.ipv4.tcp_max_tw_buckets"), "sockets in TIME_WAIT", "time-wait-buckets"),
        (snapshot.memory.max_orphans if snapshot.memory else None, "connections without an owner", "tcp-orphans"),
        (
            _number(snapshot.sysctls, "net.ipv4.neigh.default.gc_thresh3"),
            "hosts on the same link (IPv4)",
            "neighbour-table",
        ),
    )
    keys = (
        "net.netfilter.nf_conntrack_max",
        "net.ipv4.tcp_max_tw_buckets",
        "net.ipv4.tcp_max_orphans",
        "net.ipv4.neigh.default.gc_thresh3",
    )
    for (limit, what, ceiling), key in zip(limits, keys, strict=True):
        if limit:
            yield _mark(limit, limit, f"{what}: {key} = {limit}", "sockmon check shows it full", ceiling)


def _files(snapshot: Snapshot) -> Iterator[Mark]:
    by_limit: dict[int, list[str]] = {}
    for process in snapshot.processes.rows if snapshot.processes else ():
        if process.soft is not None and process.soft > 64:
            by_limit.setdefault(process.soft, []).append(f"{process.name}[{process.pid}]")
    for limit, names in by_limit.items():
        least = limit - min(64, limit // 8)
        who = f"{_some(names)}: soft limit {limit:,}, less what else is open"
        proof = "accept() and socket() fail with EMFILE"
        yield _mark(least, limit, f"descriptors of {who}", proof, "process-fds")
        what = f"connections through a proxy, with two descriptors each: {_some(names)}, soft limit {limit:,}"
        yield _mark(least // 2, limit // 2, what, proof, "process-fds")
    if snapshot.files:
        nr_open, maximum = snapshot.files.nr_open, snapshot.files.maximum
        yield _mark(
            nr_open - 64,
            nr_open,
            f"descriptors of a process with a higher RLIMIT_NOFILE: fs.nr_open = {nr_open}",
            "the last descriptor in /proc/PID/fd is one less",
            "process-fds",
        )
        yield _mark(
            maximum - maximum // 1000,
            maximum,
            f"open files of the whole host: fs.file-max = {maximum}",
            "fs.file-nr; open() and accept() fail with ENFILE",
            "system-fds",
        )
    yield from _watches(snapshot)


def _watches(snapshot: Snapshot) -> Iterator[Mark]:
    for key, what, ceiling in (
        ("fs.inotify.max_user_instances", "inotify instances of a user", "inotify-instances"),
        ("fs.inotify.max_user_watches", "inotify watches of a user", "inotify-watches"),
        ("fs.epoll.max_user_watches", "descriptors in the epoll sets of a user", "epoll-watches"),
    ):
        limit = _number(snapshot.sysctls, key)
        if limit:
            yield _mark(limit, limit, f"{what}: {key} = {limit}", "sockmon check shows it full", ceiling)


def _tasks(snapshot: Snapshot) -> Iterator[Mark]:
    yield from _maps(snapshot)
    if snapshot.tasks:
        pid_max, threads_max = snapshot.tasks.pid_max, snapshot.tasks.threads_max
        others = min(snapshot.tasks.total, max(pid_max // 50, 20))
        yield _mark(
            pid_max - 300 - others,
            pid_max - 1,
            f"tasks under kernel.pid_max = {pid_max}, less those of others, and less 300 once the ids have"
            f" wrapped",
            "fork() fails with EAGAIN for everybody",
            "pid-max",
        )
        yield _mark(
            threads_max - others,
            threads_max,
            f"tasks of the whole host: kernel.threads-max = {threads_max}",
            "field 4 of /proc/loadavg; fork() fails with EAGAIN",
            "threads-max",
        )
    for group in snapshot.cgroups.pids if snapshot.cgroups else ():
        yield _mark(
            group.maximum - min(64, group.maximum // 8),
            group.maximum,
            f"tasks of the cgroup {group.path}: pids.max = {group.maximum}",
            "pids.events of it; fork() and clone() fail with EAGAIN",
            "cgroup-pids",
        )
    yield from _users(snapshot.processes.rows if snapshot.processes else ())


def _users(rows: tuple[Process, ...]) -> Iterator[Mark]:
    by_limit: dict[int, list[str]] = {}
    for process in rows:
        if process.nproc is not None and process.nproc != UNLIMITED and not process.exempt:
            by_limit.setdefault(process.nproc, []).append(process.user)
    for limit, users in by_limit.items():
        yield _mark(
            limit - min(64, limit // 8),
            limit,
            f"threads of all processes of {_some(list(dict.fromkeys(users)))} together: RLIMIT_NPROC {limit:,}",
            "fork() and clone() fail with EAGAIN",
            "user-processes",
        )


def _maps(snapshot: Snapshot) -> Iterator[Mark]:
    most = _number(snapshot.sysctls, "vm.max_map_count")
    if not most:
        return
    yield _mark(
        (most + 1) // 2 - 170,
        (most + 1) // 2 - 5,
        f"threads of one process, two memory maps each: half of vm.max_map_count = {most}, less the program's own",
        "pthread_create() fails, fork() still works",
        "memory-maps",
        myth=NOT_PORTS if 32_000 < most // 2 < 33_000 else "",
    )
    yield _mark(
        most - 150,
        most + 2,
        f"memory maps of one process, such as one for each connection: vm.max_map_count = {most}",
        "wc -l /proc/PID/maps; mmap() fails with ENOMEM",
        "memory-maps",
    )


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:NAMES])
    return f"{shown} and {len(names) - NAMES} more" if len(names) > NAMES else shown
