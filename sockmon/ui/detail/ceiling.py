"""The page of a ceiling: what it means, what to do, the evidence, the owners, and what it is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import msgspec
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widget import Widget

from sockmon import ceilings
from sockmon.assess import Assessment, Key, Point
from sockmon.assess.several import subject_in
from sockmon.ceilings.sections import sections
from sockmon.document import Section
from sockmon.model.detail import DetailQuery
from sockmon.model.report import Reading, ReadingNetns
from sockmon.model.snapshot import Snapshot
from sockmon.tuning.planning.advice import SettableRemedy, settable_remedies
from sockmon.ui import keys
from sockmon.ui.detail.ceiling_text import meaning_text, other_ceilings, remedy_text, usage_line
from sockmon.ui.detail.detail_screen import DetailScreen, clock_time, severity_text
from sockmon.ui.detail.owners import join_dots, owner_unknown_reason, owners_line
from sockmon.ui.detail.section_facts import GUTTER, section_facts
from sockmon.ui.snapshot_lookup import find_netns
from sockmon.ui.widgets.column import cut_middle
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList
from sockmon.ui.widgets.trend import Trend

TALL = 36
"""Rows from which on the plot is above what to do: on fewer, that would be out of sight."""


class CeilingScreen(DetailScreen):
    """One ceiling of one subject; the last state stays after it is gone."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "subject", "Open the subject", key_display="⏎", id="open"),
        Binding("enter", "no_subject", show=False, id="open"),
        Binding(keys.BY_ID["tune"].keys, "tune", "Tune", tooltip=keys.BY_ID["tune"].tooltip, id="tune"),
        keys.binding("prove"),
        Binding(keys.BY_ID["addresses"].keys, "addresses", "Addresses", id="addresses"),
        Binding(keys.BY_ID["guide"].keys, "guide", "Guide", tooltip=keys.BY_ID["guide"].tooltip, id="guide"),
    ]

    VERTICAL_BREAKPOINTS = [(0, "-short"), (TALL, "-high")]  # noqa: RUF012

    def __init__(self, key: Key, netns: ReadingNetns | None = None) -> None:
        """`netns`: the network namespace whose limit it is; None: the host, or there is only one."""
        super().__init__()
        self.key = key
        self.netns = netns
        self._reading: Reading | None = None
        self._subject: DetailQuery | None = None
        self._points: tuple[Sequence[Point], float] = ((), 0.0)
        self._manual: tuple[Section, ...] = ()

    @property
    def netns_inode(self) -> int | None:
        """The namespace whose limit it is; None if it is a limit of the host or of a process."""
        return self._reading.netns.inode if self._reading and self._reading.netns else None

    def parts(self) -> Iterable[Widget]:
        yield LabelledList(id="meaning")
        yield LabelledList(id="usage")
        yield Trend(id="trend")
        yield LabelledList(GUTTER, id="actions")
        yield LabelledList(GUTTER, id="causes")
        yield LabelledList(GUTTER, id="others")
        yield LabelledList(GUTTER, id="manual")

    def _place_trend(self) -> None:
        """Move the plot below the usage on a tall screen, and below the causes on a short one."""
        above = self.query_one("#usage" if self.app.size.height >= TALL else "#causes")
        page, trend = self.query_one("#page"), self.query_one("#trend")
        if page.children.index(trend) != page.children.index(above) + 1:
            page.move_child(trend, after=above)

    def draw(self, assessment: Assessment) -> None:
        several = len(assessment.snapshot.netns) > 1
        assessment, reading = find_in_netns(assessment, self.key, self.netns, self._reading)
        gone = self.missing_since(reading is not None, assessment)
        if reading:
            self._reading = reading
            self._subject = assessment.queries.get(self.key)
            self._points = assessment.series.get(self.key, ()), assessment.snapshot.at
            self.refresh_bindings()
        self._draw_head(assessment, gone, several)
        if self._reading is None:
            return
        self._place_trend()
        self.query_one("#meaning", LabelledList).show(Labelled("", meaning_text(self.key[0])))
        self.query_one("#usage", LabelledList).show(Labelled("", usage_line(self._reading)))
        self.query_one("#trend", Trend).show(
            self._points[0], self._reading.limit, self._points[1], self._reading.severity
        )
        self.query_one("#actions", LabelledList).show(*self._actions(self._reading))
        self.query_one("#causes", LabelledList).show(*self._causes(self._reading, assessment))
        others = other_ceilings(assessment.report, self.key, self._room)
        self.query_one("#others", LabelledList).show(*(Labelled(name, text) for name, text in others))
        self._draw_manual(assessment.snapshot)

    def _draw_manual(self, snapshot: Snapshot) -> None:
        """Show what `sockmon explain` prints; it is long, and changes only with a sysctl."""
        row = ceilings.BY_ID.get(self.key[0])
        values = snapshot.sysctls | (snapshot.netns[0].sysctls if snapshot.netns else {})
        manual = tuple(sections(row, values)) if row else ()
        if manual != self._manual:
            self._manual = manual
            self.query_one("#manual", LabelledList).show(*section_facts(manual, apart=True))

    def _draw_head(self, assessment: Assessment, gone: str | None, several: bool) -> None:
        ceiling, subject = self.key
        if self._reading:
            subject = subject_in(self._reading, several)
        state = Text("gone", "sev-unknown")
        if not gone and self._reading:
            state = severity_text(self._reading.severity)
            gone = self._alarm_since(assessment)
        title = ceilings.TITLES.get(ceiling, ceiling)
        tail = Text.assemble(" · ", state, f" {gone or ''}".rstrip())
        room = max(self.app.size.width - 2 - len(title) - 3 - tail.cell_len, 16)
        name = cut_middle(Text(subject, "strong"), room)
        self.set_title(Text.assemble((title, "heading"), " · ", name, tail))

    def _alarm_since(self, assessment: Assessment) -> str:
        """Return when the alarm began: `before` the first samples if they had it."""
        since = assessment.since.get(self.key)
        if since is None:
            return ""
        # A queue needs two samples to be an alarm.
        first = since <= assessment.started + 2 * assessment.snapshot.interval
        before = "before " if first else ""
        return f"since {before}{clock_time(since, self.wide)}"

    def _actions(self, reading: Reading) -> Iterator[Labelled]:
        settable = [each.remedy for each in settable_remedies(reading) if each.remedy.advised]
        for number, remedy in enumerate(reading.remedies, 1):
            # One key measures one setting: the first that is advised.
            actions = ("tune", "prove") if settable[:1] == [remedy] else ("tune",)
            hint = self._hint(*actions) if remedy in settable else Text()
            yield Labelled(
                "" if number > 1 else "What to do", remedy_text(number, remedy, hint, self._room), indent=2
            )

    def _causes(self, reading: Reading, assessment: Assessment) -> Iterator[Labelled]:
        yield Labelled(
            "Evidence", Text("\n").join(Text(line) for line in reading.evidence) or Text("none", "muted")
        )
        owners = [owners_line(self.key[0], self._subject, assessment.snapshot)]
        if unknown := owner_unknown_reason(self._subject, assessment.snapshot):
            owners.insert(0, Text.assemble(("? ", "sev-unknown"), unknown))
        if any(owners):
            yield Labelled("Held by", join_dots(filter(None, owners)))

    @property
    def _room(self) -> int:
        """Cells of a line next to its heading: without the padding and the scroll bar."""
        return self.app.size.width - GUTTER - 3

    def _hint(self, *ids: str) -> Text:
        """Return the keys that lead on from a remedy: `t tune  m prove`."""
        chosen = keys.effective(self.sockmon.keys)
        hints = (Text.assemble((keys.show_keys(chosen[id]), "heading"), (f" {id}", "muted")) for id in ids)
        return Text("  ").join(hints)

    @property
    def _settable(self) -> list[SettableRemedy]:
        return settable_remedies(self._reading) if self._reading else []

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer a key only if it leads somewhere."""
        if action == "prove":
            return bool(self._settable)
        if action == "addresses":
            return self.netns_inode is not None
        return self._subject is not None if action == "subject" else True

    def action_no_subject(self) -> None:
        """Report that the subject has no page of its own."""
        self.sockmon.show_message(
            f"no page for {self.key[1]}; press Esc, then 2 to see the processes", "information"
        )

    def action_subject(self) -> None:
        """Open the process, the port group or the listener whose limit this is."""
        if self._subject is not None:
            self.open_detail(self._subject)

    async def action_addresses(self) -> None:
        """Open the addresses and rules of the namespace whose limit it is."""
        await self.run_action("app.addresses")

    def action_tune(self) -> None:
        """Open the tuning panel with the advice for this ceiling; the panel says if nothing can be set."""
        self.sockmon.tune(self._reading)

    def action_guide(self) -> None:
        """Return to the walk that has led here, or open the guide that leads to this ceiling."""
        netns = self._reading.netns if self._reading else None
        self.sockmon.guide(self.key[0], netns.inode if netns else 0)

    def action_prove(self) -> None:
        """Measure on this machine what the first advised setting does."""
        for knob in self._settable[:1]:
            self.sockmon.prove(knob.key.partition("@")[0])


def find_in_netns(
    assessment: Assessment, key: Key, netns: ReadingNetns | None, last: Reading | None
) -> tuple[Assessment, Reading | None]:
    """Return the Assessment as if only the namespace of a reading were sampled, and the Reading of `key` in it;
    None also if that namespace is not sampled any more."""
    own = assessment.of(netns)
    sampled = netns is None or find_netns(own.snapshot, netns.inode) is not None
    return own, find_reading(own, key, last) if sampled else None


def find_reading(assessment: Assessment, key: Key, last: Reading | None) -> Reading | None:
    """Return the Reading of `key`; if the Report omits it because it is calm, `last` with the new numbers."""
    for reading in assessment.report.readings:
        if reading.key == key:
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
        warning=gauge.warning,
        critical=gauge.critical,
    )
