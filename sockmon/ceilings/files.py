"""File descriptors of a process (RLIMIT_NOFILE, fs.nr_open) and open files of the host (fs.file-max)."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Manual, Measure, Window
from sockmon.ceilings.evidence import delta_lines, most, process_label
from sockmon.ceilings.listener_drops import OVERFLOWS
from sockmon.ceilings.measuring import is_full, sysctl_number, unknown_measure, unread_measure
from sockmon.ceilings.namespace_shares import of_processes
from sockmon.ceilings.remedies import EFFECTIVELY_UNLIMITED, application, next_limit
from sockmon.format import plural
from sockmon.misconceptions import (
    DESCRIPTORS_64K,
    DESCRIPTORS_OF_CONNECTION,
    FILE_MAX_ROOT,
    INOTIFY_EMFILE,
    LIMITS_CONF,
)
from sockmon.model.detail import ProcessQuery
from sockmon.model.report import Remedy
from sockmon.model.snapshot import UNLIMITED, Listener, Process

CLOSE_WAIT_LEAK_SHARE = 0.1
"""Share of a process's descriptors in CLOSE_WAIT from which on it counts as a leak."""

LEAK = "no sysctl and no higher limit fixes a leak"

SANDBOX_LIMIT = 16
"""A limit of descriptors so low that no program works with it."""


def soft_limit(process: Process, nr_open: int | None) -> int | None:
    """Return min(soft, fs.nr_open): the kernel checks both when it allocates a descriptor (fs/file.c)."""
    soft = process.soft
    if soft is None or nr_open is None or nr_open == UNLIMITED:
        return None if soft == UNLIMITED else soft
    return nr_open if soft == UNLIMITED else min(soft, nr_open)


def _process_fds(window: Window) -> Iterator[Measure]:
    now = window.now
    if now.processes is None:
        yield unread_measure(now.host.name, window.missing("processes"))
        return
    nr_open = now.files.nr_open if now.files else None
    uncounted = 0
    for process in now.processes.rows:
        if process.fds is None or process.soft is None:
            uncounted += 1
            continue
        yield Measure(
            process_label(process),
            process.fds,
            soft_limit(process, nr_open),
            effective_used=0 if is_sandboxed(process) else None,
            at=now.processes.at,
            query=ProcessQuery(process.pid, process.start),
            name=process.name,
            payload=process,
        )
    if uncounted:
        yield unknown_measure(
            plural(uncounted, "process"),
            "root is required to read descriptors or limits of other users",
        )


def is_sandboxed(process: Process) -> bool:
    """Return whether far more is open than even the hard limit allows: a sandbox that opens nothing more.

    A few more do not show that: the limit is on descriptor numbers, and inherited ones above it stay open."""
    fds, hard = process.fds, process.hard
    if fds is None or hard is None or not UNLIMITED < hard < fds:
        return False
    return hard <= SANDBOX_LIMIT or fds >= 2 * hard


def _change_key(window: Window) -> object:
    """Return what changes when processes are read: less often than Snapshots are taken, for there can be
    thousands."""
    now = window.now
    processes = now.processes
    return (processes.at, processes.owners_at, now.missing) if processes else object()


def _process_fds_evidence(window: Window, measure: Measure) -> list[str]:
    process = measure.payload
    assert isinstance(process, Process)
    hard = "unlimited" if process.hard == UNLIMITED else f"{process.hard:,}"
    lines = [f"{measure.used:,} descriptors open, soft limit {measure.limit:,}, hard limit {hard}"]
    nr_open = window.now.files.nr_open if window.now.files else None
    if _nr_open_applies(process, nr_open):
        lines.append(f"fs.nr_open {nr_open:,} is the effective limit: it is below RLIMIT_NOFILE")
    if is_sandboxed(process):
        lines.append("the process has lowered its own limit below what it has open: it is a sandbox")
    elif is_full(measure):
        lines.append("accept(), socket() and open() of this process fail with EMFILE (24)")
        lines += _listener_evidence(window, process)
    if _inotify_is_full(window, process):
        lines.append("inotify_init() fails with EMFILE too: its user has reached the limit inotify-instances")
    if process.close_wait:
        about = "about " if process.sampled else ""
        lines.append(
            f"{about}{process.close_wait:,} of them are sockets in CLOSE_WAIT, which end only with close()"
        )
    return lines


