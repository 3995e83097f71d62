"""What the screens of a fleet may use of their app."""

from __future__ import annotations

from typing import Protocol, cast

from textual.widget import Widget

from sockmon.fleet.feed import Feed
from sockmon.fleet.hosts import FleetHost
from sockmon.ui.fleet.cells import HostRow


class FleetContext(Protocol):
    """The app, as its screens use it."""

    @property
    def feed(self) -> Feed:
        """The source of the fleet."""

    def address(self, host: FleetHost) -> str:
        """Return the `ssh://` address of a host; empty if it has none."""

    def open_host(self, row: HostRow) -> None:
        """Open the live screen of a host, or its page with the reason if it has no address."""

    def show_host(self, row: HostRow, not_opened: str = "") -> None:
        """Open the page of a host; `not_opened`: why its live screen did not open."""


def fleet_context(widget: Widget) -> FleetContext:
    """Return the app of a widget; this is the one place where it is cast."""
    return cast(FleetContext, widget.app)
