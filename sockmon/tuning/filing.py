"""What a kept change does to the file that decides at boot: writes it there, or takes back what another one wrote.

The journal has what the file said before it is touched, so that a crash on the way is rolled forward, and so that
whoever undoes the change knows what to put back.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from sockmon.errors import SockmonError
from sockmon.model.change import Entry, Plan, Transaction
from sockmon.tuning.journal import Filed, Filing, Journal
from sockmon.tuning.outlook import outlooks, unit_of
from sockmon.tuning.persist import FILE, Announce, persist, put_back
from sockmon.tuning.unit import lasting

UNTIL_RESTART = "it holds until a restart"


def file(root: str, journal: Journal, undone: Callable[[str], Transaction | None]) -> list[str]:
    """Do to /etc/sysctl.d what was asked for with the change; what there is to say of it. `undone` finds a
    transaction by its id."""
    begin = journal.story.begin
    assert begin is not None
    if journal.story.persist:
        return [*_persist(root, journal), *_of_limits(begin.plan)]
    if not begin.plan.undoes:
        return []
    kept = undone(begin.plan.undoes)
    if kept is None:
        return [f"{UNTIL_RESTART}: the history has no {begin.plan.undoes} to say what that wrote to {FILE}"]
    keys = {setting.key for setting in begin.plan.settings}
    entries = [entry for entry in kept.entries if entry.key in keys]
    return _take_back(root, journal, entries) if entries else []


def _persist(root: str, journal: Journal) -> list[str]:
    begin = journal.story.begin
    assert begin is not None
    settings = [setting for setting in begin.plan.settings if not setting.pid]
    if not settings:
        return []

    def write(announce: Announce) -> tuple[str, ...]:
        return persist(settings, begin.who, begin.id, root, begin.begun, announce).words

    words, why = _twice(journal, write)
    return [f"{UNTIL_RESTART}, and was not written to /etc/sysctl.d: {why}"] if why else words


def _take_back(root: str, journal: Journal, entries: list[Entry]) -> list[str]:
    words, why = _twice(journal, lambda announce: put_back(entries, root, announce))
    if why:
        words = [f"{UNTIL_RESTART}: {why}"]
    return [*words, *_at_boot([entry.key for entry in entries], root)]


def _twice(journal: Journal, write: Callable[[Announce], tuple[str, ...]]) -> tuple[list[str], str]:
    """To do it twice is to do it once: it may have failed after the file was there. Words, and why it failed."""
    why = ""
    for _ in range(2):
        try:
            words = write(lambda entries: journal.append(Filing(entries)))
        except (SockmonError, OSError, ValueError) as error:
            why = error.message if isinstance(error, SockmonError) else str(error)
            continue
        journal.try_append(Filed())
        return list(words), ""
    return [], why


def _of_limits(plan: Plan) -> list[str]:
    """No file of sysctl.d has limits of a process: what makes them last."""
    return [
        f"{setting.name}: {words}"
        for setting in plan.settings
        if setting.pid
        for words in lasting(setting.key, setting.new, unit_of(setting.pid))
    ]


def _at_boot(keys: list[str], root: str) -> list[str]:
    # The files decide: no need to look who runs, with the lock in our hands.
    found = outlooks(keys, root, os.devnull)
    return [f"after a restart, {key}: {'; '.join(outlook.boot)}" for key, outlook in found.items()]
