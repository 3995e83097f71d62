"""What a kept change does to our file in /etc/sysctl.d: `keep --persist` writes it, undoing a change reverses its
edit.

The journal has the lines before the file is touched: after a crash the edit is completed, and an undo knows what
to restore."""

from __future__ import annotations

import os
from collections.abc import Callable

from sockmon.errors import SockmonError
from sockmon.kernel.limit_origin.process_chain import cgroup_of_process
from sockmon.model.plan import Setting
from sockmon.model.transaction import SysctlFileEdit, Transaction
from sockmon.tunables import BY_KEY
from sockmon.tunables.limit_origin.cgroup_text import cgroup_lines
from sockmon.tunables.limit_origin.limit_value import resource_of
from sockmon.tunables.limit_origin.text import to_last_of_cgroup
from sockmon.tuning.boot.dropin import FILE, BeforeWrite, persist, remove_lines, restore_lines
from sockmon.tuning.boot.forecast import boot_forecasts
from sockmon.tuning.transaction.journal import FileEditDone, FileEditPlanned, Journal, JournalState

NOT_PERSISTED = "it does not survive a reboot"


def update_sysctl_d(root: str, journal: Journal, find: Callable[[str], Transaction | None]) -> list[str]:
    """Persist the change, or reverse the edit of the change that it undoes, if requested; return messages.

    `find` returns a transaction by its id."""
    begin = journal.state.begin
    assert begin is not None
    if journal.state.persist:
        return [*_persist(root, journal), *_how_to_persist_limits(journal.state)]
    if begin.plan.forgets:
        return _forget(root, journal, begin.plan.forgets)
    if not begin.plan.undoes:
        return []
    kept = find(begin.plan.undoes)
    if kept is None:
        return [f"{FILE} was not changed: the history has no {begin.plan.undoes}; {NOT_PERSISTED}"]
    keys = {setting.key for setting in begin.plan.settings}
    entries = [entry for entry in kept.entries if entry.key in keys]
    return _undo_edits(root, journal, entries) if entries else []


def _persist(root: str, journal: Journal) -> list[str]:
    begin = journal.state.begin
    assert begin is not None
    not_kept = {each.name for each in journal.state.not_kept}
    settings = [each for each in begin.plan.settings if each.is_sysctl and each.name not in not_kept]
    if not settings:
        return []

    def write(before_write: BeforeWrite) -> tuple[str, ...]:
        return persist(settings, begin.actor, begin.id, root, begin.begun, before_write)

    messages, why = _retry_once(journal, write)
    return [f"not written to /etc/sysctl.d: {why}; {NOT_PERSISTED}", *messages] if why else messages


def _undo_edits(root: str, journal: Journal, entries: list[SysctlFileEdit]) -> list[str]:
    messages, why = _retry_once(journal, lambda before_write: restore_lines(entries, root, before_write))
    if why:
        messages = [f"{FILE} was not changed: {why}; {NOT_PERSISTED}", *messages]
    return [*messages, *_boot_forecast([entry.key for entry in entries], root)]


def _forget(root: str, journal: Journal, keys: tuple[str, ...]) -> list[str]:
    messages, why = _retry_once(journal, lambda before_write: remove_lines(keys, root, before_write))
    if why:
        messages = [f"{FILE} was not changed: {why}"]
    return [*messages, *_boot_forecast(list(keys), root)]


def _retry_once(journal: Journal, write: Callable[[BeforeWrite], tuple[str, ...]]) -> tuple[list[str], str]:
    """Run `write`, and once more if it fails, because it is idempotent and may have failed after the file was
    written.

    Return its messages, and why it failed; then the messages are what to do about that."""
    why, hint = "", ""
    for _ in range(2):
        try:
            messages = write(lambda entries: journal.append(FileEditPlanned(entries)))
        except (SockmonError, OSError, ValueError) as error:
            why, hint = (error.message, error.hint) if isinstance(error, SockmonError) else (str(error), "")
            continue
        journal.try_append(FileEditDone())
        return list(messages), ""
    return [hint] if hint else [], why


def _how_to_persist_limits(recorded: JournalState) -> list[str]:
    """Return how to persist the limits of processes and cgroups, which sysctl.d cannot hold."""
    assert recorded.begin is not None
    not_kept = {each.name for each in recorded.not_kept}
    return [
        f"{setting.name}: {line}"
        for setting in recorded.begin.plan.settings
        if not setting.is_sysctl and setting.name not in not_kept
        for line in _how_to_persist_limit(setting)
    ]


def _how_to_persist_limit(setting: Setting) -> tuple[str, ...]:
    if setting.cgroup:
        return cgroup_lines(setting.key, setting.cgroup, setting.new)
    # By its cgroup alone: the guard reads no file of a user, which may be on a disk that hangs.
    lines = to_last_of_cgroup(resource_of(setting.key), cgroup_of_process(setting.pid), setting.new)
    return ("The limit ends with the process.", *lines)


def _boot_forecast(keys: list[str], root: str) -> list[str]:
    # /dev/null in place of /proc: only the files decide, and the lock is held.
    # A line that is removed may be of a key that this version does not know.
    found = boot_forecasts([key for key in keys if key in BY_KEY], root, os.devnull)
    return [f"after a reboot, {key}: {'; '.join(forecast.sentences)}" for key, forecast in found.items()]
