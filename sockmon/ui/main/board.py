"""The board of limits: what runs out first."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.content import Content

from sockmon import format as fmt
from sockmon.assess.tendency import Tendency, tendency
from sockmon.ceilings import TITLES
from sockmon.ceilings.evidence import process_label
from sockmon.model.report import Reading
from sockmon.model.severity import ALARMS
from sockmon.ui.appearance.styles import SEVERITY_STYLES
from sockmon.ui.detail.owners import largest_owner
from sockmon.ui.filtering.filter import Filterable, RowValues
from sockmon.ui.filtering.row_values import READING, reading_values, seconds_left
from sockmon.ui.main.acknowledged import MARK, Acknowledged, severity_text
from sockmon.ui.main.board_cells import (
    all_hint,
    behind_namespace,
    count_line,
    full_cell,
    reason_span,
    severity_cell,
    title_cell,
    title_of,
    used_cell,
    without_any_address,
)
from sockmon.ui.main.gauge_cells import alarm_style, eta_cell, rate_cell, usage_bar
from sockmon.ui.main.panes.pane import View
from sockmon.ui.widgets.frame import Frame
from sockmon.ui.widgets.table import Column, Table
from sockmon.ui.widgets.text_line import TextLine, justify

MEDIUM_COLUMNS, WIDE_COLUMNS, ROOMY_COLUMNS = 90, 110, 140
"""Columns of the board from which on a longer bar, single columns for limit and subject, and trends fit."""
MIN_SUBJECT_CELLS = 24
"""Minimum cells of the column that takes the remaining width."""
TITLE_CELLS = max(map(len, TITLES.values()))
"""Cells of the longest title."""
TENDENCY_MARKS: dict[Tendency, str] = {"new": "+", "known": "+", "worse": "▲"}
CHANGE_CELLS = 7
TREND_CELLS = 14
"""Cells of the sparkline."""
MIN_FOLDED_ROWS = 3
"""Readings that a folded board shows at least."""
SHRINK_DELAY = 20.0
"""Seconds until a folded board releases a row that no alarm needs: jumping lines cannot be read."""


class Board(Frame):
    """All readings, most urgent first; a short screen shows the first ones and a line about the rest."""

    def __init__(self) -> None:
        super().__init__(_board_title("what runs out first"), id="board")
        self._view: View | None = None
        self.acknowledged = Acknowledged()
        self._rows, self._needed_at = MIN_FOLDED_ROWS, 0.0
        self._height: int | None = None
        self.table = Table(
            self._columns(160),
            lambda row: row.identity,
            id="readings",
            empty="reading the kernel …",
            columns_for=self._columns,
            row_span=reason_span,
            flex=MIN_SUBJECT_CELLS,
            filterable=Filterable(READING, self._filter_values),
            shown=self._shown,
        )
        self.fold_line = TextLine(id="fold")

    def compose(self) -> ComposeResult:
        yield self.table
        yield self.fold_line

    def show(self, view: View) -> None:
        """Draw the readings of a View."""
        before = self.several
        self._view = view
        self.acknowledged.update(view.whole)
        self._fold_to(view)
        table = self.table
        table.empty = "no readings"
        if before is not self.several:
            table.choose_columns_again()
        table.set_filter(view.filter)
        table.show(self.acknowledged.ordered(view.whole.report.readings))
        readings = table.arranged
        room = max(self.size.height - table.heading - (not table.heading), 0)
        hidden = readings[room:]
        below = Text(f"  + {len(hidden)} below", "muted") if hidden else Text()
        ignored = Text(table.listed.ignored_terms, "sev-warning")
        matching = Text(table.matching, "accent")
        self.set_note(ignored, matching, Text.assemble(self._counts(readings), below))
        # A folded board has no titles and no frame: its last line shows their notes.
        order = Text(f"by {table.order}" if table.order else "", "muted")
        below = Text.assemble(("+ ", "faint"), self._counts(hidden)) if hidden else matching
        notes = [ignored or (matching if hidden else Text()), order, Text(table.hidden_columns, "accent")]
        line = justify(
            below if below.plain else Text("all shown", "faint"),
            Text("  ").join(note for note in (*notes, all_hint(len(table.rows))) if note.plain),
            self.size.width,
        )
        self.fold_line.show(line)

    def _counts(self, readings: Sequence[Reading]) -> Text:
        """Return `✖ 1 hit  ▲ 2 warning  ✔ 1 acknowledged  ● 5 ok`, the worst first, each in its colour."""
        open_ = [row for row in readings if row not in self.acknowledged]
        taken = len(readings) - len(open_)
        return count_line(open_, f"{MARK} {taken} acknowledged" if taken else "")

    def _shown(self, reading: Reading) -> object:
        """Return what the columns show of a reading: not its evidence, which has other numbers each second."""
        numbers = (reading.used, reading.limit, reading.ratio, reading.rate, reading.eta_seconds)
        return (
            *(reading.identity, reading.severity, numbers, reading.warning, reading.critical),
            reason_span(reading),
            reading in self.acknowledged,
            self.tendency(reading),
            self._owner(reading),
            self.trend(reading).plain if self.table.shows("TREND") else "",
            *(reading.netns and reading.netns.name, reading.name),
        )

    def _filter_values(self, reading: Reading) -> RowValues:
        return reading_values(reading, self._view.whole) if self._view else {}

    @on(Table.Arranged)
    def _name_order(self, event: Table.Arranged) -> None:
        event.stop()
        self.border_title = _board_title(f"by {event.table.order}" if event.table.order else "what runs out first")
        self._show_again()

    def _fold_to(self, view: View) -> None:
        """Give a folded board a row for each alarm, but leave the pane below two thirds of the screen."""
        readings = view.whole.report.readings
        alarms = sum(row.severity in ALARMS and row not in self.acknowledged for row in readings)
        height, now = self.screen.size.height, view.whole.snapshot.at
        most = max((height - 3) // 3, MIN_FOLDED_ROWS)
        rows = min(max(alarms, MIN_FOLDED_ROWS, height // 8), most)
        if not rows < self._rows <= most or not 0 <= now - self._needed_at <= SHRINK_DELAY:
            self._rows, self._needed_at = rows, now
        self.apply_fold()

    def apply_fold(self) -> None:
        """Set the height of a folded board; otherwise the layout decides."""
        height = self._rows + 1 if self._folded else None
        if height != self._height:
            self._height = self.styles.height = height

    @property
    def _folded(self) -> bool:
        """Whether the board shares the screen with one pane, and neither has a frame."""
        classes = self.screen.classes
        return "-board" not in classes and not classes.isdisjoint(("-narrow", "-short"))

    def on_resize(self) -> None:
        """Draw again: a folded board has no titles, and another part fits."""
        self.table.heading = not self._folded
        self.call_after_refresh(self._show_again)

    def _show_again(self) -> None:
        if self._view:
            self.show(self._view)

    def _columns(self, width: int) -> Sequence[Column[Reading]]:
        columns = _wide_columns(self, width) if width >= WIDE_COLUMNS else _narrow_columns(self, width)
        return [self.acknowledged.dimmed(column) for column in columns]

    def subject(self, reading: Reading, owner: bool) -> Text:
        """Return the subject of the reading; of a port group with its largest owner, if it is known."""
        text = Text(reading.subject, alarm_style(reading))
        found = self._owner(reading) if owner else ""
        return text.append(f" {found}", alarm_style(reading) or "muted") if found else text

    def _owner(self, reading: Reading) -> str:
        """Return the largest owner of a port group; empty if it is not known."""
        query = self._view.whole.part_of(reading).queries.get(reading.key) if self._view else None
        found = largest_owner(query, self._view.whole.snapshot) if self._view else None
        return process_label(found) if found else ""

    def subject_within(self, reading: Reading, room: int) -> Text:
        """Return the subject in `room` cells, behind its network namespace if there are several."""
        return behind_namespace(self._namespace_of(reading), reading, self.subject(reading, False), room)

    @property
    def several(self) -> bool:
        """Whether there are several network namespaces."""
        return self._view is not None and self._view.has_several

    def _namespace_of(self, reading: Reading) -> str:
        """Return the name of the namespace; empty without other namespaces, for the first of them, for the host,
        and if the subject is that name."""
        if not self.several or reading.netns is None or self._view is None:
            return ""
        first = reading.netns.inode == self._view.every[0].inode
        return "" if first or reading.netns.name == reading.subject else reading.netns.name

    def namespace(self, reading: Reading) -> Text:
        """Return the network namespace of the reading, which has the name of its container or pod."""
        if reading.netns is None:
            return Text(fmt.NOTHING, "faint")
        return Text(reading.netns.name, alarm_style(reading) or "accent")

    def title_and_subject(self, reading: Reading, room: int) -> Text:
        """Return title and subject in `room` cells; a port group is named by its destination, and a listener on
        all addresses by its port."""
        subject = reading.subject.partition(" → ")[1:]
        short = without_any_address("".join(subject).strip() or reading.subject)
        title, about = title_cell(reading), Text(short, alarm_style(reading) or "muted")
        left = room - title.cell_len - 1
        return Text.assemble(title, " ", behind_namespace(self._namespace_of(reading), reading, about, left))

    def trend(self, reading: Reading) -> Text:
        """Return the last minutes of the reading as a sparkline."""
        if self._view is None:
            return Text()
        points = self._view.whole.part_of(reading).series.get(reading.key, ())
        return self._view.line(points, TREND_CELLS, SEVERITY_STYLES[reading.severity].style)

    def tendency(self, reading: Reading) -> Tendency | None:
        """Return whether the reading is new or is getting worse; None if neither."""
        return tendency(reading, self._view.whole) if self._view else None

    def change(self, reading: Reading) -> Text:
        """Return the tendency as a mark and a word."""
        if reading in self.acknowledged:
            return Text(f"{MARK} ack")
        word = self.tendency(reading)
        return Text(f"{TENDENCY_MARKS[word]} {word}" if word else "", SEVERITY_STYLES[reading.severity].style)

    def severity(self, reading: Reading) -> Text:
        """Return glyph and word; an acknowledged alarm has the glyph of all of them."""
        return severity_text(reading) if reading in self.acknowledged else severity_cell(reading)

    def short_severity(self, reading: Reading) -> Text:
        """Return `severity`, or the glyph alone if the word is too long for a narrow board."""
        return self.severity(reading) if reading.severity != "unknown" else Text("?", "sev-unknown")

    def severity_and_mark(self, reading: Reading) -> Text:
        """Return the severity, and the mark of the tendency in the last cell."""
        word, text = self.tendency(reading), self.short_severity(reading)
        if reading in self.acknowledged:
            return text
        return text.append(TENDENCY_MARKS[word].rjust(8 - text.cell_len)) if word else text


def _board_title(what: str) -> Content:
    return Content.assemble(("Limits", "bold"), (f" {what}", "dim"))


def _wide_columns(board: Board, width: int) -> tuple[Column[Reading], ...]:
    roomy = width >= ROOMY_COLUMNS
    bar_cells = 20 if roomy else 8
    used_cells = 17 if roomy else 13
    return (
        Column("", 9, board.severity, pin=True),
        Column("LIMIT", TITLE_CELLS, title_cell, title_of, pin=True),
        *([_namespace_column(board)] if roomy and board.several else ()),
        Column(
            "SUBJECT",
            0,
            lambda row: board.subject(row, roomy),
            _subject,
            cut="middle",
            pin=True,
            text_for_width=None if roomy else board.subject_within,
        ),
        Column("USAGE", bar_cells, lambda row: usage_bar(row, bar_cells, row.ceiling), _ratio, largest_first=True),
        Column("USED / LIMIT", used_cells, lambda row: used_cell(row, used_cells), lambda row: row.used, "right"),
        Column("FULL", 6 if roomy else 5, full_cell, _ratio, "right"),
        Column("TREND", TREND_CELLS, board.trend, keep_when_narrow=False, scrolled_only=not roomy),
        Column("CHANGE", CHANGE_CELLS, board.change, board.tendency),
        Column("LEFT", 7, eta_cell, seconds_left, "right", largest_first=False),
        Column("RATE", 8, rate_cell, lambda row: row.rate, "right", keep_when_narrow=False),
    )


def _namespace_column(board: Board) -> Column[Reading]:
    return Column("NAMESPACE", 18, board.namespace, _namespace_name, cut="middle", pin=True)


def _narrow_columns(board: Board, width: int) -> tuple[Column[Reading], ...]:
    medium = width >= MEDIUM_COLUMNS
    bar_cells = 12 if medium else 5
    severity = board.short_severity if medium else board.severity_and_mark
    return (
        Column("", 7 if medium else 8, severity, pin=True),
        Column("LIMIT", 0, _subject, title_of, text_for_width=board.title_and_subject, pin=True),
        Column("USAGE", bar_cells, lambda row: usage_bar(row, bar_cells, row.ceiling), _ratio, largest_first=True),
        Column("USED/LIMIT", 13, lambda row: used_cell(row, 13), lambda row: row.used, "right"),
        Column("FULL", 5, full_cell, _ratio, "right"),
        Column("CHANGE", CHANGE_CELLS, board.change, board.tendency, scrolled_only=not medium),
        Column("LEFT", 7, eta_cell, seconds_left, "right", largest_first=False),
        Column("RATE", 8, rate_cell, lambda row: row.rate, "right", scrolled_only=True),
        Column("TREND", TREND_CELLS, board.trend, scrolled_only=True),
        Column("SUBJECT", 36, lambda row: board.subject(row, True), _subject, cut="middle", scrolled_only=True),
    )


def _namespace_name(reading: Reading) -> str | None:
    return reading.netns.name.casefold() if reading.netns else None


def _subject(reading: Reading) -> str:
    return reading.subject


def _ratio(reading: Reading) -> float | None:
    return reading.ratio
