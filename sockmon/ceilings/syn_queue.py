"""SYN queues: handshakes that a listener has answered and the client has not finished."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sockmon.ceilings.ceiling import Ceiling, Levels, Measure, Window, Words, moved, number, raised, unknown
from sockmon.ceilings.queues import SOMAXCONN, subject
from sockmon.model.detail import ListenerFocus
from sockmon.model.report import Remedy
from sockmon.model.snapshot import HalfOpen, Listener, Snapshot

COOKIES = "TcpExt.TCPReqQFullDoCookies"
REFUSED = "TcpExt.TCPReqQFullDrop"
DROPS, OVERFLOWS = "TcpExt.ListenDrops", "TcpExt.ListenOverflows"
SYNCOOKIES = "net.ipv4.tcp_syncookies"
MAX_SYN_BACKLOG = "net.ipv4.tcp_max_syn_backlog"
_ALWAYS = 2  # tcp_syncookies: every SYN gets a cookie, and counts as if the queue were full


class _Queue(NamedTuple):
    """The SYN queue of the listeners that look the same from outside."""

    listener: Listener
    sharing: int
    held: int
    limit: int

    @property
    def fullness(self) -> float:
        return self.held / max(self.limit, 0.5)


def _syn_queues(window: Window) -> Iterator[Measure]:
    netns = window.netns
    if netns.listeners is None or netns.states is None:
        yield unknown(netns.name, window.why_missing("listeners" if netns.listeners is None else "states"))
        return
    queues = _queues(window, netns.listeners, netns.states.half_open)
    fullest = max(queues.values(), key=lambda queue: queue.fullness, default=None)
    full = _was_full(window, fullest)
    for name, queue in queues.items():
        yield Measure(
            name,
            queue.held,
            queue.limit,
            hit=full and queue is fullest and 2 * queue.fullness >= 1,
            momentary=True,
            at=netns.states.at,
            focus=ListenerFocus(netns.inode, queue.listener.inode),
            about=queue,
        )
    if full and (fullest is None or 2 * fullest.fullness < 1):
        yield Measure(netns.name, None, None, hit=True)
    elif not queues:
        yield Measure(netns.name, 0, None, at=netns.states.at)


def _queues(window: Window, listeners: Iterable[Listener], half_open: Iterable[HalfOpen]) -> dict[str, _Queue]:
    """By subject; of listeners that share an address (SO_REUSEPORT) the sum, because the kernel does not say whose
    queue a handshake waits in."""
    sharing: dict[tuple[str, int], list[Listener]] = {}
    for listener in listeners:
        if listener.protocol == "tcp":
            sharing.setdefault((listener.address, listener.port), []).append(listener)
    counts = dict.fromkeys(sharing, 0)
    for waiting in half_open:
        place = next((key for key in _places(waiting) if key in counts), None)
        if place:
            counts[place] += waiting.count
    return {
        subject(same[0]): _Queue(
            same[0], len(same), counts[place], sum(_limit(window, each.backlog) for each in same)
        )
        for place, same in sharing.items()
    }


def _places(waiting: HalfOpen) -> tuple[tuple[str, int], ...]:
    """Addresses of the listeners that such a handshake may belong to, the closest first."""
    wild = ("::",) if ":" in waiting.address else ("0.0.0.0", "::")
    return tuple((address, waiting.port) for address in (waiting.address, *wild))


def _limit(window: Window, backlog: int) -> int:
    """Handshakes beyond which a new one is refused: one more than this is held."""
    maximum = number(window.netns.sysctls, MAX_SYN_BACKLOG)
    if number(window.netns.sysctls, SYNCOOKIES) == 0 and maximum is not None:
        return min(backlog, maximum - maximum // 4)
    return backlog


def _was_full(window: Window, fullest: _Queue | None) -> bool:
    """Whether a queue was full inside the window, by the counters of the namespace."""
    cookies = number(window.netns.sysctls, SYNCOOKIES)
    if window.moved.get(REFUSED, 0) > 0 or (window.moved.get(COOKIES, 0) > 0 and cookies != _ALWAYS):
        return True
    maximum = number(window.netns.sysctls, MAX_SYN_BACKLOG)
    if cookies != 0 or maximum is None or fullest is None:
        return False
    return _silent_drops(window) > 0 and 4 * fullest.held >= 3 * maximum


def _silent_drops(window: Window) -> int:
    """SYNs that were dropped neither for a full accept queue nor for a full backlog."""
    return window.moved.get(DROPS, 0) - window.moved.get(OVERFLOWS, 0) - window.moved.get(REFUSED, 0)


def _evidence(window: Window, measure: Measure) -> list[str]:
    queue = measure.about
    cookies = number(window.netns.sysctls, SYNCOOKIES)
    if isinstance(queue, _Queue):
        lines = [f"{queue.held:,} handshakes in SYN_RECV, backlog {queue.listener.backlog:,}"]
        if queue.sharing > 1:
            lines.append(f"together in the queues of {queue.sharing} sockets that share the address")
        lines.append(_what_binds(window, queue, cookies))
    elif measure.hit:
        lines = ["a queue was full between two looks; none is right now"]
    else:
        return ["no TCP socket listens in this namespace"]
    if measure.hit:
        lines += moved(window, COOKIES, REFUSED, DROPS, OVERFLOWS)
        lines.append(_outcome(window))
    return lines


def _what_binds(window: Window, queue: _Queue, cookies: int | None) -> str:
    maximum = number(window.netns.sysctls, MAX_SYN_BACKLOG)
    if cookies == 0 and maximum is not None:
        if queue.limit < queue.listener.backlog * queue.sharing:
            return f"{SYNCOOKIES} 0: three quarters of {MAX_SYN_BACKLOG} {maximum:,} bind, not the backlog"
        return f"{SYNCOOKIES} 0: the backlog binds before three quarters of {MAX_SYN_BACKLOG} {maximum:,}"
    return f"the backlog binds: {MAX_SYN_BACKLOG} counts only with {SYNCOOKIES} 0"


def _outcome(window: Window) -> str:
    if window.moved.get(REFUSED, 0) > 0 or number(window.netns.sysctls, SYNCOOKIES) == 0:
        return "SYNs are dropped: clients stay in SYN_SENT and try again after 1 s, 2 s, 4 s"
    return "cookies are sent instead: connections are still accepted, without what a cookie has no room for"


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    queue = measure.about if isinstance(measure.about, _Queue) else None
    owner = queue.listener.owner if queue else None
    who = f"{owner.name}[{owner.pid}]" if owner else "the application"
    steps = [
        Remedy(
            "application",
            None,
            None,
            "see who does not finish the handshake: many addresses that answer nothing are a SYN flood, which is"
            " stopped before this host; few are clients behind a broken route or firewall",
        )
    ]
    cookies = number(window.netns.sysctls, SYNCOOKIES)
    if cookies == 0:
        text = "answers a full queue with cookies instead of dropping; acts at once"
        steps.append(Remedy("sysctl", SYNCOOKIES, "1", text))
    if queue is None:
        return steps
    maximum = number(window.netns.sysctls, MAX_SYN_BACKLOG)
    if cookies == 0 and maximum is not None and queue.limit < queue.listener.backlog * queue.sharing:
        wanted = raised(maximum)
        text = f"{maximum:,} → {wanted:,}; with {SYNCOOKIES} 1 it would not help, and not be needed"
        return [*steps, Remedy("sysctl", MAX_SYN_BACKLOG, str(wanted), text)]
    return [*steps, *_raise_backlog(window, queue.listener, who)]


def _raise_backlog(window: Window, listener: Listener, who: str) -> list[Remedy]:
    text = (
        f"raise the backlog that {who} passes to listen() (now {listener.backlog:,}); it counts when the service"
        " calls listen() again (restart or reload)"
    )
    steps = [Remedy("application", None, None, text)]
    somaxconn = number(window.netns.sysctls, SOMAXCONN)
    if somaxconn is not None and listener.backlog >= somaxconn:
        wanted = max(4096, raised(listener.backlog))
        steps.append(Remedy("sysctl", SOMAXCONN, str(wanted), f"first raise the cap on it to {wanted:,}"))
    return steps


def _as_of(snapshot: Snapshot) -> object:
    """The dump and the counters: the same dump, met again in the next Snapshot, is not a second full sample."""
    netns = snapshot.netns[0]
    counters = (netns.counters.get(name) for name in (COOKIES, REFUSED, DROPS, OVERFLOWS))
    return (netns.states.at, *counters) if netns.states else None


SYN_QUEUE = Ceiling(
    id="syn-queue",
    title="SYN queue",
    unit="handshakes",
    scope="process",
    levels=Levels(0.70, 0.95),
    what="when a listener's handshakes fill its backlog the kernel sends cookies, or drops SYNs without them",
    measure=_syn_queues,
    evidence=_evidence,
    proofs=(COOKIES, REFUSED),
    remedies=_remedies,
    as_of=_as_of,
    words=Words(
        counted="Sockets in SYN_RECV of one listener, as sock_diag shows them: SYNs that were answered and whose"
        " last ACK has not come. The limit is the backlog in force since listen(), and one more fits. Sockets"
        " that wait to be accepted count in the accept queue, not here.",
        shows=(
            "TcpExt.TCPReqQFullDoCookies and SyncookiesSent with net.ipv4.tcp_syncookies 1",
            "TcpExt.TCPReqQFullDrop and ListenDrops with net.ipv4.tcp_syncookies 0, and ListenDrops alone from"
            " three"
            " quarters of net.ipv4.tcp_max_syn_backlog on",
            "kernel log, once a listener: Possible SYN flooding on port ...",
        ),
        live="sysctl net.ipv4.tcp_syncookies=1 acts at once; a larger backlog only when the service calls listen()"
        " again, and no larger than net.core.somaxconn",
        lasting="a file in /etc/sysctl.d for the sysctls, the service's own configuration for its backlog",
        costs="About 320 bytes a handshake. A connection that was made with a cookie goes without the TCP"
        " options that"
        " a cookie has no room for: window scaling and SACK too, unless both ends use timestamps.",
        myths=(
            "tcp_max_syn_backlog does nothing while tcp_syncookies is 1: the backlog of the listener decides.",
            "somaxconn alone does nothing for a service that passes a smaller backlog, or is not restarted.",
        ),
        keys=(SYNCOOKIES, MAX_SYN_BACKLOG, SOMAXCONN),
        source="net/ipv4/tcp_input.c, tcp_conn_request()",
    ),
)
