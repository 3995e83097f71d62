"""A flood of TIME_WAIT: mostly harmless. It stops something only if it takes all ports to one destination; above
the number that the kernel keeps, the protection is lost."""

from __future__ import annotations

from collections.abc import Sequence

from sockmon import format as fmt
from sockmon.ceilings.ports import group_label
from sockmon.ceilings.remedies import next_limit
from sockmon.ceilings.time_wait import LIMIT, OVERFLOW, TIME_WAIT_SECONDS
from sockmon.document import sentence
from sockmon.guides.ends import NOT_HERE, OTHER_LIMIT
from sockmon.guides.examples import KEEP_ALIVE
from sockmon.guides.facts import Facts, Wanted
from sockmon.guides.findings import (
    MOVEMENT_SECONDS,
    advised_settings,
    alarm_of,
    another_alarm,
    contradicted,
    left_limit,
    not_read,
    numbers_of,
    supported,
    undecided,
    where_to_run,
)
from sockmon.guides.guide import Act, End, Finding, Guide, Observe, Verify
from sockmon.guides.port_steps import FREED, PORT_REMEDIES
from sockmon.misconceptions import SERVER_PORTS, TIME_WAIT_LENGTH, TW_BUCKETS, TW_RECYCLE
from sockmon.model.snapshot import PortGroup

MANY = 1000
"""Sockets in TIME_WAIT that people notice."""
ENTERED = "TcpExt.TW"
SOCKET_BYTES = 256
"""Bytes of one of them in the slab tw_sock_TCP (struct tcp_timewait_sock)."""
ROOM = 1.25
"""Factor of a new maximum, so that the expected number is below its level of warning."""


def _expected(facts: Facts) -> int | None:
    """Return how many there are after a minute at the present rate; None if the rate is not known."""
    rates = [facts.rate(name) for name in (ENTERED, OVERFLOW) if facts.counter(name) is not None]
    known = [rate for rate in rates if rate is not None]
    return round(sum(known) * TIME_WAIT_SECONDS) if known else None


def _groups(facts: Facts) -> Sequence[PortGroup]:
    return facts.netns.ports.groups if facts.netns.ports else ()


def _mostly_waiting(facts: Facts) -> dict[str, PortGroup]:
    """Return the groups of ports that are in TIME_WAIT for at least one half, by label."""
    return {group_label(each): each for each in _groups(facts) if 2 * each.time_wait >= each.used > 0}


def _many(facts: Facts) -> Finding:
    sockstat, expected = facts.netns.sockstat, _expected(facts)
    if sockstat is None:
        return undecided("the number of sockets in TIME_WAIT could not be read", where_to_run(facts))
    rate = f", {expected / TIME_WAIT_SECONDS:,.0f}/s enter it" if expected else ""
    text = f"{sockstat.time_wait:,} sockets in TIME_WAIT{rate}"
    alarms = facts.alarms("time-wait-buckets")
    alarms += [row for row in facts.alarms("ephemeral-ports") if row.subject in _mostly_waiting(facts)]
    if alarms or max(sockstat.time_wait, expected or 0) >= MANY:
        return supported(text, *alarms)
    if expected is None and facts.place.source != "recording":
        return undecided("one sample does not show how many connections end", wait=MOVEMENT_SECONDS)
    return contradicted(f"{text}: that is not many")


def _ports(facts: Facts) -> Finding:
    """Return whether TIME_WAIT uses up the ports to one destination: the only case in which it stops anything."""
    found = alarm_of("ephemeral-ports")(facts)
    if found.verdict == "undecided":
        return found
    waiting = _mostly_waiting(facts)
    full = [row for row in facts.alarms("ephemeral-ports") if row.subject in waiting]
    if full:
        group = waiting[full[0].subject]
        return supported(
            f"{group.time_wait:,} of the {group.used:,} ports in use are in TIME_WAIT: {numbers_of(full[0])}",
            *full,
            numbers=full[0].evidence,
        )
    return contradicted("it does not use up the ports to any destination", _fullest(facts))


def _fullest(facts: Facts) -> list[str]:
    usable = facts.netns.ports.usable if facts.netns.ports else 0
    most = sorted(_groups(facts), key=lambda each: -each.time_wait)[:3]
    return [
        f"{group_label(each)}: {each.time_wait:,} in TIME_WAIT, {each.used:,} of {usable:,} ports in use"
        for each in most
        if each.time_wait
    ]


