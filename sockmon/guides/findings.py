"""What most guides ask of the facts: is a ceiling an alarm, is another one, what does its reading advise, has it
left its limit. Each function returns an Evidence, which a step is made of."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from sockmon import format as fmt
from sockmon.assess import Key
from sockmon.assess.outcome import judge_outcome, proof_counters, successor_of
from sockmon.ceilings import BY_ID, TITLES
from sockmon.ceilings.evidence import process_label
from sockmon.guides.facts import Facts, Wanted
from sockmon.guides.guide import Evidence, Finding
from sockmon.model.outcome import Outcome, Reason
from sockmon.model.report import Reading
from sockmon.tuning.planning.advice import advised_remedies, settable_remedies

MOVEMENT_SECONDS = 8.0
"""Time of sampling that shows whether a counter increases or a number grows."""
MAX_NUMBERS = 6
"""Lines of evidence that a finding quotes of one reading."""


def supported(text: str, *readings: Reading, numbers: Sequence[str] = ()) -> Finding:
    """Return the finding that the facts support the statement; `readings` are what it rests on."""
    return Finding("supports", text, tuple(numbers), tuple(reading.key for reading in readings))


def contradicted(text: str, numbers: Sequence[str] = ()) -> Finding:
    """Return the finding that the facts contradict the statement."""
    return Finding("contradicts", text, tuple(numbers))


def undecided(text: str, commands: Sequence[str] = (), wait: float = 0.0) -> Finding:
    """Return the finding that the facts do not decide it: what to run, or how long to wait."""
    return Finding("undecided", text, commands=tuple(commands), wait=wait)


def numbers_of(reading: Reading) -> str:
    """Return `ephemeral ports: 10.0.0.5 → 10.0.0.9:5432: 200 of 200 (100 %)`."""
    used = fmt.count(reading.used)
    if reading.limit is not None:
        used += f" of {fmt.limit(reading.limit)} ({fmt.ratio(reading.ratio)})"
    return f"{TITLES[reading.ceiling]}: {reading.subject}: {used}"


def alarm_of(*ceilings: str) -> Evidence:
    """Return the evidence for "one of these limits is reached, or nearly": the most urgent alarm comes first."""

    def evidence(facts: Facts) -> Finding:
        if alarms := facts.alarms(*ceilings):
            return supported(numbers_of(alarms[0]), *alarms, numbers=alarms[0].evidence[:MAX_NUMBERS])
        unread = [row for row in facts.readings(*ceilings) if row.severity == "unknown"]
        if unread:
            return unreadable(facts, *unread)
        if (wait := MOVEMENT_SECONDS - facts.sampled_seconds) > 0 and live_movement(facts, *ceilings):
            return undecided("one sample does not show movement", wait=wait)
        fullest = [numbers_of(row) for row in facts.readings(*ceilings) if row.used is not None][:MAX_NUMBERS]
        names = ", ".join(TITLES[name] for name in ceilings)
        return contradicted(f"no alarm: {names}", fullest)

    return evidence


def most_urgent(*ceilings: str) -> Evidence:
    """Return the same evidence, for a guide to several limits that fail alike: contradicted if another one of them
    has a more urgent alarm."""

    def evidence(facts: Facts) -> Finding:
        found = alarm_of(*ceilings)(facts)
        own = facts.alarms(*facts.ceilings)
        if found.verdict == "supports" and own[0].ceiling not in ceilings:
            return contradicted(f"another limit is more urgent: {numbers_of(own[0])}", [found.text])
        return found

    return evidence


def live_movement(facts: Facts, *ceilings: str) -> bool:
    """Return whether more samples can show an alarm that the first ones do not."""
    return facts.place.source != "recording" and any(BY_ID[name].needs_movement for name in ceilings)


def unreadable(facts: Facts, *unread: Reading) -> Finding:
    """Return why readings are unknown, and what to run on which machine."""
    reasons = dict.fromkeys(text for row in unread for text in row.evidence)
    return undecided("; ".join(reasons) or "it could not be read", where_to_run(facts))


def where_to_run(facts: Facts) -> list[str]:
    """Return the command that reads what is missing here; nothing if no command reads more."""
    place = facts.place
    number = f" {shlex.quote(facts.number)}" if facts.number else ""
    again = f"{place.command} guide {facts.guide}{number}{place.options}"
    if place.source == "recording":
        return [f"on {facts.snapshot.host.name}, not on its recording: {again}"]
    if place.privileged:
        return []
    return [f"as root on {facts.snapshot.host.name}: {again}"]


def counter_moves(*names: str) -> Evidence:
    """Return the evidence for "one of these counters increases", such as `TcpExt.ListenOverflows`."""

    def evidence(facts: Facts) -> Finding:
        rates = {name: facts.rate(name) for name in names if facts.counter(name) is not None}
        if not rates:
            return undecided(f"this kernel does not have {', '.join(names)}", where_to_run(facts))
        lines = [f"{name}: {fmt.count(facts.counter(name))} since boot, {fmt.rate(rates[name])}" for name in rates]
        if moving := [name for name, rate in rates.items() if rate]:
            return Finding("supports", f"{', '.join(moving)} increases", tuple(lines))
        if (wait := MOVEMENT_SECONDS - facts.sampled_seconds) > 0 and facts.place.source != "recording":
            return undecided("one sample does not show whether a counter increases", wait=wait)
        if None in rates.values():
            return undecided("the recording has one sample, which does not show whether a counter increases")
        return contradicted(f"{', '.join(rates)} does not increase", lines)

    return evidence


def all_of(*parts: Evidence) -> Evidence:
    """Return the evidence for several statements together: the first that is not supported decides."""

    def evidence(facts: Facts) -> Finding:
        found = [part(facts) for part in parts]
        failed = next((each for each in found if each.verdict != "supports"), None)
        if failed:
            return failed
        return Finding(
            "supports",
            "; ".join(each.text for each in found),
            tuple(line for each in found for line in each.numbers),
            tuple(key for each in found for key in each.readings),
        )

    return evidence


def another_alarm(*own: str) -> Evidence:
    """Return the evidence for "another limit than these is reached"."""

    def evidence(facts: Facts) -> Finding:
        others = [row for row in facts.alarms() if row.ceiling not in own]
        if others:
            return supported(
                numbers_of(others[0]), *others, numbers=[numbers_of(row) for row in others[:MAX_NUMBERS]]
            )
        return contradicted("no other limit has an alarm", not_read(facts))

    return evidence


def another_alarm_or_unread(*own: str) -> Evidence:
    """Return the same evidence, but undecided if no other limit has an alarm and one of `own` was not read."""

    def evidence(facts: Facts) -> Finding:
        found = another_alarm(*own)(facts)
        unread = [row for row in facts.readings(*own) if row.severity == "unknown"]
        return unreadable(facts, *unread) if found.verdict == "contradicts" and unread else found

    return evidence


def not_read(facts: Facts) -> list[str]:
    """Return a line with the limits that could not be read, and so may have an alarm; empty if all were."""
    names = dict.fromkeys(TITLES[row.ceiling] for row in facts.readings() if row.severity == "unknown")
    return [f"not read here: {', '.join(names)}"] if names else []


def advises(*keys: str) -> Evidence:
    """Return the evidence for "the reading in focus advises to change one of these settings", or any of them if
    none is named. A limit of a process is named without its process: `nofile`."""

    def evidence(facts: Facts) -> Finding:
        found = advised_settings(*keys)(facts)
        if found:
            return Finding("supports", f"{found[0].key} = {found[0].value}: {found[0].reason}")
        return contradicted("no change of this setting is advised here")

    return evidence


def advised_settings(*keys: str) -> Callable[[Facts], Sequence[Wanted]]:
    """Return a function for Act.settings: what the reading in focus advises to change, of these keys or of all."""

    def settings(facts: Facts) -> Sequence[Wanted]:
        reading = facts.reading
        found = advised_remedies(reading) if reading else []
        return [
            Wanted(each.key, each.value, each.remedy.text)
            for each in found
            if not keys or each.key.partition("@")[0] in keys
        ]

    return settings


def first_advised(*keys: str) -> Callable[[Facts], Sequence[Wanted]]:
    """Return a function for Act.settings: only the best of what `advised_settings` returns."""

    def settings(facts: Facts) -> Sequence[Wanted]:
        return advised_settings(*keys)(facts)[:1]

    return settings


def only_buys_time(facts: Facts) -> Finding:
    """Return whether every setting that could be raised would only gain time: the cause is elsewhere, such as a
    leak."""
    reading = facts.reading
    settable = settable_remedies(reading) if reading else []
    if reading and settable and not any(each.remedy.advised for each in settable):
        return supported(
            "a higher limit only gains time: the cause is in the application",
            numbers=[remedy.text for remedy in reading.remedies if remedy.advised],
        )
    return contradicted("a change of a setting helps here")


def application_advice(facts: Facts) -> Sequence[str]:
    """Return what the reading in focus advises to change in the application, or which addresses to add."""
    remedies = facts.reading.remedies if facts.reading else ()
    return [each.text for each in remedies if each.kind in ("application", "addresses")]


def listen_again(facts: Facts) -> Sequence[str]:
    """Return what has to follow a higher net.core.somaxconn: a listener keeps the backlog of its last listen()."""
    return [
        "restart or reload the service right after the change: its listener keeps the backlog that it has until"
        " it calls listen() again",
        *application_advice(facts),
    ]


def left_limit(facts: Facts) -> Finding:
    """Return whether the reading in focus has left its alarm, by the rule of `assess/outcome.py`: after a restart
    of its program on the new process."""
    if facts.focus is None:
        return undecided("no reading was chosen before")
    reason = _reason(facts.focus, facts)
    key = successor_of(reason, facts.now).key
    title, moving = TITLES[reason.ceiling], proof_counters(*(key or facts.focus), facts.moved)
    found = judge_outcome(reason, facts.now, bool(moving))
    if found.kind == "unknown":
        return _not_known(found, facts)
    if found.used is None:
        return Finding("supports", f"{title}: {reason.subject} is not in use any more")
    text = f"{title}: {_subject(found)}: {_change(facts, found)}"
    if found.kind == "left":
        return Finding("supports", text)
    return contradicted(text, [f"{name} +{step:,}" for name, step in moving.items()])


def _reason(focus: Key, facts: Facts) -> Reason:
    before = facts.before
    return Reason(
        *focus,
        before.severity if before else "unknown",
        before.used if before else None,
        before.limit if before else None,
        identity=facts.identity,
    )


def _not_known(found: Outcome, facts: Facts) -> Finding:
    """Return why it is not known; a program that is being restarted is waited for."""
    title, wait = TITLES[found.ceiling], MOVEMENT_SECONDS if facts.identity else 0.0
    if found.cause == "ended":
        return undecided(f"{found.subject} has ended or is not visible any more", wait=wait)
    if found.cause == "several":
        return undecided(
            f"{found.subject} has ended, and which of {found.candidates} replaced it is not clear", wait=wait
        )
    if found.cause == "restarted":
        numbers = _change(facts, found)
        return undecided(f"{title}: {_subject(found)} does not use enough yet to tell: {numbers}", wait=wait)
    return undecided(f"{title}: {found.subject} cannot be read any more", where_to_run(facts))


def _subject(found: Outcome) -> str:
    """Return the subject, and its new process if it was restarted: `nginx[12] (new process: nginx[40])`."""
    new = found.new_process
    return f"{found.subject} (new process: {process_label(new)})" if new else found.subject


def _change(facts: Facts, found: Outcome) -> str:
    """Return `200 of 200 before, 300 of 64,511 now`."""
    before = facts.before
    was = f"{fmt.count(before.used)} of {fmt.limit(before.limit)} before, " if before else ""
    return f"{was}{fmt.count(found.used)} of {fmt.limit(found.limit)} now"
