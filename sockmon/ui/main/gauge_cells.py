"""Cells of the board and the panes that show a gauge: usage, time left, rate, and counts."""

from __future__ import annotations

from rich.text import Text

from sockmon import format as fmt
from sockmon.assess import Gauge
from sockmon.model.report import Reading
from sockmon.model.severity import ALARMS
from sockmon.ui.appearance.styles import SEVERITY_STYLES
from sockmon.ui.filtering.row_values import seconds_left
from sockmon.ui.levels import levels_of
from sockmon.ui.widgets.bar import bar

UNKNOWN_GAUGE = Gauge(None, None, None, None, None, "unknown")
MIN_RATE = 0.05
"""Units per second below which a rate is shown as none."""


def alarm_style(gauge: Gauge | Reading) -> str:
    """Return the style of an alarm; empty without an alarm."""
    return SEVERITY_STYLES[gauge.severity].style if gauge.severity in ALARMS else ""


def usage_bar(gauge: Gauge | Reading, width: int, ceiling: str) -> Text:
    """Return a bar with the marks of a ceiling."""
    return bar(gauge.ratio, width, gauge.severity, levels_of(gauge, ceiling))


def usage_cell(gauge: Gauge, width: int, ceiling: str) -> Text:
    """Return a bar and its per cent in `width` cells."""
    return Text.assemble(
        usage_bar(gauge, width - 6, ceiling), (fmt.ratio(gauge.ratio).rjust(6), alarm_style(gauge))
    )


def eta_cell(gauge: Gauge | Reading) -> Text:
    """Return the time left until the limit: `now`, `~4 min`, or `—` if it does not matter."""
    seconds = seconds_left(gauge)
    shown = "now" if gauge.severity == "hit" else fmt.eta(seconds)
    return Text(shown, "faint" if seconds is None else alarm_style(gauge) or "muted")


def rate_cell(gauge: Gauge | Reading) -> Text:
    """Return the change per second; faint if there is none."""
    growing = (gauge.rate or 0) >= MIN_RATE
    return Text(fmt.rate(gauge.rate), (alarm_style(gauge) or "muted") if growing else "faint")


def number(value: int | None, style: str = "") -> Text:
    """Return a count with thousands separated; 0 is faint, unknown is `?`."""
    return Text(fmt.count(value), style="sev-unknown" if value is None else ("faint" if value == 0 else style))
