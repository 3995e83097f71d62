"""Who does not accept: the processes that hold a listener, and the listeners that share its address."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sockmon.ceilings.backlogs import backlog
from sockmon.ceilings.evidence import label_or, process_label
from sockmon.ceilings.remedies import application
from sockmon.format import plural
from sockmon.model.report import Remedy
from sockmon.model.snapshot import Listener, Owner

MIN_BURSTS = 2
"""How often a queue must have become full: once can be a short delay of a healthy server."""
Address = tuple[str, str, int]


class AcceptQueue(NamedTuple):
    """A listener, and all listeners of its address (SO_REUSEPORT), itself included: each has its own queue."""

    listener: Listener
    group: tuple[Listener, ...]

    @property
    def others(self) -> list[Listener]:
        """The other listeners of the address."""
        return [item for item in self.group if item.inode != self.listener.inode]

    @property
    def with_room(self) -> int:
        """How many of the others are at most half full."""
        return sum(2 * item.queue <= backlog(item) for item in self.others)

    @property
    def only_some_full(self) -> bool:
        """True if this queue is full and at least half of the others have room: the kernel spreads connections
        evenly, so the process of this one does not accept."""
        full = self.listener.queue > backlog(self.listener)
        return full and bool(self.others) and 2 * self.with_room >= len(self.others)


def by_address(listeners: Iterable[Listener]) -> dict[Address, list[Listener]]:
    """Group listeners by protocol, address and port."""
    found: dict[Address, list[Listener]] = {}
    for item in listeners:
        found.setdefault((item.protocol, item.address, item.port), []).append(item)
    return found


def is_shared(listener: Listener) -> bool:
    """Return whether several processes hold the listener and which of them accepts is not known."""
    return listener.holders > 1 and not listener.accepting


def accepting_label(listener: Listener) -> str:
    """Return the name of the process that should accept, for a sentence."""
    if listener.owner is not None and is_shared(listener):
        return f"the accepting one of the {listener.holders:,} processes that hold the listener"
    return label_or(listener.owner, "the application")


def sharing_lines(queue: AcceptQueue) -> list[str]:
    """Return the evidence about the processes that share the listener and the listeners that share the address."""
    return [*_group_lines(queue), *_holder_lines(queue.listener), *_stopped_lines(queue.listener)]


def _group_lines(queue: AcceptQueue) -> list[str]:
    if not queue.others:
        return []
    empty = sum(not item.queue for item in queue.others)
    state = "all others are empty" if empty == len(queue.others) else f"{empty:,} of the others are empty"
    return [
        f"one of {len(queue.group):,} sockets that share the address (SO_REUSEPORT), each with its queue: {state}"
    ]


def _holder_lines(listener: Listener) -> list[str]:
    if listener.holders < 2:
        return []
    holders = f"{plural(listener.holders, 'process')} hold the listener"
    if is_shared(listener):
        assert listener.owner is not None
        return [
            f"{holders}, {process_label(listener.owner)} first; which of them accepts is not known: it is in no"
            " epoll set that was read, and none of them is blocked in accept()"
        ]
    return [f"{holders}; the connections are for {_names(listener.accepting)} (epoll or accept())"]


def _stopped_lines(listener: Listener) -> list[str]:
    if not listener.stopped:
        return []
    return [f"stopped by a signal or a debugger: {_names(listener.stopped)}"]


def _names(owners: Iterable[Owner]) -> str:
    return ", ".join(process_label(owner) for owner in owners)


def _others(queue: AcceptQueue) -> str:
    """Return `the other 7 sockets of the address have`, or `6 of the other 7 sockets of the address have`."""
    others = plural(len(queue.others), "socket")
    if queue.with_room == len(queue.others):
        return f"the other {others} of the address have"
    return f"{queue.with_room:,} of the other {others} of the address have"


def stuck_remedy(queue: AcceptQueue) -> Remedy | None:
    """Return what to do about a full queue that no longer backlog helps; None if that is not known."""
    listener = queue.listener
    if listener.queue <= backlog(listener):
        return None
    who = accepting_label(listener)
    useless = "a longer backlog does not help"
    if listener.stopped and listener.stopped == (listener.accepting or listener.stopped):
        pids = " ".join(str(owner.pid) for owner in listener.stopped)
        names = _names(listener.stopped)
        if not is_shared(listener) or len(listener.stopped) == listener.holders:
            return application(
                f"let {names} continue (kill -CONT {pids}), or find the debugger that stopped it: a stopped"
                f" process accepts nothing; {useless}"
            )
        if queue.only_some_full and len(listener.stopped) == 1:
            return application(
                f"let {names} continue (kill -CONT {pids}): it is stopped, and probably the process that should"
                f" accept here, because {_others(queue)} room; {useless}"
            )
    if queue.only_some_full:
        return application(
            f"check why {who} does not accept: {_others(queue)} room, so it is stuck or busy; restart it;"
            f" {useless}"
        )
    return None


def overflows_in_bursts(listener: Listener) -> bool:
    """Return whether a unix listener became full several times, and has room now and then."""
    return listener.bursts >= MIN_BURSTS and listener.has_room


def burst_lines(listener: Listener) -> list[str]:
    """Return the evidence about a unix listener that was full, and has room now and then."""
    if not listener.full_samples or not listener.has_room:
        return []
    lines = [
        f"its queue was full ({listener.peak:,}) in {listener.full_samples:,} of {listener.samples:,} samples"
        f" within {max(listener.sampled_seconds, 0.1):.1f} s, and became full {plural(listener.bursts, 'time')}"
    ]
    if overflows_in_bursts(listener):
        lines.append("while it is full connect() blocks, or fails with EAGAIN (11); no kernel counter counts that")
    return lines
