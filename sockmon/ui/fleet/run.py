"""The fleet and the live screens of its hosts, one after the other on one terminal."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from sockmon.errors import ScreenFault, SockmonError
from sockmon.fleet.feed import Feed
from sockmon.fleet.hosts import FleetHost
from sockmon.settings import Settings
from sockmon.sources import Source, open_source
from sockmon.ui.app import SockmonApp
from sockmon.ui.driver import Terminal
from sockmon.ui.fleet.app import FleetApp
from sockmon.ui.fleet.reader import FleetReader
from sockmon.ui.fleet.screen import Kept
from sockmon.ui.run import forget_odd_size, load_settings, require_theme

NO_HELPER = "this is another host"


def run(
    feed: Feed, address_of: Callable[[FleetHost], str], theme: str | None, terminal: Terminal | None = None
) -> int:
    """Show the fleet until the user leaves, and return the exit code; raise ScreenFault."""
    forget_odd_size()
    chosen = load_settings(theme)
    reader, kept, not_opened = FleetReader(feed), Kept(), ""
    try:
        while True:
            app = FleetApp(reader, address_of, chosen, kept, not_opened, terminal)
            require_theme(app, theme)
            app.run()
            reader.leave()
            if app.failure is not None:
                raise app.failure
            if app.opening is None:
                return app.return_code or 0
            kept, chosen = app.kept, replace(chosen, theme=app.theme)
            host = _show_host(app.opening.address, chosen, terminal)
            if not host.returned:
                return host.return_code or 0
            not_opened = _reason(host.failure)
    finally:
        feed.close()


def _show_host(address: str, chosen: Settings, terminal: Terminal | None) -> SockmonApp:
    """Show the live screen of a host; its failure is that of the host, or a fault that is raised."""
    source: Source = open_source(address, chosen.interval, None)
    app = SockmonApp(source, chosen, no_helper=NO_HELPER, terminal=terminal, returns_to="fleet")
    try:
        app.run()
    finally:
        source.close()
    if isinstance(app.failure, ScreenFault):
        raise app.failure
    return app


def _reason(failure: SockmonError | None) -> str:
    return "; ".join(filter(None, (failure.message, failure.hint))) if failure else ""
