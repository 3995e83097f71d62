"""File descriptors of a process (RLIMIT_NOFILE, fs.nr_open) and open files of the host (fs.file-max)."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import (
    ENOUGH,
    Ceiling,
    Levels,
    Measure,
    Window,
    Words,
    moved,
    number,
    raised,
    unknown,
)
from sockmon.model.detail import ProcessFocus
from sockmon.model.report import Remedy
from sockmon.model.snapshot import UNLIMITED, Process, Snapshot

CLOSE_WAIT_LEAK = 0.1
"""Share of a process's descriptors in CLOSE_WAIT from which on it looks like a leak."""

CLOSED_OFF = 16
"""A limit of descriptors that nobody works with."""


def subject(process: Process) -> str:
    """`nginx[1044]`."""
    return f"{process.name}[{process.pid}]"


def soft_limit(process: Process, nr_open: int | None) -> int | None:
    """min(soft, fs.nr_open): the kernel checks both when it hands out a descriptor (fs/file.c)."""
    limits = [limit for limit in (process.soft, nr_open) if limit is not None and limit != UNLIMITED]
    return min(limits, default=None) if process.soft is not None else None


def _process_fds(window: Window) -> Iterator[Measure]:
    now = window.now
    if now.processes is None:
        yield unknown(now.host.name, window.why_missing("processes"))
        return
    nr_open = now.files.nr_open if now.files else None
    uncounted = 0
    for process in now.processes.rows:
        if process.fds is None or process.soft is None:
            uncounted += 1
            continue
        yield Measure(
            subject(process),
            process.fds,
            soft_limit(process, nr_open),
            pressing=0 if closed_itself_off(process) else None,
            at=now.processes.at,
            focus=ProcessFocus(process.pid, process.start),
            about=process,
        )
    if uncounted:
        yield unknown(f"{uncounted} processes", "descriptors or limits of other users' processes need root here")


def closed_itself_off(process: Process) -> bool:
    """Far more is open than even the hard limit allows: a sandbox that forbade itself to open anything more.

    A few more are no sign of that: the limit is one of numbers, and what was inherited above it stays open."""
    fds, hard = process.fds, process.hard
    if fds is None or hard is None or not UNLIMITED < hard < fds:
        return False
    return hard <= CLOSED_OFF or fds >= 2 * hard


def _as_of(now: Snapshot) -> object:
    """Processes are read less often than Snapshots are taken, and there can be thousands."""
    processes = now.processes
    return (processes.at, processes.owners_at, now.missing) if processes else object()


def _process_fds_evidence(window: Window, measure: Measure) -> list[str]:
    process = measure.about
    assert isinstance(process, Process)
    hard = "unlimited" if process.hard == UNLIMITED else f"{process.hard:,}"
    lines = [f"{measure.used:,} descriptors open, soft limit {measure.limit:,}, hard limit {hard}"]
    nr_open = window.now.files.nr_open if window.now.files else None
    if _nr_open_binds(process, nr_open):
        lines.append(f"fs.nr_open {nr_open:,} is what binds, below RLIMIT_NOFILE")
    if closed_itself_off(process):
        lines.append("it lowered its own limit below what it has open: a sandbox that opens nothing more")
    elif measure.used is not None and measure.limit is not None and measure.used >= measure.limit:
        lines.append("accept(), socket() and open() of this process fail with EMFILE (24)")
        lines += _waiting(window, process)
    if _inotify_is_full(window, process):
        lines.append("inotify_init() fails with EMFILE too, at a limit of its user that is met: inotify-instances")
    if process.close_wait:
        about = "about " if process.sampled else ""
        lines.append(f"{about}{process.close_wait:,} of them are sockets in CLOSE_WAIT, which only close() ends")
    return lines


def _inotify_is_full(window: Window, process: Process) -> bool:
    users = window.now.watches.users if window.now.watches else ()
    limit = number(window.now.sysctls, "fs.inotify.max_user_instances")
    return limit is not None and any(user.uid == process.uid and user.inotify_instances >= limit for user in users)


