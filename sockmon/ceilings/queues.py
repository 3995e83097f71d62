"""Accept queues: connections that the kernel has finished and the application has not taken yet."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Measure, Window, moved, number, unknown
from sockmon.model.detail import ListenerFocus
from sockmon.model.report import Remedy
from sockmon.model.snapshot import Listener, Netns

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
    for listener in netns.listeners:
        full = window.fullest.get(listener.inode, listener.queue) > listener.backlog
        hit = overflowed and full and listener.protocol == "tcp"
        blamed = blamed or hit
        yield Measure(
            subject(listener),
            listener.queue,
            listener.backlog,
            hit=hit,
            momentary=True,
            focus=ListenerFocus(netns.inode, listener.inode),
            about=listener,
        )
    if overflowed and not blamed:
        yield Measure(netns.name, None, None, hit=True, about=netns)
    elif not netns.listeners:
        yield Measure(netns.name, 0, None, about=netns)


def _evidence(window: Window, measure: Measure) -> list[str]:
    lines: list[str] = []
    listener = measure.about
    if isinstance(listener, Listener):
        somaxconn = number(window.netns.sysctls, SOMAXCONN)
        lines.append(f"{listener.queue:,} connections wait to be accepted, backlog {listener.backlog:,}")
        if somaxconn is not None:
            by = "clamped by" if listener.backlog == somaxconn else "the application's own, below"
            lines.append(f"the backlog is {by} {SOMAXCONN} {somaxconn:,}")
    elif isinstance(listener, Netns) and measure.hit:
        lines.append("a queue overflowed between two looks; no listener is full right now")
    elif isinstance(listener, Netns):
        lines.append("nothing listens in this namespace")
    if measure.hit or (isinstance(listener, Listener) and listener.queue > listener.backlog):
        lines += moved(window, OVERFLOWS, "TcpExt.ListenDrops")
        lines.append("new SYNs are dropped: clients stay in SYN_SENT and try again after 1 s, 2 s, 4 s")
    return lines


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    listener = measure.about
    who = "the application"
    if isinstance(listener, Listener) and listener.owner:
        who = f"{listener.owner.name}[{listener.owner.pid}]"
    steps = [
        Remedy(
            "application",
            None,
            None,
            f"let {who} accept faster: is it stuck, out of descriptors, short of workers?",
        )
    ]
    if not isinstance(listener, Listener):
        return steps
    somaxconn = number(window.netns.sysctls, SOMAXCONN)
    if somaxconn is not None and listener.backlog >= somaxconn:
        wanted = max(4096, 2 * somaxconn)
        text = f"raise the cap to {wanted:,}; it counts when the service calls listen() again (restart or reload)"
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
