"""Makes screens ignore outdated sizes of the terminal; Textual would alternate between two sizes for ever.

Textual's screen posts the size that it has laid out to itself. If the terminal gets another size before that
message is handled, both sizes are laid out and posted again without end, and no key is handled.
"""

from __future__ import annotations

from typing import Any

from textual.events import Resize
from textual.screen import Screen

_lay_out = Screen._on_resize


async def _on_resize(self: Screen[Any], event: Resize) -> None:
    """Lay out the newest size; the app posts it after an older one that is ignored here."""
    if self.app._size in (None, event.size):
        await _lay_out(self, event)
    else:
        event.stop()


def ignore_old_sizes() -> None:
    """Patch Textual's Screen; calling it twice is safe."""
    # A base class of ours would not reach the command palette.
    screen: Any = Screen
    screen._on_resize = _on_resize