def _waiting(window: Window, process: Process) -> list[str]:
    """What waits because the process cannot accept, and how its listeners overflow: this is why."""
    own = [item for item in window.netns.listeners or () if item.owner and item.owner.pid == process.pid]
    lines = [
        f"its listener {item.address}:{item.port} has {item.queue:,} of {item.backlog:,} connections waiting"
        for item in own
        if item.queue
    ]
    if any(item.protocol == "tcp" and window.fullest.get(item.inode, item.queue) > item.backlog for item in own):
        lines += [f"{said}: this is why" for said in moved(window, "TcpExt.ListenOverflows")]
    return lines


def _process_fds_remedies(window: Window, measure: Measure) -> list[Remedy]:
    process = measure.about
    assert isinstance(process, Process)
    leaks = (process.close_wait or 0) >= CLOSE_WAIT_LEAK * max(measure.used or 0, 1)
    application = Remedy(
        "application",
        None,
        None,
        f"{process.name} does not close connections that its peers have closed (CLOSE_WAIT): fix that;"
        " no sysctl and no higher limit cures a leak"
        if leaks
        else f"find out what {process.name} keeps open and whether it has to: pool, close, time out",
    )
    steps = [application, *_higher_limit(process, measure, window)]
    return steps if leaks else [*steps[1:], application]


def _nr_open_binds(process: Process, nr_open: int | None) -> bool:
    return nr_open is not None and (process.soft == UNLIMITED or (process.soft or 0) > nr_open)


def _higher_limit(process: Process, measure: Measure, window: Window) -> list[Remedy]:
    """Raise RLIMIT_NOFILE of the live process, or fs.nr_open where that is what binds."""
    nr_open = window.now.files.nr_open if window.now.files else None
    wanted = raised(max(measure.limit or 0, measure.used or 0, 256), 4)
    if nr_open is not None and (_nr_open_binds(process, nr_open) or measure.limit == nr_open):
        text = f"fs.nr_open caps RLIMIT_NOFILE: raise it first (now {nr_open:,}), then the process's limit"
        return [Remedy("sysctl", "fs.nr_open", str(wanted), text)]
    wanted = min(wanted, nr_open or wanted)
    hard = process.hard if process.hard is not None else UNLIMITED
    ceiling = wanted if hard == UNLIMITED else min(wanted, hard)
    within = ceiling > (process.soft or 0)
    value = f"{ceiling}:{hard if hard != UNLIMITED else 'unlimited'}" if within else f"{wanted}:{wanted}"
    text = (
        f"raise the limit of the live process: prlimit --pid {process.pid} --nofile={value}"
        + ("" if within else " (above the hard limit: needs CAP_SYS_RESOURCE)")
        + "; to last: LimitNOFILE= in the service's unit; limits.conf is not read for services"
    )
    return [Remedy("rlimit", "nofile", value, text)]


def _system_fds(window: Window) -> Iterator[Measure]:
    files = window.now.files
    if files is None:
        yield unknown(window.now.host.name, window.why_missing("files"))
    else:
        yield Measure(window.now.host.name, files.allocated, files.maximum)


def _system_fds_evidence(window: Window, measure: Measure) -> list[str]:
    lines = [f"fs.file-nr {measure.used:,} of fs.file-max {measure.limit:,}"]
    rows = window.now.processes.rows if window.now.processes else ()
    largest = sorted(rows, key=lambda row: -(row.fds or 0))[:3]
    if largest:
        lines.append("most descriptors: " + ", ".join(f"{subject(row)} {row.fds or 0:,}" for row in largest))
    if measure.used is not None and measure.limit is not None and measure.used >= measure.limit:
        lines.append("open() fails with ENFILE (23), except for processes with CAP_SYS_ADMIN")
    return lines


