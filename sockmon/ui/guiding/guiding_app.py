"""The part of the app that has guides: it feeds the walks, and opens the list and a walk."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property, partial
from typing import TYPE_CHECKING

from sockmon.assess import Assessment
from sockmon.kept_walks import KeptWalks
from sockmon.model.helper_protocol import GetHistory
from sockmon.model.plan import Proposal
from sockmon.model.report import Reading
from sockmon.model.transaction import Actor, Transaction
from sockmon.sources import Source
from sockmon.ui.main.screen import MainScreen
from sockmon.ui.navigation import NavigatingApp

if TYPE_CHECKING:
    from sockmon.guides import Guide
    from sockmon.guides.facts import Place
    from sockmon.ui.guiding.session import GuideSession
    from sockmon.ui.guiding.walk_screen import WalkScreen


class GuidingApp(NavigatingApp):
    """Walks take each sample and each change, whichever screen is on top."""

    source: Source
    actor: Actor
    netns: str
    """As `--netns` names it; empty for the namespace of sockmon itself."""

    def __init__(self, ansi_color: bool | None = None) -> None:
        super().__init__(ansi_color=ansi_color)
        self._guided = 0
        """The inode of the network namespace that new walks are about; 0: the one that sockmon was started for."""

    @cached_property
    def guide_session(self) -> GuideSession:
        """The walks of this screen."""
        from sockmon.ui.guiding.session import GuideSession

        return GuideSession(KeptWalks(self.show_message))

    def guided(self, now: Assessment) -> Assessment:
        """Return the view of the network namespace that new walks are about."""
        return _view(now, self._guided)

    def guide_place(self, view: Assessment) -> Place:
        """Return the source of the samples of a view, and what can be done from here."""
        from sockmon.ui.guiding.session import place_of

        assert self.newest is not None
        spaces, own = self.newest.snapshot.netns, view.snapshot.netns
        other = bool(own) and own[0].inode != spaces[0].inode
        return place_of(self.source, view, self.cannot_tune, own[0].entry if other else self.netns)

    def follow(self, now: Assessment) -> None:
        """Give each walk a sample of the network namespace that it is about."""
        # Before it is used, no walk was begun, and its code may not be imported yet.
        if "guide_session" in vars(self) and self.guide_session.begun:
            self.guide_session.add(partial(_view, now), self.guide_place)

    def plan_for(self, netns: int) -> None:
        """Read and plan the settings of the network namespace that a walk is about, by its inode."""
        self.plan_in(self._target_of(None, netns) if netns else None)

    def note_transactions(self, transactions: Iterable[Transaction]) -> None:
        """Tell the walks what became of their changes."""
        for each in transactions:
            self.guide_session.note_transaction(each, each.id in self.helper_session.hold.own_ids)

    def show_message(self, text: str) -> None:
        """Show a notification of plain text."""
        raise NotImplementedError

    # Screens

    def guide(self, ceiling: str = "", netns: int = 0) -> None:
        """Return to a walk that has not ended, or open the guide of a ceiling in a network namespace, by its
        inode; without both, open the list of guides."""
        from sockmon.ui.guiding.walk_screen import WalkScreen

        session = self.guide_session
        under_way = session.current is not None and session.current.outcome is None
        if (under_way and self._return_to(WalkScreen)) or not self._has_sample():
            return
        assert self.newest is not None
        if ceiling or not under_way:
            self._guided = netns
        view = self.guided(self.newest)
        found = session.guide_to(ceiling, view, self.guide_place(view)) if ceiling else None
        if found:
            self.walk(found)
        elif session.current and under_way and not ceiling:
            self.push_screen(WalkScreen(session.current))
        else:
            self.list_guides()

    def list_guides(self) -> None:
        """Open the list of guides."""
        from sockmon.ui.guiding.guide_list import GuideList
        from sockmon.ui.guiding.walk_screen import WalkScreen

        if not self._has_sample():
            return
        self._close(WalkScreen)
        if not self._return_to(GuideList):
            self.push_screen(GuideList())

    def walk(self, guide: Guide, again: bool = False) -> None:
        """Open the walk of a guide where it was left, or at its first step."""
        if not self._has_sample():
            return
        assert self.newest is not None
        view = self.guided(self.newest)
        found = None if again else self.guide_session.resume(guide, view, self.guide_place(view))
        if found is not None:
            if self.guide_session.has_open_change:
                self.ask_helper(GetHistory())
            self._open(guide, found.progress.number, begun=True)
        elif guide.asks_number:
            from sockmon.ui.guiding.prompt import PromptScreen, number_fault

            fault = partial(number_fault, guide)
            question = PromptScreen(guide.title, guide.question, guide.number_examples[0], fault)
            self.push_screen(question, partial(self._begin, guide))
        else:
            self._begin(guide, "")

    def _begin(self, guide: Guide, number: str | None) -> None:
        if number is not None:
            self._open(guide, number)

    def _open(self, guide: Guide, number: str, begun: bool = False) -> None:
        from sockmon.ui.guiding.walk_screen import WalkScreen

        assert self.newest is not None
        session, view = self.guide_session, self.guided(self.newest)
        walk = session.current if begun else session.begin(guide, view, self.guide_place(view), number)
        assert walk is not None
        self._close(WalkScreen)
        self.push_screen(WalkScreen(walk))

    def _has_sample(self) -> bool:
        if self.newest is None or not self.newest.snapshot.netns:
            self.show_message("no guide yet: there is no sample of a network namespace")
            return False
        return True

    def _close(self, kind: type[WalkScreen]) -> None:
        """Close the open walk and what is above it."""
        if self._return_to(kind):
            self.pop_screen()

    def board(self) -> None:
        """Return to the walk that has led to a change, or to the main screen."""
        from sockmon.ui.guiding.walk_screen import WalkScreen

        if not self._return_to(WalkScreen):
            super().board()

    def preview(self, proposal: Proposal, about: Reading | None = None) -> None:
        """Open the preview of a plan; a hold outlasts the verification of the guide that proposes it."""
        from sockmon.ui.tuning.preview import PreviewScreen

        names = [each.name for each in proposal.plan.settings]
        self.push_screen(PreviewScreen(proposal, about, needed_hold=self.guide_session.hold_for(names)))

    def action_guide(self) -> None:
        """Return to the walk, or open the list of guides for the network namespace that the panes show."""
        main = next((each for each in self.screen_stack if isinstance(each, MainScreen)), None)
        self.guide(netns=(main.chosen_netns if main else 0))


def _view(now: Assessment, netns: int) -> Assessment:
    """Return the view of one namespace, by its inode; that of the first one if it is 0 or has ended."""
    return now.of(netns) if any(each.inode == netns for each in now.snapshot.netns) else now.of_first
