"""An alarm after a restart of its program: what it is about now, by what a restart leaves as it is.

A listener is found by its address; a process by its command and its user, and the units of both must not differ.
What took its place must have started after the alarm was sampled, and nothing else may be in question."""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from sockmon.assess.assessment import Assessment, Key
from sockmon.ceilings.evidence import process_label
from sockmon.ceilings.queues import listener_label
from sockmon.model.outcome import Identity, NewProcess
from sockmon.model.processes import USER_HZ
from sockmon.model.snapshot import Listener, Owner, Process, Snapshot

_LASTING_STARTERS = ("unit", "user unit", "container")


class Successor(NamedTuple):
    """What an alarm is about now."""

    key: Key | None = None
    """None if nothing has taken its place, or if it is not clear what."""
    process: NewProcess | None = None
    """None if it is the same process, or if its owner is not known."""
    candidates: int = 0
    """How many may have taken its place, if that is not clear."""


def identity_of(subject: str, snapshot: Snapshot) -> Identity | None:
    """Return what a restart leaves of a subject; None if it is neither a listener nor a process of the sample."""
    listener = next((row for row in _listeners(snapshot) if listener_label(row) == subject), None)
    if listener:
        return _of_listener(listener, snapshot)
    process = next((row for row in _processes(snapshot) if process_label(row) == subject), None)
    return _of_process(process, snapshot) if process else None


def _of_listener(listener: Listener, snapshot: Snapshot) -> Identity:
    owner = listener.owner
    return Identity(
        at=snapshot.at,
        pid=owner.pid if owner else 0,
        start=owner.start if owner else 0,
        protocol=listener.protocol,
        address=listener.address,
        port=listener.port,
        inode=listener.inode,
        sharing=sum(_address(row) == _address(listener) for row in _listeners(snapshot)),
    )


def _of_process(process: Process, snapshot: Snapshot) -> Identity:
    return Identity(
        at=snapshot.at,
        pid=process.pid,
        start=process.start,
        uid=process.uid,
        command=_digest(process),
        unit=_unit(process, snapshot),
    )


def find_successor(ceiling: str, identity: Identity | None, now: Assessment) -> Successor:
    """Return what has taken the place of a subject that `now` does not have any more."""
    if identity is None:
        return Successor()
    find = _listener_after if identity.protocol else _process_after
    return find(ceiling, identity, now)


def _listener_after(ceiling: str, before: Identity, now: Assessment) -> Successor:
    place = (before.protocol, before.address, before.port)
    rows = [row for row in _listeners(now.snapshot) if _address(row) == place]
    rows = [row for row in rows if row.inode == before.inode] or rows
    keys = {(ceiling, listener_label(row)): row for row in rows}
    found = [(key, row) for key, row in keys.items() if key in now.gauges]
    if len(found) > 1:
        return Successor(candidates=len(found))
    if not found or not _took_over(found[0][1], before):
        return Successor()
    key, row = found[0]
    same = row.owner is None or _is_same(row.owner, before)
    return Successor(key, None if same else _new_process(row.owner))


def _took_over(listener: Listener, before: Identity) -> bool:
    """Return whether it is the same socket, or one that was made after it."""
    if listener.inode == before.inode or before.sharing == 1:
        return True
    owner = listener.owner
    # Its owner may have listened at the same address all the time, with SO_REUSEPORT.
    return owner is not None and (_is_same(owner, before) or _started_after(owner, before))


def _process_after(ceiling: str, before: Identity, now: Assessment) -> Successor:
    rows = _processes(now.snapshot)
    same = next((row for row in rows if _is_same(row, before)), None)
    if same:
        # It has another name: exec() or prctl().
        key = (ceiling, process_label(same))
        return Successor(key) if key in now.gauges else Successor()
    alike = [row for row in rows if row.uid == before.uid and _digest(row) == before.command]
    if not any(_started_after(row, before) for row in alike):
        return Successor()
    if len(alike) > 1:
        return Successor(candidates=len(alike))
    (new,) = alike
    unit, key = _unit(new, now.snapshot), (ceiling, process_label(new))
    if key not in now.gauges or (unit and before.unit and unit != before.unit):
        return Successor()
    return Successor(key, _new_process(new))


def _is_same(process: Process | Owner, before: Identity) -> bool:
    return (process.pid, process.start) == (before.pid, before.start)


def _started_after(process: Process | Owner, before: Identity) -> bool:
    return process.start / USER_HZ >= before.at


def _new_process(process: Process | Owner | None) -> NewProcess | None:
    return NewProcess(process.pid, process.start, process.name) if process else None


def _digest(process: Process) -> str:
    """Return the command as a digest: the history is on disk, and commands can hold passwords."""
    return sha256(process.command.encode()).hexdigest()


def _unit(process: Process, snapshot: Snapshot) -> str:
    """Return the unit or container that started a process; empty if the sample does not have it."""
    origins = (row for row in snapshot.limit_origins if (row.pid, row.start) == (process.pid, process.start))
    return next((row.starter.name for row in origins if row.starter.kind in _LASTING_STARTERS), "")


def _address(listener: Listener) -> tuple[str, str, int]:
    return listener.protocol, listener.address, listener.port


def _listeners(snapshot: Snapshot) -> tuple[Listener, ...]:
    return snapshot.netns[0].listeners or ()


def _processes(snapshot: Snapshot) -> tuple[Process, ...]:
    return snapshot.processes.rows if snapshot.processes else ()
