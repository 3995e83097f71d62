"""The Headroom board: what runs out first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.content import Content

from sockmon import format as fmt
from sockmon.ceilings import TITLES
from sockmon.model.report import Reading, Severity
from sockmon.ui.panes.pane import ALARMS, View, left
from sockmon.ui.screens.who import largest_owner, name
from sockmon.ui.styles import LOOKS
from sockmon.ui.widgets.bar import bar
from sockmon.ui.widgets.column import cut_middle, fit
from sockmon.ui.widgets.framed import Framed
from sockmon.ui.widgets.table import Column, Table
from sockmon.ui.widgets.words import Words, spread

WIDE, ROOMY = 110, 140
EVERYWHERE = ("0.0.0.0", "[::]")
FLEX = 22
"""Cells that the column has at least which takes what is left."""
TITLE = max(map(len, TITLES.values()))
"""Cells of the longest title."""
FOLDED = 3
"""Readings that a folded board shows where fewer than that are alarms."""
SETTLED = 20.0
"""Seconds until a folded board gives a row back that no alarm needs any more: lines that jump cannot be read."""


class Board(Framed):
    """All readings, most urgent first; a short screen shows the top and folds the rest into one line."""

    def __init__(self) -> None:
        title = Content.assemble(("Headroom", "bold"), (" what runs out first", "dim"))
        super().__init__(title, id="board")
        self._view: View | None = None
        self._rows, self._needed_at = FOLDED, 0.0
        self._height: int | None = None

    def compose(self) -> ComposeResult:
        yield Table(
            self._columns(160),
            _key,
            id="readings",
            empty="reading the kernel …",
            columns_for=self._columns,
            span=_span,
            flex=FLEX,
        )
        yield Words(id="fold")

    def show(self, view: View) -> None:
        """Draw the readings of a View."""
        self._view = view
        self._fold_to(view)
        readings = [row for row in view.assessment.report.readings if view.filter.matches(_facts(row))]
        table: Table[Reading] = self.query_one("#readings", Table)
        table.empty = "no reading matches the filter" if view.filter else "nothing is watched"
        table.show(readings)
        room = max(self.size.height - table.heading - (not table.heading), 0)
        hidden = readings[room:]
        below = Text(f"  + {len(hidden)} below", "muted") if hidden else Text()
        self.say(Text.assemble(_counts(readings), below))
        self.query_one("#fold", Words).show(_fold(readings, hidden, self.size.width))

    def _fold_to(self, view: View) -> None:
        """Give a folded board a row for each alarm, as far as the pane below keeps two thirds of the screen."""
        alarms = sum(row.severity in ALARMS for row in view.assessment.report.readings)
        height, now = self.screen.size.height, view.assessment.snapshot.at
        most = max((height - 3) // 3, FOLDED)
        rows = min(max(alarms, FOLDED, height // 8), most)
        if not rows < self._rows <= most or not 0 <= now - self._needed_at <= SETTLED:
            self._rows, self._needed_at = rows, now
        self.be_folded()

    def be_folded(self) -> None:
        """As many lines as it needs where it is folded; elsewhere the layout has the say."""
        height = self._rows + 1 if self._folded else None
        if height != self._height:
            self._height = self.styles.height = height

    @property
    def _folded(self) -> bool:
        """True where the board shares the screen with one pane only, and neither has a frame."""
        classes = self.screen.classes
        return "-board" not in classes and not classes.isdisjoint(("-narrow", "-short"))

    def on_resize(self) -> None:
        """A folded board has no line for titles; what does not fit is another part than before."""
        self.query_one("#readings", Table).heading = not self._folded
        self.call_after_refresh(self._show_again)

    def _show_again(self) -> None:
        if self._view:
            self.show(self._view)

    def _columns(self, width: int) -> Sequence[Column[Reading]]:
        return _wide(self, width) if width >= WIDE else _tight(width)

    def subject(self, reading: Reading, owner: bool) -> Text:
        """The reading's subject; behind a group of ports who holds most of them, where that is known."""
        text = Text(reading.subject, _style(reading))
        focus = self._view.assessment.focuses.get(_key(reading)) if self._view else None
        found = largest_owner(focus, self._view.assessment.snapshot) if self._view and owner else None
        return text.append(f" {name(found)}", _style(reading) or "muted") if found else text

    def trend(self, reading: Reading, width: int) -> Text:
        """The reading's trail."""
        if self._view is None:
            return Text()
        return self._view.trend(_key(reading), width, _style(reading) or "spark")


def _wide(board: Board, width: int) -> tuple[Column[Reading], ...]:
    roomy = width >= ROOMY
    long, trend = (20, 14) if roomy else (10, 0)
    used = 20 if roomy else 15
    columns: tuple[Column[Reading], ...] = (
        Column("", 9, _severity),
        Column("CEILING", TITLE, lambda row: Text(_title(row), "strong" if _style(row) else "")),
        Column("SUBJECT", 0, lambda row: board.subject(row, roomy), cut="middle"),
        Column("HEADROOM", long, lambda row: bar(row.ratio, long, row.severity)),
        Column("USED / LIMIT", used, lambda row: _used(row, used), align="right"),
        Column("FULL", 6, lambda row: Text(fmt.ratio(row.ratio), _style(row) or "muted"), align="right"),
        Column("TREND", trend, lambda row: board.trend(row, trend), narrow=False),
        Column("LEFT", 7, _eta, align="right"),
        Column("RATE", 8, _rate, align="right", narrow=False),
    )
    return columns if roomy else tuple(column for column in columns if column.title != "TREND")


