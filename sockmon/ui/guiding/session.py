"""The walks of this screen: each takes every sample and every change, and its progress is kept in a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from sockmon import own_command
from sockmon.assess import Assessment
from sockmon.guides import GUIDES, Guide, guides_to
from sockmon.guides.facts import Facts, Place
from sockmon.guides.fitting import fitting
from sockmon.guides.guide import Act, End
from sockmon.guides.progress import Progress, decode, encode
from sockmon.guides.walk import FAILED_STATES, Walk, step_of
from sockmon.kept_walks import KeptWalks
from sockmon.model.snapshot import Snapshot
from sockmon.model.transaction import Transaction
from sockmon.sources import Source


class GuideSession:
    """Begins, continues and feeds walks; `current` is the one that the user has on the screen, or had last."""

    def __init__(self, kept: KeptWalks) -> None:
        self.current: Walk | None = None
        self._walks: dict[str, Walk] = {}
        self._kept = kept
        self._loaded: dict[str, Progress | None] = {}
        """What was in the files when they were read first."""
        self._saved: dict[str, Progress] = {}

    @property
    def begun(self) -> bool:
        """Whether any guide was begun or continued on this screen."""
        return bool(self._walks)

    def fitting(self, now: Assessment, place: Place) -> list[tuple[Guide, str]]:
        """Return every guide with the reason why it fits: those under way, those that fit, and the others."""
        found = fitting(GUIDES, Facts(now, place))
        return sorted(found, key=lambda each: not self._is_under_way(each[0], now.snapshot))

    def guide_to(self, ceiling: str, now: Assessment, place: Place) -> Guide | None:
        """Return the most specific guide that leads to a ceiling, one that fits before others."""
        found = guides_to(ceiling)
        why = {guide.name: reason for guide, reason in fitting(found, Facts(now, place))}
        return next(iter(sorted(found, key=lambda guide: not why[guide.name])), None)

    def _is_under_way(self, guide: Guide, snapshot: Snapshot) -> bool:
        progress = self.progress_of(guide, snapshot)
        return progress is not None and not isinstance(step_of(guide, progress), End)

    def progress_of(self, guide: Guide, snapshot: Snapshot) -> Progress | None:
        """Return how far a guide was walked on this host; None if it was not begun."""
        if guide.name in self._walks:
            progress = self._walks[guide.name].progress
            return progress if progress.continues_on(snapshot) else None
        if guide.name not in self._loaded:
            self._loaded[guide.name] = self._kept.load(guide.name, decode)
        kept = self._loaded[guide.name]
        return kept if kept and kept.continues_on(snapshot) else None

    def resume(self, guide: Guide, now: Assessment, place: Place) -> Walk | None:
        """Return the walk of a guide where it was left; None if it was not begun on this host."""
        progress = self.progress_of(guide, now.snapshot)
        if progress is None:
            self.current = None
        elif guide.name in self._walks:
            self.current = self._walks[guide.name]
        else:
            self.current = self._walks[guide.name] = Walk(guide, now, place, progress=progress)
        return self.current

    def begin(self, guide: Guide, now: Assessment, place: Place, number: str = "") -> Walk:
        """Begin a guide at its first step, in place of its walk before."""
        self.current = self._walks[guide.name] = Walk(guide, now, place, number)
        self.save()
        return self.current

    def add(self, view: Callable[[int], Assessment], place: Callable[[Assessment], Place]) -> None:
        """Give every walk a sample of its network namespace, if that has one: `view` returns it by the inode."""
        for walk in self._walks.values():
            now = view(walk.progress.netns)
            if now.snapshot.netns and walk.progress.netns in (0, now.snapshot.netns[0].inode):
                walk.place = place(now)
                walk.add(now)

    def save(self) -> None:
        """Keep the progress that has changed."""
        for name, walk in self._walks.items():
            if self._saved.get(name) is not walk.progress:
                self._saved[name] = walk.progress
                self._kept.save(walk.progress.guide, encode(walk.progress))

    def note_transaction(self, transaction: Transaction, own: bool) -> None:
        """Note what became of a change; one that this screen has made at an act leads to the next step."""
        for walk in self._walks.values():
            known = next((each for each in walk.progress.changes if each.id == transaction.id), None)
            noted = (transaction.state, transaction.persisted)
            if known and (known.state, known.persisted) != noted:
                walk.changed(transaction)
            elif own and known is None and walk is self.current and is_proposed(walk, transaction):
                walk.changed(transaction)
                if transaction.state not in FAILED_STATES and walk.suggested:
                    walk.take(walk.suggested.to)
        self.save()

    @property
    def has_open_change(self) -> bool:
        """Whether the outcome of a change is not known: it was pending when it was noted."""
        return any(each.state == "holding" for walk in self._walks.values() for each in walk.progress.changes)

    def hold_for(self, names: Iterable[str]) -> float:
        """Return the seconds that a hold of these settings needs for the verification after it; 0 if none does."""
        walk = self.current
        if walk is None or not {each.key for each in walk.wanted} & set(names):
            return 0.0
        return walk.needed_hold


def is_proposed(walk: Walk, transaction: Transaction) -> bool:
    """Return whether a change has a setting that the present step of a walk proposes."""
    names = {each.name for each in transaction.plan.settings}
    return isinstance(walk.step, Act) and bool(names & {each.key for each in walk.wanted})


def place_of(source: Source, now: Assessment, cannot_change: str, netns: str = "") -> Place:
    """Return where the samples of a screen come from, and what can be done from here; `netns` as of `--netns`."""
    root = now.snapshot.host.uid == 0
    if source.remote:
        return Place("remote", root, cannot_change, sudo=True)
    if not source.live:
        return Place("recording", root, cannot_change, sudo=True)
    entry = now.snapshot.netns[0].entry if now.snapshot.netns else ""
    return Place("live", root, cannot_change, own_command.command(), os.geteuid() != 0, netns, entry)
