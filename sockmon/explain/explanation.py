"""The explanation of a ceiling, a sysctl, a symptom or a number, with this machine's own values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from sockmon import format as fmt
from sockmon.assess.several import has_several, subject_in
from sockmon.ceilings import BY_ID, CEILINGS, TITLES, Ceiling
from sockmon.ceilings.sections import format_sysctl, sections, unit_and_scope
from sockmon.document import Section, json_text, sentence
from sockmon.errors import NotPresent
from sockmon.explain.counts import counters_of, states_of
from sockmon.explain.evidence import Evidence, close_wait_keys, evidence, snat_keys
from sockmon.explain.first_remedy import first_remedy
from sockmon.explain.levels import levels
from sockmon.explain.log_line import LogLine
from sockmon.explain.observation import Observation
from sockmon.explain.plateaus import Number, Plateau, is_at, matching_plateaus, nearest
from sockmon.explain.ranking import rank_causes
from sockmon.explain.symptoms import SYMPTOMS, Cause, Symptom
from sockmon.explain.topics import Topic
from sockmon.model.report import Reading
from sockmon.model.severity import glyph_and_label
from sockmon.model.snapshot import OTHER_NETNS
from sockmon.tunables import REMOVED, TUNABLES, Tunable
from sockmon.tunables.limit_origin.cgroup_text import DIRECTIVES
from sockmon.tunables.limit_origin.limit_value import NAMES, resource_of
from sockmon.tunables.others import OTHERS
from sockmon.tunables.sections import sections as tunable_sections
from sockmon.tunables.sections import untuned_sections
from sockmon.tuning.planning.naming import NamedKey

MAX_READINGS = 4
"""Readings of one ceiling that are shown."""
KINDS = {
    "errno": "Errors",
    "counter": "Counters",
    "state": "TCP states",
    "message": "Messages",
    "advice": "Common advice",
}


@dataclass(frozen=True)
class Explanation:
    """A topic in sections, in the order in which they are read."""

    kind: str
    name: str
    title: str
    what: str
    sections: tuple[Section, ...]


_LIMITS = ("limit", "cgroup limit")
"""Kinds of settings that each process, or each cgroup, has for itself."""


def sysctls_of(topic: Topic) -> tuple[str, ...]:
    """Return the sysctls whose values an explanation of `topic` shows."""
    if isinstance(topic, Ceiling):
        return tuple(topic.manual.sysctls)
    if isinstance(topic, NamedKey):
        if isinstance(topic.about, Tunable):
            return () if topic.about.kind in _LIMITS else tuple(topic.about.keys)
        return (topic.key,)
    return ()


def build_explanation(
    topic: Topic, now: Observation, labs: Mapping[str, Sequence[str]], line: LogLine | None = None
) -> Explanation:
    """Return the explanation of `topic` with the values of the sample `now`. `labs`: commands by the ceiling that
    they reach; `line`: the line of a log that led to the topic."""
    if isinstance(topic, Ceiling):
        return _ceiling(topic, now, labs.get(topic.id, ()))
    if isinstance(topic, NamedKey):
        return _key(topic, now)
    if isinstance(topic, Symptom):
        return _symptom(topic, now, line)
    return _number(topic, now)


def _ceiling(row: Ceiling, now: Observation, labs: Sequence[str]) -> Explanation:
    manual = list(sections(row, now.sysctls))
    return Explanation(
        "ceiling",
        row.id,
        f"{row.title} · {row.id} · {unit_and_scope(row)}",
        sentence(row.consequence),
        (
            Section("Now", tuple(_readings(row.id, now))),
            *_optional_section("Evidence", map(sentence, _evidence(row.id, now))),
            *_not_sampled([row.id], now),
            *_optional_section("First remedy", _sentences(first_remedy([row.id], now))),
            Section("Levels", tuple(levels(row, now.report))),
            *manual[:-1],
            *_optional_section("Labs", labs),
            *manual[-1:],
        ),
    )


def _not_sampled(ids: Iterable[str], now: Observation) -> list[Section]:
    """Return the network namespaces that are not sampled, if one of the ceilings is read in a namespace."""
    if now.report is None or not any(BY_ID[name].of_netns for name in ids):
        return []
    reasons = _netns_reasons(now)
    hint = ["`sockmon check` samples all that this user may enter."] if reasons else []
    return _optional_section("Not sampled", reasons + hint)


def _netns_reasons(now: Observation) -> list[str]:
    missing = now.report.missing if now.report else ()
    return [sentence(entry.reason) for entry in missing if entry.reader == OTHER_NETNS]


def _key(named: NamedKey, now: Observation) -> Explanation:
    if isinstance(named.about, Tunable):
        return _tunable(named.key.partition("@")[0], named.about, now)
    return Explanation(
        "sysctl",
        named.key,
        named.key,
        named.about.description,
        (
            Section("Now", (format_sysctl(named.key, now.sysctls.get(named.key)),)),
            *_optional_section("At boot", now.boot_lines),
            *untuned_sections(named.about),
        ),
    )


def _tunable(key: str, row: Tunable, now: Observation) -> Explanation:
    limit = row.kind in _LIMITS
    owner = "cgroup" if row.kind == "cgroup limit" else "process"
    current = (f"each {owner} has its own: sockmon tune show {key}@PID",) if limit else _values(row, now)
    return Explanation(
        "limit" if limit else "sysctl",
        key,
        f"{key} · {row.unit}",
        row.description,
        (
            Section("Now", current),
            *tunable_sections(row),
            *_optional_section("Limits", _readings_by_ceiling(row.ceilings, now)),
            *_optional_section("Experiment", [f"sockmon prove {key}"] if row.writable else []),
            *(_commands(key, row) if row.settable else ()),
            Section("Source", (row.source,), "source"),
        ),
    )


def _values(row: Tunable, now: Observation) -> tuple[str, ...]:
    found = now.sysctls
    # An alias that this kernel does not have adds nothing to the key itself.
    shown = (key for key in row.keys if key == row.key or not isinstance(found.get(key), NotPresent))
    return tuple(format_sysctl(key, found.get(key)) for key in shown)


def _commands(key: str, row: Tunable) -> Iterator[Section]:
    if row.kind == "limit":
        yield Section("Commands", (f"prlimit --pid PID --{key}=SOFT:HARD",), "commands")
        unit = f"{NAMES[resource_of(key)].directive}=SOFT:HARD below [Service] of a unit"
        persist = f"sockmon tune show {key}@PID names what set it and what to change: {unit}, a line in"
        yield Section("Persistence", (f"{persist} limits.conf of a login, --ulimit of a container.",))
    elif row.kind == "cgroup limit":
        yield Section("Commands", (f"sockmon tune plan {key}@/system.slice/X.service=VALUE",), "commands")
        name = DIRECTIVES[key]
        yield Section(
            "Persistence",
            (f"Run systemctl set-property X.service {name}=VALUE; a container has an option of its engine.",),
        )
    else:
        yield Section("Commands", (f"sysctl -w {key}='VALUE'",), "commands")
        persist = f"Write {key} = VALUE to a file in /etc/sysctl.d, then run sysctl --system."
        yield Section("Persistence", (persist,))


def _symptom(row: Symptom, now: Observation, line: LogLine | None) -> Explanation:
    found = evidence(line, now, row.name) if line else Evidence()
    proved = found.keys | (close_wait_keys(now.snapshot) if row.name == "CLOSE_WAIT" else snat_keys(now.snapshot))
    causes = rank_causes(row.causes, line, proved, now)
    named = [cause for cause in causes if cause.key in found.keys]
    named = named or [cause for cause in causes if line and line.names(cause)] or list(causes)
    others = [cause for cause in causes if cause not in named]
    ids = list(dict.fromkeys(cause.ceiling for cause in causes if cause.ceiling))
    relevant = {*(cause.ceiling for cause in named), *(reading.ceiling for reading in now.alarms)}
    shown = [name for name in ids if name in relevant]
    remedy = found.remedy or first_remedy([cause.ceiling for cause in named if cause.ceiling], now, line)
    return Explanation(
        row.kind,
        row.name,
        row.name,
        row.description,
        (
            *_optional_section("This line", found.paragraphs),
            Section("Causes", tuple(map(_format_cause, named))),
            *_optional_section("Other causes", dict.fromkeys(sentence(_title(cause)) for cause in others)),
            *_optional_section(
                "Now", (*counters_of(row, named, now), *states_of(row, now), *_readings_by_ceiling(shown, now))
            ),
            *_not_sampled(shown, now),
            *_optional_section("First remedy", _sentences(remedy)),
            *_optional_section("Misconceptions", row.misconceptions),
            *_see_also([row.name, *ids] if others else ids),
        ),
    )


def _format_cause(cause: Cause) -> str:
    return sentence(f"{_title(cause)}: {cause.description}")


def _title(cause: Cause) -> str:
    return cause.title or (TITLES[cause.ceiling] if cause.ceiling else "not a limit")


def _sentences(text: str) -> tuple[str, ...]:
    return (sentence(text),) if text else ()


def _number(number: Number, now: Observation) -> Explanation:
    text = f"{number.low:,}" + ("" if number.low == number.high else f"–{number.high:,}") + "/s" * number.rate
    plateaus = matching_plateaus(number, now.snapshot)
    reached = list(_reached(number, now))
    now_sections = (
        *_optional_section("Missing", [sentence(now.unavailable_reason)] if now.unavailable_reason else []),
        *_optional_section("Reached now", reached),
        *_optional_section("Not sampled", _netns_reasons(now)),
    )
    if not plateaus and not reached:
        what = f"No known limit stops at {text}; it may be an application setting."
        near = _optional_section("Nearest", map(_format_plateau, nearest(number, now.snapshot)))
        return Explanation("number", text, text, what, (*now_sections, *near))
    return Explanation(
        "number",
        text,
        text,
        "Limits that stop at this number, the nearest first, and how to check which one it is.",
        (
            *now_sections,
            *_optional_section("This machine", (_format_plateau(each) for each in plateaus if each.local)),
            *_optional_section("Well known", (_format_plateau(each) for each in plateaus if not each.local)),
            *_optional_section(
                "Misconceptions", dict.fromkeys(each.misconception for each in plateaus if each.misconception)
            ),
            *_see_also([each.ceiling for each in plateaus if each.ceiling]),
        ),
    )


def _reached(number: Number, now: Observation) -> Iterator[str]:
    """Yield the alarms whose limit explains the number, in all network namespaces that were judged."""
    rows = [row for row in now.alarms if is_at(row, number)]
    several = now.report is not None and has_several(now.report)
    for row in rows[:MAX_READINGS]:
        yield f"{TITLES[row.ceiling]}: {_reading(row, subject_in(row, several))}"
    if rows:
        yield "`sockmon check` has the evidence and the remedies."


def _format_plateau(plateau: Plateau) -> str:
    span = f"{plateau.high:,}" if plateau.high == plateau.low else f"{plateau.low:,}–{plateau.high:,}"
    title = f"{TITLES[plateau.ceiling]}: " if plateau.ceiling else ""
    return f"{span}{'/s' * plateau.rate}  {title}{plateau.what}. Check: {plateau.check}."


def _optional_section(name: str, paragraphs: Iterable[str]) -> list[Section]:
    content = tuple(paragraphs)
    return [Section(name, content)] if content else []


def _see_also(ids: Iterable[str]) -> list[Section]:
    names = " | ".join(dict.fromkeys(ids))
    return _optional_section("See also", [f"sockmon explain {names}"] if names else [])


def _readings_by_ceiling(ids: Iterable[str], now: Observation) -> Iterator[str]:
    """Yield the worst Reading of each ceiling, in a line."""
    for name in ids:
        yield f"{TITLES[name]}: {next(_readings(name, now))}"


def _readings(ceiling: str, now: Observation) -> Iterator[str]:
    """Yield `● ok 287 of 32,768 descriptors, <1 %, nginx[812]`, worst first."""
    rows = [row for row in now.report.readings if row.ceiling == ceiling] if now.report else []
    if not rows:
        yield now.unavailable_reason or "this limit is not set or not in use here"
    for row in rows[:MAX_READINGS]:
        yield _reading(row)
    if len(rows) > MAX_READINGS:
        yield f"and {len(rows) - MAX_READINGS} more: run sockmon check"


def _evidence(ceiling: str, now: Observation) -> tuple[str, ...]:
    """Return the evidence of the worst Reading; empty if the Reading itself is shown with it."""
    rows = [row for row in now.report.readings if row.ceiling == ceiling] if now.report else []
    return rows[0].evidence if rows and rows[0].counted else ()


def _reading(row: Reading, subject: str = "") -> str:
    mark, subject = glyph_and_label(row.severity), subject or row.subject
    if not row.counted:
        return f"{mark}: {subject}: {'; '.join(row.evidence)}"
    share = f", {fmt.ratio(row.ratio)}" if row.ratio is not None else ""
    return f"{mark} {fmt.count(row.used)} of {fmt.limit(row.limit)} {BY_ID[row.ceiling].unit}{share}, {subject}"


def index() -> Explanation:
    """Return the list of everything that can be explained."""
    content = (
        Section("Limits", tuple(f"{row.id:<19}{row.title}" for row in CEILINGS)),
        Section("Sysctls", (", ".join(row.key for row in TUNABLES) + ".", _other_keys())),
        *(
            Section(name, (", ".join(row.name for row in SYMPTOMS if row.kind == kind) + ".",))
            for kind, name in KINDS.items()
        ),
        Section("Numbers", ("A number at which something stops: 32720, 32,7xx, 28232, 470/s.",)),
        Section("Log lines", ("A line of a log or an error message: 'Too many open files'.",)),
    )
    return Explanation("list", "", "sockmon explain WHAT", "What can be explained:", content)


def _other_keys() -> str:
    gone = sum(len(row.keys) for row in REMOVED)
    return (
        f"Besides, {len(OTHERS)} sysctls that sockmon explains and does not tune, such as {OTHERS[0].key}, and"
        f" {gone} that Linux has removed, such as {REMOVED[0].key}."
    )


def as_json(explanation: Explanation) -> str:
    """Return one JSON object: kind, name, title, what, and sections of paragraphs."""
    content = asdict(explanation) | {
        "sections": [{"name": each.name, "paragraphs": each.paragraphs} for each in explanation.sections]
    }
    return json_text({"schema": 1} | content)
