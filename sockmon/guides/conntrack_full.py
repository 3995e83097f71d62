"""Connection tracking drops new connections: the table, the ports of a translated address, the buckets."""

from __future__ import annotations

from collections.abc import Sequence

from sockmon import format as fmt
from sockmon.ceilings import BY_ID
from sockmon.ceilings.conntrack import MAXIMUM
from sockmon.ceilings.conntrack_buckets import BUCKETS
from sockmon.document import sentence
from sockmon.guides.ends import DO_NOT_TUNE, NOT_HERE, OTHER_LIMIT
from sockmon.guides.examples import FEWER_ENTRIES, NAT_PORTS
from sockmon.guides.facts import Facts, Wanted
from sockmon.guides.findings import (
    advised_settings,
    alarm_of,
    another_alarm,
    application_advice,
    contradicted,
    left_limit,
    not_read,
    supported,
    undecided,
    where_to_run,
)
from sockmon.guides.guide import Act, Branch, Decide, End, Finding, Guide, Observe, Verify
from sockmon.misconceptions import CONNTRACK_OLD_NAME

CEILINGS = ("conntrack-table", "snat-ports", "conntrack-buckets")
CLOSED = ("FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE")
"""States of tracked TCP connections that at least one side has closed."""
MOST = 0.5
FLOOD = 0.8
"""Share of entries without a reply from which on they are no connections of clients."""
LISTED = 4
SHORTER_ESTABLISHED = (
    "A short nf_conntrack_tcp_timeout_established also removes entries of connections that are idle but open. One"
    " that is translated loses its port with its entry, and breaks."
)


def _tracked(facts: Facts) -> Finding:
    """Return whether this namespace tracks connections; without the module its sysctls do not exist."""
    table = facts.netns.conntrack
    if table is not None:
        maximum = f" of {table.maximum:,}" if table.maximum else ""
        return supported(f"{fmt.plural(table.count, 'entry', 'entries')}{maximum}")
    if facts.netns.sysctls and facts.sysctl(MAXIMUM) is None:
        return contradicted(f"nf_conntrack is not loaded: {MAXIMUM} does not exist")
    return undecided("the number of entries could not be read", where_to_run(facts))


def _shares(facts: Facts) -> tuple[float, float] | None:
    """Return the shares of entries that are closed, and that never had a reply; None if the table was not read."""
    table = facts.netns.conntrack
    if table is None or not table.table:
        return None
    total = sum(table.table.values())
    closed = sum(table.table.get(f"tcp {state}", 0) for state in CLOSED)
    return closed / total, (table.unreplied or 0) / total


def _entries(facts: Facts) -> Finding:
    """Return whether most entries are of connections that are closed, or were never answered."""
    table, shares = facts.netns.conntrack, _shares(facts)
    if table is None or not table.table or shares is None:
        return undecided("the entries were not read", where_to_run(facts))
    most = sorted(table.table.items(), key=lambda each: -each[1])[:LISTED]
    numbers = [f"{kind}: {fmt.plural(count, 'entry', 'entries')}" for kind, count in most]
    closed, unanswered = shares
    text = f"{fmt.ratio(closed)} are closed, {fmt.ratio(unanswered)} never had a reply"
    if closed + unanswered >= MOST and facts.reading:
        return supported(text, facts.reading, numbers=numbers)
    return contradicted(f"{text}: most are open connections", numbers)


def _flood(facts: Facts) -> Finding:
    shares = _shares(facts)
    if shares is None or shares[1] < FLOOD:
        return contradicted("most entries had a reply")
    return supported(f"{fmt.ratio(shares[1])} of the entries never had a reply: they fill a table of any size")


def _larger_table(facts: Facts) -> Sequence[Wanted]:
    """Return the maximum that is advised, and as many buckets: otherwise every packet becomes slower."""
    advised, table = advised_settings(MAXIMUM)(facts), facts.netns.conntrack
    if not advised or table is None or table.buckets >= int(advised[0].value):
        return advised
    return [*advised, Wanted(BUCKETS, advised[0].value, "as many buckets as entries; it is not raised by itself")]


