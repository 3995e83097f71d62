"""Connections or threads stop growing at a number: which limit of this host is at that number, and is full."""

from __future__ import annotations

from collections.abc import Sequence

from sockmon.ceilings import CEILINGS
from sockmon.ceilings.node_ports import RESERVED_PORTS
from sockmon.ceilings.port_remedies import RANGE
from sockmon.document import sentence
from sockmon.explain.plateaus import Number, Plateau, is_at, matching_plateaus, nearest, parse
from sockmon.guides.ends import DO_NOT_TUNE, NOT_HERE, OTHER_LIMIT
from sockmon.guides.facts import Facts, Wanted
from sockmon.guides.findings import (
    MOVEMENT_SECONDS,
    advised_settings,
    advises,
    application_advice,
    contradicted,
    first_advised,
    left_limit,
    not_read,
    numbers_of,
    only_buys_time,
    supported,
    undecided,
    unreadable,
)
from sockmon.guides.guide import Act, Branch, Decide, End, Example, Finding, Guide, Observe, Verify
from sockmon.model.report import Reading

REACHED_RATIO = 0.97
"""Ratio from which on a limit counts as reached: what stops at a number seldom stops at exactly that number."""
MAX_SUSPECTS = 6


def _number(facts: Facts) -> Number | None:
    return parse(facts.number) if facts.number else None


def _plateaus(facts: Facts) -> list[Plateau]:
    """Return what stops at the number: limits of this host, and well-known ones."""
    number = _number(facts)
    return matching_plateaus(number, facts.snapshot) if number else []


def _suspects(facts: Facts) -> list[Reading]:
    """Return the alarms whose limit explains the number, the most urgent first; without a number every alarm."""
    number = _number(facts)
    if number is None:
        return facts.alarms()
    return [row for row in facts.alarms() if is_at(row, number)]


def _is_suspect(facts: Facts) -> Finding:
    """Return the limits of this host at the number, ranked: those with an alarm first."""
    suspects = _suspects(facts)
    ranked = _ranked(facts, suspects)
    if suspects:
        return supported(numbers_of(suspects[0]), *suspects, numbers=ranked)
    if unread := _unread(facts):
        return unreadable(facts, *unread)
    if (wait := MOVEMENT_SECONDS - facts.sampled_seconds) > 0 and facts.place.source != "recording":
        return undecided("one sample does not show movement", wait=wait)
    if not facts.number:
        return contradicted("no limit of this host has an alarm")
    return contradicted(f"no limit of this host is reached at {facts.number}", ranked)


def _unread(facts: Facts) -> list[Reading]:
    """Return the readings of limits at the number that could not be read."""
    names = {item.ceiling for item in _plateaus(facts)}
    return [row for row in facts.readings() if row.ceiling in names and row.severity == "unknown"]


def _ranked(facts: Facts, suspects: Sequence[Reading]) -> list[str]:
    """Return a line for each suspect: alarms with their numbers, then the limits that are only at the number."""
    alarms = {row.ceiling for row in suspects}
    others = (item for item in _plateaus(facts) if item.local and item.ceiling not in alarms)
    lines = [f"{number}. {numbers_of(row)}" for number, row in enumerate(suspects[:MAX_SUSPECTS], 1)]
    lines += [f"not reached: {item.what}" for item in others]
    known = dict.fromkeys(item.misconception for item in _plateaus(facts) if item.misconception)
    return [*lines[:MAX_SUSPECTS], *(f"misconception: {text}" for text in known)]


def _reached(facts: Facts) -> Finding:
    """Return whether the suspect is at its limit now."""
    row = facts.reading
    if row is None:
        return contradicted("the suspect has no alarm any more")
    if row.severity == "hit" or (row.ratio is not None and row.ratio >= REACHED_RATIO):
        return supported(f"it is reached: {numbers_of(row)}", row, numbers=row.evidence)
    return contradicted(f"it is not reached yet: {numbers_of(row)}", row.evidence)


