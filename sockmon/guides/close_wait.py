"""CLOSE_WAIT grows: the peers have closed, the application has not. Which one, and why no setting helps."""

from __future__ import annotations

from collections.abc import Sequence

from sockmon.ceilings.evidence import label_or, most, process_label
from sockmon.ceilings.queues import listener_label
from sockmon.document import sentence
from sockmon.explain.evidence import close_wait_keys, processes_here
from sockmon.format import plural
from sockmon.guides.ends import DO_NOT_TUNE, NOT_HERE, OTHER_LIMIT
from sockmon.guides.examples import CLOSE_AFTER_PEER
from sockmon.guides.facts import Facts
from sockmon.guides.findings import (
    MOVEMENT_SECONDS,
    another_alarm,
    application_advice,
    contradicted,
    not_read,
    supported,
    undecided,
    where_to_run,
)
from sockmon.guides.guide import Act, End, Finding, Guide, Observe, Verify
from sockmon.misconceptions import CLOSE_WAIT_TIMEOUT
from sockmon.model.snapshot import Process

MANY = 50
"""Sockets in CLOSE_WAIT that a healthy host does not have at one moment."""
MANY_SHARE = 0.1
"""Share of the open connections from which on it is no moment of a busy server any more."""


def _total(facts: Facts) -> int | None:
    states = facts.netns.states
    return None if states is None else states.tcp["CLOSE_WAIT"].total if "CLOSE_WAIT" in states.tcp else 0


def _are_many(facts: Facts) -> bool:
    states, total = facts.netns.states, _total(facts) or 0
    open_ = states.tcp["ESTABLISHED"].total if states and "ESTABLISHED" in states.tcp else 0
    return total >= MANY and total >= MANY_SHARE * (total + open_)


def _holders(facts: Facts) -> list[Process]:
    """Return the processes with sockets in CLOSE_WAIT, the most first."""
    rows = processes_here(facts.snapshot)
    return sorted((row for row in rows if row.close_wait), key=lambda row: -(row.close_wait or 0))


def _many(facts: Facts) -> Finding:
    total = _total(facts)
    if total is None:
        return undecided("the states of TCP sockets could not be read", where_to_run(facts))
    text = f"{plural(total, 'socket')} in CLOSE_WAIT"
    return supported(text) if _are_many(facts) else contradicted(f"{text}: a few are normal for a moment")


def _in_queue(facts: Facts) -> Finding:
    """Return whether they wait in an accept queue: those hold no descriptor, and no process can close them."""
    rows = processes_here(facts.snapshot)
    if all(row.close_wait is None for row in rows) and facts.place.source != "recording":
        return undecided("the sockets of the processes are not counted yet", wait=MOVEMENT_SECONDS)
    waiting = sum(each.queue for each in facts.netns.listeners or () if each.protocol == "tcp")
    numbers = [
        f"{plural(waiting, 'connection')} in accept queues",
        f"{plural(sum(row.close_wait or 0 for row in rows), 'socket')} in CLOSE_WAIT that a visible process holds",
    ]
    keys = close_wait_keys(facts.snapshot)
    if "waiting" in keys:
        text = "they wait in an accept queue: their clients closed them before they were accepted"
        return supported(text, *facts.alarms("accept-queue"), numbers=numbers)
    return contradicted("they were accepted: a process holds them", numbers)


def _held(facts: Facts) -> Finding:
    """Return which processes hold them; the focus becomes the descriptors of the first."""
    holders = _holders(facts)
    if not holders:
        return undecided("none of the processes that can be read here holds them", where_to_run(facts))
    first = holders[0]
    about = "about " if first.sampled else ""
    text = f"{process_label(first)} holds {about}{first.close_wait or 0:,} of them"
    numbers = [
        f"most: {most((row, row.close_wait or 0) for row in holders)}",
        f"descriptors of {process_label(first)}: {first.fds or 0:,}",
    ]
    return Finding("supports", text, tuple(numbers), (("process-fds", process_label(first)),))


