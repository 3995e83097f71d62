"""Putting values back, as compare-and-set: what somebody else has changed meanwhile is theirs.

The guard does this when time is up, and whoever heals a dead guard does it from the journal: the same code, which
may be killed at any point and begun again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Literal

from sockmon.errors import NotTuned
from sockmon.model.change import Setting, State
from sockmon.tuning.journal import Back, Journal, Restored, Write
from sockmon.tuning.targets import Target, by_hand, open_target

Outcome = Literal["as it was", "conflict", "stuck"]

_TRIES = 5
_PAUSE = 0.02


def restore(journal: Journal, targets: Mapping[int, Target], gone: Mapping[int, str]) -> tuple[State, list[str]]:
    """Undo what the journal says was done, last first; the state that results, and a sentence for all that is not
    as it was. `gone` has a reason for each setting that has no target."""
    story = journal.story
    journal.try_append(Back())
    words: list[str] = []
    outcomes: set[Outcome] = set()
    settings = story.begin.plan.settings if story.begin else ()
    for n in reversed(range(len(settings))):
        if n in story.restored or not (n in story.written or story.damaged):
            continue
        outcome, word = _put_back(journal, n, settings[n], targets.get(n), gone.get(n, ""))
        if outcome == "as it was":
            journal.try_append(Restored(n))
        outcomes.add(outcome)
        words += [word] if word else []
    return "stuck" if "stuck" in outcomes else "conflict" if "conflict" in outcomes else "reverted", words


def _put_back(journal: Journal, n: int, setting: Setting, target: Target | None, gone: str) -> tuple[Outcome, str]:
    if target is None:
        # A process that has ended, an interface that was removed: nothing is left that has the value.
        if not gone:
            return "as it was", f"{setting.name} is gone"
        return "stuck", f"{setting.name} could not be put back: {gone}; by hand: {by_hand(setting)}"
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE)
        try:
            return _try_put_back(journal, n, setting, target)
        except OSError as error:
            refused, absent = error.strerror or str(error), isinstance(error, FileNotFoundError)
    if absent:
        return "as it was", f"{setting.name}: {refused}, so nothing is left to put back"
    return "stuck", (
        f"{setting.name} could not be put back to {setting.old or 'nothing'}: {refused};"
        f" by hand: {by_hand(setting)}"
    )


def _try_put_back(journal: Journal, n: int, setting: Setting, target: Target) -> tuple[Outcome, str]:
    now = target.read()
    if target.same(now, setting.old):
        return "as it was", ""
    if not _is_ours(journal, n, setting, target, now):
        return "conflict", (
            f"{setting.name} is {now or 'empty'}, which somebody else wrote: it was left alone;"
            f" what it was before: {by_hand(setting)}"
        )
    refused: OSError | None = None
    # A long list is written piece by piece: whoever finds half of it must know that it is ours.
    journal.try_append(Write(n, setting.key))
    try:
        target.write(setting.old)
    except OSError as error:
        refused = error
    # A write that the kernel refused can have changed the value all the same.
    if target.same(target.read(), setting.old):
        return "as it was", ""
    raise refused or OSError(5, "the kernel took it and has another value")


def _is_ours(journal: Journal, n: int, setting: Setting, target: Target, now: str) -> bool:
    story = journal.story
    if target.same(now, setting.new) or (n in story.readback and target.same(now, story.readback[n])):
        return True
    # Written and never read back: a strange value is what our own write left.
    return n in story.written and n not in story.readback and not story.damaged


def open_targets(settings: tuple[Setting, ...]) -> tuple[dict[int, Target], dict[int, str]]:
    """The targets of a journal's settings by number, and why those are missing that could not be opened; the empty
    reason is for what is not there any more."""
    targets: dict[int, Target] = {}
    gone: dict[int, str] = {}
    for n, setting in enumerate(settings):
        for _ in range(_TRIES):
            try:
                targets[n] = open_target(setting)
            except NotTuned as error:
                gone[n] = error.message
            except OSError as error:
                gone[n] = "" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
                continue
            break
    return targets, {n: reason for n, reason in gone.items() if n not in targets}


def close_targets(targets: Mapping[int, Target]) -> None:
    """Let go of all of them."""
    for target in targets.values():
        with suppress(OSError):
            target.close()