def _raise_buckets(facts: Facts) -> Sequence[Wanted]:
    """Return the maximum that has room for all that enter TIME_WAIT in a minute."""
    advised, expected = advised_settings(LIMIT)(facts), _expected(facts)
    if not advised or not expected:
        return advised
    wanted = max(int(advised[0].value), next_limit(round(ROOM * expected), 1))
    reason = f"room for {expected:,}, which enter it in {TIME_WAIT_SECONDS} s; {_memory(wanted)} at most"
    return [Wanted(LIMIT, str(wanted), reason)]


def _memory(sockets: int) -> str:
    """Return `3.0 MB`."""
    return fmt.megabytes(sockets * SOCKET_BYTES)


def _buckets_advice(_: Facts) -> Sequence[str]:
    return [
        "no connection is refused now: sockets above the maximum close without TIME_WAIT, so that a late packet of"
        " an old connection can reach a new one; leave it if that is acceptable",
        "reuse connections, or let the peer close first: both leave fewer sockets in TIME_WAIT",
    ]


def _leave(facts: Facts) -> Sequence[str]:
    count = facts.netns.sockstat.time_wait if facts.netns.sockstat else 0
    return [
        f"Leave them alone: {count:,} sockets in TIME_WAIT take {_memory(count)}, no descriptor and no process.",
        "They belong to the side that closes first. On a server they take no port; towards a destination they hold"
        f" a port each for {TIME_WAIT_SECONDS} s, and all destinations have ports left:",
        *(_fullest(facts) or ["no destination has a port in TIME_WAIT"]),
        "Each protects a new connection from late packets of an old one with the same addresses and ports.",
    ]


def _not_here(facts: Facts) -> list[str]:
    return [
        f"The symptom is not on {facts.snapshot.host.name} now: {sentence(_many(facts).text)}",
        *map(sentence, not_read(facts)),
        "Run it again while there are many, in the network namespace that has them.",
    ]


GUIDE = Guide(
    name="time-wait",
    title="A flood of TIME_WAIT",
    symptom="thousands of sockets are in TIME_WAIT (ss -s, netstat)",
    brief="thousands of sockets in TIME_WAIT",
    ceilings=("time-wait-buckets", "ephemeral-ports"),
    lab="time-wait-not-reused",
    steps=(
        Observe(
            id="many",
            title="Sockets in TIME_WAIT",
            hypothesis="many sockets are in TIME_WAIT",
            evidence=_many,
            supports="ports",
            contradicts="others",
            misconceptions=(TIME_WAIT_LENGTH, TW_RECYCLE),
        ),
        Observe(
            id="ports",
            title="Ports to one destination",
            hypothesis="TIME_WAIT uses up the ports to one destination",
            evidence=_ports,
            supports="remedy",
            contradicts="buckets",
            misconceptions=(SERVER_PORTS,),
        ),
        *PORT_REMEDIES,
        FREED,
        Observe(
            id="buckets",
            title="Maximum of TIME_WAIT",
            hypothesis="there are more than the kernel keeps",
            evidence=alarm_of("time-wait-buckets"),
            supports="keep-more",
            contradicts="others",
            misconceptions=(TW_BUCKETS,),
        ),
        Act(
            id="keep-more",
            title="Keep more of them, or leave it",
            settings=_raise_buckets,
            advice=_buckets_advice,
            examples=KEEP_ALIVE,
            done="kept",
        ),
        Verify(
            id="kept",
            title="All of them are kept",
            claim="no socket closes without TIME_WAIT",
            evidence=left_limit,
            hold=8,
            within=60,
        ),
        Observe(
            id="others",
            title="Other limits",
            hypothesis="another limit is reached",
            evidence=another_alarm("time-wait-buckets"),
            supports=OTHER_LIMIT,
            contradicts="harmless",
        ),
        Observe(
            id="harmless",
            title="Many, but harmless",
            hypothesis="there are many, and no limit is near",
            evidence=_many,
            supports="leave",
            contradicts=NOT_HERE,
        ),
        End("leave", "Do not tune: leave them alone", "do-not-tune", _leave, examples=KEEP_ALIVE),
        End(NOT_HERE, "The symptom is not here", "not-here", _not_here),
    ),
)
