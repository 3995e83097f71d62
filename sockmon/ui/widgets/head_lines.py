"""The first lines of a screen: what it shows, the time of day, and what is wrong."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Static

from sockmon.ui.widgets.text_line import TextLine

CLOCK_WIDTH = 9
HEAD_WIDTHS = [(0, "-tiny"), (50, "-narrow"), (110, "-normal"), (150, "-wide")]
"""Classes of a screen by its columns, as Textual's HORIZONTAL_BREAKPOINTS."""
HEAD_HEIGHTS = [(0, "-flat"), (12, "-short"), (32, "-tall"), (46, "-high")]
"""The same by its lines."""


class HeadLines:
    """Three lines that a screen composes: kept here, because a query looks at each widget of a screen."""

    def __init__(self) -> None:
        self._header, self._banner = TextLine(id="header"), TextLine(id="banner")
        # The clock is a widget of its own: on an idle screen it is all that is sent.
        self._clock = TextLine(id="clock")

    def compose(self) -> ComposeResult:
        with Horizontal(id="top"):
            yield self._header
            yield self._clock
        yield self._banner

    @property
    def is_mounted(self) -> bool:
        """Whether they can be drawn: lines inside containers are mounted last."""
        return self._clock.is_mounted

    def show(self, header: Text, clock: Text, warning: str) -> None:
        """Draw them; the banner is hidden if `warning` is empty."""
        self._header.show(header)
        self._clock.show(clock)
        self._banner.set_class(bool(warning), "-shown")
        self._banner.show(Text(warning))


class TooSmall(Static):
    """What is shown alone on a terminal that is too small."""

    def __init__(self) -> None:
        super().__init__("The terminal is too small.\nsockmon needs 50 × 12.", id="small", markup=False)
