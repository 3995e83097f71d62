"""The neighbour table (ARP, NDP) is full: one for all network namespaces, which only the initial one can read and
change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sockmon.ceilings.neighbours import FAMILIES
from sockmon.document import sentence
from sockmon.guides.ends import BY_ID, CANNOT_BE_KNOWN, DO_NOT_TUNE, NOT_HERE, OTHER_LIMIT
from sockmon.guides.examples import NEIGHBOURS
from sockmon.guides.facts import Facts, Wanted
from sockmon.guides.findings import (
    advised_settings,
    alarm_of,
    another_alarm,
    application_advice,
    contradicted,
    left_limit,
    not_read,
    undecided,
)
from sockmon.guides.guide import Act, Branch, Decide, End, Finding, Guide, Observe, Verify
from sockmon.misconceptions import NEIGHBOUR_CONNECTIONS, NEIGHBOURS_OF_NAMESPACE
from sockmon.model.snapshot import Neighbours

OWN = "neighbour-table"
LAST = ".gc_thresh3"
IPV6 = " (IPv6)"


def _full(facts: Facts) -> Finding:
    """Return whether a table is full; in another network namespace than the initial one, where to find out."""
    found = alarm_of(OWN)(facts)
    if found.verdict == "undecided" and not found.wait and facts.place.source != "recording":
        command = f"{facts.place.command} guide {facts.guide}"
        return undecided(found.text, [f"on the host, as root, outside of any container: {command}"])
    return found


def _others(facts: Facts) -> Finding:
    """Return whether another limit is reached; if none is, whether the table was read decides."""
    found, own = another_alarm(OWN)(facts), _full(facts)
    return own if found.verdict == "contradicts" and own.verdict == "undecided" else found


def _table(facts: Facts) -> Neighbours | None:
    """Return the table in focus."""
    family = "ipv6" if facts.focus and facts.focus[1].endswith(IPV6) else "ipv4"
    return next((each for each in facts.snapshot.neighbours or () if FAMILIES[each.table] == family), None)


def _refused(facts: Facts) -> Finding:
    """Return whether the kernel has refused entries since the last samples, and so packets were lost."""
    table = _table(facts)
    if table is None:
        return undecided("the table is not in this sample any more")
    name = f"{table.table}.table_fulls"
    rate, total = facts.rate(name), f"{name} {table.overflows:,} since boot"
    if rate:
        return Finding("supports", f"{name} increases: new neighbours get no entry, and packets to them are lost")
    return contradicted(f"{name} does not increase: the table is nearly full, but no packet is lost yet", [total])


def _thresholds(facts: Facts) -> Sequence[Wanted]:
    """Return gc_thresh3 as it is advised, and the other two below it, as the kernel needs them."""
    found = [each for each in advised_settings()(facts) if each.key.endswith(LAST)]
    if not found:
        return ()
    stem, wanted = found[0].key.removesuffix("3"), int(found[0].value)
    return (
        found[0],
        Wanted(f"{stem}2", str(wanted // 2), "above it entries older than 5 s may be removed at once"),
        Wanted(f"{stem}1", str(wanted // 4), "below it the kernel removes nothing"),
    )


def _can_be_raised(facts: Facts) -> Finding:
    """Return whether a higher limit is advised."""
    if wanted := _thresholds(facts):
        return Finding("supports", f"{wanted[0].key} = {wanted[0].value}: {wanted[0].reason}")
    return contradicted("no change of this setting is advised here")


def _not_here(facts: Facts) -> list[str]:
    return [
        f"The symptom is not on {facts.snapshot.host.name} now: its neighbour tables have room.",
        "EHOSTUNREACH (113) of a single neighbour is another cause: it does not answer, `ip neigh show nud failed`"
        " lists it.",
        *map(sentence, not_read(facts)),
        "Run it again while the symptom is there, on the host and not in a container.",
    ]


def _on_the_host(facts: Facts) -> Sequence[str]:
    return _full(facts).commands


GUIDE = Guide(
    name="neighbour-table-full",
    title="Neighbour table overflow",
    symptom="the kernel logs `neighbour: arp_cache: neighbor table overflow!`; new neighbours are not reached",
    brief="neighbor table overflow! in the log",
    ceilings=(OWN,),
    lab="neighbour-table",
    steps=(
        Observe(
            id="table",
            title="The neighbour tables",
            hypothesis="the table of IPv4 or of IPv6 has reached gc_thresh3",
            evidence=_full,
            supports="refused",
            contradicts="others",
            undecided="others",
            misconceptions=(NEIGHBOURS_OF_NAMESPACE, NEIGHBOUR_CONNECTIONS),
        ),
        Observe(
            id="others",
            title="Other limits",
            hypothesis="another limit is reached",
            evidence=_others,
            supports=OTHER_LIMIT,
            contradicts=NOT_HERE,
        ),
        Observe(
            id="refused",
            title="Lost packets",
            hypothesis="the kernel refuses new entries now",
            evidence=_refused,
            supports="remedy",
            contradicts="remedy",
            undecided="remedy",
        ),
        Decide(
            id="remedy",
            title="The remedy",
            question="Does this host have to reach so many neighbours directly, or is it a scan?",
            branches=(Branch("raise", "yes: raise gc_thresh1 to gc_thresh3", _can_be_raised),),
            otherwise=DO_NOT_TUNE,
        ),
        Act(
            id="raise",
            title="Raise the thresholds",
            settings=_thresholds,
            advice=application_advice,
            examples=NEIGHBOURS,
            done="room",
        ),
        Verify(
            id="room",
            title="Room in the table",
            claim="the table has room, and no entry is refused",
            evidence=left_limit,
            hold=8,
            within=60,
        ),
        replace(BY_ID[CANNOT_BE_KNOWN], commands=_on_the_host),
        End(NOT_HERE, "The symptom is not here", "not-here", _not_here),
    ),
)
