"""A ceiling, a sysctl, a symptom or a number in words, with this machine's own values beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass

import msgspec

from sockmon import format as words
from sockmon.ceilings import BY_ID, CEILINGS, TITLES, Ceiling
from sockmon.ceilings.sections import Section, sections, sentence, setting
from sockmon.check import GLYPHS, WORDS, advice
from sockmon.check import look as look_once
from sockmon.errors import NoSuchNamespace, SockmonError, Unreadable
from sockmon.fingerprints import Mark, Number, fingerprints, nearest
from sockmon.kernel import sysctl
from sockmon.kernel.netns import open_here, open_other
from sockmon.model.report import Reading, Report
from sockmon.model.snapshot import Snapshot
from sockmon.symptoms import SYMPTOMS, Symptom
from sockmon.topics import Topic, find
from sockmon.tunables import TUNABLES, Tunable
from sockmon.tunables.tunable import REACH
from sockmon.tuning.unit import DIRECTIVES

SCOPES = {
    "process": "each process",
    "user": "each user",
    "cgroup": "each cgroup",
    "netns": "each network namespace",
}
MOST = 4
"""Readings of one ceiling that are shown."""


@dataclass(frozen=True)
class Explanation:
    """What there is to say, in the order in which it is read."""

    kind: str
    name: str
    title: str
    what: str
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class Look:
    """A quick look at this machine; what failed is said in `refused`."""

    report: Report | None
    snapshot: Snapshot | None
    counters: Mapping[str, int]
    refused: str = ""


def explain(text: str, netns: str | None = None, labs: Mapping[str, Sequence[str]] | None = None) -> Explanation:
    """What `text` names, with a look at this machine; `labs` are the commands that show a ceiling, by its id.

    Raises SockmonError where nothing is called so."""
    topic = find(text)
    return say(topic, look(netns), netns, labs or {})


def say(topic: Topic, now: Look, netns: str | None, labs: Mapping[str, Sequence[str]]) -> Explanation:
    """The words for `topic`, and beside them what the look `now` saw."""
    if isinstance(topic, Ceiling):
        return _ceiling(topic, now, netns, labs.get(topic.id, ()))
    if isinstance(topic, Tunable):
        return _tunable(topic, now, netns)
    if isinstance(topic, Symptom):
        return _symptom(topic, now)
    return _number(topic, now)


def look(netns: str | None) -> Look:
    """What `sockmon check` sees; a failure is said, unless the namespace itself was named wrongly."""
    try:
        assessment = look_once(netns)
    except NoSuchNamespace:
        raise
    except (SockmonError, OSError) as error:
        return Look(None, None, {}, f"this machine could not be looked at: {error}")
    return Look(assessment.report, assessment.snapshot, assessment.snapshot.netns[0].counters)


def values(keys: Iterable[str], netns: str | None) -> dict[str, str]:
    """Sysctls by key, as they are in `netns`; instead of a value that cannot be had the reason in brackets."""
    found, keys = {}, tuple(keys)
    paths = tuple(map(sysctl.path, keys))
    with closing(open_other(netns, paths) if netns else open_here()) as door, closing(open_here()) as own:
        for key in keys:
            try:
                found[key] = sysctl.read(door if key.startswith("net.") else own, key)
            except Unreadable as error:
                found[key] = f"({error.message})"
    return found


def _ceiling(row: Ceiling, now: Look, netns: str | None, labs: Sequence[str]) -> Explanation:
    keys = row.words.keys if row.words else ()
    said = list(sections(row, values(keys, netns)))
    if labs:
        said.insert(len(said) - 1 if said else 0, Section("See it happen", tuple(labs)))
    scope = SCOPES.get(row.scope, "the whole host")
    title = f"{row.title} · {row.id} · {row.unit} of {scope}"
    here = Section("Here now", tuple(_readings(row.id, now)))
    return Explanation("ceiling", row.id, title, sentence(row.what), (here, *_first([row.id], now), *said))


def _first(ids: Iterable[str], now: Look) -> list[Section]:
    """The first remedy for some ceilings, where one raises an alarm; a Report lists causes before symptoms."""
    wanted = set(ids)
    readings = now.report.readings if now.report else ()
    worst = next((row for row in readings if row.ceiling in wanted), None)
    if worst is None or worst.severity not in ("warning", "critical", "hit") or not worst.remedies:
        return []
    return [Section("Do this first", (sentence(advice(worst.remedies[0])),))]


def _tunable(row: Tunable, now: Look, netns: str | None) -> Explanation:
    gone = f" · gone: {row.until}" if row.until else f" · since Linux {row.since}" if row.since else ""
    limit = row.kind == "limit"
    whose = f"(each process has its own: sockmon tune show {row.key}@PID)"
    found = {row.key: whose} if limit else values(row.keys, netns)
    # An alias that this kernel does not have says nothing where the key itself is there.
    shown = [key for key in row.keys if key == row.key or not found[key].startswith("(is not there")]
    said = [
        Section("Here now", tuple(setting(key, found[key]) for key in shown)),
        *_unless_empty("Against myths", map(sentence, row.myths)),
        *(_use(row) if not row.until else ()),
        *_unless_empty("Part of", _states(row.ceilings, now)),
        *_unless_empty("Try it", [f"sockmon prove {row.key}"] if row.writable else []),
    ]
    if row.writable and not row.until:
        at_once = f"sysctl -w {row.key}='VALUE'"
        lasting = f"{row.key} = VALUE in a file of /etc/sysctl.d/; then sysctl --system"
        if limit:
            at_once = f"prlimit --pid PID --{row.key}=SOFT:HARD"
            lasting = f"{DIRECTIVES[row.key]}=SOFT:HARD in the service's unit"
        said += [Section("Set it now", (at_once,)), Section("For good", (lasting,))]
    return Explanation(
        "limit" if limit else "sysctl",
        row.key,
        f"{row.key} · {row.unit}{gone}",
        row.words,
        (*said, Section("Source", (row.source,))),
    )


def _use(row: Tunable) -> Iterator[Section]:
    """What matters of one that is there to be set."""
    yield Section("Default", (sentence(row.default),))
    yield Section("Takes effect", (sentence(row.effect),))
    yield Section("Whose", (sentence(REACH[row.scope]),))


def _symptom(row: Symptom, now: Look) -> Explanation:
    clues = [f"{BY_ID[clue.ceiling].title}: {clue.words}" for clue in row.clues if clue.ceiling in BY_ID]
    clues += [f"no ceiling: {clue.words}" for clue in row.clues if clue.ceiling is None]
    counter = [f"{name} {value:,} since the kernel counts" for name, value in _counted(row, now)]
    ids = [clue.ceiling for clue in row.clues if clue.ceiling]
    return Explanation(
        row.kind,
        row.name,
        row.name,
        row.words,
        (
            Section("It is", tuple(map(sentence, clues))),
            Section("Here now", (*counter, *_states(ids, now))),
            *_first(ids, now),
            *_read_on(ids),
        ),
    )


def _counted(row: Symptom, now: Look) -> Iterator[tuple[str, int]]:
    names = {name.lower() for name in (row.name, *row.also)}
    for name, value in now.counters.items():
        if name.rpartition(".")[2].lower() in names and row.kind == "counter":
            yield name, value


def _number(number: Number, now: Look) -> Explanation:
    text = f"{number.low:,}" + ("" if number.low == number.high else f"–{number.high:,}") + "/s" * number.rate
    marks = fingerprints(number, now.snapshot)
    if not marks:
        what = f"Nothing is known to stop at {text}, here or elsewhere; it may be a setting of the application."
        near = _unless_empty("The nearest", map(_mark, nearest(number, now.snapshot)))
        return Explanation("number", text, text, what, tuple(near))
    return Explanation(
        "number",
        text,
        text,
        "What stops at this number, the nearest first, and how to know which one it is.",
        (
            *_unless_empty("Not seen", [now.refused] if now.refused else []),
            *_unless_empty("Here", (_mark(mark) for mark in marks if mark.here)),
            *_unless_empty("Elsewhere", (_mark(mark) for mark in marks if not mark.here)),
            *_unless_empty("Against myths", dict.fromkeys(mark.myth for mark in marks if mark.myth)),
            *_read_on([mark.ceiling for mark in marks if mark.ceiling]),
        ),
    )


def _mark(mark: Mark) -> str:
    span = f"{mark.high:,}" if mark.high == mark.low else f"{mark.low:,}–{mark.high:,}"
    title = f"{TITLES[mark.ceiling]}: " if mark.ceiling in TITLES else ""
    return f"{span}{'/s' if mark.per else ''}  {title}{mark.what}. Proof: {mark.proof}."


def _unless_empty(name: str, paragraphs: Iterable[str]) -> list[Section]:
    said = tuple(paragraphs)
    return [Section(name, said)] if said else []


def _read_on(ids: Iterable[str]) -> list[Section]:
    names = " | ".join(dict.fromkeys(ids))
    return _unless_empty("Read on", [f"sockmon explain {names}"] if names else [])


def _states(ids: Iterable[str], now: Look) -> Iterator[str]:
    """The worst Reading of each ceiling, in a line."""
    for name in ids:
        row = BY_ID.get(name)
        if row:
            yield f"{row.title}: {next(_readings(name, now))}"


def _readings(ceiling: str, now: Look) -> Iterator[str]:
    """`● ok 287 / 32,768 descriptors, <1 %, nginx[812]`, worst first."""
    rows = [row for row in now.report.readings if row.ceiling == ceiling] if now.report else []
    if not rows:
        yield now.refused or "nothing to count here: no such limit is set, or in use"
    for row in rows[:MOST]:
        yield _reading(row)
    if len(rows) > MOST:
        yield f"and {len(rows) - MOST} more: sockmon check"


def _reading(row: Reading) -> str:
    mark = f"{GLYPHS[row.severity]} {WORDS[row.severity]}"
    if row.severity == "unknown":
        return f"{mark}: {row.subject}: {'; '.join(row.evidence)}"
    limit = words.limit(row.limit) if row.limit is not None else "no limit known"
    share = f", {words.ratio(row.ratio)}" if row.ratio is not None else ""
    return f"{mark} {words.count(row.used)} of {limit} {BY_ID[row.ceiling].unit}{share}, {row.subject}"


def everything() -> Explanation:
    """What can be explained."""
    kinds = {"errno": "Errors", "counter": "Counters", "state": "TCP states", "advice": "Old advice"}
    said = [
        Section("Ceilings", tuple(f"{row.id:<19}{row.title}" for row in CEILINGS)),
        Section("Sysctls", (", ".join(row.key for row in TUNABLES) + ".",)),
        *(
            Section(name, (", ".join(row.name for row in SYMPTOMS if row.kind == kind) + ".",))
            for kind, name in kinds.items()
        ),
        Section("Numbers", ("Any number that something stops at: 32720, 32,7xx, 28232, 470/s.",)),
        Section("Lines", ("A line of a log or an error message: 'Too many open files'.",)),
    ]
    return Explanation("list", "", "sockmon explain WHAT", "What can be explained:", tuple(said))


def as_json(explanation: Explanation) -> str:
    """One object: kind, name, title, what, and sections of paragraphs."""
    said = asdict(explanation) | {"sections": [section._asdict() for section in explanation.sections]}
    return msgspec.json.format(msgspec.json.encode({"schema": 1} | said), indent=2).decode()
