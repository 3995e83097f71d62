"""What this machine proves about the port, the socket path or the process in a line of a log. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from sockmon import format as fmt
from sockmon.ceilings.backlogs import SOMAXCONN, describe_source
from sockmon.ceilings.evidence import label_or
from sockmon.ceilings.snat import clashed_before
from sockmon.document import sentence
from sockmon.explain.log_line import LogLine
from sockmon.explain.observation import Observation, PortUse
from sockmon.explain.process_evidence import process_evidence
from sockmon.model.detail import Socket
from sockmon.model.snapshot import Listener, Process, Snapshot
from sockmon.port_lists import find_ranges, format_ranges

MAX_LISTED = 4
"""Sockets of one port that are listed."""
RESERVED_PORTS = "net.ipv4.ip_local_reserved_ports"


class Evidence(NamedTuple):
    """What was found."""

    keys: frozenset[str] = frozenset()
    """The keys of the causes that it proves."""
    paragraphs: tuple[str, ...] = ()
    remedy: str = ""


def evidence(line: LogLine, now: Observation, symptom: str) -> Evidence:
    """Return what this machine's sockets and processes prove about `line`, which names `symptom`."""
    if line.path:
        return _path(line.path, now, symptom)
    if line.port and now.port and symptom in _OF_PORT:
        if now.port.unreadable:
            return Evidence(paragraphs=(f"Port {line.port}: {now.port.unreadable}.",))
        sockets = tuple(item for item in now.port.sockets if line.protocol in ("", item.protocol))
        return _OF_PORT[symptom](replace(now.port, sockets=sockets), line, now)
    return Evidence(*process_evidence(line, now, symptom))


def _bind(use: PortUse, line: LogLine, now: Observation) -> Evidence:
    """Return who has the port that bind() or listen() could not get."""
    listening, others = _split(use)
    if listening:
        return Evidence(frozenset(("listener",)), tuple(_lines(f"Port {use.port} has a listener", listening, use)))
    live = [item for item in others if item.state != "TIME_WAIT"]
    waiting = 0 if line.protocol == "udp" else use.states.get("TIME_WAIT", 0)
    keys, text = set[str](), list[str]()
    for opened, heading, causes in _CONNECTIONS:
        if found := [item for item in live if _is_client(item, use, now) is opened]:
            keys.update(causes)
            text += _lines(f"Port {use.port} {heading}", found, use)
    if "client" in keys:
        text.append(_range(use))
    if use.bound and line.protocol != "udp":
        keys.add("bound")
        text += _lines(f"Port {use.port} is bound, and not listening", use.bound, use)
    if waiting:
        keys.add("time-wait")
        text.append(f"In TIME_WAIT, for at most 60 s: {fmt.plural(waiting, 'connection')} of port {use.port}.")
    if not keys:
        text.append(_free(use))
    return Evidence(frozenset(keys), tuple(text), _reserve(use) if "client" in keys else "")


_CONNECTIONS = (
    (True, "is the source port of outbound connections", ("client",)),
    (False, "has connections that an earlier listener accepted", ("accepted",)),
    (None, "has connections, outbound or accepted by an earlier listener", ("client", "accepted")),
)
"""Whether this side opened the connections, what is written about them, and the keys that they prove."""


def _refused(use: PortUse, line: LogLine, now: Observation) -> Evidence:
    """Return whether a socket listens on the port that refused a connection. It proves nothing about the port of
    another host."""
    listening, _ = _split(use)
    shown = tuple(_lines(f"Port {use.port} has a listener in this network namespace now", listening, use))
    if not listening:
        none = f"No socket listens on port {use.port} in this network namespace now."
        none += "" if line.loopback else " If the address is another host's, check there."
        return Evidence(frozenset(("not-listening",) if line.loopback else ()), (none,))
    answers = {"0.0.0.0", "[::]", line.loopback, "127.0.0.1" if line.loopback == "localhost" else line.loopback}
    elsewhere = line.loopback and not any(item.local.rpartition(":")[0] in answers for item in listening)
    return Evidence(frozenset(("other-address",) if elsewhere else ()), shown)


def _syn_queue(_: PortUse, line: LogLine, now: Observation) -> Evidence:
    """Return the listener whose SYN queue was full, and what limits it."""
    netns = now.snapshot.netns[0] if now.snapshot else None
    if netns is None or netns.listeners is None:
        return Evidence()
    cap = netns.sysctls.get(SOMAXCONN, "")
    found = [row for row in netns.listeners if row.protocol == "tcp" and row.port == line.port]
    return Evidence(paragraphs=tuple(_backlog(row, int(cap) if cap.isdigit() else None) for row in found))


def _backlog(row: Listener, cap: int | None) -> str:
    owner = label_or(row.owner, "A process that is not visible")
    if row.backlog is None:
        return f"{owner} listens at {row.address}:{row.port}; its backlog is not known."
    text = f"{owner} listens at {row.address}:{row.port} with a backlog of {row.backlog:,}"
    if cap is None:
        return f"{text}."
    burst = " A short burst of connections fills a small queue; the kernel logs the line once for each listener."
    return f"{text}. {sentence(describe_source(row.backlog, cap))}{burst}"


_OF_PORT: dict[str, Callable[[PortUse, LogLine, Observation], Evidence]] = {
    "EADDRINUSE": _bind,
    "ECONNREFUSED": _refused,
    "TCPReqQFullDoCookies": _syn_queue,
    "TCPReqQFullDrop": _syn_queue,
}
PORT_SYMPTOMS = frozenset(_OF_PORT)
"""Symptoms for which the port of a line is looked up."""


