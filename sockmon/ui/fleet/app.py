"""The app of a fleet: its screen, the page of a host, and which host is to be opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar, NamedTuple

from textual.app import SystemCommand
from textual.binding import BindingType
from textual.screen import Screen

from sockmon.errors import SockmonError
from sockmon.fleet.feed import Feed
from sockmon.fleet.hosts import FleetHost
from sockmon.settings import Settings
from sockmon.ui import commands, keys
from sockmon.ui.configured_app import ConfiguredApp
from sockmon.ui.driver import Terminal
from sockmon.ui.fleet.cells import HostRow
from sockmon.ui.fleet.filter_values import KNOWN
from sockmon.ui.fleet.host_page import HostPage
from sockmon.ui.fleet.reader import FleetRead, FleetReader
from sockmon.ui.fleet.screen import FleetScreen, Kept
from sockmon.ui.help import HelpScreen, HelpTopics

APP_KEYS = ("back", "refresh", "palette", "help", "quit", "suspend", "quit.now")
"""Of the keys that work on every screen, those that a fleet has a use for."""
HELP = HelpTopics(
    (
        "The hosts are ranked: the top line is the host that reaches a limit first.",
        "LIMIT is the limit that a host is nearest to, SUBJECT what has it, USED / LIMIT the numbers of both.",
        "TREND is the fullest limit of the host; where nothing was sampled it is empty.",
        "LEFT is the time to that limit at the present rate; — if it does not grow.",
        "ALSO: further limits of the host with an alarm. AGE: how old its newest sample is.",
        "? means unknown: stale (no new samples), gone (it had metrics within the last hour), failed (no report).",
        "Such a host may be the sick one: it stands below the alarms and above the healthy hosts.",
        "Enter opens the live screen of a host over ssh; Esc there comes back. d shows what is known without it.",
        "L groups the hosts by each label, and by their nearest limit; Enter opens a group.",
    ),
    tuple(
        each
        for each in keys.ACTIONS
        if each.place in ("table", "fleet") or each.id == "filter" or each.id in APP_KEYS
    ),
    tuple(KNOWN),
)


NOTHING_KEPT = Kept()


class Opening(NamedTuple):
    """The host whose live screen is to be opened."""

    name: str
    address: str
    """`ssh://...`"""


class FleetApp(ConfiguredApp):
    """Draws what the reader has; ends, with `opening` set, to give the terminal to the live screen of a host."""

    CSS_PATH: ClassVar[list[str]] = [  # type: ignore[assignment]
        "../app.tcss",
        "../detail/detail.tcss",
        "fleet.tcss",
    ]
    BINDINGS: ClassVar[list[BindingType]] = [keys.binding(name) for name in APP_KEYS]

    def __init__(
        self,
        reader: FleetReader,
        address_of: Callable[[FleetHost], str],
        chosen: Settings,
        kept: Kept = NOTHING_KEPT,
        not_opened: str = "",
        terminal: Terminal | None = None,
        pushed: bool = False,
    ) -> None:
        """`address_of` raises SockmonError for a host without an address; `not_opened`: why the live screen of
        `kept.host` did not open; `pushed`: the agent is sent to a host that is opened."""
        super().__init__(chosen, terminal)
        self._reader = reader
        self._address_of = address_of
        self._not_opened = not_opened
        self._pushed = pushed
        self.fleet_screen = FleetScreen(kept, reader.feed.trend_title, reader.feed.trend_seconds)
        self.kept = kept
        self.opening: Opening | None = None

    @property
    def feed(self) -> Feed:
        """The source of the fleet."""
        return self._reader.feed

    def on_mount(self) -> None:
        self.apply_settings()
        self.screen_change_signal.subscribe(self, lambda screen: self.call_later(self.draw_top))
        self.push_screen(self.fleet_screen)
        self.set_interval(1.0, self.fleet_screen.tick)
        self._reader.listen(self.post_message)

    def on_fleet_read(self, message: FleetRead) -> None:
        """Draw the newest state."""
        self.draw_top()

    def draw_top(self) -> None:
        """Draw the newest state on the board and on the page of a host."""
        if not self.fleet_screen.is_mounted:
            return
        self.fleet_screen.show(self._reader.state)
        row = self.fleet_screen.row_of(self.kept.host) if self._not_opened else None
        if row is not None:
            reason, self._not_opened = self._not_opened, ""
            self.show_host(row, reason)
        if isinstance(self.screen, HostPage) and (row := self.fleet_screen.row_of(self.screen.name_of_host)):
            self.screen.show_row(row)
            self.screen.ask()

    # Opening

    def address(self, host: FleetHost) -> str:
        """Return the `ssh://` address of a host; empty if it has none."""
        try:
            return self._address_of(host)
        except SockmonError:
            return ""

    def open_host(self, row: HostRow) -> None:
        """Open the live screen of a host, or its page with the reason if it has no address."""
        try:
            address = self._address_of(row.host)
        except SockmonError as error:
            self.show_host(row, "; ".join(filter(None, (error.message, error.hint))))
            return
        self.opening = Opening(row.host.name, address)
        self.kept = self.fleet_screen.keep()._replace(host=row.host.name)
        self.give_way()

    def show_host(self, row: HostRow, not_opened: str = "") -> None:
        """Open the page of a host, unless it is open; `not_opened`: why its live screen did not open."""
        if isinstance(self.screen, HostPage) and self.screen.name_of_host == row.host.name:
            self.screen.say_not_opened(not_opened)
            return
        address = self.address(row.host)
        how = f"sockmon --from {address}{' --push' * self._pushed}" if address else ""
        self.push_screen(HostPage(row, self.feed.trend_seconds, not_opened, how))

    # Keys

    async def action_back(self) -> None:
        """Go one step back: close the filter, then the group, then the screen."""
        if self.screen is self.fleet_screen:
            self.fleet_screen.back()
        else:
            self.pop_screen()

    def action_leave(self) -> None:
        """Close the screen, or exit if it is that of the hosts."""
        if self.screen is self.fleet_screen:
            self.exit()
        else:
            self.pop_screen()

    def action_refresh_now(self) -> None:
        """Ask the source now, and draw the whole screen: another program may have written on the terminal."""
        self._reader.feed.refresh()
        if self._driver is not None:
            self.draw_all()

    def action_help(self) -> None:
        """Open or close the help."""
        if isinstance(self.screen, HelpScreen):
            self.pop_screen()
        else:
            first = self.screen.HELP_FIRST if isinstance(self.screen, HostPage | FleetScreen) else {}
            self.push_screen(HelpScreen(keys.effective(self.keys), True, first, HELP))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Return the commands of the palette."""
        return commands.commands(self, screen, self.keys)
