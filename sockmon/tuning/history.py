"""What was done: a file a transaction, a line a transaction in the audit log, a word to syslog."""

from __future__ import annotations

import os
import re
import socket
import time
from contextlib import suppress

import msgspec

from sockmon.errors import NotTuned, SockmonError
from sockmon.model.change import Setting, State, Transaction, Who
from sockmon.model.clean import clean
from sockmon.tuning.journal import Done, Journal, Persisted, Story
from sockmon.tuning.persist import persist
from sockmon.tuning.places import Places, open_ours

NEWEST = 1000
ID = re.compile(r"[0-9]{8}T[0-9]{6}-[0-9a-f]{8}")

_LONGEST_WORD = 400
_AUTHPRIV_NOTICE, _AUTHPRIV_CRITICAL = 10 * 8 + 5, 10 * 8 + 2
_decoder = msgspec.json.Decoder(Transaction)


def told(story: Story, state: State, words: tuple[str, ...] = ()) -> Transaction:
    """The transaction that a story tells of."""
    begin = story.begin
    assert begin is not None
    return Transaction(
        begin.id, begin.plan, begin.who, begin.begun, begin.hold, story.deadline, state, story.persisted, words
    )


def finish(places: Places, journal: Journal, state: State, words: list[str]) -> Transaction:
    """End a transaction: persist it where that was asked for, note it, and take the journal away once it is noted.

    What cannot be noted is said in its words: nothing here undoes what was done."""
    if state == "kept" and journal.story.persist and not journal.story.persisted:
        words = words + _persist(places, journal)
    done = told(journal.story, state, tuple(words))
    failed = _write(places, done)
    if journal.story.done is None:
        audit(places, done)
        journal.try_append(Done(state, tuple(words)))
    if failed:
        return msgspec.structs.replace(done, words=(*done.words, failed))
    journal.remove()
    return done


def _persist(places: Places, journal: Journal) -> list[str]:
    """Write what was kept to /etc/sysctl.d too; what there is to say of it."""
    begin = journal.story.begin
    assert begin is not None
    settings = [setting for setting in begin.plan.settings if not setting.pid]
    why = ""
    # To do it twice is to do it once: it may have failed after the file was there.
    for _ in range(2):
        try:
            written = persist(settings, begin.who, begin.id, places.root, begin.begun)
        except (SockmonError, OSError, ValueError) as error:
            why = error.message if isinstance(error, SockmonError) else str(error)
            continue
        journal.try_append(Persisted())
        return list(written.words)
    return [f"it holds until a restart, and was not written to /etc/sysctl.d: {why}"]


def _write(places: Places, done: Transaction) -> str:
    """Put it into the history; why not, or nothing."""
    temporary = f".{done.id}.tmp"
    try:
        directory = places.history()
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=directory)
        number = open_ours(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, directory)
        try:
            text = msgspec.json.encode(done) + b"\n"
            if os.write(number, text) != len(text):
                return "the history could not be written: No space left on device"
            os.fsync(number)
        finally:
            os.close(number)
        os.rename(temporary, f"{done.id}.json", src_dir_fd=directory, dst_dir_fd=directory)
        os.fsync(directory)
        _prune(directory)
    except OSError as error:
        return f"the history could not be written: {error.strerror}"
    except NotTuned as error:
        return f"the history could not be written: {error.message}"
    return ""


def _prune(directory: int) -> None:
    names = sorted(name for name in os.listdir(directory) if ID.fullmatch(name.removesuffix(".json")))
    for name in names[:-NEWEST]:
        os.unlink(name, dir_fd=directory)


def audit(places: Places, done: Transaction) -> None:
    """One line in the audit log, and one to syslog, as far as they can be written; also for what was refused."""
    line = _harmless(done)
    with suppress(OSError, NotTuned):
        number = open_ours("audit.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, places.log(), 0o640)
        try:
            os.write(number, line + b"\n")
        finally:
            os.close(number)
    priority = _AUTHPRIV_CRITICAL if done.state == "stuck" else _AUTHPRIV_NOTICE
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as log:
        # Where syslog's own queue is full, nobody waits for it.
        log.sendto(b"<%d>sockmon: %s" % (priority, line), f"{places.root.rstrip('/')}/dev/log")


def _harmless(done: Transaction) -> bytes:
    """A line that cannot be taken for two, nor for anything but words, whatever was asked for."""
    settings = [_harmless_setting(setting) for setting in done.plan.settings[:64]]
    return msgspec.json.encode(
        {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "id": done.id,
            "state": done.state,
            "persisted": done.persisted,
            "who": harmless_who(done.who),
            "netns": done.plan.netns,
            "settings": settings,
            "words": [clean(word, _LONGEST_WORD) for word in done.words],
        }
    )


def _harmless_setting(setting: Setting) -> Setting:
    return Setting(clean(setting.key), clean(setting.old), clean(setting.new), setting.pid, setting.start)


def harmless_who(who: Who) -> Who:
    """The same person, in words that a terminal can be given."""
    return Who(who.uid, clean(who.user, 64), clean(who.login, 64), clean(who.terminal, 64))


def read(places: Places, id: str) -> Transaction | None:
    """One transaction of the history; None where it is not there or cannot be read."""
    if not ID.fullmatch(id):
        return None
    with suppress(OSError, NotTuned, msgspec.DecodeError):
        number = open_ours(f"{id}.json", os.O_RDONLY, places.history())
        try:
            return _decoder.decode(os.read(number, 8 << 20))
        finally:
            os.close(number)
    return None


def newest(places: Places, count: int = NEWEST) -> list[Transaction]:
    """The history, newest first."""
    try:
        names = sorted(os.listdir(places.history()), reverse=True)
    except (OSError, NotTuned):
        return []
    ids = [name.removesuffix(".json") for name in names if ID.fullmatch(name.removesuffix(".json"))]
    return [found for id in ids[:count] if (found := read(places, id)) is not None]