def _system_fds_remedies(window: Window, measure: Measure) -> list[Remedy]:
    application = Remedy("application", None, None, "look at the processes with the most descriptors first")
    if (measure.limit or 0) >= ENOUGH:
        return [application]
    wanted = raised(measure.limit or 0)
    return [
        application,
        Remedy("sysctl", "fs.file-max", str(wanted), f"raise fs.file-max to {wanted:,}; it acts at once"),
    ]


PROCESS_FDS = Ceiling(
    id="process-fds",
    title="open files",
    unit="descriptors",
    scope="process",
    levels=Levels(0.80, 0.95),
    what="at the limit accept(), socket() and open() fail with EMFILE, and connections stay in the accept queue",
    measure=_process_fds,
    evidence=_process_fds_evidence,
    remedies=_process_fds_remedies,
    as_of=_as_of,
    words=Words(
        counted="Open descriptors of one process: sockets, files, pipes, all alike; threads share one table. The"
        " size of /proc/PID/fd is their number. An accepted connection is one descriptor; one that waits in the"
        " accept queue or stands in TIME_WAIT is none. What binds is the lower of the soft RLIMIT_NOFILE and"
        " fs.nr_open.",
        shows=(
            "accept(), socket(), open(), pipe() and epoll_create() fail with EMFILE (24): too many open files",
            "connections stay in the accept queue until it overflows (TcpExt.ListenOverflows); a server that waits"
            " with level-triggered epoll takes a whole processor meanwhile",
            "no counter of its own and no line in the kernel's log",
        ),
        live="prlimit --pid PID --nofile=SOFT:HARD: a process that is at its limit goes on at once. Above the hard"
        " limit it needs CAP_SYS_RESOURCE.",
        lasting="LimitNOFILE= in the service's systemd unit, --ulimit nofile= for a container; then a restart.",
        costs="8 bytes of table for each descriptor, besides what it opens. Programs that use select() break above"
        " descriptor 1,023, and some close every possible descriptor when they start: infinity makes those hang.",
        myths=(
            "/etc/security/limits.conf is for sessions that log in; services do not read it",
            "65,536 is no bound of the kernel: fs.nr_open is, 1,048,576 unless it was changed",
            "inotify_init() fails with EMFILE too, at fs.inotify.max_user_instances: see inotify-instances",
            "a higher limit does not cure a leak: sockets in CLOSE_WAIT wait for the application to close them",
        ),
        keys=("fs.nr_open",),
        source="fs/file.c, fs/proc/fd.c; getrlimit(2)",
    ),
)

SYSTEM_FDS = Ceiling(
    id="system-fds",
    title="open files of the host",
    unit="files",
    scope="host",
    levels=Levels(0.70, 0.90),
    what="at the limit open(), socket() and accept() fail with ENFILE for every process without CAP_SYS_ADMIN",
    measure=_system_fds,
    evidence=_system_fds_evidence,
    remedies=_system_fds_remedies,
    words=Words(
        counted="Open files of all processes and containers together, the first number of /proc/sys/fs/file-nr."
        " A file that several descriptors share counts once. The limit is fs.file-max.",
        shows=(
            "open(), socket(), accept() and pipe() fail with ENFILE (23): too many open files in system",
            "processes with CAP_SYS_ADMIN go on: that a root shell can open files proves nothing",
            "the kernel logs `VFS: file-max limit N reached`, once for each new maximum",
        ),
        live="sysctl -w fs.file-max=N acts at once.",
        lasting="fs.file-max=N in a file of /etc/sysctl.d.",
        costs="192 bytes for an open file, and what stands behind it: nearly 4 kB for a TCP socket.",
        myths=(
            "EMFILE is not this one: it is the process's own limit",
            "where systemd has set it to 9,223,372,036,854,775,807 there is no such limit",
        ),
        keys=("fs.file-max", "fs.file-nr"),
        source="fs/file_table.c; Documentation/admin-guide/sysctl/fs.rst",
    ),
)
