"""What can be done to the thing under the cursor, or that a page is about: a row of choices for the dialog."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sockmon import format
from sockmon.model.acting import MAX_LISTED, SIGNALS, Action, CloseSockets, DeleteFlows, SignalProcess, SocketMatch
from sockmon.model.conntrack_flows import Flow, FlowTerm
from sockmon.model.socket_list import TCP, SocketKey

TCP_ONLY = "only TCP sockets can be closed: others have no connection that could be ended"
NO_COOKIE = "this socket was read from the text of /proc, which has no cookie: it cannot be told from a later one"


class Choice(NamedTuple):
    """One action, and its name in the row of choices."""

    name: str
    action: Action


def signal_choices(pid: int, start: int) -> tuple[Choice, ...]:
    """Return a choice for each signal, TERM first."""
    return tuple(Choice(name, SignalProcess(pid, start, name)) for name in SIGNALS)


def socket_choices(one: SocketKey | None, listed: Iterable[SocketKey] = ()) -> tuple[Choice, ...]:
    """Return to close `one` socket, and all TCP sockets that are `listed`, of its namespace."""
    found = []
    if one is not None and closable(one):
        found.append(Choice("this socket", CloseSockets(one.netns, (one,))))
    together = [key for key in listed if closable(key)]
    netns = one.netns if one is not None else together[0].netns if together else 0
    together = [key for key in together if key.netns == netns][:MAX_LISTED]
    if len(together) > 1:
        found.append(Choice(f"all {format.count(len(together))} listed", CloseSockets(netns, tuple(together))))
    return tuple(found)


def match_choice(name: str, netns: int, match: SocketMatch) -> Choice:
    """Return to close all that match, listed or not."""
    return Choice(name, CloseSockets(netns, match=match))


def flow_choices(one: Flow | None, netns: int, terms: Sequence[FlowTerm], matched: int) -> tuple[Choice, ...]:
    """Return to delete `one` flow, and all that match `terms`; without terms that would be the whole table."""
    found = []
    if one is not None:
        found.append(Choice("this flow", DeleteFlows(netns, (one,))))
    if terms and matched > 1:
        found.append(Choice(f"all {format.count(matched)} that match", DeleteFlows(netns, match=tuple(terms))))
    return tuple(found)


def closable(key: SocketKey) -> bool:
    """Return whether a socket can be closed at all."""
    return key.protocol == TCP and key.cookie > 0


def why_not_closable(key: SocketKey) -> str:
    """Return why a socket cannot be closed; empty if it can."""
    if key.protocol != TCP:
        return TCP_ONLY
    return "" if key.cookie > 0 else NO_COOKIE
