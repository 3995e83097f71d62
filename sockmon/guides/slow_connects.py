"""connect() got slow: the search for a port, full queues, lost SYNs, connection tracking, DNS, or no limit at all
but a slow application."""

from __future__ import annotations

from collections.abc import Sequence

from sockmon import format as fmt
from sockmon.document import sentence
from sockmon.guides.ends import DO_NOT_TUNE, NOT_HERE, OTHER_LIMIT
from sockmon.guides.examples import CONNECT_TIMES, RESOLVER
from sockmon.guides.facts import Facts
from sockmon.guides.findings import (
    MOVEMENT_SECONDS,
    alarm_of,
    another_alarm,
    application_advice,
    contradicted,
    counter_moves,
    not_read,
    supported,
    undecided,
    where_to_run,
)
from sockmon.guides.guide import Act, End, Finding, Guide, Observe, Verify
from sockmon.guides.port_steps import FREED, PORT_REMEDIES
from sockmon.misconceptions import ABORT_ON_OVERFLOW, HALF_RANGE

QUEUES = ("accept-queue", "syn-queue")
TRACKING = ("conntrack-table", "snat-ports", "conntrack-buckets")
SYN_RETRANSMITS, OPENED, CLASHES = "TcpExt.TCPSynRetrans", "Tcp.ActiveOpens", "conntrack.insert_failed"
LOST_SHARE = 0.01
"""SYNs that are sent again, for each connection that is opened, from which on users notice it."""
KERNEL_DNS = "Linux 5.7"
"""The kernel from which on connection tracking lets both of two UDP packets that race pass."""


def _lost(facts: Facts) -> Finding:
    """Return whether SYNs of this host are sent again: each makes a connect() at least a second longer."""
    again, opened = facts.rate(SYN_RETRANSMITS), facts.rate(OPENED)
    if facts.counter(SYN_RETRANSMITS) is None or facts.netns.states is None:
        return undecided("the counters and states of TCP could not be read", where_to_run(facts))
    if again is None or opened is None:
        if facts.place.source == "recording":
            return undecided("the recording has one sample, which does not show whether SYNs are sent again")
        return undecided("one sample does not show whether SYNs are sent again", wait=MOVEMENT_SECONDS)
    states = facts.netns.states.tcp
    waiting = states["SYN_SENT"].total if "SYN_SENT" in states else 0
    numbers = [
        f"{SYN_RETRANSMITS}: {fmt.rate(again)}",
        f"{OPENED}: {fmt.rate(opened)}",
        f"{fmt.plural(waiting, 'socket')} in SYN_SENT",
    ]
    if waiting and again and again >= LOST_SHARE * opened:
        return supported("SYNs of this host are not answered, and are sent again", numbers=numbers)
    return contradicted("SYNs of this host are answered", numbers)


def _no_clash(facts: Facts) -> Finding:
    if facts.counter(CLASHES) is None:
        return undecided(f"{CLASHES} cannot be read any more", where_to_run(facts))
    lost = facts.moved.get(CLASHES, 0)
    return contradicted(f"{CLASHES} +{lost:,}") if lost else supported(f"{CLASHES} does not increase")


def _resolver_advice(_: Facts) -> Sequence[str]:
    return [
        "two queries of a resolver (A and AAAA) leave one socket at once, and kernels before"
        f" {KERNEL_DNS} lose one of them in address translation: the resolver waits for 5 s",
        "`dig` alone does not show it, because it sends one query: time `getent ahosts NAME` several times",
        f"send them one after the other or over TCP, use a cache on this host, or a kernel from {KERNEL_DNS} on",
    ]


def _still_clash(facts: Facts) -> Sequence[str]:
    return [
        sentence(_no_clash(facts).text),
        "Programs read resolv.conf when they start: restart them. If it increases then too, other flows clash:"
        f" translated ports (`{facts.place.verb('guide conntrack-full')}`).",
    ]


def _do_not_tune(facts: Facts) -> Sequence[str]:
    if facts.focus and facts.focus[0] == "ephemeral-ports":
        return ["No setting cures this; the application has to change.", *map(sentence, application_advice(facts))]
    return ["The resolver has to change, or the kernel.", *map(sentence, _resolver_advice(facts))]


