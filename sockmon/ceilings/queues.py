"""Accept queues: connections that the kernel has completed and the application has not accepted yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sockmon.ceilings.backlogs import SOMAXCONN, backlog, describe_source, raise_own_backlog
from sockmon.ceilings.ceiling import Ceiling, Levels, Manual, Measure, Window
from sockmon.ceilings.evidence import HANDSHAKES, SYNS_DROPPED, delta_lines, process_label
from sockmon.ceilings.files import is_sandboxed, soft_limit
from sockmon.ceilings.listener_drops import DROPS, OVERFLOWS, drop_lines, overflowed
from sockmon.ceilings.listener_processes import (
    AcceptQueue,
    accepting_label,
    burst_lines,
    by_address,
    is_shared,
    overflows_in_bursts,
    sharing_lines,
    stuck_remedy,
)
from sockmon.ceilings.measuring import sysctl_number, unread_measure
from sockmon.ceilings.remedies import application
from sockmon.misconceptions import ABORT_ON_OVERFLOW, LONGER_QUEUE, SOMAXCONN_ALONE, SYN_BACKLOG
from sockmon.model.detail import ListenerQuery
from sockmon.model.report import Remedy
from sockmon.model.snapshot import Listener, Process

PASSIVE_OPENS = "Tcp.PassiveOpens"
"""Connections that entered an accept queue; a full queue takes one only after accept() removed another."""
MIN_IDLE_SECONDS = 0.25
"""Seconds without a new connection after which a full queue counts as one that the application does not empty."""


def format_listener(listener: Listener) -> str:
    """Return `0.0.0.0:8080`, `[::]:8080`, or the path of a unix socket."""
    if listener.protocol == "unix":
        return listener.address
    address = f"[{listener.address}]" if ":" in listener.address else listener.address
    return f"{address}:{listener.port}"


def listener_label(listener: Listener) -> str:
    """Return `0.0.0.0:8080 nginx[1044]`; with ` +4` if four more processes hold it and the one that accepts is
    not known."""
    place = format_listener(listener)
    if listener.owner is None:
        return place
    others = listener.holders - 1
    return f"{place} {process_label(listener.owner)}" + (f" +{others}" if is_shared(listener) else "")


def _accept_queues(window: Window) -> Iterator[Measure]:
    netns = window.netns
    if netns.listeners is None:
        yield unread_measure(netns.name, window.missing("listeners"))
        return
    overflows = window.deltas.get(OVERFLOWS, 0) > 0
    blamed = False
    known = [item for item in netns.listeners if item.backlog is not None]
    # A queue that was full between two samples only is known by the drops of its listener.
    proved = overflowed(window, known)
    groups = by_address(known)
    for name, sharing in _by_label(known).items():
        full = [item for item in sharing if _was_full(window, item) or item.inode in proved]
        listener = max(full or sharing, key=_fullness)
        hit = overflows and bool(full) and listener.protocol == "tcp"
        bursts = next(filter(overflows_in_bursts, sharing), None)
        if bursts:
            yield _burst(window, name, bursts)
            continue
        blamed = blamed or hit
        yield Measure(
            name,
            listener.queue,
            listener.backlog,
            hit=hit,
            transient=True,
            query=ListenerQuery(netns.inode, listener.inode),
            name=format_listener(listener),
            payload=AcceptQueue(listener, tuple(groups[listener.protocol, listener.address, listener.port])),
        )
    if overflows and not blamed:
        yield Measure(netns.name, None, None, hit=True, payload=netns)
    elif len(known) < len(netns.listeners):
        yield unread_measure(netns.name, window.missing("sock_diag"), "backlogs of listeners are unknown: ")
    elif not netns.listeners:
        yield Measure(netns.name, 0, None, payload=netns)


def _change_key(window: Window) -> object:
    """Return the listeners if no queue held anything and none overflowed in the window; None otherwise.

    A host may have hundreds of listeners, and most of them are idle."""
    overflowed = any(window.deltas.get(name) for name in (OVERFLOWS, DROPS))
    listeners = window.netns.listeners
    if listeners is None or overflowed or window.longest_queues or any(map(overflows_in_bursts, listeners)):
        return None
    return listeners, window.netns.name, window.now.missing


def _was_full(window: Window, listener: Listener) -> bool:
    """Return whether the queue was full in a sample of the window."""
    return window.longest_queues.get(listener.inode, listener.queue) > backlog(listener)


def _burst(window: Window, name: str, listener: Listener) -> Measure:
    """Return the Measure of a queue that is full in bursts: a warning, because the kernel counts no overflow."""
    return Measure(
        name,
        # Not above the backlog, which would be one that stays full.
        backlog(listener),
        listener.backlog,
        # Neither the level nor a trend decides: it is empty and full by turns.
        effective_used=0,
        min_severity="warning",
        transient=True,
        query=ListenerQuery(window.netns.inode, listener.inode),
        name=format_listener(listener),
        payload=AcceptQueue(listener, (listener,)),
    )


def _by_label(listeners: Iterable[Listener]) -> dict[str, list[Listener]]:
    """Group listeners that share an address (SO_REUSEPORT): each has a queue of its own."""
    found: dict[str, list[Listener]] = {}
    for listener in listeners:
        found.setdefault(listener_label(listener), []).append(listener)
    return found


def _fullness(listener: Listener) -> float:
    return listener.queue / max(backlog(listener), 0.5)


def _listener(measure: Measure) -> Listener | None:
    """Return the fullest listener of `measure`; None if it is about the whole namespace."""
    return measure.payload.listener if isinstance(measure.payload, AcceptQueue) else None


def _evidence(window: Window, measure: Measure) -> list[str]:
    listener = _listener(measure)
    if listener is None or not isinstance(measure.payload, AcceptQueue):
        if not measure.hit:
            return ["no socket listens in this namespace"]
        lines = ["a queue overflowed between two samples; no listener is full right now"]
    else:
        waiting = f"{listener.queue:,} connections wait to be accepted, backlog {backlog(listener):,}"
        if measure.hit and listener.queue <= backlog(listener):
            waiting += "; the queue was full in the last minute, and connections were dropped"
        lines = [
            waiting,
            *burst_lines(listener),
            *drop_lines(window, listener),
            *sharing_lines(measure.payload),
            *_source_lines(window, listener),
            *_cause_lines(window, listener),
        ]
    if listener and listener.protocol == "unix":
        if listener.queue > backlog(listener) and not overflows_in_bursts(listener):
            lines.append("connect() to it blocks, or fails with EAGAIN (11)")
    elif measure.hit or (listener and listener.queue > backlog(listener)):
        lines += delta_lines(window, OVERFLOWS, DROPS, *HANDSHAKES)
        lines.append(SYNS_DROPPED)
    return lines


def _process_without_descriptors(window: Window, listener: Listener) -> Process | None:
    """Return the process that cannot accept because it has no free descriptor: one that accepts or, if those are
    not known, a process of the owner's name."""
    owner, processes = listener.owner, window.now.processes
    if owner is None or processes is None or not listener.queue:
        return None
    nr_open = window.now.files.nr_open if window.now.files else None
    accepting = {item.pid for item in listener.accepting}
    full = [
        process
        for process in processes.rows
        if (process.pid in accepting if accepting else process.name == owner.name)
        and (limit := soft_limit(process, nr_open)) is not None
        and limit <= (process.fds or 0)
        and not is_sandboxed(process)
    ]
    return min(full, key=lambda process: process.pid != owner.pid, default=None)


