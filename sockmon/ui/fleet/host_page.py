"""The page of one host, by what the fleet knows of it: for a host that cannot be opened, or without opening it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Footer

from sockmon.errors import SockmonError
from sockmon.fleet.feed import Feed
from sockmon.fleet.hosts import HostLimit
from sockmon.text import sanitize
from sockmon.ui import workers
from sockmon.ui.detail.detail_screen import DetailScreen
from sockmon.ui.fleet import cells
from sockmon.ui.fleet.cells import HostRow
from sockmon.ui.fleet.context import fleet_context
from sockmon.ui.fleet.host_panel import HostPanel
from sockmon.ui.widgets.labelled_list import Labelled, LabelledList
from sockmon.ui.widgets.table import Table

log = logging.getLogger(__name__)

OPENS = "Open the live screen of the host, over ssh"
NONE_NOW = "the host has no metrics now"


class LimitsRead(Message):
    """The source has answered about the host of the page, or failed."""

    def __init__(self, limits: Sequence[HostLimit], failure: str = "") -> None:
        super().__init__()
        self.limits = limits
        self.failure = failure


def _read_limits(feed: Feed, name: str, post: Callable[[Message], object]) -> None:
    try:
        post(LimitsRead(feed.limits(name)))
    except SockmonError as error:
        post(LimitsRead((), error.message))
    except Exception as error:
        log.exception("the limits of %s could not be read", name)
        post(LimitsRead((), f"{type(error).__name__}: {sanitize(str(error), 200)}"))


class HostPage(DetailScreen):
    """The panel of a host on a page of its own; each answer updates it."""

    AUTO_FOCUS = "#limits"
    HELP_FIRST: ClassVar[Mapping[str, str]] = {"open": OPENS, "back": "Return to the hosts"}

    def __init__(self, row: HostRow, trend_seconds: float, not_opened: str = "", how: str = "") -> None:
        """`not_opened`: why its live screen did not open; `how`: the command that would show it."""
        super().__init__()
        self._row = row
        self._trend_seconds = trend_seconds
        self._not_opened = not_opened
        self._how = how
        self._limits: Sequence[HostLimit] | None = None
        """All limits of the host; None until the source has answered."""
        self._failure = ""
        """Why the last answer did not come, or that it was empty."""
        self._asking = False

    @property
    def answered(self) -> bool:
        """Whether the source has told all limits of the host."""
        return self._limits is not None

    @property
    def name_of_host(self) -> str:
        """The host that the page is about."""
        return self._row.host.name

    def compose(self) -> ComposeResult:
        self._fit_to_terminal()
        with Horizontal(id="headline"):
            yield LabelledList(id="title")
            yield LabelledList(id="corner")
        yield HostPanel(self._trend_seconds, "Limits")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.show_row(self._row)
        self.ask()

    def ask(self) -> None:
        """Ask for all limits of the host, unless an answer is under way."""
        if not self._asking:
            self._asking = True
            workers.start_thread(_read_limits, fleet_context(self).feed, self.name_of_host, self.post_message)

    @on(LimitsRead)
    def _take_limits(self, message: LimitsRead) -> None:
        self._asking = False
        self._limits = message.limits or self._limits
        # An empty answer: the host has vanished. What was listed before is not how it is now.
        self._failure = message.failure or ("" if message.limits else NONE_NOW)
        self.show_row(self._row)

    def show_row(self, row: HostRow) -> None:
        """Draw what is known now."""
        self._row = row
        host = row.host
        if not self.is_mounted:
            return
        self.set_title(Text.assemble((host.name, "heading"), " · ", cells.state_cell(host)))
        self.query_one(HostPanel).show(row, *self._notes(), limits=self._limits)

    def _notes(self) -> Iterator[Labelled]:
        if self._not_opened:
            yield Labelled("Not open", Text(self._not_opened, "sev-warning"))
        if self._how:
            yield Labelled("Live", Text(self._how, "muted"))
        if self._failure:
            yield Labelled("Limits", Text(self._not_all(), "sev-warning"))

    def _not_all(self) -> str:
        shown = "these are of an older answer" if self.answered else "only the nearest ones are known"
        return f"{shown}: {self._failure}"

    def opens(self, table: Table[Any], row: Any) -> None:
        """Open the live screen, which has the page of a limit."""
        fleet_context(self).open_host(self._row)

    def say_not_opened(self, reason: str) -> None:
        """Show why its live screen did not open."""
        self._not_opened = reason
        self.show_row(self._row)
