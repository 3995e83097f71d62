"""The recovery of interrupted changes: kept if the journal has the commit point, else rolled back.

Run by the watchdog when its guard is killed, and at every start of sockmon. It can be killed at any point and
started again."""

from __future__ import annotations

import os
from contextlib import closing, suppress

from sockmon.errors import TuningError
from sockmon.kernel.identity import boot_id, netns_inode
from sockmon.model.transaction import Transaction
from sockmon.tuning.transaction import lock
from sockmon.tuning.transaction.confinement import state_root
from sockmon.tuning.transaction.history import (
    ID,
    RESULT_TEXT,
    audit,
    close_transaction,
    read,
    to_transaction,
    with_message,
)
from sockmon.tuning.transaction.journal import VERSION, Begin, Journal, JournalState
from sockmon.tuning.transaction.rollback import close_targets, open_targets, rollback
from sockmon.tuning.transaction.state_dirs import SOCKET_NAME, TXN, StateDirs
from sockmon.tuning.transaction.targets import validate_setting

_SUFFIX = ".wal"


def recover(root: str = "/") -> list[Transaction]:
    """Recover the interrupted changes below `root`, and return them; do nothing while a guard is alive.

    Raise TuningError if the directories are not private."""
    with closing(StateDirs(root)) as dirs:
        locked = lock.acquire(dirs)
        if locked is None:
            return []
        try:
            return recover_locked(dirs)
        finally:
            os.close(locked)


def unfinished_journals(root: str = "/") -> tuple[str, ...]:
    """Return the names of the journals below `root`, of a pending change or of interrupted ones; create nothing.

    Empty if the directory does not exist or is not ours to read. Raise OSError if that cannot be determined."""
    try:
        names = os.listdir(os.path.join(state_root(root), TXN))
    except (FileNotFoundError, PermissionError, TuningError):
        return ()
    return tuple(sorted(name for name in names if name.endswith(_SUFFIX)))


def recover_at_start(root: str = "/") -> list[Transaction]:
    """Do what every start of sockmon as root does: recover, but only if there is a journal.

    Otherwise no directory is created and the lock is not taken."""
    return recover(root) if os.geteuid() == 0 and unfinished_journals(root) else []


def recover_locked(dirs: StateDirs) -> list[Transaction]:
    """Recover, while the caller holds the lock; return the result of each valid journal."""
    with suppress(OSError):
        # The socket of a dead guard: a live one would hold the lock.
        os.unlink(SOCKET_NAME, dir_fd=dirs.run)
    found = []
    for name in sorted(os.listdir(dirs.txn)):
        if name.endswith(_SUFFIX) and ID.fullmatch(name.removesuffix(_SUFFIX)):
            with suppress(OSError, TuningError):
                found += _recover_one(dirs, name)
    return found


def _recover_one(dirs: StateDirs, name: str) -> list[Transaction]:
    journal = Journal(name, dirs.txn)
    try:
        if journal.state.empty:
            journal.remove()
            return []
        return [_finish(dirs, journal, name)]
    finally:
        journal.close()


def _finish(dirs: StateDirs, journal: Journal, name: str) -> Transaction:
    recorded = journal.state
    begin = _valid_begin(recorded, name)
    if (ended := read(dirs, begin.id)) is not None:
        # Only the journal had to be removed; or an old journal was copied back, whose change ended long ago.
        unaudited = audit(dirs, ended)
        journal.remove()
        return with_message(ended, unaudited)
    if recorded.done is not None:
        return close_transaction(dirs, journal, recorded.done.state, list(recorded.done.messages))
    if recorded.kept:
        return close_transaction(dirs, journal, "kept", ["the guard was killed after the change was kept"])
    if begin.plan.boot_id != boot_id():
        return close_transaction(dirs, journal, "rebooted", ["recovered from the journal after a reboot"])
    if reason := _other_netns_reason(begin):
        return to_transaction(recorded, "applying", (reason,))
    return _roll_back(dirs, journal, begin)


def _valid_begin(recorded: JournalState, name: str) -> Begin:
    """Return BEGIN of a journal that a guard has written; otherwise raise TuningError, and the journal stays."""
    begin = recorded.begin
    if begin is None or begin.version != VERSION or begin.id != name.removesuffix(_SUFFIX):
        raise TuningError(f"{name}: not a journal of this version of sockmon")
    for setting in begin.plan.settings:
        validate_setting(setting)
    return begin


def _roll_back(dirs: StateDirs, journal: Journal, begin: Begin) -> Transaction:
    targets, missing = open_targets(begin.plan)
    try:
        state, messages = rollback(journal, targets, missing)
        messages.append("recovered from the journal after the guard was killed")
        return close_transaction(dirs, journal, state, messages)
    finally:
        close_targets(targets)


def _other_netns_reason(begin: Begin) -> str:
    """Return the reason why the plan cannot be rolled back from here: it changed another network namespace."""
    if begin.plan.target is not None or begin.plan.netns == netns_inode():
        return ""
    if not any(setting.is_sysctl for setting in begin.plan.settings):
        return ""
    return f"it changed network namespace net:[{begin.plan.netns}]; run sockmon there to roll it back"


def describe(found: Transaction) -> str:
    """Return a sentence about an interrupted change and its result."""
    keys = ", ".join([*(setting.key for setting in found.plan.settings), *found.plan.forgets])
    messages = f": {'; '.join(found.messages)}" if found.messages else ""
    return f"change {found.id} ({keys}) was interrupted; {RESULT_TEXT[found.state]}{messages}"