def _cause_lines(window: Window, listener: Listener) -> list[str]:
    process = _process_without_descriptors(window, listener)
    if process is None:
        return []
    return [
        f"cause: {process_label(process)} has no free descriptor ({process.fds:,} open), so accept() fails with"
        " EMFILE (24) and the connection stays in the queue (process-fds)"
    ]


def _accepts_nothing(window: Window, listener: Listener) -> bool:
    """Return whether the queue is full and no connection was accepted in its namespace."""
    full = listener.protocol == "tcp" and listener.queue > backlog(listener)
    return full and window.seconds >= MIN_IDLE_SECONDS and window.deltas.get(PASSIVE_OPENS) == 0


def _source_lines(window: Window, listener: Listener) -> list[str]:
    somaxconn = sysctl_number(window.netns.sysctls, SOMAXCONN)
    return [] if somaxconn is None else [describe_source(backlog(listener), somaxconn)]


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    listener = _listener(measure)
    who = accepting_label(listener) if listener else "the application"
    full = _process_without_descriptors(window, listener) if listener else None
    if full:
        text = (
            f"first give {process_label(full)} free descriptors (see its process-fds): until then the queue stays"
            " full, however long it is"
        )
        return [application(text)]
    queue = measure.payload if isinstance(measure.payload, AcceptQueue) else None
    if queue and (stuck := stuck_remedy(queue)):
        return [stuck]
    accept = application(
        f"let {who} accept faster: check whether it is stuck, out of descriptors, or short of workers"
    )
    return [accept, _longer_backlog(window, listener, who)] if listener else [accept]


