"""Queues of unix datagram sockets (net.unix.max_dgram_qlen): a logger that is stuck stops whoever logs."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.ceiling import Ceiling, Levels, Measure, Window, Words, number, unknown
from sockmon.model.detail import ProcessFocus
from sockmon.model.report import Remedy
from sockmon.model.snapshot import DatagramQueue, Snapshot

LIMIT = "net.unix.max_dgram_qlen"
ROOMY = 512
GUESSED = Levels(0.90, 9.0)
"""Where the number is a guess it may warn, no more."""


def subject(queue: DatagramQueue) -> str:
    """`/dev/log rsyslogd[12]`."""
    path = queue.path or f"unnamed socket {queue.inode}"
    return f"{path} {queue.owner.name}[{queue.owner.pid}]" if queue.owner else path


def _unix_dgram_queue(window: Window) -> Iterator[Measure]:
    netns = window.netns
    limit = number(netns.sysctls, LIMIT)
    if netns.datagrams is None or limit is None:
        yield unknown(netns.name, window.why_missing("datagrams" if limit is not None else LIMIT))
        return
    for name, queue in {subject(item): item for item in sorted(netns.datagrams, key=_waiting)}.items():
        owner = queue.owner
        guessed = _guessed(queue, limit)
        yield Measure(
            name,
            # One more than the limit fits; what goes beyond are messages that senders cannot get rid of.
            min(queue.waiting, limit if guessed else limit + 1),
            limit,
            momentary=True,
            levels=GUESSED if guessed else None,
            at=queue.at,
            focus=ProcessFocus(owner.pid, owner.start) if owner else None,
            about=queue,
        )
    if not netns.datagrams:
        yield Measure(netns.name, 0, limit)


def _guessed(queue: DatagramQueue, limit: int) -> bool:
    """True where messages differ in size, which shows too where there are more than fit and senders to block."""
    return queue.mixed or queue.waiting > limit + 1 + queue.senders


def _waiting(queue: DatagramQueue) -> int:
    return queue.waiting


def _as_of(now: Snapshot) -> object:
    """A dump is newer than the last one where its time is: the same one seen twice is one look, not two."""
    netns = now.netns[0]
    return object() if netns.datagrams is None else (netns.datagrams, netns.sysctls.get(LIMIT))


def _evidence(window: Window, measure: Measure) -> list[str]:
    queue = measure.about
    if not isinstance(queue, DatagramQueue):
        return ["no unix datagram socket has a message waiting"]
    assert measure.used is not None
    assert measure.limit is not None
    senders = "1 sender" if queue.senders == 1 else f"{queue.senders:,} senders"
    lines = [f"about {measure.used:,} messages of {senders} wait, {LIMIT} {measure.limit:,}"]
    if _guessed(queue, measure.limit):
        lines.append("they differ in size, so that their number is only a guess")
    lines.append("senders that are not connected to it, or have ended, cannot be counted")
    if measure.used > measure.limit:
        lines.append("send() to it blocks, or fails with EAGAIN (11); no kernel counter shows it")
        if stuck := queue.waiting - measure.used:
            lines.append(f"about {stuck:,} more in senders that are blocked in send()")
    return lines


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    queue = measure.about
    owner = queue.owner if isinstance(queue, DatagramQueue) else None
    who = f"{owner.name}[{owner.pid}]" if owner else "whoever reads it"
    wanted = max(ROOMY, 2 * (measure.limit or 0))
    return [
        Remedy(
            "application", None, None, f"see why {who} does not read: is it stuck, stopped, waiting for a disk?"
        ),
        Remedy(
            "sysctl",
            LIMIT,
            str(wanted),
            f"room for {wanted:,} messages in sockets that are made afterwards: {who} has to be restarted. It"
            " rides out bursts and does not help against a reader that is stuck",
        ),
    ]


UNIX_DGRAM_QUEUE = Ceiling(
    id="unix-dgram-queue",
    title="unix datagram queue",
    unit="messages",
    scope="process",
    levels=Levels(0.90, 1.0),
    what="when the queue of a unix datagram socket is full its senders block, or fail with EAGAIN",
    measure=_unix_dgram_queue,
    evidence=_evidence,
    remedies=_remedies,
    as_of=_as_of,
    words=Words(
        counted="Messages that wait in one unix datagram socket, such as /dev/log. The kernel does not tell their"
        " number: it is reckoned from the memory that the unread messages of each connected sender take, and what"
        " one message takes. Both ends of a socketpair() are exempt from the limit.",
        shows=[
            "send() and syslog() of other programs block, or fail with EAGAIN (11)",
            "no counter and no line in the kernel's log",
        ],
        live="sysctl -w net.unix.max_dgram_qlen=N in the receiver's network namespace, then restart the receiver:"
        " a socket keeps the value that was in force when it was made.",
        lasting="net.unix.max_dgram_qlen in a file of /etc/sysctl.d, so that it is set before services start.",
        costs="Memory of what waits, charged to the senders' buffers (net.core.wmem_default each).",
        myths=["A larger queue does not cure a reader that is stuck: it only takes longer to fill."],
        keys=[LIMIT],
        source="net/unix/af_unix.c, unix_dgram_sendmsg()",
    ),
)