def _path(path: str, now: Observation, symptom: str) -> Evidence:
    listeners = now.snapshot.netns[0].listeners if now.snapshot else None
    if listeners is None:
        return Evidence(paragraphs=(f"{path}: listeners of this machine could not be read.",))
    found = [item for item in listeners if item.protocol == "unix" and item.address == path]
    if not found:
        return Evidence(
            frozenset(("no-process",)),
            (f"No process listens at {path} in this network namespace now.",),
        )
    full = any(_is_full(item) for item in found)
    return Evidence(
        frozenset(("queue",) if full else ()),
        tuple(_queue(item) for item in found),
    )


def _is_full(row: Listener) -> bool:
    return row.backlog is not None and row.queue > row.backlog


def _queue(row: Listener) -> str:
    owner = label_or(row.owner, "a process that is not visible")
    backlog = "unknown" if row.backlog is None else fmt.count(row.backlog)
    return f"{owner} listens at {row.address}: {row.queue:,} wait, backlog {backlog}."


def _split(use: PortUse) -> tuple[list[Socket], list[Socket]]:
    """Return the listeners and the UDP sockets without a peer, and the rest."""
    listening = [item for item in use.sockets if item.state == "LISTEN" or _has_no_peer(item)]
    return listening, [item for item in use.sockets if item not in listening]


def _has_no_peer(item: Socket) -> bool:
    return item.protocol == "udp" and item.state == "CLOSE"


def _is_client(item: Socket, use: PortUse, now: Observation) -> bool | None:
    """Return whether this side opened a connection; None if nothing shows it."""
    remote = _port_of(item.remote)
    listeners = now.snapshot.netns[0].listeners if now.snapshot else None
    if any(row.protocol == "tcp" and row.port == remote for row in listeners or ()):
        return True
    if use.low is None or use.high is None:
        return None
    ours, theirs = use.low <= use.port <= use.high, use.low <= remote <= use.high
    return None if ours == theirs else ours


def _port_of(endpoint: str) -> int:
    return int(endpoint.rpartition(":")[2] or 0)


def _lines(heading: str, sockets: Sequence[Socket], use: PortUse) -> Iterator[str]:
    yield f"{heading}:"
    for item in sockets[:MAX_LISTED]:
        owner = label_or(item.owner, "a process that is not visible")
        peer = f" to {item.remote}" if item.state not in ("LISTEN", "CLOSE") else ""
        yield f"{owner}, {item.protocol} {item.local}{peer}, {item.state}"
    if len(sockets) > MAX_LISTED:
        yield f"and {len(sockets) - MAX_LISTED} more: ss -tanp sport = :{use.port}"


def _range(use: PortUse) -> str:
    if use.low is None or use.high is None:
        return "The range of local ports could not be read."
    span = f"net.ipv4.ip_local_port_range, {use.low}–{use.high}"
    if not use.low <= use.port <= use.high:
        return f"The port is outside of {span}: the client chose it with bind()."
    if use.reserved is None:
        return f"The port lies in {span}; the reserved ports could not be read."
    kept = "and is reserved now: connect() does not take it again" if use.reserved else "and is not reserved"
    return f"The port lies in {span}, {kept}."


def _reserve(use: PortUse) -> str:
    if use.reserved_ports is None or use.reserved or use.low is None or use.high is None:
        return ""
    if not use.low <= use.port <= use.high:
        return ""
    ports = format_ranges([*find_ranges(use.reserved_ports), (use.port, use.port)])
    return (
        f"End that connection, and set {RESERVED_PORTS} = {ports}, so that connect() does not take the port again:"
        f" sockmon tune plan {RESERVED_PORTS}={ports}"
    )


def _free(use: PortUse) -> str:
    unknown = " Sockets that are only bound are not shown by this kernel." if use.bound is None else ""
    return f"No socket of this network namespace has port {use.port} now; it may have ended since.{unknown}"


def close_wait_keys(snapshot: Snapshot | None) -> frozenset[str]:
    """Return the cause that most sockets in CLOSE_WAIT have: an accept queue, or a descriptor of a process."""
    netns = snapshot.netns[0] if snapshot else None
    count = netns.states.tcp.get("CLOSE_WAIT") if netns and netns.states else None
    processes = snapshot.processes if snapshot else None
    if netns is None or netns.listeners is None or count is None or processes is None:
        return frozenset()
    waiting = min(count.total, sum(row.queue for row in netns.listeners if row.protocol == "tcp"))
    held = sum(row.close_wait or 0 for row in processes_here(snapshot))
    return frozenset() if waiting == held else frozenset(("waiting",) if waiting > held else ("held",))


def processes_here(snapshot: Snapshot | None) -> list[Process]:
    """Return the visible processes that are not in another network namespace than the first."""
    if snapshot is None or snapshot.processes is None:
        return []
    elsewhere = {pid for netns in snapshot.netns[1:] for pid in netns.pids}
    return [row for row in snapshot.processes.rows if row.pid not in elsewhere]


def snat_keys(snapshot: Snapshot | None) -> frozenset[str]:
    """Return the cause `snat` if translated ports ran out here since boot, and still fill a range."""
    return frozenset(("snat",) if snapshot and clashed_before(snapshot.netns[0]) else ())
