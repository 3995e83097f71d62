"""Who holds the memory of TCP and UDP, and whose the orphans were: evidence and remedies of host-wide limits."""

from __future__ import annotations

from collections.abc import Callable

from sockmon import format as fmt
from sockmon.ceilings.ceiling import Window
from sockmon.ceilings.evidence import process_label
from sockmon.ceilings.remedies import application
from sockmon.format import megabytes
from sockmon.model.queues import MIN_PAGES, OrphanGroup, QueuedSocket, QueueOwner, TcpQueues
from sockmon.model.report import Remedy
from sockmon.model.snapshot import Listener, Owner

MAX_NAMED = 3
MIN_SHARE = 0.1
"""Share of the memory from which on a process is named in a remedy."""
MIN_ELSEWHERE = 8 << 20
"""Bytes from which on memory without a socket is that of other namespaces: the kernel reserves up to a megabyte
for each processor."""
OLD = 5.0
"""Seconds from which on the age of a scan is stated: with very many sockets it is repeated seldom."""
TCP_READER = "tcp queues"


def tcp_lines(window: Window) -> list[str]:
    """Return which processes hold the memory of TCP, in receive and in send queues."""
    queues, memory = window.netns.queues, window.now.memory
    if queues is None:
        return _not_read(window)
    lines = [_owner_line(item) for item in queues.owners[:MAX_NAMED]]
    if queues.orphaned:
        lines.append(f"sockets that no process holds any more have {megabytes(queues.orphaned)} of it")
    if queues.unowned > (queues.memory or 0) / 10:
        lines.append(f"{megabytes(queues.unowned)} are in sockets whose processes are not visible to this user")
    total = memory.tcp_pages * window.now.host.page_size if memory else 0
    if queues.memory is not None and total - queues.memory > max(total / 2, MIN_ELSEWHERE):
        lines.append(f"{megabytes(total - queues.memory)} are in other network namespaces, which were not read")
    age = window.now.at - queues.at
    return [
        *lines,
        *_longest_lines(queues),
        *([f"the sockets were read {fmt.age(age)} ago"] if age >= OLD else []),
    ]


def _not_read(window: Window) -> list[str]:
    memory = window.now.memory
    if memory is not None and memory.tcp_pages < MIN_PAGES:
        return [f"the processes that hold it are read from {MIN_PAGES:,} pages on"]
    why = next((item for item in window.now.missing if item.reader == TCP_READER), None)
    return [f"which processes hold it is not known: {why.reason}"] if why else []


def _owner_line(item: QueueOwner) -> str:
    parts = []
    if item.recv_queue:
        parts.append(f"{megabytes(item.recv_queue)} received and not read (Recv-Q)")
    if item.send_queue:
        parts.append(f"{megabytes(item.send_queue)} sent and not acknowledged by its peers (Send-Q)")
    held = "" if item.memory is None else f" {megabytes(item.memory)} in"
    about = "about " if item.owner.estimated else ""
    what = ", ".join(parts) or "data that arrived out of order"
    return f"{process_label(item.owner)} holds{held} {about}{fmt.plural(item.owner.sockets, 'socket')}: {what}"


def _longest_lines(queues: TcpQueues) -> list[str]:
    received = max(queues.largest, key=lambda item: item.recv_queue, default=None)
    sent = max(queues.largest, key=lambda item: item.send_queue, default=None)
    lines = []
    if received and received.recv_queue:
        ago = received.received_ago
        waits = "" if ago is None else f", the last of them arrived {fmt.duration(ago)} ago"
        lines.append(f"longest Recv-Q: {_ends(received, 'from')}, {received.recv_queue:,} bytes{waits}")
    if sent and sent.send_queue:
        lines.append(f"longest Send-Q: {_ends(sent, 'to')}, {sent.send_queue:,} bytes{_why_unsent(sent)}")
    return lines


def _ends(item: QueuedSocket, direction: str) -> str:
    owner = f" of {process_label(item.owner)}" if item.owner else ""
    return f"{item.local}{owner} {direction} {item.remote}"


def _why_unsent(item: QueuedSocket) -> str:
    ago = "" if item.sent_ago is None else f", data was last sent {fmt.duration(item.sent_ago)} ago"
    if item.zero_window:
        return f"; the peer does not read: its window is closed{ago}"
    if item.retransmits:
        return f"; the peer does not answer after {fmt.plural(item.retransmits, 'retransmission')}{ago}"
    return ago


def tcp_remedies(window: Window) -> list[Remedy]:
    """Return what the processes with the longest queues have to change, those that do not read first."""
    queues = window.netns.queues
    reader = _most(queues, lambda item: item.recv_queue) if queues else None
    sender = _most(queues, lambda item: item.send_queue) if queues else None
    found = [_let_read(reader)] if reader else []
    if queues and sender:
        longest = next(
            (item for item in reversed(queues.largest) if item.send_queue and _is(item.owner, sender)), None
        )
        found = _with_sender(found, reader, sender, longest)
    return found or [
        application("find the sockets with long receive or send queues: their applications do not read")
    ]