def _do_not_tune(facts: Facts) -> Sequence[str]:
    if facts.focus and facts.focus[0] == "snat-ports":
        return ["No sysctl gives a translated address more ports.", *map(sentence, application_advice(facts))]
    return [
        "A larger table fills as well. Drop these packets before they are tracked: in a rule of the raw table, or"
        " before they reach this host.",
        "`conntrack -L` lists where they come from; UDP without a reply is often a scan, or DNS that is dropped.",
        *map(sentence, application_advice(facts)),
    ]


def _not_here(facts: Facts) -> list[str]:
    return [
        f"The symptom is not on {facts.snapshot.host.name} now: {sentence(_tracked(facts).text)}",
        "Each network namespace has its own count: a container is read with --netns.",
        *map(sentence, not_read(facts)),
        "Run it again while the symptom is there, as root, on the host that filters or translates.",
    ]


GUIDE = Guide(
    name="conntrack-full",
    title="Connection tracking drops packets",
    symptom="nf_conntrack: table full, dropping packet; send() fails with EPERM; NAT runs out of ports",
    brief="nf_conntrack: table full; NAT ports",
    ceilings=CEILINGS,
    lab="conntrack-table",
    lab_note=f"{MAXIMUM} is a setting of the whole host, which a lab does not change: this walk ends with the"
    " command to run instead of a verified change",
    steps=(
        Observe(
            id="tracked",
            title="Connection tracking",
            hypothesis="connections are tracked here",
            evidence=_tracked,
            supports="table",
            contradicts="others",
        ),
        Observe(
            id="table",
            title="The table",
            hypothesis="the connection tracking table is full, or nearly",
            evidence=alarm_of("conntrack-table"),
            supports="entries",
            contradicts="nat",
            misconceptions=(CONNTRACK_OLD_NAME,),
        ),
        Observe(
            id="entries",
            title="What fills it",
            hypothesis="most entries are closed, or never had a reply",
            evidence=_entries,
            supports="remedy",
            contradicts="remedy",
            undecided="remedy",
            misconceptions=(SHORTER_ESTABLISHED,),
        ),
        Decide(
            id="remedy",
            title="The remedy",
            question="Are these connections, or a flood?",
            branches=(Branch(DO_NOT_TUNE, "a flood: keep it out", _flood),),
            otherwise="raise",
            otherwise_label="connections: a larger table",
        ),
        Act(
            id="raise",
            title="A larger table",
            settings=_larger_table,
            advice=application_advice,
            examples=FEWER_ENTRIES,
            done="room",
        ),
        Verify(
            id="room",
            title="Room in the table",
            claim="the table has room, and nothing is dropped",
            evidence=left_limit,
            hold=8,
            within=60,
        ),
        Observe(
            id="nat",
            title="Ports of a translated address",
            hypothesis="a translated address (SNAT) has no port left to a destination",
            evidence=alarm_of("snat-ports"),
            supports="translate",
            contradicts="buckets",
            misconceptions=tuple(BY_ID["snat-ports"].manual.misconceptions),
        ),
        Act(
            id="translate",
            title="More translated ports, or fewer",
            advice=application_advice,
            examples=NAT_PORTS,
            done="free",
            declined=DO_NOT_TUNE,
        ),
        Verify(
            id="free",
            title="Free translated ports",
            claim="the translated address has free ports again",
            evidence=left_limit,
            hold=8,
            within=60,
        ),
        Observe(
            id="buckets",
            title="Buckets",
            hypothesis="the buckets of the table are too long",
            evidence=alarm_of("conntrack-buckets"),
            supports="more-buckets",
            contradicts="others",
            misconceptions=tuple(BY_ID["conntrack-buckets"].manual.misconceptions),
        ),
        Act(
            id="more-buckets",
            title="More buckets",
            settings=advised_settings(BUCKETS),
            advice=application_advice,
            examples=FEWER_ENTRIES,
            done="room",
        ),
        Observe(
            id="others",
            title="Other limits",
            hypothesis="another limit is reached",
            evidence=another_alarm(*CEILINGS),
            supports=OTHER_LIMIT,
            contradicts=NOT_HERE,
        ),
        End(DO_NOT_TUNE, "Do not tune: fewer connections", "do-not-tune", _do_not_tune),
        End(NOT_HERE, "The symptom is not here", "not-here", _not_here),
    ),
)
