"""Every key that does something is listed in the help and in docs/keys.md, those of Textual too."""

from __future__ import annotations

from textual.command import CommandPalette
from textual.widgets import Input

from sockmon.ui.common_keys import EVERYWHERE, IN_A_LINE, IN_THE_PALETTE
from sockmon.ui.keys import BY_ID, canonical
from tests.ui.held_app import Seen, play

WAYS = (
    *("b", "enter", "escape", "t", "slash", "escape", "enter", "escape", "v", "escape", "h", "escape", "escape"),
    *("escape", "2", "enter", "escape", "3", "enter", "escape", "4", "enter", "escape", "slash", "escape"),
    *("question_mark", "escape", "colon", "escape"),
)
"""Keys that visit board, ceiling, panel, its filter, a value, a plan, history, panes, filter, help, palette."""
NO_EFFECT = ("scroll_up", "scroll_down", "page_up", "page_down", "page_left", "page_right")
"""Actions that an input line inherits and cannot use."""


def unlisted(seen: Seen) -> set[tuple[str, str, str]]:
    """Return the active keys that are listed nowhere."""
    screen = seen.app.screen
    typing = isinstance(seen.app.focused, Input)
    lists = [
        *EVERYWHERE,
        *(IN_A_LINE if typing else ()),
        *(IN_THE_PALETTE if isinstance(screen, CommandPalette) else ()),
    ]
    listed = {canonical(key) for each in lists for key in each.keys.split(",")}
    found = set()
    for key, active in screen.active_bindings.items():
        ours = active.binding.id in BY_ID
        nothing = isinstance(active.node, Input) and active.binding.action in NO_EFFECT
        if not ours and not nothing and canonical(key) not in listed:
            found.add((type(screen).__name__, key, active.binding.action))
    return found


async def test_every_active_key_is_listed() -> None:
    kinds = set()
    async with play() as seen:
        for key in WAYS:
            await seen.pilot.press(key)
            await seen.pilot.pause(0.1)
            assert unlisted(seen) == set()
            kinds.add(type(seen.app.screen).__name__)
    assert kinds >= {"MainScreen", "CeilingScreen", "TuningPanel", "EditScreen", "ProcessScreen", "HelpScreen"}
    assert "CommandPalette" in kinds
