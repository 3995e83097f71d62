"""The keys at the bottom of the main screen, which stays open as long as the program runs."""

from __future__ import annotations

from textual._styles_cache import StylesCache
from textual.app import ComposeResult
from textual.widgets import Footer


class LastingFooter(Footer):
    """A footer that does not keep the keys that it no longer shows.

    Textual 8.2 lets each key watch the footer, and forgets none of them (`Reactive._watch`): every other screen
    that was opened and closed, and every pane that got the focus, left 250 kB. And a cache of colours has the
    widget in its key, so the lines of a thousand widgets that are gone stay: 8 MB. It is emptied here, because the
    keys change whenever widgets go.

    The keys come after the first board: it takes as long to make their widgets as to draw it."""

    _begun = False

    def begin(self) -> None:
        """Show the keys from now on."""
        self._begun = True
        self.call_later(self.recompose)

    def compose(self) -> ComposeResult:
        """Draw the keys of now; those of before are gone."""
        if not self._begun:
            return
        getattr(self, "__watchers", {}).clear()
        StylesCache.get_inner_outer.cache_clear()
        yield from super().compose()
