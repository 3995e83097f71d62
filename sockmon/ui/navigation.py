"""The part of the app that opens screens: tuning, preview, history, experiments, and the page of a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from textual.screen import Screen

from sockmon.model.detail import DetailQuery
from sockmon.model.netns_rules import NetnsQuery
from sockmon.model.plan import NetnsTarget, Proposal
from sockmon.model.report import Reading
from sockmon.ui.context import app_context
from sockmon.ui.main.screen import MainScreen
from sockmon.ui.tuning.hold_keys import HoldApp

if TYPE_CHECKING:
    from sockmon.ui.detail.sockets_place import SocketsPlace


class NavigatingApp(HoldApp):
    """Opens each screen, or returns to it if it is open already. Their code is imported after the first board
    (`later_imports.py`)."""

    def tune(
        self, reading: Reading | None = None, wanted: Mapping[str, str] | None = None, netns: int = 0
    ) -> None:
        """Open the tuning panel with the advice of `reading`, or with `wanted` in the plan for the network
        namespace of this inode; without both, return to an open panel."""
        from sockmon.ui.tuning.panel import TuningPanel

        if reading is None and not wanted and self._return_to(TuningPanel):
            return
        target = self._target_of(reading, netns)
        self.plan_in(target)
        self.push_screen(TuningPanel(reading, wanted, target))

    def _target_of(self, reading: Reading | None, netns: int = 0) -> NetnsTarget | None:
        """Return the network namespace whose settings a change for `reading`, or without one in `netns`, is about;
        None: that of sockmon."""
        from sockmon.tuning.planning.context import target_of

        snapshot = self.newest.snapshot if self.newest else None
        about = reading.netns.inode if reading and reading.netns else netns
        if reading is None and not netns:
            main = next((each for each in self.screen_stack if isinstance(each, MainScreen)), None)
            about = (main.netns_inode if main else None) or 0
        spaces = snapshot.netns if snapshot else ()
        return next((target_of(each) for each in spaces[1:] if each.inode == about and each.entry), None)

    def preview(self, proposal: Proposal, about: Reading | None = None) -> None:
        """Open the preview of a plan, where the user confirms it; `about`: the alarm that it is meant to end."""
        from sockmon.ui.tuning.preview import PreviewScreen

        self.push_screen(PreviewScreen(proposal, about))

    def history(self) -> None:
        """Open the history of changes."""
        from sockmon.ui.tuning.history import HistoryScreen

        if not self._return_to(HistoryScreen):
            self.push_screen(HistoryScreen())

    def board(self) -> None:
        """Return to the main screen."""
        self._return_to(MainScreen)

    def _return_to(self, kind: type[Screen[None]]) -> bool:
        """Return to the open screen of that kind; return False if there is none."""
        if not any(isinstance(screen, kind) for screen in self.screen_stack):
            return False
        while not isinstance(self.screen, kind):
            self.pop_screen()
        return True

    def prove(self, key: str) -> None:
        """Measure what `key` does."""
        from sockmon.ui.tuning.experiment import ExperimentScreen

        self.push_screen(ExperimentScreen(key))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to act only where there is something to act on."""
        if action == "act":
            return bool(self.screen_stack) and self._can_act_on(self.screen)
        return super().check_action(action, parameters)

    def _can_act_on(self, screen: Screen[object]) -> bool:
        if isinstance(screen, MainScreen):
            return True
        from sockmon.ui.acting.choices_of import can_act_on

        return can_act_on(screen)

    def action_act(self) -> None:
        """Open the dialog that closes, deletes or signals what is under the cursor, or say why it cannot."""
        from sockmon.ui.acting.act_screen import ActScreen
        from sockmon.ui.acting.choices_of import choices_of

        found = choices_of(self.screen)
        if isinstance(found, str):
            app_context(self.screen).show_message(found)
        else:
            spaces = self.newest.snapshot.netns if self.newest else ()
            names = {each.inode: each.name for each in spaces} if len(spaces) > 1 else None
            self.push_screen(ActScreen(found, names))

    def action_tune(self) -> None:
        """Open the tuning panel, for the alarm under the cursor if the board has the focus."""
        self.tune(self.screen.alarm_under_cursor if isinstance(self.screen, MainScreen) else None)

    def action_history(self) -> None:
        """Open the history of changes."""
        self.history()

    def action_addresses(self) -> None:
        """Open the addresses and rules of the network namespace that the screen is about."""
        from sockmon.ui.detail.addresses import AddressesScreen
        from sockmon.ui.detail.detail_screen import DetailScreen

        about = self.screen
        main = next((each for each in self.screen_stack if isinstance(each, MainScreen)), None)
        if isinstance(about, AddressesScreen) or not isinstance(about, MainScreen | DetailScreen):
            return
        inode = about.netns_inode or (main.netns_inode if main else None)
        if inode:
            self.push_screen(AddressesScreen(NetnsQuery(inode), "nat" if _is_about_nat(about) else ""))

    def open(self, thing: DetailQuery | Reading | SocketsPlace) -> None:
        """Open the screen of a reading, or of a process, a port group, a listener, a socket or all sockets."""
        from sockmon.ui.detail.screen_for import screen_for

        self.push_screen(screen_for(thing))


def _is_about_nat(screen: Screen[None]) -> bool:
    from sockmon.ceilings.snat import SNAT_PORTS
    from sockmon.ui.detail.ceiling import CeilingScreen

    return isinstance(screen, CeilingScreen) and screen.key[0] == SNAT_PORTS.id
