"""Accept queues: connections that the kernel has finished and the application has not taken yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Measure, Window, moved, number, unknown
from sockmon.model.detail import ListenerFocus
from sockmon.model.report import Remedy
from sockmon.model.snapshot import Listener

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
    steps = [
        Remedy(
            "application",
            None,
            None,
            f"let {who} accept faster: is it stuck, out of descriptors, short of workers?",
        )
    ]
    if listener is None:
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
    remedies=_remedies,
)
