"""Each limit that N more connections of one shape meet: of the process, its user, the namespace and the host."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.backlogs import SOMAXCONN
from sockmon.ceilings.ceiling import Window
from sockmon.ceilings.conntrack import MAXIMUM
from sockmon.ceilings.evidence import process_label
from sockmon.ceilings.files import soft_limit
from sockmon.ceilings.measuring import sysctl_number
from sockmon.ceilings.port_remedies import RANGE, wider_range
from sockmon.guides.facts import Facts, Wanted
from sockmon.guides.launch.memory import memory_requirements
from sockmon.guides.launch.program import program_of
from sockmon.guides.launch.requirement import UNREAD, Requirement, rounded
from sockmon.guides.launch.shape import Shape
from sockmon.guides.launch.tasks import task_requirements
from sockmon.model.snapshot import Process

BACKLOG = 4096
"""The kernel's default of net.core.somaxconn since Linux 5.4: a longer queue is not proposed."""


def requirements(facts: Facts, shape: Shape, number: int) -> list[Requirement]:
    """Return what `number` more connections need of each limit."""
    process = program_of(facts, shape.role)
    return [
        *_descriptors(facts, shape, number, process),
        _files(facts, shape, number),
        *_watches(facts, shape, number, process),
        *_ports(facts, shape, number, process),
        *_queue(facts, shape, number, process),
        *_tracked(facts, shape, number),
        *task_requirements(facts, shape, number, process),
        *memory_requirements(facts, shape, number, process),
    ]


def _descriptors(facts: Facts, shape: Shape, number: int, process: Process | None) -> Iterator[Requirement]:
    needed = shape.ends * number
    nr_open = facts.snapshot.files.nr_open if facts.snapshot.files else None
    unit = f"set LimitNOFILE={rounded(needed + 100)} in its unit, or in what starts it (RLIMIT_NOFILE)"
    if process is None or process.fds is None or process.soft is None:
        reason = f"no {shape.role} runs here yet" if process is None else "root is required to read it"
        yield Requirement("process-fds", "", needed, "descriptors", unknown=f"{reason}: {unit}")
        wanted = rounded(needed + 100)
        raised = (Wanted("fs.nr_open", str(wanted), "no process may have a higher limit"),)
        yield Requirement("process-fds", "fs.nr_open", needed, "descriptors", nr_open, settings=raised)
        return
    wanted = rounded(process.fds + needed)
    settings = [Wanted(f"nofile@{process.pid}", str(wanted), f"{needed:,} more descriptors")]
    if nr_open is not None and nr_open < wanted:
        settings.insert(0, Wanted("fs.nr_open", str(wanted), "no process may have a higher limit"))
    keep = f"the limit of {process_label(process)} ends with the process: set LimitNOFILE={wanted} in its unit"
    yield Requirement(
        "process-fds",
        process_label(process),
        needed,
        "descriptors",
        soft_limit(process, nr_open),
        process.fds,
        tuple(settings),
        (keep,),
    )


def _files(facts: Facts, shape: Shape, number: int) -> Requirement:
    needed, files = shape.ends * number, facts.snapshot.files
    if files is None:
        return Requirement("system-fds", "", needed, "files", unknown=UNREAD)
    wanted = rounded(files.allocated + needed)
    settings = (Wanted("fs.file-max", str(wanted), "files of the whole host"),)
    return Requirement("system-fds", "", needed, "files", files.maximum, files.allocated, settings)


def _watches(facts: Facts, shape: Shape, number: int, process: Process | None) -> Iterator[Requirement]:
    if not shape.watches:
        return
    key, needed = "fs.epoll.max_user_watches", shape.watches * number
    limit, watches = sysctl_number(facts.snapshot.sysctls, key), facts.snapshot.watches
    if limit is None or watches is None:
        yield Requirement("epoll-watches", "", needed, "watches", unknown=UNREAD)
        return
    uid = process.uid if process else facts.snapshot.host.uid
    used = next((user.epoll for user in watches.users if user.uid == uid), 0)
    settings = (Wanted(key, str(rounded(used + needed)), "epoll watches of one user"),)
    yield Requirement("epoll-watches", "", needed, "watches", limit, used, settings)


def _ports(facts: Facts, shape: Shape, number: int, process: Process | None) -> Iterator[Requirement]:
    """Yield the ports towards one destination: of a server none."""
    if not shape.ports:
        return
    needed, ports = shape.ports * number, facts.netns.ports
    if ports is None:
        yield Requirement("ephemeral-ports", "", needed, "ports", unknown=UNREAD)
        return
    own = [group for group in ports.groups if process and process.pid in {owner.pid for owner in group.owners}]
    used = max((group.used for group in own), default=0)
    window = Window(facts.snapshot, facts.netns, {}, 0.0, {})
    value, gain = wider_range(window, ports.low, ports.high)
    widest = ports.usable + max(gain, 0)
    pairs = -(-(used + needed) // max(widest, 1))
    words = [f"reserve the ports of listeners inside of {value.replace(' ', '-')} first"] if gain > 0 else []
    if used + needed > widest:
        words.append(
            f"one destination gets at most {widest:,} connections from one source address: use {pairs:,} pairs of"
            " source address and destination, or connections that are used again"
        )
    settings = (Wanted(RANGE, value, f"{widest:,} ports to each destination"),) if gain > 0 else ()
    subject = "to one destination"
    yield Requirement("ephemeral-ports", subject, needed, "ports", ports.usable, used, settings, tuple(words))


def _queue(facts: Facts, shape: Shape, number: int, process: Process | None) -> Iterator[Requirement]:
    """Yield the accept queue: if all clients connect at once, as after a restart, they wait there."""
    if shape.role == "client":
        return
    who = process_label(process) if process else "the program"
    needed = min(number, BACKLOG)
    limit = sysctl_number(facts.netns.sysctls, SOMAXCONN)
    setting = Wanted(SOMAXCONN, str(BACKLOG), "the highest backlog of a listener")
    again = f"the program must listen again with a backlog of {BACKLOG:,}: a running listener keeps its own"
    if limit is None:
        yield Requirement("accept-queue", SOMAXCONN, needed, "places", unknown=UNREAD)
    else:
        yield Requirement("accept-queue", SOMAXCONN, needed, "places", limit, 0, (setting,), (again,))
    for row in facts.netns.listeners or ():
        owned = row.protocol == "tcp" and row.owner and process and row.owner.pid == process.pid
        if owned and row.backlog is not None:
            subject = f"backlog of {row.address}:{row.port}"
            words = (
                f"{subject} is {row.backlog:,}: let {who} call listen() with"
                f" {BACKLOG:,}. If all {number:,} clients connect at once, it has to accept"
                f" {max(number - row.backlog - 1, 0):,} of them within a second, before they send their SYN again",
            )
            yield Requirement("accept-queue", subject, needed, "places", row.backlog + 1, 0, (), words)


def _tracked(facts: Facts, shape: Shape, number: int) -> Iterator[Requirement]:
    """Yield the entries of connection tracking, if this namespace tracks connections."""
    table = facts.netns.conntrack
    if table is None or not table.count:
        return
    needed = shape.ends * number
    wanted = rounded(table.count + needed)
    settings = (Wanted(MAXIMUM, str(wanted), "entries of connection tracking"),)
    yield Requirement("conntrack-table", "", needed, "entries", table.maximum or None, table.count, settings)
