"""connect() fails with EADDRNOTAVAIL: ports to one destination, ports of bound sockets, a leak, TIME_WAIT."""

from __future__ import annotations

from sockmon.document import sentence
from sockmon.guides.ends import DO_NOT_TUNE, NOT_HERE, OTHER_LIMIT
from sockmon.guides.examples import BIND_NO_PORT
from sockmon.guides.facts import Facts
from sockmon.guides.findings import (
    alarm_of,
    another_alarm,
    application_advice,
    not_read,
)
from sockmon.guides.guide import Act, End, Finding, Guide, Observe
from sockmon.guides.port_steps import FREED, PORT_REMEDIES, mostly_time_wait
from sockmon.misconceptions import PORT_RANGE, TIME_WAIT_LENGTH, TW_RECYCLE, TW_REUSE_BOUND


def _bound(facts: Facts) -> Finding:
    """Return whether sockets that were bound before connect() hold the ports that others need."""
    found = alarm_of("bound-ports")(facts)
    ports = facts.netns.ports
    if found.verdict == "contradicts" and ports and ports.exhausted:
        return Finding(
            "supports", "the kernel has no port left for any destination", found.numbers, found.readings
        )
    return found


def _not_here(facts: Facts) -> list[str]:
    ports = facts.netns.ports
    usable = f" of {ports.usable:,}" if ports else ""
    most = f"{ports.groups[0].used:,}{usable}" if ports and ports.groups else f"none{usable}"
    return [
        f"The symptom is not on {facts.snapshot.host.name} now: the most ports to one destination are {most}.",
        "bind() fails with the same error for an address that no interface has, and connect() over IPv6 does so"
        " without an IPv6 address: compare the address of the failing call with `ip address`.",
        *map(sentence, not_read(facts)),
        "Run it again while the symptom is there, in the network namespace of the program that fails.",
    ]


GUIDE = Guide(
    name="cannot-assign-address",
    title="Cannot assign requested address",
    symptom="connect() fails with EADDRNOTAVAIL (99): cannot assign requested address",
    brief="connect(): EADDRNOTAVAIL (99)",
    ceilings=("ephemeral-ports", "bound-ports"),
    lab="ephemeral-ports",
    steps=(
        Observe(
            id="bound",
            title="Ports of bound sockets",
            hypothesis="sockets that are bound before connect() hold the ports",
            evidence=_bound,
            supports="unbind",
            contradicts="group",
            undecided="group",
        ),
        Observe(
            id="group",
            title="Ports to one destination",
            hypothesis="all local ports from one address to one destination are in use",
            evidence=alarm_of("ephemeral-ports"),
            supports="kind",
            contradicts="others",
            misconceptions=(PORT_RANGE,),
        ),
        Observe(
            id="others",
            title="Other limits",
            hypothesis="another limit is reached",
            evidence=another_alarm("ephemeral-ports", "bound-ports"),
            supports=OTHER_LIMIT,
            contradicts=NOT_HERE,
        ),
        Observe(
            id="kind",
            title="TIME_WAIT",
            hypothesis="most of these ports are in TIME_WAIT",
            evidence=mostly_time_wait,
            supports="remedy",
            contradicts="remedy",
            undecided="remedy",
            misconceptions=(TIME_WAIT_LENGTH, TW_RECYCLE),
        ),
        *PORT_REMEDIES,
        Act(
            id="unbind",
            title="Let connect() choose the port",
            advice=application_advice,
            misconceptions=(TW_REUSE_BOUND,),
            examples=BIND_NO_PORT,
            done="freed",
            declined=DO_NOT_TUNE,
        ),
        FREED,
        End(NOT_HERE, "The symptom is not here", "not-here", _not_here),
    ),
)
