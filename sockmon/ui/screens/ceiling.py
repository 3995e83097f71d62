"""A ceiling, opened: what it means, how it came about, who eats it, what it is not, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import msgspec
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widget import Widget

from sockmon import ceilings, format
from sockmon.assess import Assessment, Key, Point
from sockmon.ceilings.sections import Section, sections
from sockmon.model.detail import Focus
from sockmon.model.report import Reading, Remedy, Report
from sockmon.model.snapshot import Snapshot
from sockmon.tuning.advice import Knob, knobs
from sockmon.ui import keys
from sockmon.ui.panes.pane import ALARMS
from sockmon.ui.screens.drill import Drill, clock, severity
from sockmon.ui.screens.who import join, who
from sockmon.ui.styles import LOOKS
from sockmon.ui.widgets.bar import bar
from sockmon.ui.widgets.column import cut_middle
from sockmon.ui.widgets.facts import Fact, Facts
from sockmon.ui.widgets.trend import Trend

MOST = 6
"""Other alarms that the screen lists."""


class CeilingScreen(Drill):
    """One ceiling for one subject, for as long as it is there, and its last state after that."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "subject", "Open the subject", key_display="⏎", id="open"),
        Binding(keys.BY_ID["tune"].keys, "tune", "Tune", tooltip=keys.BY_ID["tune"].tooltip, id="tune"),
        keys.binding("prove"),
    ]

    VERTICAL_BREAKPOINTS = [(0, "-short"), (36, "-high")]  # noqa: RUF012

    def __init__(self, key: Key) -> None:
        super().__init__()
        self.key = key
        self._reading: Reading | None = None
        self._focus: Focus | None = None
        self._trail: tuple[Sequence[Point], float] = ((), 0.0)
        self._said: tuple[Section, ...] = ()

    def parts(self) -> Iterable[Widget]:
        yield Facts(id="meaning")
        yield Facts(id="numbers")
        yield Trend(id="trend")
        yield Facts(14, id="why")
        yield Facts(14, id="words")

    def draw(self, assessment: Assessment) -> None:
        reading = find_reading(assessment, self.key, self._reading)
        gone = self.gone(reading is not None, assessment)
        if reading:
            self._reading = reading
            self._focus = assessment.focuses.get(self.key)
            self._trail = assessment.trails.get(self.key, ()), assessment.snapshot.at
            self.refresh_bindings()
        self._draw_head(assessment, gone)
        if self._reading is None:
            return
        self.query_one("#meaning", Facts).show(Fact("", meaning(self.key[0])))
        self.query_one("#numbers", Facts).show(Fact("", numbers(self._reading)))
        self.query_one("#trend", Trend).show(
            self._trail[0], self._reading.limit, self._trail[1], self._reading.severity
        )
        self.query_one("#why", Facts).show(*self._why(self._reading, assessment))
        self._draw_words(assessment.snapshot)

    def _draw_words(self, snapshot: Snapshot) -> None:
        """What `sockmon explain` says; it is long, and changes only where a sysctl does."""
        row = ceilings.BY_ID.get(self.key[0])
        values = snapshot.sysctls | (snapshot.netns[0].sysctls if snapshot.netns else {})
        said = tuple(sections(row, values)) if row else ()
        if said != self._said:
            self._said = said
            self.query_one("#words", Facts).show(*_facts(said))

    def _draw_head(self, assessment: Assessment, gone: str | None) -> None:
        ceiling, subject = self.key
        state = Text("gone", "sev-unknown")
        if not gone and self._reading:
            state = severity(self._reading.severity)
            gone = self._since(assessment)
        title = ceilings.TITLES.get(ceiling, ceiling)
        tail = Text.assemble(" · ", state, f" {gone or ''}".rstrip())
        room = max(self.app.size.width - 2 - len(title) - 3 - tail.cell_len, 16)
        name = cut_middle(Text(subject, "strong"), room)
        self.head(Text.assemble((title, "heading"), " · ", name, tail))

    def _since(self, assessment: Assessment) -> str:
        """When the alarm began; one that was there at the first look may be older than that."""
        since = assessment.since.get(self.key)
        if since is None:
            return ""
        # A queue needs two samples to be an alarm.
        first = since <= assessment.begun + 2 * assessment.snapshot.interval
        before = "before " if first else ""
        return f"since {before}{clock(since, self.wide)}"

    def _why(self, reading: Reading, assessment: Assessment) -> Iterator[Fact]:
        yield Fact("Evidence", Text("\n").join(Text(line) for line in reading.evidence) or Text("none", "muted"))
        if owners := who(self.key[0], self._focus, assessment.snapshot):
            yield Fact("Who", owners)
        yield Fact("", Text())
        settable = [knob.text for knob in knobs(reading)]
        for number, remedy in enumerate(reading.remedies, 1):
            # What is proved by one key is the first of them.
            lead = ("tune", "prove") if settable[:1] == [remedy.text] else ("tune",)
            hint = self._hint(*lead) if remedy.text in settable else Text()
            yield Fact("What to do" if number == 1 else "", advice(number, remedy, hint), hang=2)
        yield Fact("", Text())
        for name, readings in others(assessment.report, self.key):
            yield Fact(name, join(map(in_short, readings)))

    def _hint(self, *ids: str) -> Text:
        """The keys that lead on from a remedy that can be set."""
        shown = keys.effective(self.sockmon.keys)
        text = Text()
        for id in ids:
            text.append(f"  {keys.show_keys(shown[id])}", "heading").append(f" {id}", "muted")
        return text

    @property
    def _knobs(self) -> list[Knob]:
        return knobs(self._reading) if self._reading else []

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A key is offered only where it leads somewhere."""
        if action == "prove":
            return bool(self._knobs)
        return self._focus is not None if action == "subject" else True

    def action_subject(self) -> None:
        """Open the process, the port group or the listener that this is about."""
        if self._focus is not None:
            self.open_focus(self._focus)

    def action_tune(self) -> None:
        """Open the tuning panel with what this ceiling advises; it says so where nothing can be set."""
        self.sockmon.tune(self._reading)

    def action_prove(self) -> None:
        """Measure here what the first setting that is advised does."""
        for knob in self._knobs[:1]:
            self.sockmon.prove(knob.key.partition("@")[0])


def find_reading(assessment: Assessment, key: Key, last: Reading | None) -> Reading | None:
    """The Reading of `key`; where the Report leaves it out because it is calm, the last one with new numbers."""
    for reading in assessment.report.readings:
        if (reading.ceiling, reading.subject) == key:
            return reading
    gauge = assessment.gauges.get(key)
    if gauge is None or last is None:
        return None
    return msgspec.structs.replace(
        last,
        used=gauge.used,
        limit=gauge.limit,
        ratio=gauge.ratio,
        rate=gauge.rate,
        eta_seconds=gauge.eta_seconds,
        severity=gauge.severity,
    )


def _facts(said: Iterable[Section]) -> Iterator[Fact]:
    """Sections of words, a line between them."""
    for section in said:
        hang = 2 if len(section.paragraphs) > 1 else 0
        for number, paragraph in enumerate(section.paragraphs):
            yield Fact("" if number else section.name, Text(paragraph), hang)
        yield Fact("", Text())


def meaning(ceiling: str) -> Text:
    """What happens at the limit, as a sentence."""
    row = ceilings.BY_ID.get(ceiling)
    return Text(row.what[:1].upper() + row.what[1:] + "." if row else "")


def numbers(reading: Reading) -> Text:
    """`████▌─── 842 / 1,024 descriptors  82 %  +0.7/s  full in ~4 min`."""
    row = ceilings.BY_ID.get(reading.ceiling)
    text = Text.assemble(
        bar(reading.ratio, 24, reading.severity),
        "  ",
        (format.count(reading.used), "strong"),
        f" / {format.limit(reading.limit) if reading.limit is not None else 'no limit known'}",
        f" {row.unit}" if row else "",
        "  ",
        (format.ratio(reading.ratio), LOOKS[reading.severity].style),
    )
    if reading.rate is not None:
        text.append(f"  {format.rate(reading.rate)}", "muted")
    if reading.eta_seconds is not None:
        full = "full now" if reading.eta_seconds < 1 else f"full in {format.eta(reading.eta_seconds)}"
        text.append(f"  {full}", LOOKS[reading.severity].style)
    return text


def others(report: Report, key: Key) -> Iterator[tuple[str, list[Reading]]]:
    """What else is wrong, what the trouble is not, and what cannot be told: the worst of every other ceiling."""
    alarms = [row for row in report.readings if row.severity in ALARMS and (row.ceiling, row.subject) != key]
    if alarms:
        yield "Also", alarms[:MOST]
    alarming = {row.ceiling for row in alarms} | {key[0]}
    for name, level in (("Why not", "ok"), ("Not known", "unknown")):
        rows = [row for row in report.readings if row.severity == level and row.ceiling not in alarming]
        worst = {row.ceiling: row for row in sorted(rows, key=_fullness)}
        if worst:
            yield name, sorted(worst.values(), key=_fullness, reverse=True)


def _fullness(reading: Reading) -> float:
    return -1.0 if reading.ratio is None else reading.ratio


def in_short(reading: Reading) -> Text:
    """`✖ accept queue 0.0.0.0:8080 nginx[1044] 106 %`; of a calm one the subject does not matter, and an
    unknown one has no number."""
    look = LOOKS[reading.severity]
    title = Text(ceilings.TITLES.get(reading.ceiling, reading.ceiling))
    if reading.severity in ALARMS:
        title = Text.assemble((f"{look.glyph} ", look.style), title, f" {reading.subject}")
    if reading.severity == "unknown":
        return title
    return Text.assemble(
        title, " ", (format.ratio(reading.ratio) if reading.ratio is not None else "no limit", look.style)
    )


def advice(number: int, remedy: Remedy, keys: Text) -> Text:
    """`1 sysctl  key = value  t tune` and below it what it brings."""
    text = Text.assemble((f"{number} ", "strong"), (remedy.kind, "accent"))
    if remedy.key:
        text.append(f"  {remedy.key} = {remedy.value}" if remedy.value else f"  {remedy.key}", "strong")
    return text.append_text(keys).append("\n").append(remedy.text)
