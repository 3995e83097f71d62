"""SYN queues: handshakes that a listener has answered and the client has not completed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sockmon.ceilings.backlogs import SOMAXCONN, backlog, raise_own_backlog
from sockmon.ceilings.ceiling import Ceiling, Levels, Manual, Measure, Window
from sockmon.ceilings.evidence import HANDSHAKES, SYNS_DROPPED, delta_lines, label_or
from sockmon.ceilings.listener_drops import DROPS, OVERFLOWS
from sockmon.ceilings.measuring import sysctl_number, unread_measure
from sockmon.ceilings.queues import format_listener, listener_label
from sockmon.ceilings.remedies import application, next_limit
from sockmon.misconceptions import SOMAXCONN_ALONE, SYN_BACKLOG
from sockmon.model.detail import ListenerQuery
from sockmon.model.report import Remedy
from sockmon.model.snapshot import HalfOpen, Listener

QUEUE_FULL_COOKIES = "TcpExt.TCPReqQFullDoCookies"
QUEUE_FULL_DROPS = "TcpExt.TCPReqQFullDrop"
SYNCOOKIES = "net.ipv4.tcp_syncookies"
MAX_SYN_BACKLOG = "net.ipv4.tcp_max_syn_backlog"
_ALWAYS_COOKIES = 2  # tcp_syncookies 2: every SYN gets a cookie, and counts as if the queue were full


class _SynQueue(NamedTuple):
    """The SYN queue of the listeners that share an address."""

    listener: Listener
    sharing: int
    held: int
    limit: int
    accept_full: bool
    """True if full accept queues of the address explain all of them: the kernel drops the last ACK of a handshake
    while it has no place there (net/ipv4/tcp_ipv4.c, tcp_v4_syn_recv_sock)."""

    @property
    def fullness(self) -> float:
        return self.held / max(self.limit, 0.5)


def _syn_queues(window: Window) -> Iterator[Measure]:
    netns = window.netns
    if netns.listeners is None or netns.states is None:
        yield unread_measure(netns.name, window.missing("listeners" if netns.listeners is None else "states"))
        return
    queues = _queues(window, netns.listeners, netns.states.half_open)
    fullest = max(queues.values(), key=lambda queue: queue.fullness, default=None)
    full = _was_full(window, fullest)
    for name, queue in queues.items():
        yield Measure(
            name,
            queue.held,
            queue.limit,
            effective_used=0 if queue.accept_full else None,
            hit=full and queue is fullest and 2 * queue.fullness >= 1 and not queue.accept_full,
            transient=True,
            at=netns.states.at,
            query=ListenerQuery(netns.inode, queue.listener.inode),
            name=format_listener(queue.listener),
            payload=queue,
        )
    if full and (fullest is None or 2 * fullest.fullness < 1):
        yield Measure(netns.name, None, None, hit=True)
    elif any(each.backlog is None for each in netns.listeners):
        yield unread_measure(netns.name, window.missing("sock_diag"), "backlogs of listeners are unknown: ")
    elif not queues:
        yield Measure(netns.name, 0, None, at=netns.states.at)


def _queues(window: Window, listeners: Iterable[Listener], half_open: Iterable[HalfOpen]) -> dict[str, _SynQueue]:
    """Return the queues by label; for listeners that share an address (SO_REUSEPORT) the sum, because the kernel
    does not report in whose queue a handshake waits."""
    sharing: dict[tuple[str, int], list[Listener]] = {}
    for listener in listeners:
        if listener.protocol == "tcp" and listener.backlog is not None:
            sharing.setdefault((listener.address, listener.port), []).append(listener)
    counts = dict.fromkeys(sharing, 0)
    for waiting in half_open:
        place = next((key for key in _listener_addresses(waiting) if key in counts), None)
        if place:
            counts[place] += waiting.count
    return {listener_label(same[0]): _queue(window, same, counts[place]) for place, same in sharing.items()}


def _queue(window: Window, same: list[Listener], held: int) -> _SynQueue:
    explained = sum(backlog(each) + 1 for each in same if each.queue > backlog(each))
    limit = sum(_limit(window, backlog(each)) for each in same)
    return _SynQueue(same[0], len(same), held, limit, 0 < held <= explained)


def _listener_addresses(waiting: HalfOpen) -> tuple[tuple[str, int], ...]:
    """Return the listening addresses that a handshake may belong to, the most specific first."""
    wild = ("::",) if ":" in waiting.address else ("0.0.0.0", "::")
    return tuple((address, waiting.port) for address in (waiting.address, *wild))


def _limit(window: Window, asked: int) -> int:
    """Return the limit of handshakes; one more than this is held before the kernel refuses."""
    maximum = sysctl_number(window.netns.sysctls, MAX_SYN_BACKLOG)
    if sysctl_number(window.netns.sysctls, SYNCOOKIES) == 0 and maximum is not None:
        return min(asked, maximum - maximum // 4)
    return asked


def _was_full(window: Window, fullest: _SynQueue | None) -> bool:
    """Return whether a queue was full inside the window, by the counters of the namespace."""
    cookies = sysctl_number(window.netns.sysctls, SYNCOOKIES)
    if window.deltas.get(QUEUE_FULL_DROPS, 0) > 0 or (
        window.deltas.get(QUEUE_FULL_COOKIES, 0) > 0 and cookies != _ALWAYS_COOKIES
    ):
        return True
    maximum = sysctl_number(window.netns.sysctls, MAX_SYN_BACKLOG)
    if cookies != 0 or maximum is None or fullest is None:
        return False
    return _silent_drops(window) > 0 and 4 * fullest.held >= 3 * maximum


def _silent_drops(window: Window) -> int:
    """Return the SYNs that were dropped neither for a full accept queue nor for a full backlog."""
    return window.deltas.get(DROPS, 0) - window.deltas.get(OVERFLOWS, 0) - window.deltas.get(QUEUE_FULL_DROPS, 0)


def _evidence(window: Window, measure: Measure) -> list[str]:
    queue = measure.payload
    cookies = sysctl_number(window.netns.sysctls, SYNCOOKIES)
    if isinstance(queue, _SynQueue):
        lines = [f"{queue.held:,} handshakes in SYN_RECV, backlog {backlog(queue.listener):,}"]
        if queue.sharing > 1:
            lines.append(f"all {queue.sharing} sockets that share the address together")
        lines.append(_binding_limit(window, queue, cookies))
        if queue.accept_full:
            lines.append(
                "cause: the accept queue is full (accept-queue), so the kernel drops the last ACK of these"
                " handshakes"
            )
    elif measure.hit:
        lines = ["a queue was full between two samples; none is right now"]
    else:
        return ["no TCP socket listens in this namespace"]
    if measure.hit:
        lines += delta_lines(window, QUEUE_FULL_COOKIES, QUEUE_FULL_DROPS, DROPS, OVERFLOWS)
        lines += delta_lines(window, "TcpExt.EmbryonicRsts", *HANDSHAKES)
        lines.append(_outcome(window))
    return lines


def _binding_limit(window: Window, queue: _SynQueue, cookies: int | None) -> str:
    maximum = sysctl_number(window.netns.sysctls, MAX_SYN_BACKLOG)
    if cookies == 0 and maximum is not None:
        if queue.limit < backlog(queue.listener) * queue.sharing:
            return f"limit: three quarters of {MAX_SYN_BACKLOG} {maximum:,}, because {SYNCOOKIES} is 0"
        return f"limit: the backlog; it is lower than three quarters of {MAX_SYN_BACKLOG} {maximum:,}"
    return f"limit: the backlog; {MAX_SYN_BACKLOG} applies only if {SYNCOOKIES} is 0"


def _outcome(window: Window) -> str:
    if window.deltas.get(QUEUE_FULL_DROPS, 0) > 0 or sysctl_number(window.netns.sysctls, SYNCOOKIES) == 0:
        return SYNS_DROPPED
    return "the kernel sends cookies instead: connections are still accepted, but without some TCP options"


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    queue = measure.payload if isinstance(measure.payload, _SynQueue) else None
    if queue and queue.accept_full:
        return [application("first empty the accept queue of the listener (see its accept-queue)")]
    steps = [
        application(
            "check which clients do not complete the handshake: many addresses that never answer are a SYN flood,"
            " which must be stopped before it reaches this host; a few are clients behind a broken route or"
            " firewall"
        )
    ]
    cookies = sysctl_number(window.netns.sysctls, SYNCOOKIES)
    if cookies == 0:
        text = "lets the kernel answer a full queue with cookies instead of dropping SYNs; takes effect at once"
        steps.append(Remedy("sysctl", SYNCOOKIES, "1", text))
    if queue is None:
        return steps
    maximum = sysctl_number(window.netns.sysctls, MAX_SYN_BACKLOG)
    if cookies == 0 and maximum is not None and queue.limit < backlog(queue.listener) * queue.sharing:
        wanted = next_limit(maximum)
        text = f"{maximum:,} → {wanted:,}; with {SYNCOOKIES} 1 it has no effect and is not needed"
        return [*steps, Remedy("sysctl", MAX_SYN_BACKLOG, str(wanted), text, advised=False)]
    return [*steps, *_raise_backlog(window, queue.listener)]


def _raise_backlog(window: Window, listener: Listener) -> list[Remedy]:
    who = label_or(listener.owner, "the application")
    somaxconn = sysctl_number(window.netns.sysctls, SOMAXCONN)
    if somaxconn is None or backlog(listener) < somaxconn:
        return [raise_own_backlog(backlog(listener), who, somaxconn)]
    wanted = max(4096, next_limit(backlog(listener)))
    text = (
        f"raise the backlog that {who} passes to listen() (now {backlog(listener):,}); takes effect when the"
        " service calls listen() again (restart or reload)"
    )
    # With cookies a full queue refuses no client; without cookies they are the better remedy.
    cap = f"first raise the cap of the backlog to {wanted:,}; it does not stop a SYN flood"
    return [application(text), Remedy("sysctl", SOMAXCONN, str(wanted), cap, advised=False)]


def _change_key(window: Window) -> object:
    """Return the dump and the counters: the same dump in the next Snapshot is not a second full sample."""
    netns = window.netns
    counters = (netns.counters.get(name) for name in (QUEUE_FULL_COOKIES, QUEUE_FULL_DROPS, DROPS, OVERFLOWS))
    return (netns.states.at, *counters) if netns.states else None


SYN_QUEUE = Ceiling(
    id="syn-queue",
    title="SYN queue",
    unit="handshakes",
    scope="process",
    per="listener",
    levels=Levels(0.70, 0.95),
    consequence="when the handshakes of a listener fill its backlog the kernel sends cookies, or drops SYNs if"
    " cookies are off",
    measure=_syn_queues,
    evidence=_evidence,
    hit_counters=(QUEUE_FULL_COOKIES, QUEUE_FULL_DROPS),
    needs_movement=True,
    remedies=_remedies,
    change_key=_change_key,
    manual=Manual(
        measurement="The sockets in SYN_RECV of one listener, from sock_diag: SYNs that were answered and whose"
        " last ACK has not arrived. The limit is the effective backlog since listen(), and one more fits."
        " Connections that wait to be accepted count in the accept queue, not here.",
        symptoms=(
            "TcpExt.TCPReqQFullDoCookies and SyncookiesSent move if net.ipv4.tcp_syncookies is 1",
            "TcpExt.TCPReqQFullDrop and ListenDrops move if net.ipv4.tcp_syncookies is 0; above three quarters of"
            " net.ipv4.tcp_max_syn_backlog ListenDrops moves alone",
            "the kernel logs `Possible SYN flooding on port PORT`, once for each listener",
        ),
        raise_now="sysctl -w net.ipv4.tcp_syncookies=1 takes effect at once; a larger backlog, at most"
        " net.core.somaxconn, when the service calls listen() again.",
        persist="Put the sysctls in a file in /etc/sysctl.d, and the backlog in the service's configuration.",
        cost="About 320 bytes for each handshake. A connection that was made with a cookie lacks the TCP options"
        " that do not fit a cookie: also window scaling and SACK, unless both ends use timestamps.",
        misconceptions=(SYN_BACKLOG, SOMAXCONN_ALONE),
        sysctls=(SYNCOOKIES, MAX_SYN_BACKLOG, SOMAXCONN),
        source="net/ipv4/tcp_input.c, tcp_conn_request()",
    ),
)
