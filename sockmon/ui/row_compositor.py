"""Textual's compositor, which renders of the widgets only those lines that are drawn.

Textual renders every line of every widget between the first and the last changed line: for the clock in the first
line and a plot in the last one that is the whole screen, each second."""

from __future__ import annotations

from collections.abc import Iterable

from textual._compositor import ChopsUpdate, Compositor
from textual.geometry import Region
from textual.strip import Strip


class RowCompositor(Compositor):
    """Renders each block of changed lines by itself."""

    def render_partial_update(self) -> ChopsUpdate | None:
        """Return the changed parts of the screen; None if there are none."""
        spans = list(self._regions_to_spans(self._dirty_regions))
        self._dirty_regions.clear()
        changed = sorted({y for y, _, _ in spans if 0 <= y < self.size.height})
        if not changed:
            return None
        chops = [dict[int, Strip | None]() for _ in self.cuts]
        for begin, end in _blocks(changed):
            parts = [(left, right) for y, left, right in spans if begin <= y < end]
            left, right = min(left for left, _ in parts), max(right for _, right in parts)
            crop = Region(left, begin, right - left, end - begin)
            chops[begin:end] = map(dict, self._render_chops(crop, range(begin, end).__contains__)[begin:end])
        return ChopsUpdate(chops, spans, [cuts[1:] for cuts in self.cuts])

    def _get_renders(self, crop: Region | None = None) -> Iterable[tuple[Region, Region, list[Strip]]]:
        """Yield the lines of each widget that are within `crop`, with their region and its clip; front to back."""
        for widget, (region, clip) in self.visible_widgets.items():
            seen = region.intersection(clip)
            if crop is not None:
                if not seen.overlaps(crop):
                    continue
                # A line is rendered as a whole, because it is cut where widgets begin and end.
                seen = seen.intersection(Region(seen.x, crop.y, seen.width, crop.height))
            if seen:
                yield seen, clip, widget.render_lines(seen.translate((-region.x, -region.y)))


def _blocks(lines: list[int]) -> Iterable[tuple[int, int]]:
    """Yield the first line of each run of adjacent lines, and the line after it."""
    begin = end = lines[0]
    for line in lines:
        if line > end:
            yield begin, end
            begin = line
        end = line + 1
    yield begin, end
