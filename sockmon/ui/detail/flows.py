"""The page of flows: those of the connection table that match, counted in all and listed in part."""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic
from typing import Any

from rich.text import Text
from textual import on
from textual.widget import Widget

from sockmon import format
from sockmon.assess import Assessment
from sockmon.model.conntrack_flows import Flow, FlowQuery, FlowsDetail, FlowsQuery
from sockmon.model.detail import Detail, DetailQuery
from sockmon.ui.detail.filtered_screen import FilteredScreen
from sockmon.ui.detail.flow_table import FlowTable
from sockmon.ui.detail.polling_screen import COST_FACTOR, NO_ANSWER, STALE_SECONDS
from sockmon.ui.detail.sockets_place import SocketsPlace
from sockmon.ui.filtering.filter import Filter
from sockmon.ui.filtering.flow_terms import describe_terms, terms_of_filter
from sockmon.ui.snapshot_lookup import find_netns
from sockmon.ui.widgets.filter_line import FilterLine
from sockmon.ui.widgets.labelled_list import LabelledList
from sockmon.ui.widgets.table import Table

CHECK_SECONDS = 0.25
SETTLE_SECONDS = 0.4
"""Seconds after the last letter of a filter before the table is walked for it."""
MIN_POLL_SECONDS = 2.0
"""Seconds between two walks at least."""
LOST_SECONDS = 60.0
"""Seconds without an answer after which the agent is asked again: it may have been started again. A walk over five
million entries takes half of that."""
NO_FLOWS = {False: "a recording holds no single flows", True: NO_ANSWER[True][0]}


class FlowsScreen(FilteredScreen):
    """The flows of one namespace that match; the filter is asked of the agent, so it reaches all of them."""

    AUTO_FOCUS = "#flows"

    def __init__(self, target: FlowsQuery) -> None:
        super().__init__()
        self.target = target
        """What the page is about; a filter narrows it."""
        self.detail: FlowsDetail | None = None
        self._filter = Filter()
        self._filtered_at = 0.0
        self._asked: FlowsQuery | None = None
        """The query that is not answered yet."""
        self._asked_at = self._answered_at = 0.0
        self._answerable = True

    def parts(self) -> Iterable[Widget]:
        yield LabelledList(10, id="missing")
        yield FlowTable()

    @property
    def main_table(self) -> FlowTable:
        return self.query_one(FlowTable)

    def on_mount(self) -> None:
        self.query_one("#missing").display = False
        self._poll()
        self.set_interval(CHECK_SECONDS, self._poll)

    # Asking

    @property
    def wanted(self) -> FlowsQuery:
        """The query with the terms of the filter."""
        return FlowsQuery(self.target.netns, (*self.target.terms, *terms_of_filter(self._filter)))

    def _poll(self) -> None:
        """Ask, unless an answer is on its way, the filter is being typed or the last answer is new enough."""
        now = monotonic()
        if self.app.screen is not self or now - self._filtered_at < SETTLE_SECONDS:
            return
        if self._asked == self.wanted and self._answerable and now - self._asked_at < LOST_SECONDS:
            return
        if self._is_new_enough(now):
            return
        self._asked, self._asked_at = self.wanted, now
        answerable = self.sockmon.ask(self.wanted)
        if answerable != self._answerable or not answerable:
            self._answerable = answerable
            self._redraw()

    def _is_new_enough(self, now: float) -> bool:
        if self.detail is None or self.detail.query != self.wanted:
            return not self._answerable and now - self._asked_at < MIN_POLL_SECONDS
        age = now - self._answered_at
        return self.sockmon.paused or age < max(MIN_POLL_SECONDS, COST_FACTOR * self.detail.seconds)

    def answer(self, detail: Detail) -> None:
        """Take an answer of the source, unless it is for another page or an older filter."""
        if not isinstance(detail, FlowsDetail) or detail.query != self._asked:
            return
        self.detail, self._asked, self._answered_at = detail, None, monotonic()
        self._redraw()

    def _redraw(self) -> None:
        if self.is_mounted and self.assessment:
            self.draw(self.assessment)

    # Drawing

    def draw(self, assessment: Assessment) -> None:
        detail = self.detail
        netns = find_netns(assessment.snapshot, self.target.netns)
        terms = describe_terms(self.target.terms)
        title = Text.assemble(("flows", "heading"), *((" · ", (terms, "strong")) if terms else ()))
        if netns is not None and netns.kind not in ("", "host"):
            title.append(f" · {netns.name}", "muted")
        elif netns is None:
            title.append(" · network namespace not in the last sample", "sev-unknown")
        self.set_title(title, self._note(assessment))
        table = self.query_one(FlowTable)
        table.empty = self._why_empty()
        table.border_title = self._count()
        table.show_flows(detail.flows if detail else ())
        ignored = table.listed.ignored_terms
        table.border_subtitle = ignored
        self.show_missing(detail.missing if detail else ())

    def _count(self) -> str:
        """Return `Flows · first 500 of 61,204 that match, of 262,144`."""
        detail = self.detail
        if detail is None or (detail.missing and not detail.flows):
            return "Flows"
        shown, matched = len(detail.flows), format.count(detail.matched)
        part = f"first {shown:,} of {matched}" if shown < detail.matched else matched
        whole = "" if detail.entries is None or not detail.query.terms else f" that match, of {detail.entries:,}"
        return f"Flows · {part}{whole}"

    def _note(self, assessment: Assessment) -> str:
        if not self._answerable:
            return ""
        if self.detail is None or self.detail.query != self.wanted:
            return "reading…"
        seconds = assessment.snapshot.at - self.detail.at
        return f"answer {format.age(seconds)} old" if seconds >= STALE_SECONDS else ""

    def _why_empty(self) -> str:
        if not self._answerable:
            return NO_FLOWS[self.sockmon.source.live]
        if self.detail is None or self.detail.query != self.wanted:
            return "reading…"
        return f"{format.UNKNOWN} not read" if self.detail.missing else "no flow matches"

    # The filter

    @on(FilterLine.Changed)
    def _filter_changed(self, event: FilterLine.Changed) -> None:
        self._filter, self._filtered_at = event.filter, monotonic()
        self.query_one(FlowTable).set_filter(event.filter)
        self._redraw()

    def opens(self, table: Table[Any], row: Any) -> DetailQuery | SocketsPlace | str | None:
        """Return the page of a flow."""
        return FlowQuery(row) if isinstance(row, Flow) else super().opens(table, row)
