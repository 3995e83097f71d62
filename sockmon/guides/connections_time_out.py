"""Connections time out, are reset or refused under load: the accept queue, the process that does not accept, the
backlog and its cap, the SYN queue."""

from __future__ import annotations

from collections.abc import Sequence

from sockmon.ceilings.backlogs import backlog
from sockmon.ceilings.evidence import process_label
from sockmon.ceilings.listener_drops import OVERFLOWS
from sockmon.ceilings.listener_processes import AcceptQueue, by_address, stuck_remedy
from sockmon.ceilings.queues import PASSIVE_OPENS, listener_label
from sockmon.ceilings.syn_queue import QUEUE_FULL_DROPS, SYNCOOKIES
from sockmon.document import sentence
from sockmon.format import plural
from sockmon.guides.backlog_steps import backlog_steps
from sockmon.guides.ends import BY_ID, DO_NOT_TUNE, NOT_HERE, OTHER_LIMIT, keep_it
from sockmon.guides.examples import BACKLOG, WORKERS
from sockmon.guides.facts import Facts
from sockmon.guides.findings import (
    MOVEMENT_SECONDS,
    advised_settings,
    advises,
    alarm_of,
    another_alarm,
    application_advice,
    contradicted,
    left_limit,
    not_read,
    numbers_of,
    supported,
    undecided,
)
from sockmon.guides.guide import Act, Branch, Decide, End, Finding, Guide, Observe, Verify
from sockmon.misconceptions import ABORT_ON_OVERFLOW, LONGER_QUEUE, SYN_BACKLOG
from sockmon.model.snapshot import Listener, Owner


def _full(facts: Facts) -> Finding:
    """Return whether an accept queue is full; wait for the process of its listener, which later samples name."""
    found = alarm_of("accept-queue")(facts)
    wait = MOVEMENT_SECONDS - facts.sampled_seconds
    if found.verdict != "supports" or wait <= 0 or facts.place.source == "recording":
        return found
    unknown = {listener_label(each) for each in facts.netns.listeners or () if each.owner is None}
    if found.readings[0][1] in unknown:
        return undecided(f"{found.text}; its process is not known yet", wait=wait)
    return found


def _queue(facts: Facts) -> AcceptQueue | None:
    """Return the fullest listener that the reading in focus is about; None if it names none."""
    listeners = [each for each in facts.netns.listeners or () if each.backlog is not None]
    named = [each for each in listeners if facts.focus and listener_label(each) == facts.focus[1]]
    if not named:
        return None
    listener = max(named, key=lambda each: each.queue / max(backlog(each), 0.5))
    group = by_address(listeners)[listener.protocol, listener.address, listener.port]
    return AcceptQueue(listener, tuple(group))


def _descriptors(facts: Facts) -> Finding:
    """Return whether a process that should accept has no free descriptor."""
    queue = _queue(facts)
    pids = {each.pid for each in _accepting(queue.listener)} if queue else set()
    rows = facts.snapshot.processes.rows if facts.snapshot.processes else ()
    labels = {process_label(row) for row in rows if row.pid in pids}
    full = [row for row in facts.alarms("process-fds") if row.subject in labels and row.severity == "hit"]
    if full:
        return supported(
            f"accept() fails with EMFILE (24), however long the queue is: {numbers_of(full[0])}", *full
        )
    if not labels:
        return undecided("the process that should accept is not known")
    return contradicted(f"descriptors are free: {', '.join(sorted(labels))}")


def _accepting(listener: Listener) -> Sequence[Owner]:
    return listener.accepting or ([listener.owner] if listener.owner else [])


def _stuck(facts: Facts) -> Finding:
    """Return whether the process of a full queue accepts nothing, so that any queue fills."""
    queue = _queue(facts)
    if queue is None:
        return undecided("no listener is full now: a queue overflowed between two samples")
    listener = queue.listener
    full = listener.queue > backlog(listener)
    numbers = [f"{plural(listener.queue, 'connection')} in the queue, backlog {backlog(listener):,}"]
    if facts.reading and (remedy := stuck_remedy(queue)):
        return supported(remedy.text, facts.reading, numbers=numbers)
    rate = facts.rate(PASSIVE_OPENS)
    if full and rate == 0 and facts.reading:
        return supported("the queue is full, and no connection is accepted", facts.reading, numbers=numbers)
    if full and rate is None and facts.place.source != "recording":
        return undecided("one sample does not show whether it accepts", wait=MOVEMENT_SECONDS)
    return contradicted("connections are accepted, but in bursts there are more than fit in the queue", numbers)


def _answered(facts: Facts) -> Finding:
    """Return whether no SYN was dropped since the last sample because a SYN queue is full."""
    if facts.counter(QUEUE_FULL_DROPS) is None:
        return undecided(f"{QUEUE_FULL_DROPS} cannot be read")
    dropped = facts.moved.get(QUEUE_FULL_DROPS, 0)
    if dropped:
        return contradicted(f"{QUEUE_FULL_DROPS} +{dropped:,}")
    return Finding("supports", f"{QUEUE_FULL_DROPS} does not increase: a full SYN queue is answered with cookies")


