"""The tunables as they are here, in words and as JSON: `tune list` and `tune show`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from sockmon.ceilings.sections import Section, sentence, setting
from sockmon.model.report import Report
from sockmon.tunables import BY_KEY, Tunable
from sockmon.tunables.tunable import REACH
from sockmon.tunables.value import allowed
from sockmon.tuning.advice import advice
from sockmon.tuning.here import Here

CUT = "…"
FIXED = " (fixed)"
"""Behind the value of a sysctl that nobody may write here."""
_VALUE = 20
"""Cells for a value; a longer one is cut."""


class Row(msgspec.Struct, frozen=True):
    """One sysctl: its value here, and what it should be."""

    key: str
    current: str | None
    """None: it has none here, `refused` says why."""
    default: str
    advised: str | None
    """What the most urgent alarm asks for; None where nothing is near its limit."""
    reason: str
    """Why that is advised."""
    scope: str
    unit: str
    allowed: str
    refused: str
    """Why it cannot be changed here; empty where it can."""


def rows(keys: Iterable[str], here: Here, report: Report | None) -> list[Row]:
    """A Row for each key."""
    return [_row(key, BY_KEY[key], here, report) for key in keys]


def as_json(found: Sequence[Row]) -> str:
    """One object: `tunables`, one for each."""
    return _json({"schema": 1, "tunables": found})


def one_as_json(row: Row) -> str:
    """One object: what `tune list` says of it, and what to know before it is changed."""
    tunable = BY_KEY[row.key]
    about = {
        "what": tunable.words,
        "takes_effect": tunable.effect,
        "keeps": tunable.keeps,
        "risk": tunable.risk,
        "myths": list(tunable.myths),
        "ceilings": list(tunable.ceilings),
        "couplings": list(tunable.couplings),
        "source": tunable.source,
    }
    return _json({"schema": 1, **msgspec.structs.asdict(row), **about})


def as_text(found: Sequence[Row], width: int | None) -> str:
    """A line for each; what does not fit a terminal of `width` cells is cut, with a sign."""
    room = max((len(row.key) for row in found), default=0)
    lines = [f"{'KEY':<{room}}  {'NOW':<{_VALUE}}  {'ADVISED':<{_VALUE}}  {'SCOPE':<14}  DEFAULT"]
    for row in found:
        now = "(none here)" if row.current is None else row.current or "(empty)"
        now += FIXED if row.refused and row.current is not None else ""
        advised = row.advised or "–"
        lines.append(
            f"{row.key:<{room}}  {_cut(now, _VALUE):<{_VALUE}}  {_cut(advised, _VALUE):<{_VALUE}}"
            f"  {row.scope:<14}  {row.default}"
        )
    return "\n".join(_cut(line.rstrip(), width) for line in lines)


def one(row: Row, here: Here) -> tuple[str, str, tuple[Section, ...]]:
    """Title, what it does, and sections, as a page takes them."""
    return f"{row.key} · {row.unit}", BY_KEY[row.key].words, tuple(_sections(row, BY_KEY[row.key], here))


def _sections(row: Row, tunable: Tunable, here: Here) -> Iterator[Section]:
    now = "it has no value here" if row.current is None else setting(row.key, row.current)
    yield Section("Here now", (now,))
    if row.refused:
        yield Section("Not here", (sentence(f"cannot be changed: {row.refused}"),))
    if row.advised:
        yield Section("Advised", (f"{row.key} = {row.advised}", sentence(row.reason)))
    else:
        yield Section("Advised", ("Nothing: no alarm asks for another value.",))
    yield Section("Default", (sentence(tunable.default),))
    yield Section("Allowed", (sentence(row.allowed),))
    yield Section("Takes effect", (sentence(tunable.effect),))
    yield Section("Stays", (sentence(tunable.keeps),))
    yield Section("Whose", (sentence(REACH[tunable.scope]),))
    yield Section("Risk", (sentence(tunable.risk),))
    if tunable.couplings:
        yield Section("Together with", tuple(setting(key, here.values.get(key)) for key in tunable.couplings))
    if tunable.myths:
        yield Section("Against myths", tuple(map(sentence, tunable.myths)))
    yield Section("Try it", (f"sockmon tune plan {row.key}='{row.advised or 'VALUE'}'",))
    yield Section("Source", (tunable.source,))


def _row(key: str, tunable: Tunable, here: Here, report: Report | None) -> Row:
    advised = advice(report, tunable, key) if report else None
    return Row(
        key=key,
        current=here.values.get(key),
        default=tunable.default,
        advised=advised.value if advised else None,
        reason=advised.reason if advised else "",
        scope=tunable.scope,
        unit=tunable.unit,
        allowed=allowed(tunable),
        refused=here.refused.get(key, ""),
    )


def _cut(text: str, width: int | None) -> str:
    return text if width is None or len(text) <= width else text[: width - 1] + CUT


def _json(content: object) -> str:
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode()
