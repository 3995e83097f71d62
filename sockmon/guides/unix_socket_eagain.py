"""EAGAIN on unix sockets: a datagram socket whose reader does not read, or a listener that does not accept."""

from __future__ import annotations

from collections.abc import Sequence

from sockmon.ceilings.queues import listener_label
from sockmon.ceilings.unix_dgram import LIMIT, queue_label
from sockmon.document import sentence
from sockmon.guides.backlog_steps import backlog_steps
from sockmon.guides.ends import DO_NOT_TUNE, NOT_HERE, OTHER_LIMIT
from sockmon.guides.examples import BACKLOG, LOG_SOCKET, WORKERS
from sockmon.guides.facts import Facts
from sockmon.guides.findings import (
    MAX_NUMBERS,
    MOVEMENT_SECONDS,
    advised_settings,
    advises,
    alarm_of,
    another_alarm_or_unread,
    application_advice,
    contradicted,
    left_limit,
    not_read,
    numbers_of,
    supported,
    undecided,
)
from sockmon.guides.guide import Act, Branch, Decide, End, Finding, Guide, Observe, Verify
from sockmon.misconceptions import LONGER_DATAGRAM_QUEUE, LONGER_QUEUE, RESTART_DATAGRAM
from sockmon.model.report import Reading
from sockmon.model.snapshot import DatagramQueue

DATAGRAM, LISTENER = "unix-dgram-queue", "accept-queue"


def _datagram(facts: Facts) -> Finding:
    """Return whether a datagram queue is full; the first sample does not read every queue."""
    found = alarm_of(DATAGRAM)(facts)
    wait = MOVEMENT_SECONDS - facts.sampled_seconds
    if found.verdict == "contradicts" and wait > 0 and facts.place.source != "recording" and not _listeners(facts):
        return undecided("one sample does not show a queue that fills", wait=wait)
    return found


def _listeners(facts: Facts) -> list[Reading]:
    """Return the alarms of unix listeners; those of TCP are another guide's."""
    unix = {listener_label(each) for each in facts.netns.listeners or () if each.protocol == "unix"}
    return [row for row in facts.alarms(LISTENER) if row.subject in unix]


def _listener(facts: Facts) -> Finding:
    """Return whether the accept queue of a unix listener is full."""
    if rows := _listeners(facts):
        return supported(numbers_of(rows[0]), *rows, numbers=rows[0].evidence[:MAX_NUMBERS])
    found = alarm_of(LISTENER)(facts)
    if found.verdict == "supports":
        return contradicted(f"only the queue of a TCP listener is full: {found.text}")
    return found


def _queue(facts: Facts) -> DatagramQueue | None:
    """Return the queue in focus."""
    queues = facts.netns.datagrams or ()
    return next((each for each in queues if facts.focus and queue_label(each) == facts.focus[1]), None)


def _stuck(facts: Facts) -> Finding:
    """Return whether the reader takes nothing out of the full queue."""
    row, queue = facts.reading, _queue(facts)
    if row is None or queue is None:
        return undecided("the queue is not in this sample any more")
    # One message more than the limit fits, so a queue above its limit has no room.
    if row.used is not None and row.limit is not None and row.used > row.limit:
        return supported("no message fits, and none is read", row, numbers=row.evidence[:MAX_NUMBERS])
    return contradicted("messages still fit: the reader reads, but bursts nearly fill the queue", row.evidence)


def _restart(facts: Facts) -> Sequence[str]:
    """Return what has to follow a higher limit: only new sockets have it."""
    return [
        "restart the reader right after the change, or the unit of its socket if systemd made that",
        *application_advice(facts),
    ]


def _fits(facts: Facts) -> str:
    """Return the first alarm of a unix socket."""
    rows = [*facts.alarms(DATAGRAM), *_listeners(facts)]
    return numbers_of(rows[0]) if rows else ""


def _not_here(facts: Facts) -> list[str]:
    return [
        f"The symptom is not on {facts.snapshot.host.name} now: the queues of its unix sockets have room.",
        "EAGAIN of a non-blocking socket is no error if nothing is there to read, or if a stream's buffer is full"
        " because its peer does not read: poll() it.",
        *map(sentence, not_read(facts)),
        "Run it again while the symptom is there, in the network namespace of the program that reads or accepts.",
    ]


GUIDE = Guide(
    name="unix-socket-eagain",
    title="EAGAIN on a unix socket",
    symptom="connect(), send() or syslog() on a unix socket blocks, or fails with EAGAIN (11)",
    brief="connect(), send(), syslog(): EAGAIN",
    ceilings=(DATAGRAM, LISTENER),
    lab="unix-dgram-queue",
    fits=_fits,
    steps=(
        Observe(
            id="datagram",
            title="Datagram socket, such as /dev/log",
            hypothesis="the queue of a datagram socket is full",
            evidence=_datagram,
            supports="reader",
            contradicts="listener",
            undecided="listener",
        ),
        Observe(
            id="listener",
            title="Stream socket",
            hypothesis="the accept queue of a unix listener is full",
            evidence=_listener,
            supports="backlog",
            contradicts="others",
            undecided="others",
        ),
        Observe(
            id="others",
            title="Other limits",
            hypothesis="another limit is reached",
            evidence=another_alarm_or_unread(DATAGRAM),
            supports=OTHER_LIMIT,
            contradicts=NOT_HERE,
        ),
        Observe(
            id="reader",
            title="The reader",
            hypothesis="the reader is stuck: it takes no message out of the queue",
            evidence=_stuck,
            supports="read",
            contradicts="length",
            undecided="length",
            misconceptions=(LONGER_DATAGRAM_QUEUE,),
        ),
        Decide(
            id="length",
            title="The length of the queue",
            question="Is the queue too short for the bursts?",
            branches=(Branch("lengthen", f"raise {LIMIT}", advises(LIMIT)),),
            otherwise=DO_NOT_TUNE,
        ),
        Act(
            id="lengthen",
            title="A longer queue",
            settings=advised_settings(LIMIT),
            advice=_restart,
            examples=LOG_SOCKET,
            done="room",
            misconceptions=(RESTART_DATAGRAM,),
        ),
        Act(
            id="read",
            title="Let the reader read",
            advice=application_advice,
            examples=LOG_SOCKET,
            done="room",
            declined=DO_NOT_TUNE,
            misconceptions=(RESTART_DATAGRAM,),
        ),
        *backlog_steps("accept", "the application"),
        Act(
            id="accept",
            title="Let the application accept",
            advice=application_advice,
            examples=(*WORKERS, *BACKLOG),
            done="room",
            declined=DO_NOT_TUNE,
            misconceptions=(LONGER_QUEUE,),
        ),
        Verify(
            id="room",
            title="Room in the queue",
            claim="the queue has room again",
            evidence=left_limit,
            hold=8,
            within=60,
        ),
        End(NOT_HERE, "The symptom is not here", "not-here", _not_here),
    ),
)
