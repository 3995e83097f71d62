"""The catalogue of tunables with their values on this machine: `tune list` and `tune show`, as text and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from sockmon.ceilings.sections import format_sysctl
from sockmon.document import Section, json_text, sentence
from sockmon.model.boot import BootForecast
from sockmon.model.report import Report
from sockmon.model.severity import ALARMS
from sockmon.tunables import Tunable, row_of
from sockmon.tunables.sections import sections as tunable_sections
from sockmon.tunables.value import describe_allowed
from sockmon.tuning.planning.advice import Advice, advice_for, alternatives, settable_remedies
from sockmon.tuning.planning.context import PlanContext
from sockmon.tuning.planning.plan import settable_sysctls
from sockmon.tuning.planning.reboot_note import note_for_key
from sockmon.tuning.planning.refusals import first_refusal
from sockmon.tuning.planning.step import Step

ELLIPSIS = "…"
READ_ONLY_MARK = " (read-only)"
"""Follows the value of a sysctl that cannot be changed here."""
_VALUE_WIDTH, _BOOT_WIDTH = 20, 12
"""Cells for a value; a longer one is truncated."""
_MIN_WIDTH_FOR_BOOT = 130
"""Terminal width from which on a line has the value at boot."""
_MIN_WIDTH_FOR_ALL = 100
"""Terminal width below which a line has only the key and two values."""


class CatalogRow(msgspec.Struct, frozen=True):
    """One sysctl or limit of a process: its value now, at boot and by default, and the advised one."""

    key: str
    current: str | None
    """None if it does not exist here; `refused` has the reason."""
    default: str
    advised: str | None
    """The value that the most urgent alarm advises; None without one."""
    reason: str
    """Why that value is advised; or why none is, although an alarm is about this key."""
    scope: str
    unit: str
    allowed: str
    refused: str
    """Why it cannot be changed here; empty if it can."""
    boot: str | None = None
    """The value that the files of sysctl.d set at boot; None if none does, or if the two programs differ."""
    forecast: BootForecast | None = msgspec.field(name="outlook", default=None)
    """Which file wins at boot, and what else sets the key; None if the files were not read."""


def listed_keys(report: Report | None) -> list[str]:
    """Return every sysctl that can be set, and the limits of processes that an alarm could raise."""
    readings = report.readings if report else ()
    alarms = (reading for reading in readings if reading.severity in ALARMS)
    keys = (each.key for reading in alarms for each in settable_remedies(reading))
    return [*settable_sysctls(), *dict.fromkeys(key for key in keys if "@" in key)]


def rows(keys: Iterable[str], context: PlanContext, report: Report | None) -> list[CatalogRow]:
    """Return a row for each key."""
    better = alternatives(report)
    return [_row(key, context, report, better.get(key, "")) for key in keys]


def as_json(found: Sequence[CatalogRow]) -> str:
    """Return one object, with the rows in `tunables`."""
    return json_text({"schema": 1, "tunables": found})


def row_as_json(row: CatalogRow) -> str:
    """Return one object: the row, and what to know before the setting is changed."""
    tunable = row_of(row.key)
    about = {
        "what": tunable.description,
        "takes_effect": tunable.takes_effect,
        "keeps": tunable.unaffected,
        "risk": tunable.risk,
        "myths": list(tunable.misconceptions),
        "ceilings": list(tunable.ceilings),
        "couplings": list(tunable.related),
        "source": tunable.source,
    }
    return json_text({"schema": 1, **msgspec.to_builtins(row), **about})


def as_text(found: Sequence[CatalogRow], width: int | None) -> str:
    """Return a line for each row, truncated to `width` cells; None is no limit: then nothing is truncated."""
    heads = ("KEY", "NOW", "ADVISED", "AT BOOT", "SCOPE", "DEFAULT")
    cells = [
        (row.key, _current_value(row), row.advised or "–", boot_value(row), row.scope, row.default)
        for row in found
    ]
    if width is None:
        widths = [max(map(len, column)) for column in zip(heads, *cells, strict=True)]
        padded = (map(str.ljust, line, widths) for line in (heads, *cells))
        return "\n".join("  ".join(line).rstrip() for line in padded)
    return "\n".join(_cut(line.rstrip(), width) for line in _lines((heads, *cells), width))


def _lines(cells: Sequence[tuple[str, ...]], width: int) -> Iterator[str]:
    """Yield the lines with the columns that fit `width`."""
    narrow = width < _MIN_WIDTH_FOR_ALL
    value = 18 if narrow else _VALUE_WIDTH
    room = max(len(line[0]) for line in cells)
    room = min(room, max(width - 2 * (2 + value), 20)) if narrow else room
    for key, now, advised, boot, scope, default in cells:
        seen = f"  {_cut(boot, _BOOT_WIDTH):<{_BOOT_WIDTH}}" if width >= _MIN_WIDTH_FOR_BOOT else ""
        rest = "" if narrow else f"{seen}  {scope:<14}  {default}"
        values = f"{_cut(now, value):<{value}}  {_cut(advised, value):<{value}}"
        yield f"{_cut_middle(key, room):<{room}}  {values}{rest}"


def boot_value(row: CatalogRow) -> str:
    """Return the value after a reboot; `–` if no file sets it, `unknown` if a file cannot be read, `ambiguous` if
    the two programs that read the files differ, `by NAME` if several programs write it later."""
    if later := _written_later(row):
        return later
    if row.boot is not None:
        return row.boot or "(empty)"
    if row.forecast and row.forecast.unknown:
        return "unknown"
    return "ambiguous" if row.forecast and row.forecast.differs else "–"


def _written_later(row: CatalogRow) -> str:
    """Return what a program makes of the value after each boot, whatever the files have; empty if none does."""
    writers = row.forecast.writers if row.forecast else ()
    sure = [
        each for each in writers if each.runs and each.certain and (row.boot is not None or each.action == "sets")
    ]
    changing = [each for each in sure if not each.leaves(row.boot or "")]
    if not changing:
        return ""
    one = changing[0]
    return one.value if len(changing) == 1 and one.value and one.action != "adds" else f"by {one.name}"


def _current_value(row: CatalogRow) -> str:
    if row.current is None:
        return "(not present)"
    return (row.current or "(empty)") + (READ_ONLY_MARK if row.refused else "")


def setting_page(row: CatalogRow, context: PlanContext) -> tuple[str, str, tuple[Section, ...]]:
    """Return the title, the description and the sections of a page about the setting."""
    return f"{row.key} · {row.unit}", row_of(row.key).description, tuple(_sections(row, row_of(row.key), context))


def _sections(row: CatalogRow, tunable: Tunable, context: PlanContext) -> Iterator[Section]:
    now = "Not present on this machine." if row.current is None else format_sysctl(row.key, row.current)
    yield Section("Now", (now,), "state")
    if row.refused:
        yield Section("Read-only", (sentence(f"it cannot be changed here: {row.refused}"),), "state")
    if row.advised:
        yield Section("Advised", (f"{row.key} = {row.advised}", sentence(row.reason)), "advice")
    else:
        why = f"No value. {sentence(row.reason)}" if row.reason else "No value: no alarm is about this setting."
        yield Section("Advised", (why,), "advice")
    boot = note_for_key(row.key, row.advised or "", context)
    if boot:
        yield Section("Origin" if tunable.kind == "limit" else "At boot", boot, "state")
    yield from tunable_sections(tunable)
    if tunable.related:
        yield Section("Related", tuple(format_sysctl(key, context.values.get(key)) for key in tunable.related))
    yield Section(
        "Commands",
        (f"sockmon tune plan {row.key}='{row.advised or 'VALUE'}'", f"sockmon prove {row.key}"),
        "commands",
    )
    yield Section("Source", (tunable.source,), "source")


def _row(key: str, context: PlanContext, report: Report | None, better: str) -> CatalogRow:
    tunable = row_of(key)
    advised = advice_for(report, tunable, key) if report else None
    if advised and _would_be_refused(advised, tunable, context):
        advised = None
    forecast = context.forecasts.get(key)
    return CatalogRow(
        key=key,
        current=context.values.get(key),
        default=tunable.default,
        advised=advised.value if advised else None,
        reason=advised.reason if advised else better,
        scope=tunable.scope,
        unit=tunable.unit,
        allowed=describe_allowed(tunable),
        refused=context.refused.get(key, ""),
        boot=forecast.value if forecast else None,
        forecast=forecast,
    )


def _would_be_refused(advised: Advice, tunable: Tunable, context: PlanContext) -> bool:
    """Return whether a plan would refuse the value: each alarm doubles it, until there is too little memory."""
    old = context.values.get(advised.key)
    if old is None:
        return False
    step = Step(advised.key, tunable, old, advised.value)
    return first_refusal([step], {**context.values, advised.key: advised.value}, context) is not None


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + ELLIPSIS


def _cut_middle(key: str, room: int) -> str:
    """Truncate in the middle: keys differ at their ends."""
    head = (room - 1) // 2
    return key if len(key) <= room else f"{key[:head]}{ELLIPSIS}{key[head + 1 - room :]}"