def _longer_backlog(window: Window, listener: Listener, who: str) -> Remedy:
    somaxconn = sysctl_number(window.netns.sysctls, SOMAXCONN)
    if somaxconn is None or backlog(listener) < somaxconn:
        return raise_own_backlog(backlog(listener), who, somaxconn)
    wanted = max(4096, 2 * backlog(listener))
    stuck = _accepts_nothing(window, listener)
    text = (
        f"raise the cap to {wanted:,}, and the backlog that {who} passes to listen() with it; takes effect when"
        " the service calls listen() again (restart or reload)"
    )
    if stuck:
        text += f"; but {who} accepts nothing now, so any queue fills"
    return Remedy("sysctl", SOMAXCONN, str(wanted), text, not stuck)


ACCEPT_QUEUE = Ceiling(
    id="accept-queue",
    title="accept queue",
    unit="connections",
    scope="process",
    per="listener",
    levels=Levels(0.70, 0.95),
    consequence="when the queue of a listener is full the kernel drops new SYNs: clients hang, and the server"
    " gets no error",
    measure=_accept_queues,
    change_key=_change_key,
    evidence=_evidence,
    hit_counters=(OVERFLOWS,),
    needs_movement=True,
    remedies=_remedies,
    manual=Manual(
        measurement="The connections of one listener whose handshake is complete and that accept() has not"
        " returned yet: Recv-Q of `ss -ltn`, where Send-Q is the effective backlog. One connection more than the"
        " backlog fits. Sockets that share an address with SO_REUSEPORT have a queue each.",
        symptoms=(
            "TcpExt.ListenOverflows and ListenDrops count each dropped SYN, retries included",
            "clients hang in SYN_SENT and connect one or more seconds late; the server gets no error",
            "connect() to a unix socket blocks, or fails with EAGAIN (11). No kernel counter shows it: they are"
            " sampled up to ten times per second, and one that was full several times in ten seconds is a warning",
        ),
        raise_now="Raise net.core.somaxconn in the listener's namespace and the backlog that the application"
        " passes, then let it call listen() again: the lower of the two applies, as of that call.",
        persist="Put net.core.somaxconn in a file in /etc/sysctl.d, and the backlog in the application's"
        " configuration. A container has its own somaxconn, which starts with the kernel's default.",
        cost="About 2.4 kB for each connection in the queue, and clients that wait instead of trying another"
        " server.",
        misconceptions=(SOMAXCONN_ALONE, LONGER_QUEUE, ABORT_ON_OVERFLOW, SYN_BACKLOG),
        sysctls=(SOMAXCONN,),
        source="include/net/sock.h, sk_acceptq_is_full(); net/ipv4/tcp_input.c, tcp_conn_request()",
    ),
)
