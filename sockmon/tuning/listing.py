"""The tunables as they are here, in words and as JSON: `tune list` and `tune show`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from sockmon.ceilings.sections import Section, sentence, setting
from sockmon.model.change import Outlook
from sockmon.model.report import Report
from sockmon.tunables import Tunable, row_of
from sockmon.tunables.tunable import REACH
from sockmon.tunables.value import allowed, misread
from sockmon.tuning.advice import ALARMS, Advice, advice, knobs
from sockmon.tuning.change import Change
from sockmon.tuning.here import Here
from sockmon.tuning.objections import objection
from sockmon.tuning.plan import names
from sockmon.tuning.restart import shown

CUT = "…"
FIXED = " (fixed)"
"""Behind the value of a sysctl that nobody may write here."""
_VALUE, _BOOT = 20, 12
"""Cells for a value; a longer one is cut."""
_WIDE = 130
"""Cells from which on a line has room for the value at boot."""
_NARROW = 100
"""Cells below which a line has room for the key and two values only."""


class Row(msgspec.Struct, frozen=True):
    """One sysctl or limit of a process: its value here, what it will be at boot, and what it should be."""

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
    boot: str | None = None
    """What the files of sysctl.d make it at boot; None where none sets it, or the two programs differ."""
    outlook: Outlook | None = None
    """Which file wins at boot, and who else sets it; None where that was not looked for."""


def keys(report: Report | None) -> list[str]:
    """Every sysctl that can be set, and the limits of processes that an alarm asks to raise."""
    readings = report.readings if report else ()
    advised = (knob.key for reading in readings if reading.severity in ALARMS for knob in knobs(reading))
    return [*names(), *dict.fromkeys(key for key in advised if "@" in key)]


def rows(keys: Iterable[str], here: Here, report: Report | None) -> list[Row]:
    """A Row for each key."""
    return [_row(key, row_of(key), here, report) for key in keys]


def as_json(found: Sequence[Row]) -> str:
    """One object: `tunables`, one for each."""
    return _json({"schema": 1, "tunables": found})


def one_as_json(row: Row) -> str:
    """One object: what `tune list` says of it, and what to know before it is changed."""
    tunable = row_of(row.key)
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
    narrow = width is not None and width < _NARROW
    room = max((len(row.key) for row in found), default=0)
    value = 18 if narrow else _VALUE
    room = min(room, max(width - 2 * (2 + value), 20)) if narrow and width else room
    heads = ("KEY", "NOW", "ADVISED", "AT BOOT", "SCOPE", "DEFAULT")
    table = [
        heads,
        *((row.key, _now(row), row.advised or "–", at_boot(row), row.scope, row.default) for row in found),
    ]
    lines = []
    for key, now, advised, boot, scope, default in table:
        seen = f"  {_cut(boot, _BOOT):<{_BOOT}}" if width is None or width >= _WIDE else ""
        rest = "" if narrow else f"{seen}  {scope:<14}  {default}"
        values = f"{_cut(now, value):<{value}}  {_cut(advised, value):<{value}}"
        lines.append(f"{_cut_middle(key, room):<{room}}  {values}{rest}")
    return "\n".join(_cut(line.rstrip(), width) for line in lines)


def at_boot(row: Row) -> str:
    """The value after a restart, with a `?` where the kernel may not take it as it stands; `–` where no file sets
    it, `two answers` where the two programs differ."""
    if row.boot is not None:
        doubt = " ?" if misread(row_of(row.key), row.boot) else ""
        return f"{row.boot or '(empty)'}{doubt}"
    return "two answers" if row.outlook and len(row.outlook.boot) > 1 else "–"


def _now(row: Row) -> str:
    if row.current is None:
        return "(none here)"
    return (row.current or "(empty)") + (FIXED if row.refused else "")


def one(row: Row, here: Here) -> tuple[str, str, tuple[Section, ...]]:
    """Title, what it does, and sections, as a page takes them."""
    return f"{row.key} · {row.unit}", row_of(row.key).words, tuple(_sections(row, row_of(row.key), here))


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
    boot = shown(row.key, row.advised or "SOFT:HARD", here)
    if boot:
        yield Section("At boot", boot)
    yield Section("Takes effect", (sentence(tunable.effect),))
    yield Section("Stays", (sentence(tunable.keeps),))
    yield Section("Whose", (sentence(REACH[tunable.scope]),))
    yield Section("Risk", (sentence(tunable.risk),))
    if tunable.couplings:
        yield Section("Together with", tuple(setting(key, here.values.get(key)) for key in tunable.couplings))
    if tunable.myths:
        yield Section("Against myths", tuple(map(sentence, tunable.myths)))
    yield Section(
        "Try it", (f"sockmon tune plan {row.key}='{row.advised or 'VALUE'}'", f"sockmon prove {row.key}")
    )
    yield Section("Source", (tunable.source,))


def _row(key: str, tunable: Tunable, here: Here, report: Report | None) -> Row:
    advised = advice(report, tunable, key) if report else None
    if advised and _would_be_refused(advised, tunable, here):
        advised = None
    outlook = here.outlooks.get(key)
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
        boot=outlook.value if outlook else None,
        outlook=outlook,
    )


def _would_be_refused(advised: Advice, tunable: Tunable, here: Here) -> bool:
    """Whether a plan would turn the value down here: memory ends what doubling again and again leads to."""
    old = here.values.get(advised.key)
    if old is None:
        return False
    change = Change(advised.key, tunable, old, advised.value)
    return objection([change], {**here.values, advised.key: advised.value}, here) is not None


def _cut(text: str, width: int | None) -> str:
    return text if width is None or len(text) <= width else text[: width - 1] + CUT


def _cut_middle(key: str, room: int) -> str:
    """Keys differ at their ends."""
    head = (room - 1) // 2
    return key if len(key) <= room else f"{key[:head]}{CUT}{key[head + 1 - room :]}"


def _json(content: object) -> str:
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode()