def _inotify_is_full(window: Window, process: Process) -> bool:
    users = window.now.watches.users if window.now.watches else ()
    limit = sysctl_number(window.now.sysctls, "fs.inotify.max_user_instances")
    return limit is not None and any(user.uid == process.uid and user.inotify_instances >= limit for user in users)


def _listener_evidence(window: Window, process: Process) -> list[str]:
    """Return how many connections wait because the process cannot accept, and how its listeners overflow."""
    listeners = [(netns, item) for netns in window.now.netns for item in netns.listeners or ()]
    own = [(netns, item) for netns, item in listeners if item.owner and item.owner.pid == process.pid]
    lines = [
        f"{plural(item.queue, 'connection')} waiting on its listener {item.address}:{item.port}, {_backlog(item)}"
        for _, item in own
        if item.queue
    ]
    # The counters of the window are those of its own network namespace.
    here = [item for netns, item in own if netns is window.netns]
    tcp = [item for item in here if item.protocol == "tcp" and item.backlog is not None]
    if any(window.longest_queues.get(item.inode, item.queue) > (item.backlog or 0) for item in tcp):
        lines += [f"{line}: this is the cause" for line in delta_lines(window, OVERFLOWS)]
    return lines


def _backlog(listener: Listener) -> str:
    return "backlog unknown" if listener.backlog is None else f"backlog {listener.backlog:,}"


def leaks_close_wait(process: Process) -> bool:
    """Return whether so many of its descriptors are in CLOSE_WAIT that the process must leak them."""
    return (process.close_wait or 0) >= CLOSE_WAIT_LEAK_SHARE * max(process.fds or 0, 1)


def _process_fds_remedies(window: Window, measure: Measure) -> list[Remedy]:
    process = measure.payload
    assert isinstance(process, Process)
    higher = _raise_limit(process, measure, window)
    if leaks_close_wait(process):
        text = f"fix {process.name}: it does not close connections that its peers have closed (CLOSE_WAIT); {LEAK}"
        return [application(text), *higher]
    text = f"check what {process.name} keeps open, and whether it has to: use a pool, close, set timeouts"
    return [*higher, application(text)]


def _nr_open_applies(process: Process, nr_open: int | None) -> bool:
    return nr_open is not None and (process.soft == UNLIMITED or (process.soft or 0) > nr_open)


def _raise_limit(process: Process, measure: Measure, window: Window) -> list[Remedy]:
    """Return the remedy to raise RLIMIT_NOFILE of the running process, or fs.nr_open if that is the limit."""
    nr_open = window.now.files.nr_open if window.now.files else None
    wanted = next_limit(max(measure.limit or 0, measure.used or 0, 256), 4)
    if nr_open is not None and (_nr_open_applies(process, nr_open) or measure.limit == nr_open):
        text = f"it caps RLIMIT_NOFILE, now at {nr_open:,}: raise it first, then the limit of the process"
        return [Remedy("sysctl", "fs.nr_open", str(wanted), text, not leaks_close_wait(process))]
    wanted = min(wanted, nr_open or wanted)
    hard = process.hard if process.hard is not None else UNLIMITED
    ceiling = wanted if hard == UNLIMITED else min(wanted, hard)
    within = ceiling > (process.soft or 0)
    value = f"{ceiling}:{hard if hard != UNLIMITED else 'unlimited'}" if within else f"{wanted}:{wanted}"
    text = (
        f"raise the limit of the running process: prlimit --pid {process.pid} --nofile={value}"
        + ("" if within else " (above the hard limit: requires CAP_SYS_RESOURCE)")
        + "; to persist it, set it where the process is started: LimitNOFILE= in a systemd unit, ulimit -n in a"
        " script"
    )
    return [Remedy("rlimit", "nofile", value, text, not leaks_close_wait(process), process.pid)]


def _system_fds(window: Window) -> Iterator[Measure]:
    files = window.now.files
    if files is None:
        yield unread_measure(
            window.now.host.name, window.missing("files", "fs.file-nr", "fs.file-max", "fs.nr_open")
        )
    else:
        yield Measure(window.now.host.name, files.allocated, files.maximum)


def _system_fds_evidence(window: Window, measure: Measure) -> list[str]:
    lines = [f"fs.file-nr {measure.used:,} of fs.file-max {measure.limit:,}"]
    rows = window.now.processes.rows if window.now.processes else ()
    if rows:
        lines.append(f"most descriptors: {most((row, row.fds or 0) for row in rows)}")
        lines += of_processes(window, "descriptors", lambda row: row.fds or 0)
    if is_full(measure):
        lines.append("open() fails with ENFILE (23), except for processes with CAP_SYS_ADMIN")
    return lines


