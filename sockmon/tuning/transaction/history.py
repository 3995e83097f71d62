"""The history: a file a transaction, a line a transaction in the audit log and in syslog."""

from __future__ import annotations

import os
import re
import socket
import time
from contextlib import closing, suppress

import msgspec

from sockmon.errors import TuningError
from sockmon.model.acting import ActionRecord
from sockmon.model.plan import Setting
from sockmon.model.transaction import Actor, ForeignValue, State, Transaction
from sockmon.text import sanitize
from sockmon.tuning.transaction import after_keep, broadcast, persist_on_keep
from sockmon.tuning.transaction.journal import Done, Journal, JournalState
from sockmon.tuning.transaction.plan_netns import ended_message
from sockmon.tuning.transaction.state_dirs import StateDirs, open_private, write_whole

MAX_TRANSACTIONS = 1000
ID = re.compile(r"[0-9]{8}T[0-9]{6}-[0-9a-f]{8}")

_MAX_MESSAGE_CHARS = 400
_MAX_BEGUN = float(1 << 36)
"""Seconds since the epoch, in some 2,000 years: no calendar can format what is far beyond."""
_AUTHPRIV = 10 * 8
_CRITICAL, _WARNING, _NOTICE = 2, 4, 5
_PRIORITIES: dict[State, int] = {"stuck": _CRITICAL, "conflict": _WARNING}
_BROADCAST: dict[State, str] = {
    "stuck": "COULD NOT BE ROLLED BACK",
    "conflict": "was rolled back, except for values that another process changed",
}
RESULT_TEXT: dict[State, str] = {
    "applying": "it is not rolled back yet",
    "holding": "it is pending",
    "kept": "it is kept",
    "reverted": "it was rolled back",
    "conflict": "it was rolled back, except for values that another process changed",
    "stuck": "it could not be rolled back",
    "refused": "it was refused, and nothing was changed",
    "rebooted": "the reboot restored the values",
    "done": "it was an action, which has no way back",
}
_decoder = msgspec.json.Decoder(Transaction)


def new_id(begun: float) -> str:
    """Return an id as `20261122T203120-c7daf1e2`: ids sort by time, to the microsecond; three digits are
    random."""
    whole = int(begun)
    chance = int.from_bytes(os.urandom(2), "big") & 0xFFF
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(whole))}-{int((begun - whole) * 1e6):05x}{chance:03x}"


def to_transaction(recorded: JournalState, state: State, messages: tuple[str, ...] = ()) -> Transaction:
    """Return the transaction that a journal records."""
    begin = recorded.begin
    assert begin is not None
    edited = recorded.file_edited
    return Transaction(
        begin.id,
        begin.plan,
        begin.actor,
        begin.begun,
        begin.hold,
        recorded.deadline,
        state,
        persisted=recorded.persist and edited,
        messages=messages,
        entries=recorded.entries if edited else (),
        outcomes=recorded.outcomes,
        not_kept=recorded.not_kept if recorded.kept else (),
    )


def close_transaction(dirs: StateDirs, journal: Journal, state: State, messages: list[str]) -> Transaction:
    """End a transaction: persist it if requested, write it to the history, then remove the journal; return it.

    A write that fails here adds a message, and undoes nothing."""
    new = journal.state.done is None
    set_by_files = journal.state.done.set_by_files if journal.state.done else ()
    if state == "kept" and new:
        edited = persist_on_keep.update_sysctl_d(dirs.root, journal, lambda id: read(dirs, id))
        duration = after_keep.duration_of(journal.state, dirs.root)
        messages, set_by_files = messages + duration.messages + edited, duration.set_by_files
    done = to_transaction(journal.state, state, tuple(messages))
    target = done.plan.target
    netns_ended = target is not None and ended_message(target) in messages
    done = msgspec.structs.replace(done, set_by_files=set_by_files, netns_ended=netns_ended)
    if new:
        # Before the history, because the screen reads the result from there.
        done = with_message(done, audit(dirs, done))
    failed = _write(dirs, done)
    if new:
        _broadcast_failure(dirs, done)
        journal.try_append(Done(state, done.messages, set_by_files))
    if failed:
        return with_message(done, failed)
    journal.remove()
    return done


def note_action(root: str, action: Transaction) -> Transaction:
    """Write an action to the history, and to the audit log unless it is only about to begin; return it, with a
    message if that failed. The action itself is neither prevented nor undone by that."""
    try:
        with closing(StateDirs(root)) as dirs:
            failed = _write(dirs, action)
            logged = audit(dirs, action) if action.state != "applying" else ""
    except (TuningError, OSError) as error:
        failed, logged = f"not noted in the history: {error}", ""
    return with_message(with_message(action, failed), logged)


def with_message(done: Transaction, message: str) -> Transaction:
    """Return the transaction with one more message; the same if that is empty."""
    return msgspec.structs.replace(done, messages=(*done.messages, message)) if message else done