def _others(facts: Facts) -> Finding:
    """Return whether a limit that is not at the number has an alarm."""
    suspects = _suspects(facts) if facts.number else []
    others = [row for row in facts.alarms() if row not in suspects]
    if others:
        return supported(f"a limit at another number has an alarm: {numbers_of(others[0])}", *others)
    if unread := _unread(facts):
        return unreadable(facts, *unread)
    return contradicted("no limit of this host has an alarm", not_read(facts))


def _by_hand(facts: Facts) -> Finding:
    """Return whether the limit can be raised, but not by sockmon: that of a cgroup."""
    remedies = facts.reading.remedies if facts.reading else ()
    found = [each for each in remedies if each.advised and each.kind in ("cgroup", "rlimit", "sysctl")]
    if found and not advised_settings()(facts):
        return Finding("supports", f"raise it by hand: {found[0].text}")
    return contradicted("the limit is raised with sockmon, or not at all")


def _raise(facts: Facts) -> Sequence[Wanted]:
    """Return the best change; for the range of ports also what has to be reserved with it."""
    best = first_advised()(facts)
    if best and best[0].key == RANGE:
        return advised_settings(RANGE, RESERVED_PORTS)(facts)
    return best


def _advice_by_hand(facts: Facts) -> Sequence[str]:
    remedies = facts.reading.remedies if facts.reading else ()
    return [
        f"{each.key} = {each.value}: {each.text}" if each.key else each.text for each in remedies if each.advised
    ]


def _not_here(facts: Facts) -> Sequence[str]:
    name, number = facts.snapshot.host.name, _number(facts)
    lines = [f"No limit of {name} is reached now."]
    if number:
        known = [item for item in _plateaus(facts) if not item.local] or nearest(number, facts.snapshot)
        lines.append(f"Known to stop near {facts.number}:")
        lines += [sentence(f"{item.what} (check: {item.check})") for item in known[:MAX_SUSPECTS]]
    return [
        *lines,
        *map(sentence, not_read(facts)),
        "Run it again while it is stuck, as root, on the host of the program that stops growing; then on the host"
        " of its clients. An application can have a setting of its own, such as worker_connections or maxclients.",
    ]


GUIDE = Guide(
    name="stuck-at-n",
    title="Stuck at N",
    symptom="connections or threads stop growing at a number, such as 1,024, 28,232 or 32,720",
    brief="it stops growing, such as at 1,024",
    ceilings=tuple(ceiling.id for ceiling in CEILINGS),
    lab="process-fds",
    asks_number=True,
    steps=(
        Observe(
            id="suspects",
            title="Limits at this number",
            hypothesis="a limit of this host is at this number",
            evidence=_is_suspect,
            supports="reached",
            contradicts="others",
            undecided="others",
        ),
        Observe(
            id="reached",
            title="The first suspect",
            hypothesis="the first suspect is reached now",
            evidence=_reached,
            supports="remedy",
            contradicts="others",
        ),
        Observe(
            id="others",
            title="Limits at other numbers",
            hypothesis="a limit at another number is reached",
            evidence=_others,
            supports=OTHER_LIMIT,
            contradicts=NOT_HERE,
        ),
        Decide(
            id="remedy",
            title="The remedy",
            question="Is the limit too low, or does the application use too much?",
            branches=(
                Branch(DO_NOT_TUNE, "the application has to change", only_buys_time),
                Branch("by-hand", "raise it by hand", _by_hand),
                Branch("raise", "raise the limit", advises()),
            ),
            otherwise=DO_NOT_TUNE,
        ),
        Act(
            id="raise",
            title="Raise the limit",
            settings=_raise,
            advice=application_advice,
            examples=(Example("systemd", "LimitNOFILE=, LimitNPROC= and TasksMax= in the unit keep it"),),
            done="grows",
        ),
        Act(id="by-hand", title="Raise the limit by hand", advice=_advice_by_hand, done="grows"),
        Verify(
            id="grows",
            title="Room to grow",
            claim="the limit is not reached any more",
            evidence=left_limit,
            hold=8,
            within=60,
        ),
        End(NOT_HERE, "No limit is reached", "not-here", _not_here),
    ),
)