def _do_not_tune(facts: Facts) -> Sequence[str]:
    if facts.focus and facts.focus[0] == "syn-queue":
        return [
            "No client that completes its handshake is refused: the kernel answers a full SYN queue with cookies.",
            "A longer queue does not keep a flood out.",
            *map(sentence, application_advice(facts)),
        ]
    return BY_ID[DO_NOT_TUNE].text(facts)


def _served(facts: Facts) -> list[str]:
    return [
        "The SYN queue is full as before, but clients that complete the handshake are served.",
        *map(sentence, application_advice(facts)),
        *keep_it(facts),
    ]


def _not_here(facts: Facts) -> list[str]:
    past = facts.counter(OVERFLOWS)
    since = [f"{OVERFLOWS} is {past:,} since boot: queues did overflow before."] if past else []
    return [
        f"The symptom is not on {facts.snapshot.host.name} now: its accept and SYN queues have room.",
        *since,
        "A connection is refused (ECONNREFUSED) if nothing listens on that address and port, however many there"
        f" are: `{facts.place.verb('explain PORT')}`.",
        "A connection that is reset after it was open was closed by the application with unread data, by its"
        f" timeout or by a proxy: `{facts.place.verb('explain ECONNRESET')}`.",
        *map(sentence, not_read(facts)),
        "Run it again while the symptom is there, on the host that is connected to, in the network namespace of"
        " the server.",
    ]


GUIDE = Guide(
    name="connections-time-out",
    title="Connections time out under load",
    symptom="connections time out, are reset or refused when many clients come (ETIMEDOUT, ECONNREFUSED)",
    brief="ETIMEDOUT, ECONNREFUSED, resets",
    ceilings=("accept-queue", "syn-queue"),
    lab="capped-backlog",
    steps=(
        Observe(
            id="accept-queue",
            title="Accept queue",
            hypothesis="the accept queue of a listener is full, or was in the last minute",
            evidence=_full,
            supports="descriptors",
            contradicts="syn-queue",
            misconceptions=(ABORT_ON_OVERFLOW,),
        ),
        Observe(
            id="descriptors",
            title="Descriptors for accept()",
            hypothesis="the process has no free descriptor for accept()",
            evidence=_descriptors,
            supports=OTHER_LIMIT,
            contradicts="stuck",
            undecided="stuck",
        ),
        Observe(
            id="stuck",
            title="A process that does not accept",
            hypothesis="a process or worker is stuck and accepts nothing",
            evidence=_stuck,
            supports="accept",
            contradicts="backlog",
            undecided="backlog",
            misconceptions=(LONGER_QUEUE,),
        ),
        *backlog_steps("ask-for-more", "the application asks for too little"),
        Act(
            id="ask-for-more",
            title="A longer backlog of the program",
            advice=application_advice,
            examples=BACKLOG,
            done="room",
            declined=DO_NOT_TUNE,
        ),
        Act(
            id="accept",
            title="Let the application accept",
            advice=application_advice,
            examples=WORKERS,
            done="room",
            declined=DO_NOT_TUNE,
        ),
        Verify(
            id="room",
            title="Room in the accept queue",
            claim="the accept queue has room, and nothing overflows",
            evidence=left_limit,
            hold=8,
            within=75,
        ),
        Observe(
            id="syn-queue",
            title="SYN queue",
            hypothesis="handshakes that are not completed fill the SYN queue",
            evidence=alarm_of("syn-queue"),
            supports="cookies",
            contradicts="others",
            misconceptions=(SYN_BACKLOG,),
        ),
        Decide(
            id="cookies",
            title="SYN cookies",
            question="Does the kernel drop the SYNs that do not fit?",
            branches=(Branch("send-cookies", f"yes: {SYNCOOKIES} is 0", advises(SYNCOOKIES)),),
            otherwise=DO_NOT_TUNE,
        ),
        Act(
            id="send-cookies",
            title="Answer with SYN cookies",
            settings=advised_settings(SYNCOOKIES),
            advice=application_advice,
            done="answered",
        ),
        Verify(
            id="answered",
            title="No SYN is dropped",
            claim="no SYN is dropped for a full SYN queue",
            evidence=_answered,
            hold=8,
            within=30,
            met="served",
        ),
        Observe(
            id="others",
            title="Other limits",
            hypothesis="another limit is reached",
            evidence=another_alarm("accept-queue", "syn-queue"),
            supports=OTHER_LIMIT,
            contradicts=NOT_HERE,
        ),
        End(DO_NOT_TUNE, "Do not tune: what helps instead", "do-not-tune", _do_not_tune),
        End("served", "Verified: no SYN is dropped", "verified", _served),
        End(NOT_HERE, "The symptom is not here", "not-here", _not_here),
    ),
)
