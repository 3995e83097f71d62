"""Queues of unix datagram sockets (net.unix.max_dgram_qlen): a logger that is stuck blocks all programs that
log."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from sockmon.ceilings.ceiling import Ceiling, Levels, Manual, Measure, Window
from sockmon.ceilings.evidence import label_or, process_label
from sockmon.ceilings.measuring import sysctl_number, unknown_measure, unread_measure
from sockmon.ceilings.remedies import application
from sockmon.format import plural
from sockmon.misconceptions import LONGER_DATAGRAM_QUEUE, RESTART_DATAGRAM
from sockmon.model.detail import ProcessQuery
from sockmon.model.report import Remedy
from sockmon.model.snapshot import DatagramQueue

LIMIT = "net.unix.max_dgram_qlen"
DEFAULT_LENGTH = 10
"""The limit that the kernel sets in a new network namespace (unix_net_init() of net/unix/af_unix.c)."""
MIN_ADVISED_LENGTH = 512
ESTIMATE_LEVELS = Levels(0.90, 9.0)
"""Levels of an estimate: it may warn, but not more."""


_STUCK_STATES = ("T", "t")
"""States that do not end by themselves; D often lasts some milliseconds."""
_STATES = {
    "T": "is stopped by a signal (state T)",
    "t": "is stopped by a debugger (state t)",
    "D": "waits{waits} and cannot be interrupted (state D), as for a disk",
    "S": "sleeps{waits} (state S)",
    "R": "runs (state R)",
    "Z": "has ended and was not reaped (state Z)",
}
"""What the main thread of the reader does, by the letter in /proc/PID/stat."""
_UNKNOWN_COUNT = (
    "messages wait, but how many is not known: senders that are not connected, or have ended, cannot be counted,"
    " and this user may not ask the kernel whether one more fits"
)


def queue_label(queue: DatagramQueue) -> str:
    """Return `/dev/log rsyslogd[12]`."""
    path = queue.path or f"unnamed socket {queue.inode}"
    return f"{path} {process_label(queue.owner)}" if queue.owner else path


def _unix_dgram_queue(window: Window) -> Iterator[Measure]:
    netns = window.netns
    limit = sysctl_number(netns.sysctls, LIMIT)
    if netns.datagrams is None or limit is None:
        yield unread_measure(netns.name, window.missing("datagrams" if limit is not None else LIMIT))
        return
    for name, queue in {queue_label(item): item for item in sorted(netns.datagrams, key=_waiting)}.items():
        yield replace(
            _measure_queue(name, queue, limit),
            transient=True,
            at=queue.at,
            query=ProcessQuery(queue.owner.pid, queue.owner.start) if queue.owner else None,
            name=queue.path or "unnamed socket",
            payload=queue,
        )
    if not netns.datagrams:
        yield Measure(netns.name, 0, limit)


def _measure_queue(name: str, queue: DatagramQueue, limit: int) -> Measure:
    """Return use and limit: what the kernel reports of the room decides; if it reports nothing, a count does."""
    guessed = _is_estimate(queue, limit)
    if queue.full:
        # One more than the limit fits. Messages of senders that are not connected, or have ended, are not counted.
        own = DEFAULT_LENGTH if _has_older_limit(queue, limit) else limit
        return Measure(name, own + 1, own)
    if queue.full is False:
        # A socket that was made before the limit was lowered holds more; or the estimate is too high.
        roomy = queue.waiting > limit
        return Measure(
            name,
            queue.waiting,
            None if roomy else limit,
            levels=ESTIMATE_LEVELS if guessed else None,
        )
    hints = bool(queue.blocked_total or queue.reader_state in _STUCK_STATES)
    if not hints and queue.waiting < ESTIMATE_LEVELS.warning * limit:
        return unknown_measure(name, _UNKNOWN_COUNT)
    return Measure(
        name,
        # The messages above what fits are in senders that are blocked.
        min(queue.waiting, limit if guessed else limit + 1),
        limit,
        min_severity="warning" if hints else "ok",
        levels=ESTIMATE_LEVELS if guessed else None,
    )


def _has_older_limit(queue: DatagramQueue, limit: int) -> bool:
    """Return whether a full socket was made before the limit was raised: it holds what the default allows."""
    in_queue = queue.waiting - queue.blocked_total
    return not queue.mixed and limit > DEFAULT_LENGTH and in_queue == DEFAULT_LENGTH + 1


def _is_estimate(queue: DatagramQueue, limit: int) -> bool:
    """Return whether messages differ in size, which more messages than fit and senders can block also show."""
    return queue.mixed or queue.waiting > limit + 1 + queue.senders


def _waiting(queue: DatagramQueue) -> int:
    return queue.waiting


def _change_key(window: Window) -> object:
    """Return the dump and the limit: the same dump in the next Snapshot is not a second full sample."""
    netns = window.netns
    return object() if netns.datagrams is None else (netns.datagrams, netns.sysctls.get(LIMIT))


def _evidence(window: Window, measure: Measure) -> list[str]:
    queue = measure.payload
    if not isinstance(queue, DatagramQueue):
        return ["no message waits in a unix datagram socket"]
    limit = sysctl_number(window.netns.sysctls, LIMIT) or 0
    lines = [*_room(queue, limit), *_counted(queue, limit), *_reader(queue)]
    if queue.blocked_total:
        names = ", ".join(map(process_label, queue.blocked))
        lines.append(f"{plural(queue.blocked_total, 'process', 'processes')} blocked in send(): {names}")
    if (measure.used or 0) > (measure.limit or measure.used or 0):
        lines.append("send() to it blocks, or fails with EAGAIN (11); no kernel counter moves")
    return lines


def _room(queue: DatagramQueue, limit: int) -> list[str]:
    """Return what the kernel reports of the queue, and what that means for its limit."""
    if queue.full is None:
        return ["the kernel cannot be asked whether a message fits: this user may not send to it"]
    if not queue.full:
        return ["the kernel reports that a message fits"]
    lines = ["the kernel reports that no message fits"]
    if _has_older_limit(queue, limit):
        lines.append(
            f"the socket was made when {LIMIT} was {DEFAULT_LENGTH}, the default, and keeps that limit; now it is"
            f" {limit:,}"
        )
    elif 0 < queue.waiting - queue.blocked_total <= limit:
        lines.append(
            f"if all senders are counted the socket has a lower limit than {limit:,}, from when it was made"
        )
    return lines


def _counted(queue: DatagramQueue, limit: int) -> list[str]:
    counted = f"about {plural(queue.waiting, 'message')} of {plural(queue.senders, 'connected sender')} counted"
    lines = [f"{counted if queue.senders else 'none of the messages is counted'}, {LIMIT} {limit:,}"]
    if _is_estimate(queue, limit):
        lines.append("the messages differ in size, so their number is only an estimate")
    return [*lines, "messages of senders that are not connected to it, or have ended, cannot be counted"]


def _reader(queue: DatagramQueue) -> list[str]:
    """Return what the reader does, if that is known."""
    waits = f" in {queue.reader_wchan}" if queue.reader_wchan else ""
    text = _STATES.get(queue.reader_state, "").format(waits=waits)
    return [f"{label_or(queue.owner, 'the reader')} {text}"] if text else []


def _remedies(window: Window, measure: Measure) -> list[Remedy]:
    queue = measure.payload
    who = label_or(queue.owner if isinstance(queue, DatagramQueue) else None, "the reader")
    find = application(f"check why {who} does not read: is it stuck, stopped, or waiting for a disk?")
    now = sysctl_number(window.netns.sysctls, LIMIT) or 0
    if isinstance(queue, DatagramQueue) and queue.full and _has_older_limit(queue, now):
        return [find, application(f"restart {who}: only a new socket uses {LIMIT} = {now:,}")]
    wanted = max(MIN_ADVISED_LENGTH, 2 * (measure.limit or 0))
    text = (
        f"then restart {who}: only new sockets use it. A longer queue absorbs bursts, but does not help if the"
        " reader is stuck"
    )
    # Two full samples in succession: nothing was read between them.
    stuck = (measure.used or 0) > (measure.limit or 0)
    return [find, Remedy("sysctl", LIMIT, str(wanted), text, not stuck)]


UNIX_DGRAM_QUEUE = Ceiling(
    id="unix-dgram-queue",
    title="unix datagram queue",
    unit="messages",
    scope="process",
    per="receiving socket",
    levels=Levels(0.90, 1.0),
    consequence="when the queue of a unix datagram socket is full its senders block, or fail with EAGAIN",
    measure=_unix_dgram_queue,
    evidence=_evidence,
    remedies=_remedies,
    change_key=_change_key,
    manual=Manual(
        measurement="The messages that wait in one unix datagram socket, such as /dev/log. The kernel does not"
        " report their number, nor the limit of the socket. sockmon asks whether one more fits: it connects a"
        " socket of its own and calls poll() for POLLOUT, which sends nothing and takes 10 µs"
        " (SOCKMON_NO_DATAGRAM_PROBE=1 switches it off). The number is derived from the memory that the unread"
        " messages of each connected sender take, and from that of one message. Both ends of a socketpair() are"
        " exempt from the limit.",
        symptoms=(
            "send() and syslog() of other programs block, or fail with EAGAIN (11)",
            "no counter moves and the kernel logs nothing",
        ),
        raise_now="Run sysctl -w net.unix.max_dgram_qlen=N in the receiver's network namespace, then restart the"
        " receiver: a socket keeps the value that was in force when it was created.",
        persist="Put the same setting in a file in /etc/sysctl.d, so that it is set before services start.",
        cost="Memory for the messages that wait, charged to the buffers of the senders (net.core.wmem_default"
        " each).",
        misconceptions=(LONGER_DATAGRAM_QUEUE, RESTART_DATAGRAM),
        sysctls=(LIMIT,),
        source="net/unix/af_unix.c, unix_dgram_sendmsg()",
    ),
)
