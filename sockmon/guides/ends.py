"""The ends that every guide has, by outcome. A guide replaces one with a step of the same id, to say more."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from sockmon.ceilings import TITLES
from sockmon.document import sentence
from sockmon.guides.facts import Facts
from sockmon.guides.findings import application_advice, left_limit, not_read, numbers_of, where_to_run
from sockmon.guides.guide import End

VERIFIED, DO_NOT_TUNE, NOT_HERE = "verified", "do-not-tune", "not-here"
OTHER_LIMIT, RUN_COMMANDS = "other-limit", "run-commands"
DID_NOT_HELP, CANNOT_BE_KNOWN = "did-not-help", "cannot-be-known"
"""The ids of these ends."""


def keep_it(facts: Facts) -> list[str]:
    """Return that the change of this walk has to be kept; empty if none is held. Each front end shows how."""
    keep = "Keep the change, or it is rolled back at the end of its time. A sysctl can be persisted: it then also"
    keep += " survives a reboot."
    return [keep] if facts.pending else []


def _verified(facts: Facts) -> Sequence[str]:
    return [sentence(left_limit(facts).text), *keep_it(facts)]


def _do_not_tune(facts: Facts) -> Sequence[str]:
    return ["No setting of the kernel cures this; the application has to change.", *_advice(facts)]


def _advice(facts: Facts) -> Iterator[str]:
    yield from map(sentence, application_advice(facts))


def _not_here(facts: Facts) -> Sequence[str]:
    names = ", ".join(TITLES[name] for name in facts.ceilings)
    return [
        f"The symptom is not on {facts.snapshot.host.name} now: no limit that this guide leads to has an alarm"
        f" ({names}).",
        *map(sentence, not_read(facts)),
        "Run it again while the symptom is there, on the host and in the network namespace of the program that"
        " fails.",
    ]


def _other_limit(facts: Facts) -> Sequence[str]:
    others = [row for row in facts.alarms() if row.ceiling not in facts.ceilings and row != facts.reading]
    found = [*([facts.reading] if facts.reading else []), *others]
    return [
        "The limit that this guide is about is not the cause. Another one has an alarm:",
        *(sentence(numbers_of(row)) for row in found[:3]),
    ]


def _run_commands(facts: Facts) -> Sequence[str]:
    reason = facts.refusal or facts.place.cannot_change
    where = f" on {facts.snapshot.host.name}" if facts.place.source != "live" else ""
    return [
        sentence(f"nothing was changed{f': {reason}' if reason else ''}"),
        *_namespace_of_pids(facts),
        *([f"The change, to run as root{where}:"] if facts.proposed else []),
    ]


def _namespace_of_pids(facts: Facts) -> list[str]:
    """Return that a PID of the proposed settings is not that of the host, in a PID namespace of its own."""
    has_pid = any(each.key.partition("@")[2].isdigit() for each in facts.proposed)
    if not has_pid or facts.snapshot.tasks is None or facts.snapshot.tasks.initial:
        return []
    return ["The number after @ is a PID of this PID namespace; the host has another one for the process."]


def tune_command(facts: Facts) -> Sequence[str]:
    """Return the command that makes the changes which were proposed, with preview, confirmation and rollback;
    empty if there are none."""
    settings = [f"{each.key}={each.value}" for each in facts.proposed]
    return [f"{facts.place.command_inside} {shlex.join(['tune', 'apply', *settings])}"] if settings else []


def _did_not_help(facts: Facts) -> Sequence[str]:
    cause = "This was not the cause."
    if facts.before is None:
        # The change was not made from here, so that its values are not known.
        cause = "If it was made as advised, this was not the cause."
    return [
        sentence(f"the change did not help: {left_limit(facts).text}"),
        cause,
        *(["Roll the change back."] if facts.pending else []),
    ]


def _cannot_be_known(_: Facts) -> Sequence[str]:
    return ["What decides it could not be read here."]


ENDS = (
    End(VERIFIED, "Verified: it helped", "verified", _verified),
    End(DO_NOT_TUNE, "Do not tune: fix the application", "do-not-tune", _do_not_tune),
    End(NOT_HERE, "The symptom is not here", "not-here", _not_here),
    End(OTHER_LIMIT, "It is another limit", "other-limit", _other_limit),
    End(RUN_COMMANDS, "Not changed from here", "run-commands", _run_commands, commands=tune_command),
    End(DID_NOT_HELP, "It did not help", "did-not-help", _did_not_help),
    End(CANNOT_BE_KNOWN, "It cannot be known here", "cannot-be-known", _cannot_be_known, commands=where_to_run),
)
BY_ID = {end.id: end for end in ENDS}


def verified_and(lasting: Callable[[Facts], Sequence[str]]) -> End:
    """Return the end of a change that helped, with the lines that persist it over a restart of the program."""
    end = BY_ID[VERIFIED]
    return replace(
        end,
        text=lambda facts: [*end.text(facts), *map(sentence, lasting(facts))],
    )
