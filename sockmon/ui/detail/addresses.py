"""The page of a namespace's addresses and rules: links, addresses, routes, neighbours, NAT rules, IPVS."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widget import Widget

from sockmon import format
from sockmon.assess import Assessment
from sockmon.model.detail import Detail
from sockmon.model.missing import Missing
from sockmon.model.netns_rules import NetnsDetail, NetnsQuery
from sockmon.ui import keys
from sockmon.ui.detail.addresses_text import host_tables, lines, sections
from sockmon.ui.detail.detail_screen import DetailScreen
from sockmon.ui.snapshot_lookup import find_netns
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList

POLL_SECONDS = 15.0
"""Seconds between two readings: each takes a process of its own and a third of a second of a processor."""
STALE_SECONDS = 20.0
"""Seconds from which on the age of an answer is shown."""
NOT_LIVE = "a recording holds no addresses and rules"
NO_AGENT = "the agent has exited"


class AddressesScreen(DetailScreen):
    """Links, addresses, routes and rules of one namespace, read while the page is on top."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(keys.BY_ID["refresh"].keys, "read_again", "Read again", show=True, id="refresh"),
    ]

    def __init__(self, target: NetnsQuery, first: str = "") -> None:
        """`first` is the kind of rows that the page begins with: `nat`, else the links."""
        super().__init__()
        self.target = target
        self._first = first
        self._detail: NetnsDetail | None = None
        self._name = ""
        self._answerable = True
        self._asked = False

    @property
    def netns_inode(self) -> int | None:
        """The namespace of this page."""
        return self.target.inode

    def parts(self) -> Iterable[Widget]:
        yield LabelledList(10, id="missing")
        yield LabelledList(id="rules")

    def on_mount(self) -> None:
        self.query_one("#missing").display = False
        self._ask()
        self.set_interval(POLL_SECONDS, self._poll)

    def _poll(self) -> None:
        self._asked = False
        if self.app.screen is self and not (self.sockmon.paused and self._detail):
            self._ask()

    def _ask(self) -> None:
        self._answerable = self.sockmon.ask(self.target)
        self._asked = self._answerable
        if self.assessment:
            self.draw(self.assessment)

    async def action_read_again(self) -> None:
        """Read everything now, and draw the whole screen."""
        if not self._asked:
            self._ask()
        await self.run_action("app.refresh_now")

    def answer(self, detail: Detail) -> None:
        """Take an answer of the agent, unless it is about another namespace."""
        if isinstance(detail, NetnsDetail) and detail.query == self.target:
            self._detail, self._asked = detail, False
            if self.is_mounted and self.assessment:
                self.draw(self.assessment)

    def draw(self, assessment: Assessment) -> None:
        snapshot, detail = assessment.snapshot, self._detail
        netns = find_netns(snapshot, self.target.inode)
        self._name = netns.name if netns else self._name or f"net:[{self.target.inode}]"
        gone = self.missing_since(netns is not None, assessment)
        title = Text.assemble(("addresses and rules", "heading"), " · ", (self._name, "strong"))
        if gone:
            title.append(f" · gone {gone}", "sev-unknown")
        self.set_title(title, self._note(snapshot.at))
        self._draw_missing(detail.missing if detail else ())
        if detail is None:
            return
        # The scroll bar takes one cell; nearly every answer is longer than the screen.
        width = max(self.app.size.width - 3, 40)
        items = []
        for section in sections(detail, host_tables(snapshot), width, self._first):
            items.append(Labelled("", Text("\n").join(lines(section, width))))
            items += [Labelled("", paragraph, 4) for paragraph in section.paragraphs]
            items.append(Labelled("", Text()))
        self.query_one("#rules", LabelledList).show(*items)

    def _note(self, now: float) -> str:
        if not self._answerable:
            return ""
        if self._detail is None or self._asked:
            return "reading…"
        seconds = now - self._detail.at
        return f"read {format.age(seconds)} ago" if seconds >= STALE_SECONDS else ""

    def _draw_missing(self, reasons: Iterable[Missing]) -> None:
        facts = [Labelled("Not read", Text(f"{item.reader}: {item.reason}", "sev-unknown")) for item in reasons]
        if not self._answerable:
            reason = NO_AGENT if self.sockmon.source.live else NOT_LIVE
            facts.append(Labelled("Not read", Text(reason, "sev-unknown")))
        missing = self.query_one("#missing", LabelledList)
        missing.display = bool(facts)
        missing.show(*facts)