def _tight(width: int) -> tuple[Column[Reading], ...]:
    shown, _ = fit(_tight_columns(width, width), width, FLEX)
    return _tight_columns(width, {column.title: cells for column, cells in shown}.get("CEILING", FLEX))


def _tight_columns(width: int, room: int) -> tuple[Column[Reading], ...]:
    long = 5 if width < ROOMY // 2 + 20 else 12
    return (
        Column("", 7, _briefly),
        Column("CEILING", 0, lambda row: _both(row, room)),
        Column("USED/LIMIT", 13, lambda row: _used(row, 13), align="right"),
        Column("FULL", 5, lambda row: Text(fmt.ratio(row.ratio), _style(row) or "muted"), align="right"),
        Column("ROOM", long, lambda row: bar(row.ratio, long, row.severity), narrow=False),
        Column("LEFT", 7, _eta, align="right"),
    )


def _key(reading: Reading) -> tuple[str, str]:
    return reading.ceiling, reading.subject


def _title(reading: Reading) -> str:
    return TITLES.get(reading.ceiling, reading.ceiling.replace("-", " "))


def _style(reading: Reading) -> str:
    """The colour of an alarm; a healthy reading has none."""
    return LOOKS[reading.severity].style if reading.severity in ALARMS else ""


def _severity(reading: Reading) -> Text:
    look = LOOKS[reading.severity]
    return Text(f"{look.glyph} {look.word}", look.style)


def _briefly(reading: Reading) -> Text:
    """As `_severity`; the one word that is too long for a narrow board goes by its sign."""
    look = LOOKS[reading.severity]
    return _severity(reading) if len(look.word) < 6 else Text(look.glyph, look.style)


def _both(reading: Reading, room: int) -> Text:
    """Ceiling, which stays whole, and subject in a cell of `room`; a port group goes by its destination, and a
    listener on every address by its port."""
    subject = reading.subject.partition(" → ")[1:]
    short = "".join(subject).strip() or reading.subject
    for everywhere in EVERYWHERE:
        short = short.removeprefix(everywhere)
    title = Text(_title(reading), "strong" if _style(reading) else "")
    return Text.assemble(
        title, " ", cut_middle(Text(short, _style(reading) or "muted"), room - title.cell_len - 1)
    )


def _used(reading: Reading, width: int) -> Text:
    """`842/1,024`; a limit that does not fit is shortened, for a number that is cut would be another one."""
    used, limit = fmt.count(reading.used), fmt.limit(reading.limit)
    if len(used) + 1 + len(limit) > width:
        limit = fmt.short(reading.limit)
    if len(used) + 1 + len(limit) > width:
        used = fmt.short(reading.used)
    return Text.assemble((used, _style(reading)), ("/", "faint"), (limit, "muted"))


def _eta(reading: Reading) -> Text:
    if reading.severity == "hit":
        return Text("now", _style(reading))
    seconds = left(reading.severity, reading.ratio, reading.eta_seconds)
    return Text(fmt.eta(seconds), "faint" if seconds is None else _style(reading))


def _rate(reading: Reading) -> Text:
    growing = (reading.rate or 0) >= 0.05
    return Text(fmt.rate(reading.rate), (_style(reading) or "muted") if growing else "faint")


def _span(reading: Reading) -> tuple[tuple[str, ...], Text] | None:
    """A reading without numbers says why: unknown, or nobody has such a limit."""
    known = reading.severity != "unknown" and reading.used is not None
    if known or not reading.evidence:
        return None
    reason = Text(reading.evidence[0], "sev-unknown" if reading.severity == "unknown" else "muted")
    return ("HEADROOM", "USED/LIMIT"), reason


def _facts(reading: Reading) -> dict[str, str]:
    return {"ceiling": _title(reading), "subject": reading.subject}


def _counts(readings: Sequence[Reading], quiet: bool = False) -> Text:
    """`1 hit · 2 warnings · 5 ok`, the worst first, each in its colour."""
    numbers = Counter(reading.severity for reading in readings)
    words: dict[Severity, str] = {"hit": "hit", "critical": "critical", "warning": "warning", "ok": "ok"}
    parts = [
        Text(f"{LOOKS[name].glyph} {numbers[name]} {word}", LOOKS[name].style)
        for name, word in words.items()
        if numbers[name]
    ]
    if numbers["unknown"]:
        parts.append(Text(f"? {numbers['unknown']} unknown", "sev-unknown"))
    return Text("  ").join(parts)


def _fold(readings: Sequence[Reading], hidden: Sequence[Reading], width: int) -> Text:
    rest = Text.assemble(("+ ", "faint"), _counts(hidden)) if hidden else Text("all shown", "faint")
    return spread(rest, Text.assemble(("b", "heading"), (f" all {len(readings)}", "muted")), width)
