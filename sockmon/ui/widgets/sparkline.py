"""A trend in one line of blocks."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

BLOCKS = "▁▂▃▄▅▆▇█"
LEAST_SPAN = 0.1
"""Share of the values that the scale spans at least, so that noise does not look like a mountain range."""


def sparkline(values: Sequence[float], width: int, style: str = "spark") -> Text:
    """The last `width` values between their least and their largest; what hardly moves is a level line."""
    shown = values[-width:] if width > 0 else ()
    if not shown:
        return Text(" " * max(width, 0))
    middle = (min(shown) + max(shown)) / 2
    span = max(max(shown) - min(shown), LEAST_SPAN * abs(middle)) or 1.0
    low = middle - span / 2 if middle else 0.0
    cells = "".join(BLOCKS[min(int((value - low) / span * 8), 7)] for value in shown)
    return Text(cells.rjust(width), style=style)