def _system_fds_remedies(window: Window, measure: Measure) -> list[Remedy]:
    rows = window.now.processes.rows if window.now.processes else ()
    largest = max(rows, key=lambda row: row.fds or 0, default=None)
    text, leaking = "check what the processes with the most descriptors keep open", False
    if largest and 2 * (largest.fds or 0) >= (measure.used or 0) and leaks_close_wait(largest):
        leaking = True
        text = (
            f"fix {process_label(largest)}: it holds most of them and does not close connections that its peers"
            f" have closed (CLOSE_WAIT); {LEAK}"
        )
    if (measure.limit or 0) >= EFFECTIVELY_UNLIMITED:
        return [application(text)]
    wanted = next_limit(measure.limit or 0)
    higher = "takes effect at once"
    return [application(text), Remedy("sysctl", "fs.file-max", str(wanted), higher, not leaking)]


PROCESS_FDS = Ceiling(
    id="process-fds",
    title="open files",
    unit="descriptors",
    scope="process",
    from_processes=True,
    levels=Levels(0.80, 0.95),
    consequence="at the limit accept(), socket() and open() fail with EMFILE, and connections stay in the accept"
    " queue",
    measure=_process_fds,
    evidence=_process_fds_evidence,
    remedies=_process_fds_remedies,
    change_key=_change_key,
    manual=Manual(
        measurement="The open descriptors of one process: sockets, files and pipes alike; its threads share one"
        " table. The size of /proc/PID/fd is their number. An accepted connection is one descriptor; a connection"
        " in the accept queue or in TIME_WAIT uses no descriptor. The limit is the lower of the soft"
        " RLIMIT_NOFILE and fs.nr_open.",
        symptoms=(
            "accept(), socket(), open(), pipe() and epoll_create() fail with EMFILE (24): too many open files",
            "connections stay in the accept queue until it overflows (TcpExt.ListenOverflows); meanwhile a server"
            " that uses level-triggered epoll takes 100 % of a processor",
            "no counter moves and the kernel logs nothing",
        ),
        raise_now="Run prlimit --pid PID --nofile=SOFT:HARD: a process at its limit continues at once. A value"
        " above the hard limit requires CAP_SYS_RESOURCE.",
        persist="Set LimitNOFILE= in the service's systemd unit, or --ulimit nofile= for a container, and restart"
        " it.",
        cost="8 bytes of table for each descriptor, plus what it opens. Programs that call select() break above"
        " descriptor 1,023. Some programs close every possible descriptor when they start: `infinity` makes them"
        " hang.",
        misconceptions=(
            LIMITS_CONF,
            DESCRIPTORS_64K,
            DESCRIPTORS_OF_CONNECTION,
            INOTIFY_EMFILE,
            "A higher limit does not fix a leak: sockets in CLOSE_WAIT wait for the application to close them.",
        ),
        sysctls=("fs.nr_open",),
        source="fs/file.c, fs/proc/fd.c; getrlimit(2)",
    ),
)

SYSTEM_FDS = Ceiling(
    id="system-fds",
    title="open files of the host",
    unit="files",
    scope="host",
    levels=Levels(0.70, 0.90),
    consequence="at the limit open(), socket() and accept() fail with ENFILE for every process without"
    " CAP_SYS_ADMIN",
    measure=_system_fds,
    evidence=_system_fds_evidence,
    remedies=_system_fds_remedies,
    manual=Manual(
        measurement="The open files of all processes and containers together: the first number in"
        " /proc/sys/fs/file-nr. A file that several descriptors share counts once. The limit is fs.file-max.",
        symptoms=(
            "open(), socket(), accept() and pipe() fail with ENFILE (23): too many open files in system",
            "the kernel logs `VFS: file-max limit N reached`, once for each new maximum",
        ),
        raise_now="sysctl -w fs.file-max=N takes effect at once.",
        cost="192 bytes for an open file, plus what it refers to: nearly 4 kB for a TCP socket.",
        misconceptions=(
            FILE_MAX_ROOT,
            "EMFILE is a different limit: the one of the process.",
            "9,223,372,036,854,775,807, the value that systemd sets, means that there is no limit.",
        ),
        sysctls=("fs.file-max", "fs.file-nr"),
        source="fs/file_table.c; Documentation/admin-guide/sysctl/fs.rst",
    ),
)
