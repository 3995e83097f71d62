"""A trend in one line of blocks."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int, style: str = "spark") -> Text:
    """The last `width` values between their least and their largest; what hardly moves is a flat line.

    The scale spans at least a tenth of the values, so that noise does not look like a mountain range.
    """
    shown = values[-width:] if width > 0 else ()
    if not shown:
        return Text(" " * max(width, 0))
    low, high = min(shown), max(shown)
    span = max(high - low, 0.1 * abs(high)) or 1.0
    cells = "".join(BLOCKS[min(int((value - low) / span * 8), 7)] for value in shown)
    return Text(cells.rjust(width), style=style)