def _not_answered(facts: Facts) -> Sequence[str]:
    return [
        sentence(_lost(facts).text),
        "Each lost SYN makes a connect() 1 s longer; before Linux 6.5 two make it 3 s, and three 7 s longer.",
        "The limit is not on this host: it is on the destination (a full accept queue or SYN queue), on a firewall"
        " or NAT on the way, or it is a route that drops packets.",
        "`ss -tn state syn-sent` lists the destinations.",
        "Continue on the destination with `sockmon guide connections-time-out`.",
        "Continue on a firewall or NAT on the way with `sockmon guide conntrack-full`.",
    ]


def _not_here(facts: Facts) -> Sequence[str]:
    return [
        f"No limit of {facts.snapshot.host.name} makes connect() slow now.",
        "Measure which part is slow. A long name lookup is the resolver. A connect() that takes one round trip is"
        " as fast as it can be: then the time is in TLS, in the application that answers late, or in a pool whose"
        " connections are all in use.",
        *map(sentence, not_read(facts)),
        "Run it again while it is slow, on the client, and then on the server.",
    ]


GUIDE = Guide(
    name="slow-connects",
    title="Connects got slow",
    symptom="new connections take long, often 1 s, 3 s or 5 s longer than usual, but do not fail",
    brief="connect() takes 1 s, 3 s, 5 s longer",
    ceilings=("ephemeral-ports", *QUEUES, *TRACKING),
    lab="slow-connects",
    steps=(
        Observe(
            id="search",
            title="The search for a port",
            hypothesis="more than half of the ports to one destination are in use",
            evidence=alarm_of("ephemeral-ports"),
            supports="remedy",
            contradicts="queues",
            misconceptions=(HALF_RANGE,),
        ),
        *PORT_REMEDIES,
        FREED,
        Observe(
            id="queues",
            title="Queues of listeners here",
            hypothesis="a listener of this host drops SYNs, which clients send again after 1 s",
            evidence=alarm_of(*QUEUES),
            supports=OTHER_LIMIT,
            contradicts="tracking",
            misconceptions=(ABORT_ON_OVERFLOW,),
        ),
        Observe(
            id="tracking",
            title="Connection tracking here",
            hypothesis="connection tracking or NAT of this host drops SYNs",
            evidence=alarm_of(*TRACKING),
            supports=OTHER_LIMIT,
            contradicts="lost",
            undecided="lost",
        ),
        Observe(
            id="lost",
            title="SYNs that are sent again",
            hypothesis="SYNs of this host are lost on the way, or at their destination",
            evidence=_lost,
            supports="remote",
            contradicts="clash",
        ),
        Observe(
            id="clash",
            title="Two DNS queries that race",
            hypothesis="flows clash in connection tracking, as two DNS queries of one socket do",
            evidence=counter_moves(CLASHES),
            supports="resolver",
            contradicts="others",
            undecided="others",
        ),
        Act(
            id="resolver",
            title="Let the queries not race",
            advice=_resolver_advice,
            examples=RESOLVER,
            done="no-clash",
            declined=DO_NOT_TUNE,
        ),
        Verify(
            id="no-clash",
            title="Nothing clashes",
            claim="no flow clashes with another one",
            evidence=_no_clash,
            hold=15,
            within=60,
            met="resolved",
            not_met="still-clash",
        ),
        Observe(
            id="others",
            title="Other limits",
            hypothesis="another limit is reached",
            evidence=another_alarm(),
            supports=OTHER_LIMIT,
            contradicts=NOT_HERE,
        ),
        End("resolved", "Verified: nothing clashes", "verified", lambda facts: [sentence(_no_clash(facts).text)]),
        End("still-clash", "Flows clash as before", "did-not-help", _still_clash),
        End("remote", "The limit is not on this host", "other-limit", _not_answered),
        End(DO_NOT_TUNE, "Do not tune: fix the application", "do-not-tune", _do_not_tune),
        End(NOT_HERE, "No limit makes connects slow", "not-here", _not_here, examples=CONNECT_TIMES),
    ),
)