def _write(dirs: StateDirs, done: Transaction) -> str:
    """Write a transaction to the history; return why that failed, empty if it did not."""
    temporary = f".{done.id}.tmp"
    try:
        directory = dirs.history()
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=directory)
        number = open_private(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, directory)
        try:
            write_whole(number, msgspec.json.encode(done) + b"\n")
            os.fsync(number)
        finally:
            os.close(number)
        os.rename(temporary, f"{done.id}.json", src_dir_fd=directory, dst_dir_fd=directory)
        os.fsync(directory)
        _prune(directory)
    except OSError as error:
        return f"the history could not be written: {error.strerror}"
    except TuningError as error:
        return f"the history could not be written: {error.message}"
    return ""


def _prune(directory: int) -> None:
    names = sorted(name for name in os.listdir(directory) if ID.fullmatch(name.removesuffix(".json")))
    for name in names[:-MAX_TRANSACTIONS]:
        os.unlink(name, dir_fd=directory)


def _broadcast_failure(dirs: StateDirs, done: Transaction) -> None:
    """Tell every logged-in user about a value that was not rolled back: sockmon may not be on any screen."""
    if done.state in _BROADCAST:
        actor = sanitize_actor(done.actor)
        heading = f"sockmon: change {done.id} by {actor.login or actor.user} {_BROADCAST[done.state]}"
        broadcast.broadcast((heading, *done.messages), dirs.root, (actor.terminal,))


def audit(dirs: StateDirs, done: Transaction) -> str:
    """Write one line to the audit log and one to syslog, for a refused change too; return why the audit log could
    not be written, empty if it was. A host without syslog is not a fault."""
    line = _audit_line(done)
    priority = _AUTHPRIV + _PRIORITIES.get(done.state, _NOTICE)
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as log:
        # Not blocking: the queue of syslog may be full.
        log.sendto(b"<%d>sockmon: %s" % (priority, line), f"{dirs.root.rstrip('/')}/dev/log")
    try:
        number = open_private("audit.jsonl", os.O_RDWR | os.O_APPEND | os.O_CREAT, dirs.log(), 0o640)
        try:
            _append_line(number, line)
        finally:
            os.close(number)
    except OSError as error:
        return f"the audit log could not be written: {error.strerror}"
    except TuningError as error:
        return f"the audit log could not be written: {error.message}"
    return ""


def _append_line(file: int, line: bytes) -> None:
    """Append a line that begins where a line begins: a full disk may have cut the one before."""
    size = os.fstat(file).st_size
    start = b"" if not size or os.pread(file, 1, size - 1) == b"\n" else b"\n"
    write_whole(file, start + line + b"\n")


def _audit_line(done: Transaction) -> bytes:
    """Return one line of JSON that is safe in a log and on a terminal, whatever the plan contains."""
    settings = [_sanitize_setting(setting) for setting in done.plan.settings[:64]]
    return msgspec.json.encode(
        {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "id": done.id,
            "state": done.state,
            "persisted": done.persisted,
            "undoes": sanitize(done.plan.undoes, 32),
            "who": sanitize_actor(done.actor),
            "netns": done.plan.netns,
            "settings": settings,
            "forgets": [sanitize(key) for key in done.plan.forgets[:64]],
            "not_kept": [_sanitize_foreign(each) for each in done.not_kept],
            "action": _sanitize_action(done.action),
            "words": [sanitize(message, _MAX_MESSAGE_CHARS) for message in done.messages],
        }
    )


def _sanitize_setting(setting: Setting) -> Setting:
    return Setting(
        sanitize(setting.key),
        sanitize(setting.old),
        sanitize(setting.new),
        setting.pid,
        setting.start,
        sanitize(setting.cgroup, 1024),
    )


def _sanitize_action(action: ActionRecord | None) -> ActionRecord | None:
    if action is None:
        return None
    return msgspec.structs.replace(
        action,
        target=sanitize(action.target, _MAX_MESSAGE_CHARS),
        examples=tuple(sanitize(each) for each in action.examples[:3]),
    )


def _sanitize_foreign(value: ForeignValue) -> ForeignValue:
    return ForeignValue(sanitize(value.name), value.now if value.now is None else sanitize(value.now))


def sanitize_actor(actor: Actor) -> Actor:
    """Return the actor with names that are safe on a terminal."""
    return Actor(actor.uid, sanitize(actor.user, 64), sanitize(actor.login, 64), sanitize(actor.terminal, 64))


def read(dirs: StateDirs, id: str) -> Transaction | None:
    """Return one transaction of the history; None if it is missing or unreadable."""
    if not ID.fullmatch(id):
        return None
    with suppress(OSError, TuningError, msgspec.DecodeError):
        number = open_private(f"{id}.json", os.O_RDONLY, dirs.history())
        try:
            found = _decoder.decode(os.read(number, 8 << 20))
        finally:
            os.close(number)
        return found if found.id == id and 0 <= found.begun < _MAX_BEGUN else None
    return None


def newest(dirs: StateDirs, count: int = MAX_TRANSACTIONS) -> list[Transaction]:
    """Return the `count` newest transactions of the history, newest first."""
    try:
        names = sorted(os.listdir(dirs.history()), reverse=True)
    except (OSError, TuningError):
        return []
    ids = [name.removesuffix(".json") for name in names if ID.fullmatch(name.removesuffix(".json"))]
    return [found for id in ids[:count] if (found := read(dirs, id)) is not None]
