"""Lines of Text as a widget's picture: which of them changed, and how one is drawn."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget


def repaint(widget: Widget, before: Sequence[Text], after: Sequence[Text]) -> None:
    """Have only the lines of `widget` drawn again that differ."""
    if len(before) != len(after):
        widget.refresh()
        return
    changed = [y for y, pair in enumerate(zip(before, after, strict=True)) if differ(*pair)]
    if changed:
        widget.refresh(*(Region(0, y, widget.size.width, 1) for y in changed))


def differ(one: Text, other: Text) -> bool:
    """Whether two lines look different; Text's own `==` ignores the style of the whole."""
    return one.plain != other.plain or one.spans != other.spans or one.style != other.style


def strip(line: Text, widget: Widget) -> Strip:
    """A line of `widget`, exactly as wide as it, on its background."""
    ground = widget.rich_style
    segments = [
        Segment(part, ground + style if isinstance(style, Style) else ground)
        for part, style, _ in line.render(widget.app.console, end="")
    ]
    return Strip(segments).adjust_cell_length(widget.size.width, ground)
