"""The rollback: writes each old value back as compare-and-set, so that a value of another process is left alone.

The guard runs this when the hold expires; recovery runs it from the journal of a dead guard. It can be killed at
any point and started again."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Literal

from sockmon.errors import TuningError
from sockmon.model.plan import NetnsTarget, Plan, Setting
from sockmon.model.transaction import State
from sockmon.tuning.transaction.journal import Journal, Restored, RollbackStarted, Write
from sockmon.tuning.transaction.plan_netns import NetnsEnded, ended_message, inside
from sockmon.tuning.transaction.targets import Target, open_target, rollback_command

Outcome = Literal["restored", "conflict", "stuck"]

_ATTEMPTS = 5
_RETRY_SECONDS = 0.02


def rollback(
    journal: Journal, targets: Mapping[int, Target], missing: Mapping[int, str]
) -> tuple[State, list[str]]:
    """Roll back what the journal says was written, last first; return the state, and a message for each setting
    that is not restored. `missing` has the reason for each setting without a target."""
    recorded = journal.state
    journal.try_append(RollbackStarted())
    messages: list[str] = []
    outcomes: set[Outcome] = set()
    settings = recorded.begin.plan.settings if recorded.begin else ()
    netns = _netns_of(journal)
    for n in reversed(range(len(settings))):
        if n in recorded.restored or not (n in recorded.written or recorded.damaged):
            continue
        outcome, message = _rollback_one(journal, n, settings[n], targets.get(n), missing.get(n, ""))
        if outcome == "restored":
            journal.try_append(Restored(n))
            if message and netns is not None and settings[n].is_sysctl:
                message = ended_message(netns)
        outcomes.add(outcome)
        messages += [message] if message else []
    state: State = "stuck" if "stuck" in outcomes else "conflict" if "conflict" in outcomes else "reverted"
    return state, [*dict.fromkeys(messages)]


def _rollback_one(
    journal: Journal, n: int, setting: Setting, target: Target | None, missing: str
) -> tuple[Outcome, str]:
    if target is None:
        # The process has ended, or the interface was removed: nothing has the new value any more.
        if not missing:
            return "restored", f"{setting.name}: it does not exist any more"
        return (
            "stuck",
            f"{setting.name}: not rolled back: {missing}; run: {_by_hand(journal, setting)}",
        )
    reason, absent = "", False
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_RETRY_SECONDS)
        try:
            return _restore_old_value(journal, n, setting, target)
        except OSError as error:
            # What does not exist any more does not come back: another error after that is no reason to give up.
            reason = reason if absent else error.strerror or str(error)
            absent = absent or isinstance(error, FileNotFoundError)
    if absent:
        return "restored", f"{setting.name}: it does not exist any more: {reason}"
    old = setting.old or "an empty value"
    return (
        "stuck",
        f"{setting.name}: not rolled back to {old}: {reason}; run: {_by_hand(journal, setting)}",
    )


def _restore_old_value(journal: Journal, n: int, setting: Setting, target: Target) -> tuple[Outcome, str]:
    now = target.read()
    if target.equal(now, setting.old):
        return "restored", ""
    if not _is_our_value(journal, n, setting, target, now):
        return "conflict", (
            f"{setting.name}: left at {now or 'an empty value'}, which another process wrote;"
            f" the old value: {_by_hand(journal, setting)}"
        )
    rejected: OSError | None = None
    # A long list is written in pieces: a recovery that finds half of it must know that this was us.
    journal.try_append(Write(n, setting.key))
    try:
        target.write(setting.old)
    except OSError as error:
        rejected = error
    # A rejected write can have changed the value all the same.
    if target.equal(target.read(), setting.old):
        return "restored", ""
    raise rejected or OSError(5, "the kernel accepted the write, but reports another value")


def _netns_of(journal: Journal) -> NetnsTarget | None:
    return journal.state.begin.plan.target if journal.state.begin else None


def _by_hand(journal: Journal, setting: Setting) -> str:
    return rollback_command(setting, _netns_of(journal))


def _is_our_value(journal: Journal, n: int, setting: Setting, target: Target, now: str) -> bool:
    recorded = journal.state
    if target.equal(now, setting.new) or (n in recorded.readback and target.equal(now, recorded.readback[n])):
        return True
    # Written and never read back: any unknown value is the result of our own write.
    return n in recorded.written and n not in recorded.readback and not recorded.damaged


def open_targets(plan: Plan) -> tuple[dict[int, Target], dict[int, str]]:
    """Return the targets of a journal's settings by number, and by number the reason why one could not be opened:
    empty if it does not exist any more, as all of a network namespace that has ended."""
    try:
        with inside(plan):
            return _open_targets(plan.settings)
    except NetnsEnded:
        return {}, dict.fromkeys(range(len(plan.settings)), "")
    except (TuningError, OSError) as error:
        reason = error.message if isinstance(error, TuningError) else error.strerror or str(error)
        return {}, dict.fromkeys(range(len(plan.settings)), reason)


def _open_targets(settings: tuple[Setting, ...]) -> tuple[dict[int, Target], dict[int, str]]:
    targets: dict[int, Target] = {}
    missing: dict[int, str] = {}
    for n, setting in enumerate(settings):
        for _ in range(_ATTEMPTS):
            try:
                targets[n] = open_target(setting)
            except TuningError as error:
                missing[n] = error.message
            except OSError as error:
                missing[n] = "" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
                continue
            break
    return targets, {n: reason for n, reason in missing.items() if n not in targets}


def close_targets(targets: Mapping[int, Target]) -> None:
    """Close all of them."""
    for target in targets.values():
        with suppress(OSError):
            target.close()
