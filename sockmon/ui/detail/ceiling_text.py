"""The lines of the page of a ceiling: usage, a remedy, and the other ceilings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.text import Text

from sockmon import ceilings, format
from sockmon.assess import Key
from sockmon.assess.several import has_several, subject_in
from sockmon.model.report import Reading, Remedy, Report
from sockmon.model.severity import ALARMS
from sockmon.tuning.planning.advice import BUYS_TIME
from sockmon.ui.appearance.styles import SEVERITY_STYLES
from sockmon.ui.detail.owners import join_dots
from sockmon.ui.levels import levels_of
from sockmon.ui.widgets.bar import bar

MAX_OTHER_ALARMS = 6
"""Other alarms that the page lists."""


def meaning_text(ceiling: str) -> Text:
    """Return what happens at the limit, as a sentence."""
    row = ceilings.BY_ID.get(ceiling)
    return Text(row.consequence[:1].upper() + row.consequence[1:] + "." if row else "")


def usage_line(reading: Reading) -> Text:
    """`▄▄▄▄▖▁▁▁ 842 / 1,024 descriptors  82 %  +0.7/s  full in ~4 min`."""
    row = ceilings.BY_ID.get(reading.ceiling)
    text = Text.assemble(
        bar(reading.ratio, 24, reading.severity, levels_of(reading, reading.ceiling)),
        "  ",
        (format.count(reading.used), "strong"),
        f" / {format.limit(reading.limit) if reading.limit is not None else 'limit unknown'}",
        f" {row.unit}" if row else "",
        "  ",
        (format.ratio(reading.ratio), SEVERITY_STYLES[reading.severity].style),
    )
    if reading.rate is not None:
        text.append(f"  {format.rate(reading.rate)}", "muted")
    if reading.eta_seconds is not None:
        text.append(f"  {format.full_in(reading.eta_seconds)}", SEVERITY_STYLES[reading.severity].style)
    return text


def other_ceilings(report: Report, key: Key, room: int = 0) -> Iterator[tuple[str, Text]]:
    """Yield the other alarms, the limits that are not the cause, and the unknown ones, each with its heading.

    Lines have at most `room` cells. A ceiling is under one heading; if only some of its subjects are unknown,
    it is under the last, with those named."""
    several = has_several(report)
    alarms = [row for row in report.readings if row.severity in ALARMS and row.key != key]
    if alarms:
        shown = (short_reading(row, several) for row in alarms[:MAX_OTHER_ALARMS])
        yield "Other alarms", join_dots(shown, room)
    alarming = {row.ceiling for row in alarms} | {key[0]}
    quiet = [row for row in report.readings if row.ceiling not in alarming]
    unknown = _by_ceiling(row for row in quiet if row.severity == "unknown")
    known = _by_ceiling(row for row in quiet if row.severity == "ok")
    worst = [max(rows, key=_fullness) for ceiling, rows in known.items() if ceiling not in unknown]
    if worst:
        yield "Ruled out", join_dots(map(short_reading, sorted(worst, key=_fullness, reverse=True)), room)
    if unknown:
        yield "Unknown", join_dots((_unknown(rows, ceiling in known) for ceiling, rows in unknown.items()), room)


def _by_ceiling(readings: Iterable[Reading]) -> dict[str, list[Reading]]:
    found: dict[str, list[Reading]] = {}
    for row in readings:
        found.setdefault(row.ceiling, []).append(row)
    return found


def _unknown(readings: Sequence[Reading], partly: bool) -> Text:
    """Return `memory maps of 12 processes` if only those are unknown, else `memory maps`."""
    title = short_reading(readings[0])
    if not partly:
        return title
    more = f" and {len(readings) - 1} more" if len(readings) > 1 else ""
    return title.append(f" of {readings[0].subject}{more}")


def _fullness(reading: Reading) -> float:
    return -1.0 if reading.ratio is None else reading.ratio


def short_reading(reading: Reading, several: bool = False) -> Text:
    """Return `✖ accept queue 0.0.0.0:8080 nginx[1044] 106 %`; without its subject if it is no alarm, and without a
    number if it is unknown. `several`: the subject is behind its network namespace."""
    look = SEVERITY_STYLES[reading.severity]
    title = Text(ceilings.TITLES.get(reading.ceiling, reading.ceiling))
    if reading.severity in ALARMS:
        title = Text.assemble((f"{look.glyph} ", look.style), title, f" {subject_in(reading, several)}")
    if reading.severity == "unknown":
        return title
    return Text.assemble(
        title, " ", (format.ratio(reading.ratio) if reading.ratio is not None else "no limit", look.style)
    )


def remedy_text(number: int, remedy: Remedy, keys: Text, room: int) -> Text:
    """Return `1 sysctl  key = value  t tune` and below it what it brings; if the first line would be longer than
    `room` cells, the keys come last."""
    text = Text.assemble((f"{number} ", "strong"), (remedy.kind, "accent"))
    if remedy.key:
        text.append(f"  {remedy.key} = {remedy.value}" if remedy.value else f"  {remedy.key}", "strong")
    in_first_line = text.cell_len + 2 + keys.cell_len <= room
    if keys and in_first_line:
        text.append("  ").append_text(keys)
    text.append("\n").append(remedy.text)
    if not remedy.advised:
        text.append(f" ({BUYS_TIME})", "muted")
    return text if in_first_line or not keys else text.append("\n").append_text(keys)
