"""Keys that Textual gives every table, page and line of text: listed in the help, and not configurable."""

from __future__ import annotations

from typing import NamedTuple


class CommonKeys(NamedTuple):
    """Keys that do the same on every screen."""

    keys: str
    """Comma-separated, in Textual's names."""
    description: str


EVERYWHERE = (
    CommonKeys("left,right,ctrl+pageup,ctrl+pagedown", "Scroll sideways"),
    CommonKeys("tab,shift+tab", "Next or previous part of a page"),
    CommonKeys("ctrl+c,super+c", "Copy what the mouse has selected"),
)
IN_A_LINE = (
    CommonKeys("left,right,ctrl+left,ctrl+right", "Move by a letter or a word"),
    CommonKeys("home,ctrl+a,end,ctrl+e", "Move to the start or the end"),
    CommonKeys("backspace,delete,ctrl+d", "Delete a letter"),
    CommonKeys("ctrl+w,ctrl+backspace,alt+backspace", "Delete a word"),
    CommonKeys("ctrl+u,super+backspace,ctrl+k", "Delete to the start or the end"),
    CommonKeys("shift+left,shift+right,shift+home,shift+end", "Select"),
    CommonKeys("ctrl+shift+left,ctrl+shift+right,ctrl+shift+a", "Select words, or all"),
    CommonKeys("ctrl+x,ctrl+c,super+c,ctrl+v", "Cut, copy, paste"),
    CommonKeys("enter", "Confirm"),
)
IN_THE_PALETTE = (CommonKeys("ctrl+home,ctrl+end", "First or last command"), CommonKeys("escape", "Leave"))
