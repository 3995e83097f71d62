"""Lines of Text as the content of a widget: which of them changed, and how one is drawn."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget


def repaint(widget: Widget, before: Sequence[Text], after: Sequence[Text]) -> None:
    """Draw only those lines of `widget` again that differ."""
    if len(before) != len(after):
        widget.refresh()
        return
    changed = [y for y, pair in enumerate(zip(before, after, strict=True)) if looks_different(*pair)]
    if changed:
        widget.refresh(*(Region(0, y, widget.size.width, 1) for y in changed))


def looks_different(one: Text, other: Text) -> bool:
    """Return whether two lines look different; `==` of Text ignores the style of the whole text."""
    return one.plain != other.plain or one.spans != other.spans or one.style != other.style


def line_strip(line: Text, widget: Widget) -> Strip:
    """Return a line of `widget`, exactly as wide, on its background."""
    ground = widget.rich_style
    segments = [
        Segment(part, ground + style if isinstance(style, Style) else ground)
        for part, style, _ in line.render(widget.app.console, end="")
    ]
    return Strip(segments).adjust_cell_length(widget.size.width, ground)