def _let_read(reader: QueueOwner) -> Remedy:
    size, sockets = megabytes(reader.recv_queue), fmt.plural(reader.owner.sockets, "socket")
    return application(f"let {process_label(reader.owner)} read: {size} wait in {sockets}", reader.owner.pid)


def _with_sender(
    found: list[Remedy], reader: QueueOwner | None, sender: QueueOwner, longest: QueuedSocket | None
) -> list[Remedy]:
    """Return the remedies with those of a process whose peers do not read: the peer first, if it runs here."""
    peer = longest.peer if longest else None
    remedy = application(_sender_text(sender, longest), sender.owner.pid)
    if peer and reader and _is(peer, reader):
        return [*found, remedy]
    first = []
    if peer:
        text = f"let {process_label(peer)} read what {process_label(sender.owner)} sends to it"
        first = [application(text, peer.pid)]
    more = not reader or reader.recv_queue < sender.send_queue
    return [*first, remedy, *found] if more else [*found, *first, remedy]


def _most(queues: TcpQueues, amount: Callable[[QueueOwner], int]) -> QueueOwner | None:
    """Return the process with the largest amount, if that is a fair part of all."""
    total = queues.memory if queues.memory is not None else queues.recv_queue + queues.send_queue
    found = max(queues.owners, key=amount, default=None)
    return found if found and amount(found) and amount(found) >= MIN_SHARE * total else None


def _sender_text(sender: QueueOwner, longest: QueuedSocket | None) -> str:
    verb = "read" if longest and longest.zero_window else "acknowledge"
    peer = f", such as {longest.remote}," if longest else ""
    size = megabytes(sender.send_queue)
    return (
        f"find out why the peers of {process_label(sender.owner)}{peer} do not {verb}: {size} wait in its send"
        " queues; a write timeout in it closes such connections"
    )


def _is(owner: Owner | None, other: QueueOwner) -> bool:
    return owner is not None and (owner.pid, owner.start) == (other.owner.pid, other.owner.start)


def udp_lines(window: Window) -> list[str]:
    """Return which processes have datagrams waiting."""
    udp = window.netns.udp
    return [
        f"{process_label(item.owner)} has {megabytes(item.recv_queue)} waiting in"
        f" {fmt.plural(item.owner.sockets, 'socket')}"
        for item in (udp.readers[:MAX_NAMED] if udp else ())
    ]


def udp_remedies(window: Window) -> list[Remedy]:
    """Return what the process with the most datagrams waiting has to change."""
    udp = window.netns.udp
    largest = udp.readers[0] if udp and udp.readers else None
    if udp is None or largest is None or largest.recv_queue < MIN_SHARE * (udp.queued or 0):
        return [
            application(
                "find the sockets with long receive queues: their applications do not read, or asked for a huge"
                " SO_RCVBUF"
            )
        ]
    label, size = process_label(largest.owner), megabytes(largest.recv_queue)
    text = f"let {label} read faster, or ask for a smaller SO_RCVBUF: {size} of datagrams wait for it"
    return [application(text, largest.owner.pid)]


def orphan_lines(window: Window) -> list[str]:
    """Return the local ports and peers with the most orphans, and who listens on these ports."""
    return [
        f"{fmt.plural(group.sockets, 'orphan')} of port {group.port}{_listens(window, group)}: {group.remote} does"
        f" not acknowledge {megabytes(group.send_queue)}"
        for group in _orphans(window)[:MAX_NAMED]
    ]


def orphan_remedies(window: Window) -> list[Remedy]:
    """Return which peer does not acknowledge. An orphan has no process; one that listens on its port has probably
    closed it."""
    groups = _orphans(window)
    if not groups:
        return [application("find the peers that do not acknowledge the last FIN: check FIN_WAIT1 and LAST_ACK")]
    first = groups[0]
    listener = _listener(window, first)
    owner = listener.owner if listener else None
    closed = f"that {process_label(owner)} closed" if owner else f"of port {first.port}"
    text = f"find out why {first.remote} does not acknowledge the connections {closed}"
    return [application(text, owner.pid if owner else None)]


def _orphans(window: Window) -> tuple[OrphanGroup, ...]:
    return window.netns.states.orphans if window.netns.states else ()


def _listens(window: Window, group: OrphanGroup) -> str:
    listener = _listener(window, group)
    return f", where {process_label(listener.owner)} listens" if listener and listener.owner else ""


def _listener(window: Window, group: OrphanGroup) -> Listener | None:
    found = (item for item in window.netns.listeners or () if item.protocol == "tcp" and item.port == group.port)
    return next(found, None)
