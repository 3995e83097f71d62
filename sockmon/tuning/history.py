"""What was done: a file a transaction, a line a transaction in the audit log, a word to syslog."""

from __future__ import annotations

import os
import re
import socket
import time
from contextlib import suppress

import msgspec

from sockmon.errors import NotTuned
from sockmon.model.change import Setting, State, Transaction, Who
from sockmon.model.clean import clean
from sockmon.tuning import filing, wall
from sockmon.tuning.journal import Done, Journal, Story
from sockmon.tuning.places import Places, open_ours

NEWEST = 1000
ID = re.compile(r"[0-9]{8}T[0-9]{6}-[0-9a-f]{8}")

_LONGEST_WORD = 400
_END_OF_TIME = float(1 << 36)
"""Seconds since the epoch, some 2,000 years on: no calendar has to say what is beyond."""
_AUTHPRIV = 10 * 8
_CRITICAL, _WARNING, _NOTICE = 2, 4, 5
_PRIORITIES: dict[State, int] = {"stuck": _CRITICAL, "conflict": _WARNING}
_LOUD: dict[State, str] = {
    "stuck": "COULD NOT BE PUT BACK",
    "conflict": "went back, but for what somebody else changed meanwhile",
}
_decoder = msgspec.json.Decoder(Transaction)


def told(story: Story, state: State, words: tuple[str, ...] = ()) -> Transaction:
    """The transaction that a story tells of."""
    begin = story.begin
    assert begin is not None
    persisted, entries = story.persist and story.filed, story.entries if story.filed else ()
    return Transaction(
        begin.id, begin.plan, begin.who, begin.begun, begin.hold, story.deadline, state, persisted, words, entries
    )


def finish(places: Places, journal: Journal, state: State, words: list[str]) -> Transaction:
    """End a transaction: persist it where that was asked for, note it, and take the journal away once it is noted.

    What cannot be noted is said in its words: nothing here undoes what was done."""
    if state == "kept" and journal.story.done is None:
        words = words + filing.file(places.root, journal, lambda id: read(places, id))
    done = told(journal.story, state, tuple(words))
    failed = _write(places, done)
    if journal.story.done is None:
        audit(places, done)
        _cry_out(places, done)
        journal.try_append(Done(state, tuple(words)))
    if failed:
        return msgspec.structs.replace(done, words=(*done.words, failed))
    journal.remove()
    return done


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


def _cry_out(places: Places, done: Transaction) -> None:
    """Whatever is not as it was before is said to everybody who is logged in: nobody may be looking at sockmon."""
    if done.state in _LOUD:
        who = harmless_who(done.who)
        heading = f"sockmon: change {done.id} by {who.login or who.user} {_LOUD[done.state]}"
        wall.tell((heading, *done.words), places.root, (who.terminal,))


def audit(places: Places, done: Transaction) -> None:
    """One line in the audit log, and one to syslog, as far as they can be written; also for what was refused."""
    line = _harmless(done)
    with suppress(OSError, NotTuned):
        number = open_ours("audit.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, places.log(), 0o640)
        try:
            os.write(number, line + b"\n")
        finally:
            os.close(number)
    priority = _AUTHPRIV + _PRIORITIES.get(done.state, _NOTICE)
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
            "undoes": clean(done.plan.undoes, 32),
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
            found = _decoder.decode(os.read(number, 8 << 20))
        finally:
            os.close(number)
        return found if found.id == id and 0 <= found.begun < _END_OF_TIME else None
    return None


def newest(places: Places, count: int = NEWEST) -> list[Transaction]:
    """The history, newest first."""
    try:
        names = sorted(os.listdir(places.history()), reverse=True)
    except (OSError, NotTuned):
        return []
    ids = [name.removesuffix(".json") for name in names if ID.fullmatch(name.removesuffix(".json"))]
    return [found for id in ids[:count] if (found := read(places, id)) is not None]
