"""A sparkline: a trend in one line of blocks."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

BLOCKS = "▁▂▃▄▅▆▇"
"""Without the full block: a line of air stays between the trends of neighbouring rows."""
MIN_SPAN_RATIO = 0.1
"""Minimum range of the scale, as a share of the values, so that noise is not magnified."""


def sparkline(values: Sequence[float], width: int, style: str = "spark") -> Text:
    """Return the last `width` values, scaled from minimum to maximum; nearly constant ones are a flat line."""
    shown = values[-width:] if width > 0 else ()
    if not shown:
        return Text(" " * max(width, 0))
    middle = (min(shown) + max(shown)) / 2
    span = max(max(shown) - min(shown), MIN_SPAN_RATIO * abs(middle)) or 1.0
    low = middle - span / 2 if middle else 0.0
    top = len(BLOCKS)
    cells = "".join(BLOCKS[min(int((value - low) / span * top), top - 1)] for value in shown)
    return Text(cells.rjust(width), style=style)
