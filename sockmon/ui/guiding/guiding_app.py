"""The part of the app that has guides: it feeds the walks, and opens the list and a walk."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from sockmon.assess import Assessment
from sockmon.guides import Guide
from sockmon.guides.facts import Place
from sockmon.kept_walks import KeptWalks
from sockmon.model.helper_protocol import GetHistory
from sockmon.model.plan import Proposal
from sockmon.model.report import Reading
from sockmon.model.transaction import Actor, Transaction
from sockmon.sources import Source
from sockmon.ui.guiding.guide_list import GuideList
from sockmon.ui.guiding.prompt import PromptScreen, number_fault
from sockmon.ui.guiding.session import GuideSession, place_of
from sockmon.ui.guiding.walk_screen import WalkScreen
from sockmon.ui.navigation import NavigatingApp
from sockmon.ui.tuning.preview import PreviewScreen


class GuidingApp(NavigatingApp):
    """Walks take each sample and each change, whichever screen is on top."""

    source: Source
    actor: Actor
    netns: str
    """As `--netns` names it; empty for the namespace of sockmon itself."""

    def __init__(self, ansi_color: bool | None = None) -> None:
        super().__init__(ansi_color=ansi_color)
        self.guide_session = GuideSession(KeptWalks(self.show_message))

    @property
    def guide_place(self) -> Place:
        """The source of the samples, and what can be done from here."""
        assert self.newest is not None
        return place_of(self.source, self.newest.of_first, self.cannot_tune, self.netns)

    def follow(self, now: Assessment) -> None:
        """Give a sample to the walks, which are about the namespace of sockmon."""
        if self.guide_session.begun:
            self.guide_session.add(now.of_first, self.guide_place)

    def note_transactions(self, transactions: Iterable[Transaction]) -> None:
        """Tell the walks what became of their changes."""
        for each in transactions:
            self.guide_session.note_transaction(each, each.id in self.helper_session.hold.own_ids)

    def show_message(self, text: str) -> None:
        """Show a notification of plain text."""
        raise NotImplementedError

    # Screens

    def guide(self, ceiling: str = "") -> None:
        """Return to a walk that has not ended, or open the guide of a ceiling; without both, open the list of
        guides."""
        session = self.guide_session
        under_way = session.current is not None and session.current.outcome is None
        if (under_way and self._return_to(WalkScreen)) or not self._has_sample():
            return
        assert self.newest is not None
        found = session.guide_to(ceiling, self.newest.of_first, self.guide_place) if ceiling else None
        if found:
            self.walk(found)
        elif session.current and under_way and not ceiling:
            self.push_screen(WalkScreen(session.current))
        else:
            self.list_guides()

    def list_guides(self) -> None:
        """Open the list of guides."""
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
        found = None if again else self.guide_session.resume(guide, self.newest.of_first, self.guide_place)
        if found is not None:
            if self.guide_session.has_open_change:
                self.ask_helper(GetHistory())
            self._open(guide, found.progress.number, begun=True)
        elif guide.asks_number:
            fault = partial(number_fault, guide)
            question = PromptScreen(guide.title, guide.question, guide.number_examples[0], fault)
            self.push_screen(question, partial(self._begin, guide))
        else:
            self._begin(guide, "")

    def _begin(self, guide: Guide, number: str | None) -> None:
        if number is not None:
            self._open(guide, number)

    def _open(self, guide: Guide, number: str, begun: bool = False) -> None:
        assert self.newest is not None
        session = self.guide_session
        walk = session.current if begun else session.begin(guide, self.newest.of_first, self.guide_place, number)
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
        if not self._return_to(WalkScreen):
            super().board()

    def preview(self, proposal: Proposal, about: Reading | None = None) -> None:
        """Open the preview of a plan; a hold outlasts the verification of the guide that proposes it."""
        names = [each.name for each in proposal.plan.settings]
        self.push_screen(PreviewScreen(proposal, about, needed_hold=self.guide_session.hold_for(names)))

    def action_guide(self) -> None:
        """Return to the walk, or open the list of guides."""
        self.guide()
