"""Packets are lost on this host: receive buffers of UDP sockets, memory of UDP and TCP, input queues; or before
they leave, in a transmit queue."""

from __future__ import annotations

from collections.abc import Sequence

from sockmon.ceilings.memory import TCP_MEM, UDP_MEM
from sockmon.ceilings.softnet import LIMIT as INPUT_QUEUE
from sockmon.ceilings.udp_buffers import DEFAULT, ERRORS, MAXIMUM
from sockmon.document import sentence
from sockmon.guides.ends import DO_NOT_TUNE, NOT_HERE, OTHER_LIMIT
from sockmon.guides.examples import READ_FASTER, RECEIVE_BUFFER
from sockmon.guides.facts import Facts
from sockmon.guides.findings import (
    advised_settings,
    advises,
    alarm_of,
    all_of,
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
from sockmon.misconceptions import RMEM_MAX_ALONE, TCP_MEM_PAGES

OWN = ("udp-buffers", "udp-memory", "tcp-memory", "softnet-backlog")
FULL_RATIO = 0.75
"""Share of a receive buffer from which on its reader does not keep up: between bursts it would be emptier."""


def _in_bursts(facts: Facts) -> Finding:
    """Return whether the buffer empties between bursts, so that a larger one would hold them."""
    row = facts.reading
    if row is None or row.used is None or not row.limit:
        return undecided("the socket has closed, or cannot be read any more")
    if row.used < FULL_RATIO * row.limit:
        return supported(f"it has room between bursts: {numbers_of(row)}", row, numbers=row.evidence)
    return contradicted(f"it stays full, so that a larger one fills too: {numbers_of(row)}", row.evidence)


def _is_spread(facts: Facts) -> Finding:
    """Return whether many processes hold a little of the memory each, so that no reader is at fault."""
    row, netns = facts.reading, facts.netns
    remedies = row.remedies if row else ()
    named = next((each for each in remedies if each.kind == "application" and each.pid is not None), None)
    if named:
        return contradicted(named.text)
    udp = netns.udp.readers if netns.udp else ()
    tcp = netns.queues.owners if netns.queues else ()
    if row is None or not (udp if row.ceiling == "udp-memory" else tcp):
        return contradicted("which processes hold it is not known here: find those that do not read first")
    return supported("no process holds a tenth of it", numbers=row.evidence)


def _restart(facts: Facts) -> Sequence[str]:
    """Return what has to follow the change: a socket keeps the buffer that it has."""
    return [
        "restart the program right after the change: a socket keeps the receive buffer that it has",
        *application_advice(facts),
    ]


def _not_here(facts: Facts) -> list[str]:
    past = facts.counter(ERRORS)
    since = [f"{ERRORS} is {past:,} since boot: receive buffers were full before."] if past else []
    return [
        f"No packet is lost on {facts.snapshot.host.name} now, as far as its limits were read.",
        *since,
        "What a network card drops is not read here: `ethtool -S DEVICE`, rx_missed and rx_no_buffer. What the"
        " firewall drops is not either: `nft list ruleset`, with counters.",
        *map(sentence, not_read(facts)),
        "Run it again while packets are lost, on the host that receives them and then on the one that sends them.",
    ]


def _other_limit(facts: Facts) -> list[str]:
    found = [facts.reading] if facts.reading else facts.alarms()[:3]
    return [
        "No packet is lost in a receive buffer or an input queue. Another limit has an alarm:",
        *(sentence(numbers_of(row)) for row in found),
        *map(sentence, application_advice(facts)),
    ]


GUIDE = Guide(
    name="lost-packets",
    title="Packets are lost",
    symptom="datagrams are lost, or TCP retransmits: drops in /proc/net/udp, Udp.RcvbufErrors, TCPRcvQDrop",
    brief="lost datagrams, Udp.RcvbufErrors",
    ceilings=OWN,
    lab="udp-buffers",
    steps=(
        Observe(
            id="buffer",
            title="Receive buffers of UDP",
            hypothesis="the receive buffer of a UDP socket is full",
            evidence=alarm_of("udp-buffers"),
            supports="bursts",
            contradicts="udp-memory",
            undecided="udp-memory",
        ),
        Observe(
            id="bursts",
            title="Bursts, or a slow reader",
            hypothesis="the buffer has room between bursts",
            evidence=_in_bursts,
            supports="size",
            contradicts="read-faster",
        ),
        Decide(
            id="size",
            title="The size of the buffer",
            question=f"What limits it: {MAXIMUM}, {DEFAULT}, or what the program asks for?",
            branches=(
                Branch("raise-cap", f"{MAXIMUM} caps what it asks for", advises(MAXIMUM)),
                Branch("raise-default", f"it asks for none: {DEFAULT}", advises(DEFAULT)),
            ),
            otherwise="ask-for-more",
            otherwise_label="the program asks for too little",
            misconceptions=(RMEM_MAX_ALONE,),
        ),
        Act(
            id="raise-cap",
            title="Raise the cap of receive buffers",
            settings=advised_settings(MAXIMUM),
            advice=_restart,
            examples=RECEIVE_BUFFER,
            done="received",
        ),
        Act(
            id="raise-default",
            title="Raise the default receive buffer",
            settings=advised_settings(DEFAULT),
            advice=_restart,
            examples=RECEIVE_BUFFER,
            done="received",
        ),
        Act(
            id="ask-for-more",
            title="A larger buffer of the application",
            advice=application_advice,
            examples=RECEIVE_BUFFER,
            done="received",
            declined=DO_NOT_TUNE,
        ),
        Act(
            id="read-faster",
            title="Let the application read faster",
            advice=application_advice,
            examples=READ_FASTER,
            done="received",
            declined=DO_NOT_TUNE,
        ),
        Observe(
            id="udp-memory",
            title="Memory of all UDP sockets",
            hypothesis=f"all UDP sockets together have used up {UDP_MEM}",
            evidence=alarm_of("udp-memory"),
            supports="holder",
            contradicts="tcp-memory",
            undecided="tcp-memory",
        ),
        Observe(
            id="tcp-memory",
            title="Memory of all TCP sockets",
            hypothesis=f"all TCP sockets together are above the pressure of {TCP_MEM}",
            evidence=alarm_of("tcp-memory"),
            supports="holder",
            contradicts="input",
            undecided="input",
            misconceptions=(TCP_MEM_PAGES,),
        ),
        Decide(
            id="holder",
            title="What holds the memory",
            question="Does an application not read what it is sent, or is the limit too low?",
            branches=(
                Branch("raise-memory", "the limit is too low", all_of(_is_spread, advises(UDP_MEM, TCP_MEM))),
            ),
            otherwise="read-faster",
        ),
        Act(
            id="raise-memory",
            title="Raise the limit of the memory",
            settings=advised_settings(UDP_MEM, TCP_MEM),
            advice=application_advice,
            done="received",
        ),
        Observe(
            id="input",
            title="Input queues of the processors",
            hypothesis=f"the input queue of a processor overflows ({INPUT_QUEUE})",
            evidence=alarm_of("softnet-backlog"),
            supports="queue",
            contradicts="transmit",
            undecided="transmit",
        ),
        Decide(
            id="queue",
            title="The input queue",
            question="Are there bursts, or is the processor always busy?",
            branches=(Branch("raise-queue", "bursts: a longer queue holds them", advises(INPUT_QUEUE)),),
            otherwise=DO_NOT_TUNE,
        ),
        Act(
            id="raise-queue",
            title="Longer input queues",
            settings=advised_settings(INPUT_QUEUE),
            advice=application_advice,
            done="received",
        ),
        Verify(
            id="received",
            title="No packet is lost",
            claim="nothing is dropped at this limit any more",
            evidence=left_limit,
            hold=8,
            within=75,
        ),
        Observe(
            id="transmit",
            title="Transmit queues",
            hypothesis="packets are lost before they leave: a transmit queue is full",
            evidence=alarm_of("transmit-queue"),
            supports=OTHER_LIMIT,
            contradicts="others",
            undecided="others",
        ),
        Observe(
            id="others",
            title="Other limits",
            hypothesis="another limit is reached",
            evidence=another_alarm_or_unread("udp-buffers"),
            supports=OTHER_LIMIT,
            contradicts=NOT_HERE,
        ),
        End(NOT_HERE, "No packet is lost here", "not-here", _not_here),
        End(OTHER_LIMIT, "It is another limit", "other-limit", _other_limit),
    ),
)
