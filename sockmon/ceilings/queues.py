"""Accept queues: connections that the kernel has finished and the application has not taken yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Measure, Window, Words, moved, number, unknown
from sockmon.ceilings.files import closed_itself_off, soft_limit
from sockmon.model.detail import ListenerFocus
from sockmon.model.report import Remedy
from sockmon.model.snapshot import Listener, Process

OVERFLOWS = "TcpExt.ListenOverflows"
SOMAXCONN = "net.core.somaxconn"


def place(listener: Listener) -> str:
    """`0.0.0.0:8080`, `[::]:8080`, or the path of a unix socket."""
    if listener.protocol == "unix":
        return listener.address
    address = f"[{listener.address}]" if ":" in listener.address else listener.address
    return f"{address}:{listener.port}"


def subject(listener: Listener) -> str:
    """`0.0.0.0:8080 nginx[1044]`."""
    owner = listener.owner
    return f"{place(listener)} {owner.name}[{owner.pid}]" if owner else place(listener)


def _accept_queues(window: Window) -> Iterator[Measure]:
    netns = window.netns
    if netns.listeners is None:
        yield unknown(netns.name, window.why_missing("listeners"))
        return
    overflowed = window.moved.get(OVERFLOWS, 0) > 0
    blamed = False
    for name, sharing in _by_subject(netns.listeners).items():
        full = [item for item in sharing if window.fullest.get(item.inode, item.queue) > item.backlog]
        listener = max(full or sharing, key=_fullness)
        hit = overflowed and bool(full) and listener.protocol == "tcp"
        blamed = blamed or hit
        yield Measure(
            name,
            listener.queue,
            listener.backlog,
            hit=hit,
            momentary=True,
            focus=ListenerFocus(netns.inode, listener.inode),
            about=(listener, len(sharing)),
        )
    if overflowed and not blamed:
        yield Measure(netns.name, None, None, hit=True, about=netns)
    elif not netns.listeners:
        yield Measure(netns.name, 0, None, about=netns)


def _by_subject(listeners: Iterable[Listener]) -> dict[str, list[Listener]]:
    """Listeners that look the same from outside (SO_REUSEPORT): each has a queue of its own."""
    found: dict[str, list[Listener]] = {}
    for listener in listeners:
        found.setdefault(subject(listener), []).append(listener)
    return found


def _fullness(listener: Listener) -> float:
    return listener.queue / max(listener.backlog, 0.5)


def _listener(measure: Measure) -> Listener | None:
    """The fullest listener that `measure` is about; None where it is about the whole namespace."""
    return measure.about[0] if isinstance(measure.about, tuple) else None


def _evidence(window: Window, measure: Measure) -> list[str]:
    listener = _listener(measure)
    if listener is None:
        if not measure.hit:
            return ["nothing listens in this namespace"]
        lines = ["a queue overflowed between two looks; no listener is full right now"]
    else:
        lines = [
            f"{listener.queue:,} connections wait to be accepted, backlog {listener.backlog:,}",
            *_shared(measure),
            *_capped_by(listener, number(window.netns.sysctls, SOMAXCONN)),
            *_because(window, listener),
        ]
    if listener and listener.protocol == "unix":
        if listener.queue > listener.backlog:
            lines.append("connect() to it blocks, or fails with EAGAIN (11)")
    elif measure.hit or (listener and listener.queue > listener.backlog):
        lines += moved(window, OVERFLOWS, "TcpExt.ListenDrops")
        lines.append("new SYNs are dropped: clients stay in SYN_SENT and try again after 1 s, 2 s, 4 s")
    return lines


def _shared(measure: Measure) -> list[str]:
    assert isinstance(measure.about, tuple)
    sharing = measure.about[1]
    return [f"the fullest of {sharing} sockets that share the address"] if sharing > 1 else []


def _starved(window: Window, listener: Listener) -> Process | None:
    """Who should accept and cannot, for want of a free descriptor: its owner, or a worker of the same name."""
    owner, processes = listener.owner, window.now.processes
    if owner is None or processes is None or not listener.queue:
        return None
    nr_open = window.now.files.nr_open if window.now.files else None
    starved = [
        process
        for process in processes.rows
        if process.name == owner.name
        and (limit := soft_limit(process, nr_open)) is not None
        and limit <= (process.fds or 0)
        and not closed_itself_off(process)
    ]
    return min(starved, key=lambda process: process.pid != owner.pid, default=None)


def _because(window: Window, listener: Listener) -> list[str]:
    process = _starved(window, listener)
    if process is None:
        return []
    return [
        f"the cause: {process.name}[{process.pid}] has no free descriptor left ({process.fds:,} open), accept()"
        " fails with EMFILE (24) and leaves the connection in the queue (process-fds)"
    ]


def _capped_by(listener: Listener, somaxconn: int | None) -> list[str]:
    if somaxconn is None:
        return []
    if listener.backlog < somaxconn:
        return [f"the backlog is the application's own, below {SOMAXCONN} {somaxconn:,}"]
    if listener.backlog == somaxconn:
        return [f"the backlog is probably clamped by {SOMAXCONN} {somaxconn:,}"]
    return [f"the backlog was set before {SOMAXCONN} was lowered to {somaxconn:,}"]


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    listener = _listener(measure)
    who = "the application"
    if listener and listener.owner:
        who = f"{listener.owner.name}[{listener.owner.pid}]"
    text = f"let {who} accept faster: is it stuck, out of descriptors, short of workers?"
    starved = _starved(window, listener) if listener else None
    if starved:
        text = (
            f"give {starved.name}[{starved.pid}] free descriptors first, as its process-fds says: until then the"
            " queue stays full, however long it may be"
        )
    steps = [Remedy("application", None, None, text)]
    if listener is None or starved:
        return steps
    somaxconn = number(window.netns.sysctls, SOMAXCONN)
    if somaxconn is not None and listener.backlog >= somaxconn:
        wanted = max(4096, 2 * listener.backlog)
        text = (
            f"raise the cap to {wanted:,}, and with it the backlog that {who} passes to listen();"
            " it counts when the service calls listen() again (restart or reload)"
        )
        steps.append(Remedy("sysctl", SOMAXCONN, str(wanted), text))
    else:
        text = (
            f"raise the backlog that {who} passes to listen() (now {listener.backlog:,}) and restart it;"
            f" {SOMAXCONN} is higher already and would not help"
        )
        steps.append(Remedy("application", None, None, text))
    return steps


ACCEPT_QUEUE = Ceiling(
    id="accept-queue",
    title="accept queue",
    unit="connections",
    scope="process",
    levels=Levels(0.70, 0.95),
    what="when a listener's queue is full the kernel drops new SYNs: clients hang, no error reaches the server",
    measure=_accept_queues,
    evidence=_evidence,
    proofs=(OVERFLOWS,),
    remedies=_remedies,
    words=Words(
        counted="Connections of one listener that the kernel has finished and accept() has not taken yet: Recv-Q"
        " of `ss -ltn`, where Send-Q is the backlog in force. One connection more than the backlog fits. Sockets"
        " that share an address by SO_REUSEPORT have a queue each.",
        shows=[
            "TcpExt.ListenOverflows and ListenDrops grow with each SYN that is dropped, those sent again included",
            "clients hang in SYN_SENT and connect one or more seconds late; the server sees no error",
            "connect() to a unix socket blocks, or fails with EAGAIN (11)",
        ],
        live="Raise net.core.somaxconn in the listener's namespace and the backlog that the application passes,"
        " then let it call listen() again: the smaller of the two counts, as of that call.",
        lasting="net.core.somaxconn in a file of /etc/sysctl.d, the backlog in the application's configuration; a"
        " container has a somaxconn of its own, which starts at the kernel's default.",
        costs="Some 2.4 kB for each connection that waits, and clients that wait instead of trying elsewhere.",
        myths=[
            "somaxconn alone changes nothing: a backlog that the application asks for below it stays what it is,"
            " and a listener keeps the one it got at listen().",
            "A long queue does not make a slow server faster: if it cannot accept (stuck, out of descriptors) any"
            " queue fills.",
            "tcp_abort_on_overflow does nothing for SYNs that find the queue full.",
            "tcp_max_syn_backlog is another queue, and without effect while tcp_syncookies is on.",
        ],
        keys=[SOMAXCONN],
        source="include/net/sock.h, sk_acceptq_is_full(); net/ipv4/tcp_input.c, tcp_conn_request()",
    ),
)
