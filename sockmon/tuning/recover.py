"""What a dead guard left behind is brought to an end: forward where it was kept, back where it was not.

Done at every start, and by the watcher at once. It can be killed at any point and begun again.
"""

from __future__ import annotations

import os
from contextlib import suppress

from sockmon.errors import NotTuned
from sockmon.model.change import Transaction
from sockmon.tuning.history import ID, audit, finish, read, told
from sockmon.tuning.inside import home
from sockmon.tuning.journal import VERSION, Begin, Journal, Story
from sockmon.tuning.places import TXN, Places
from sockmon.tuning.restore import close_targets, open_targets, restore
from sockmon.tuning.targets import require_sound

_SUFFIX = ".wal"


def recover(root: str = "/") -> list[Transaction]:
    """Heal what is pending below `root`; nothing where a guard is alive, which needs no healing.

    NotTuned where the directories are not ours."""
    places = Places(root)
    try:
        lock = places.lock()
        if lock is None:
            return []
        try:
            return heal(places)
        finally:
            os.close(lock)
    finally:
        places.close()


def left_behind(root: str = "/") -> tuple[str, ...]:
    """Names of the journals below `root`, of a guard that holds or of dead ones; makes nothing, and is cheap.

    None where there is no directory, or it is not ours to open; OSError where it cannot be known."""
    try:
        names = os.listdir(os.path.join(home(root), TXN))
    except (FileNotFoundError, PermissionError, NotTuned):
        return ()
    return tuple(sorted(name for name in names if name.endswith(_SUFFIX)))


def recover_at_start(root: str = "/") -> list[Transaction]:
    """What every start of sockmon with the privilege does: the same as `recover`, where there is something.

    Where nothing is, no directory is made and the lock is left to whoever wants it."""
    return recover(root) if os.geteuid() == 0 and left_behind(root) else []


def heal(places: Places) -> list[Transaction]:
    """The same for whoever has the lock; what became of each journal that could be believed."""
    with suppress(OSError):
        # Of a guard that is dead; a live one holds the lock.
        os.unlink("guard.sock", dir_fd=places.run)
    found = []
    for name in sorted(os.listdir(places.txn)):
        if name.endswith(_SUFFIX) and ID.fullmatch(name.removesuffix(_SUFFIX)):
            with suppress(OSError, NotTuned):
                found += _heal_one(places, name)
    return found


def pending(places: Places) -> list[Transaction]:
    """What has a journal and no end yet, without touching anything: as `applying`, with why it is not healed."""
    found = []
    for name in sorted(os.listdir(places.txn)):
        with suppress(OSError, NotTuned):
            journal = Journal(name, places.txn)
            begin = journal.story.begin
            journal.close()
            if begin is not None and journal.story.done is None:
                found.append(told(journal.story, "applying", tuple(filter(None, [_elsewhere(begin)]))))
    return found


def _heal_one(places: Places, name: str) -> list[Transaction]:
    journal = Journal(name, places.txn)
    try:
        if journal.story.stillborn:
            journal.remove()
            return []
        return [_end(places, journal, name)]
    finally:
        journal.close()


def _end(places: Places, journal: Journal, name: str) -> Transaction:
    story = journal.story
    begin = _believable(story, name)
    if (ended := read(places, begin.id)) is not None:
        # It had only to be taken away; or somebody has brought it back, with what was long undone.
        audit(places, ended)
        journal.remove()
        return ended
    if story.done is not None:
        return finish(places, journal, story.done.state, list(story.done.words))
    if story.kept:
        return finish(places, journal, "kept", ["its guard died; it had been kept"])
    if begin.plan.boot_id != boot_id():
        return finish(places, journal, "rebooted", ["the machine was restarted, which put the values back"])
    if elsewhere := _elsewhere(begin):
        return told(story, "applying", (elsewhere,))
    return _roll_back(places, journal, begin)


def _believable(story: Story, name: str) -> Begin:
    """BEGIN of a journal that is of our making; NotTuned otherwise, and it is left where it is."""
    begin = story.begin
    if begin is None or begin.version != VERSION or begin.id != name.removesuffix(_SUFFIX):
        raise NotTuned(f"{name} is no journal of this sockmon")
    for setting in begin.plan.settings:
        require_sound(setting)
    return begin


def _roll_back(places: Places, journal: Journal, begin: Begin) -> Transaction:
    targets, gone = open_targets(begin.plan.settings)
    try:
        state, words = restore(journal, targets, gone)
        return finish(places, journal, state, [*words, "its guard died; this was put right from the journal"])
    finally:
        close_targets(targets)


def _elsewhere(begin: Begin) -> str:
    """Why values of this plan cannot be put back from here: those under net are another namespace's."""
    if begin.plan.netns == netns() or all(setting.pid for setting in begin.plan.settings):
        return ""
    return f"it changed the network namespace net:[{begin.plan.netns}]; run sockmon there to put it right"


def in_words(found: Transaction) -> str:
    """A sentence about what a dead guard had left behind."""
    keys = ", ".join(setting.key for setting in found.plan.settings)
    words = f": {'; '.join(found.words)}" if found.words else ""
    ended = "is not put right yet" if found.state == "applying" else f"is {found.state} now"
    return f"change {found.id} ({keys}), which a killed guard had left behind, {ended}{words}"


def boot_id() -> str:
    """The id of this boot; OSError where it is hidden, because no answer must not look like another boot."""
    with open("/proc/sys/kernel/random/boot_id", "rb") as file:
        return file.read(64).decode("ascii", "replace").strip()


def netns() -> int:
    """Inode of the network namespace that this thread is in."""
    return os.stat("/proc/thread-self/ns/net").st_ino
