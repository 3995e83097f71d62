"""The owner of a listener: the process that accepts on it, among all that hold it; and why owners are unknown."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from sockmon.format import plural
from sockmon.kernel.processes.acceptors import Acceptors
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.model.snapshot import Listener, Missing, Owner

MAX_NAMED = 5
"""Processes of one listener that a Snapshot names."""


def with_holders(listener: Listener, holders: Sequence[Owner], known: Acceptors) -> Listener:
    """Return `listener` with its owner: the first holder that accepts, or the first if none is known to."""
    if not holders:
        return listener
    known_to_accept = known.accepting.get(listener.inode, ())
    # Most listeners have one holder, which is not known to accept: this runs once a second for each of them.
    identities = {(owner.pid, owner.start) for owner in holders} if known_to_accept else set()
    accepting = tuple(owner for owner in known_to_accept if (owner.pid, owner.start) in identities)
    among = accepting or holders
    stopped = tuple(owner for owner in among if owner.pid in known.stopped) if known.stopped else ()
    return replace(
        listener,
        owner=among[0],
        holders=len(holders),
        accepting=accepting[:MAX_NAMED],
        stopped=stopped[:MAX_NAMED],
    )


def unreadable_descriptors(owners: Owners) -> Iterator[Missing]:
    """Yield why descriptors could not be read: even root cannot read those of a process with more capabilities."""
    refused = owners.unseen - sum(owners.faults.values())
    if refused:
        which = f"descriptors of {plural(refused, 'process')}"
        why = "need capabilities that sockmon was not given" if os.geteuid() == 0 else "of other users need root"
        yield Missing("owners", f"{which} {why}", unjudged=which)
    for fault, count in owners.faults.items():
        yield Missing("owners", f"descriptors of {plural(count, 'process')}: {fault}")
