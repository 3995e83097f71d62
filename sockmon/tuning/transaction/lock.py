"""The lock that allows one change at a time on a host, and who holds it (`run/sockmon/lock`)."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import suppress

import msgspec

from sockmon.errors import TuningError
from sockmon.model.transaction import Actor
from sockmon.tuning.transaction.history import sanitize_actor
from sockmon.tuning.transaction.state_dirs import StateDirs, open_private


class LockOwner(msgspec.Struct, frozen=True):
    """What the guard that holds the lock has written into it, for messages to others: the lock itself is what
    counts."""

    id: str
    actor: Actor = msgspec.field(name="who")
    pid: int
    deadline: float
    """CLOCK_BOOTTIME, seconds."""


def acquire(dirs: StateDirs) -> int | None:
    """Return a descriptor that holds the lock until it is closed, or its process ends; None if another one has
    it."""
    number = open_private("lock", os.O_RDWR | os.O_CREAT, dirs.run)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(number)
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return None
        raise TuningError(f"the lock cannot be taken: {error.strerror}") from error
    return number


def write_owner(lock: int, owner: LockOwner) -> None:
    """Write the owner into the lock file, if possible."""
    with suppress(OSError):
        os.ftruncate(lock, 0)
        os.pwrite(lock, msgspec.json.encode(owner), 0)


def read_owner(dirs: StateDirs) -> LockOwner | None:
    """Return the owner; None if it cannot be read."""
    with suppress(OSError, TuningError, msgspec.DecodeError):
        number = open_private("lock", os.O_RDONLY, dirs.run)
        try:
            return msgspec.json.decode(os.read(number, 4096), type=LockOwner)
        finally:
            os.close(number)
    return None


def pending_message(dirs: StateDirs) -> str:
    """Return `another change is pending: by root on pts/3, 42 s left`, as far as the owner can be read."""
    message = "another change is pending"
    if (owner := read_owner(dirs)) is None:
        return message
    actor = sanitize_actor(owner.actor)
    terminal = f" on {actor.terminal}" if actor.terminal else ""
    left = max(0.0, owner.deadline - time.clock_gettime(time.CLOCK_BOOTTIME))
    return f"{message}: by {actor.login or actor.user}{terminal}, {left:.0f} s left"
