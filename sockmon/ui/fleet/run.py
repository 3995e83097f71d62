"""The fleet and the live screens of its hosts, one after the other on one terminal."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from sockmon.fleet.feed import Feed
from sockmon.fleet.hosts import FleetHost
from sockmon.ui.driver import Terminal
from sockmon.ui.fleet.app import FleetApp
from sockmon.ui.fleet.live_host import show_live
from sockmon.ui.fleet.reader import FleetReader
from sockmon.ui.fleet.screen import Kept
from sockmon.ui.starting import forget_odd_size, load_settings, require_theme


def run(
    feed: Feed,
    address_of: Callable[[FleetHost], str],
    theme: str | None,
    terminal: Terminal | None = None,
    pushed: bool = False,
) -> int:
    """Show the fleet until the user leaves, and return the exit code; raise ScreenFault.

    `address_of` raises SockmonError for a host without an address; `pushed`: send the agent to a host that is
    opened."""
    forget_odd_size()
    chosen = load_settings(theme)
    reader, kept, not_opened = FleetReader(feed), Kept(), ""
    try:
        while True:
            app = FleetApp(reader, address_of, chosen, kept, not_opened, terminal, pushed)
            require_theme(app, theme)
            app.run()
            reader.leave()
            if app.failure is not None:
                raise app.failure
            if app.opening is None:
                return app.return_code or 0
            kept, chosen = app.kept, replace(chosen, theme=app.theme)
            ended = show_live(app.opening.address, app.theme, pushed)
            if not ended.returned:
                return ended.code
            not_opened = ended.reason
    finally:
        feed.close()
