"""Cells and lines of the board: title, subject behind its network namespace, numbers, severities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.text import Text

from sockmon import format as fmt
from sockmon.ceilings import TITLES
from sockmon.model.report import Reading
from sockmon.model.severity import Severity
from sockmon.ui.appearance.styles import SEVERITY_STYLES
from sockmon.ui.main.gauge_cells import alarm_style
from sockmon.ui.widgets.column import cut_front, cut_middle

ANY_ADDRESS = ("0.0.0.0", "[::]")
MIN_END_CELLS = 5
"""Cells of the end of a subject that are shown behind the name of its namespace: `…5432`."""
MIN_NAME_CELLS = 8


def behind_namespace(name: str, reading: Reading, subject: Text, room: int) -> Text:
    """Return `web-1 :8080` in `room` cells: of a long subject the end is kept, and the name of its namespace is
    cut only if nothing of the subject would be left. Without a name, the middle of the subject is cut."""
    if not name:
        return cut_middle(subject, room)
    named = Text(name, alarm_style(reading) or "accent")
    if named.cell_len + 1 + subject.cell_len > room and reading.name:
        # The owner of a listener is on its page.
        subject = Text(without_any_address(reading.name), alarm_style(reading) or "muted")
    if named.cell_len + 1 + subject.cell_len > room and reading.netns and not reading.netns.kind:
        # The pid of the process that names it is on the page too.
        named = Text(name.rpartition("[")[0] or name, named.style)
    end = min(subject.cell_len, MIN_END_CELLS)
    shown = cut_middle(named, max(room - end - 1, MIN_NAME_CELLS))
    return Text.assemble(shown, " ", cut_front(subject, room - shown.cell_len - 1))


def full_cell(reading: Reading) -> Text:
    """Return how full the limit is, in per cent."""
    return Text(fmt.ratio(reading.ratio), alarm_style(reading) or "muted")


def title_of(reading: Reading) -> str:
    """Return the title of the ceiling."""
    return TITLES.get(reading.ceiling, reading.ceiling.replace("-", " "))


def title_cell(reading: Reading) -> Text:
    """Return the title; strong if it is an alarm."""
    return Text(title_of(reading), "strong" if alarm_style(reading) else "")


def severity_cell(reading: Reading) -> Text:
    """Return glyph and word."""
    style = SEVERITY_STYLES[reading.severity]
    return Text(f"{style.glyph} {style.word}", style.style)


def without_any_address(listener: str) -> str:
    """Return a listener on all addresses by its port alone."""
    for everywhere in ANY_ADDRESS:
        listener = listener.removeprefix(everywhere)
    return listener


def used_cell(reading: Reading, width: int) -> Text:
    """Return `842/1,024`; numbers that do not fit are rounded, because a cut number would be wrong."""
    used, limit = fmt.count(reading.used), fmt.limit(reading.limit)
    if len(used) + 1 + len(limit) > width:
        limit = fmt.short(reading.limit)
    if len(used) + 1 + len(limit) > width:
        used = fmt.short(reading.used)
    return Text.assemble((used, alarm_style(reading)), ("/", "faint"), (limit, "muted"))


def reason_span(reading: Reading) -> tuple[tuple[str, ...], Text] | None:
    """Return the reason of a reading without numbers, in place of them."""
    if reading.counted or not reading.evidence:
        return None
    reason = Text(reading.evidence[0], "sev-unknown" if reading.severity == "unknown" else "muted")
    return ("USAGE", "USED/LIMIT"), reason


def count_line(readings: Sequence[Reading], acknowledged: str) -> Text:
    """Return how many readings have each severity; `acknowledged` comes after the alarms."""
    numbers = Counter(reading.severity for reading in readings)
    words: dict[Severity, str] = {"hit": "hit", "critical": "critical", "warning": "warning"}
    parts = [_count(name, numbers[name], word) for name, word in words.items()]
    parts += [Text(acknowledged, "muted"), _count("ok", numbers["ok"], "ok")]
    parts.append(_count("unknown", numbers["unknown"], "unknown"))
    return Text("  ").join(part for part in parts if part.plain)


def _count(severity: Severity, number: int, word: str) -> Text:
    style = SEVERITY_STYLES[severity]
    return Text(f"{style.glyph} {number} {word}", style.style) if number else Text()


def all_hint(count: int) -> Text:
    """Return the key that shows all readings: `b all 24`."""
    return Text.assemble(("b", "heading"), (f" all {count}", "muted"))