def _advice(facts: Facts) -> Sequence[str]:
    """Return what to change in which program, and how to find the connections."""
    holders = _holders(facts)
    first = label_or(holders[0] if holders else None, "the application")
    leak = [text for text in application_advice(facts) if facts.focus and facts.focus[0] == "process-fds"]
    return [
        *(leak or [f"fix {first}: it does not close connections that its peers have closed (CLOSE_WAIT)"]),
        "`ss -tnp state close-wait` as root lists them: the addresses of the peers show which code opened them",
        "until it is fixed, a restart of the process closes them; plan one before its descriptors run out",
    ]


def _falls(facts: Facts) -> Finding:
    total = _total(facts)
    if total is None:
        return undecided("the states of TCP sockets cannot be read any more", where_to_run(facts))
    text = f"{plural(total, 'socket')} in CLOSE_WAIT"
    return contradicted(text) if _are_many(facts) else supported(text)


def _still_open(facts: Facts) -> Sequence[str]:
    return [
        sentence(_falls(facts).text),
        "The change does not close what was open before: restart the process, then check whether it grows again.",
    ]


def _waiting(facts: Facts) -> Sequence[str]:
    """Return what to do about connections that no process has: their listener has to accept them."""
    queues = [each for each in facts.netns.listeners or () if each.protocol == "tcp" and each.queue]
    longest = sorted(queues, key=lambda each: -each.queue)[:3]
    return [
        "They hold no descriptor, and no process can close them until it has accepted them.",
        *(f"{listener_label(each)}: {plural(each.queue, 'connection')} in its accept queue." for each in longest),
        f"Continue with `{facts.place.verb('guide connections-time-out')}`.",
    ]


def _do_not_tune(facts: Facts) -> Sequence[str]:
    return [
        "No setting of the kernel ends CLOSE_WAIT; the application has to call close().",
        "A higher limit of descriptors only delays the failure.",
        *map(sentence, _advice(facts)),
    ]


def _not_here(facts: Facts) -> list[str]:
    return [
        f"The symptom is not on {facts.snapshot.host.name} now: {sentence(_many(facts).text)}",
        *map(sentence, not_read(facts)),
        "Run it again while CLOSE_WAIT grows, as root, in the network namespace of the program.",
    ]


GUIDE = Guide(
    name="close-wait",
    title="CLOSE_WAIT grows",
    symptom="more and more sockets are in CLOSE_WAIT (ss -tan state close-wait), until descriptors run out",
    brief="more and more sockets in CLOSE_WAIT",
    ceilings=("process-fds",),
    lab="close-wait-leak",
    fits=lambda facts: _many(facts).text if _are_many(facts) else "",
    steps=(
        Observe(
            id="many",
            title="Sockets in CLOSE_WAIT",
            hypothesis="many sockets are in CLOSE_WAIT",
            evidence=_many,
            supports="queue",
            contradicts="others",
            misconceptions=(CLOSE_WAIT_TIMEOUT,),
        ),
        Observe(
            id="queue",
            title="Accept queues",
            hypothesis="they wait in an accept queue, and no process has them yet",
            evidence=_in_queue,
            supports="in-queue",
            contradicts="holder",
            undecided="holder",
        ),
        Observe(
            id="holder",
            title="The process that holds them",
            hypothesis="a process has them open and does not close them",
            evidence=_held,
            supports="close",
            contradicts="close",
        ),
        Act(
            id="close",
            title="Close what the peers have closed",
            advice=_advice,
            examples=CLOSE_AFTER_PEER,
            done="falls",
            declined=DO_NOT_TUNE,
        ),
        Verify(
            id="falls",
            title="CLOSE_WAIT is gone",
            claim="few sockets are in CLOSE_WAIT",
            evidence=_falls,
            hold=8,
            within=60,
            met="closed",
            not_met="still-open",
        ),
        Observe(
            id="others",
            title="Other limits",
            hypothesis="another limit is reached",
            evidence=another_alarm(),
            supports=OTHER_LIMIT,
            contradicts=NOT_HERE,
        ),
        End(
            "closed",
            "Verified: they are closed",
            "verified",
            lambda facts: [sentence(_falls(facts).text), "Observe it for as long as it took to grow before."],
        ),
        End("still-open", "They are still open", "did-not-help", _still_open),
        End("in-queue", "They wait in an accept queue", "other-limit", _waiting),
        End(DO_NOT_TUNE, "Do not tune: fix the application", "do-not-tune", _do_not_tune),
        End(NOT_HERE, "The symptom is not here", "not-here", _not_here),
    ),
)
