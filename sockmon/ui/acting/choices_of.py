"""What can be acted on from a screen: the row under the cursor, or what the page is about."""

from __future__ import annotations

import socket
from typing import Protocol, runtime_checkable

from textual.screen import Screen

from sockmon import format
from sockmon.model.acting import SocketMatch
from sockmon.model.detail import Socket
from sockmon.model.socket_list import TCP, SocketKey, SocketListDetail
from sockmon.ui.acting.choices import (
    NO_COOKIE,
    TCP_ONLY,
    Choice,
    flow_choices,
    match_choice,
    signal_choices,
    socket_choices,
    why_not_closable,
)
from sockmon.ui.detail.flow import FlowScreen
from sockmon.ui.detail.flow_table import FlowTable
from sockmon.ui.detail.flows import FlowsScreen
from sockmon.ui.detail.listener import ListenerScreen
from sockmon.ui.detail.port_group import PortGroupScreen
from sockmon.ui.detail.process import ProcessScreen
from sockmon.ui.detail.share_tables import ShareTable
from sockmon.ui.detail.socket_table import SocketTable
from sockmon.ui.filtering.row_values import endpoint
from sockmon.ui.main.panes.processes import ProcessRow
from sockmon.ui.main.screen import MainScreen
from sockmon.ui.widgets.table import Table

OPEN_FIRST = "X signals a process of pane 2; open a list of sockets or flows with Enter to close or delete some"
NOTHING = "nothing to close, delete or signal here"
NO_ROW = "choose a row first"
NO_NETNS = "the network namespace of this process is not known yet"


@runtime_checkable
class ShowsSocket(Protocol):
    """A page of one socket, or a list of them."""

    @property
    def selected_key(self) -> SocketKey | None:
        """The socket that it is about, or that is under the cursor."""


def can_act_on(screen: Screen[object]) -> bool:
    """Return whether there is anything on a screen that could be acted on."""
    return isinstance(
        screen,
        MainScreen | ProcessScreen | PortGroupScreen | ListenerScreen | FlowScreen | FlowsScreen | ShowsSocket,
    )


def choices_of(screen: Screen[object]) -> tuple[Choice, ...] | str:
    """Return what can be done, or why nothing can."""
    if isinstance(screen, MainScreen):
        return _of_main(screen)
    if isinstance(screen, ProcessScreen):
        return _of_process(screen)
    if isinstance(screen, PortGroupScreen):
        return _of_group(screen)
    if isinstance(screen, ListenerScreen):
        return _of_listener(screen)
    if isinstance(screen, FlowScreen):
        return flow_choices(screen.target.flow, screen.target.flow.netns, (), 0)
    if isinstance(screen, FlowsScreen):
        return _of_flows(screen)
    if isinstance(screen, ShowsSocket):
        return _of_sockets(screen)
    return NOTHING


def _of_main(screen: MainScreen) -> tuple[Choice, ...] | str:
    """Return to signal the process under the cursor; anything else opens first."""
    row = screen.focused.selected if isinstance(screen.focused, Table) else None
    if isinstance(row, ProcessRow):
        return signal_choices(row.process.pid, row.process.start)
    return OPEN_FIRST


def _of_process(screen: ProcessScreen) -> tuple[Choice, ...] | str:
    """Return to signal the process; to close sockets if the cursor is in a table of them."""
    query, detail, focused = screen.target, screen.detail, screen.focused
    whole = SocketMatch(pid=query.pid, start=query.start)
    if isinstance(focused, SocketTable):
        return _of_row(focused, detail.netns if detail else 0, whole, "of this process")
    if isinstance(focused, ShareTable) and focused.id == "states":
        row = focused.selected
        if row is None or row[0].islower() or row[0] == "UNCONN":
            return TCP_ONLY if row else NO_ROW
        if detail is None or not detail.netns:
            return NO_NETNS
        return (_in_state(row[0], detail.netns, whole, "of this process"),)
    return signal_choices(query.pid, query.start)


def _of_group(screen: PortGroupScreen) -> tuple[Choice, ...] | str:
    query = screen.target
    whole = SocketMatch(local=query.source, remote=query.destination, remote_port=query.port)
    found = _of_row(screen.query_one(SocketTable), query.netns, whole, "of this group")
    if query.device:
        return found
    everything = match_choice("all of this group", query.netns, whole)
    return (*found, everything) if not isinstance(found, str) else (everything,)


def _of_listener(screen: ListenerScreen) -> tuple[Choice, ...] | str:
    netns, listener = screen.target.netns, screen.listener
    if listener is None or listener.protocol != TCP:
        return TCP_ONLY
    address = "" if listener.address in ("0.0.0.0", "::") else listener.address
    connections = SocketMatch(local=address, local_port=listener.port)
    itself = SocketMatch(("LISTEN",), local=listener.address, local_port=listener.port)
    choice = match_choice("the listener", netns, itself)
    table = screen.query_one(SocketTable)
    if not table.has_focus or table.selected is None:
        return (choice, match_choice("its connections", netns, connections))
    found = _of_row(table, netns, connections, "on this port")
    return found if isinstance(found, str) else (*found, choice)


def _of_row(table: SocketTable, netns: int, whole: SocketMatch, of_what: str) -> tuple[Choice, ...] | str:
    """Return to close the socket under the cursor, and all of the page in its state."""
    row = table.selected
    if row is None:
        return NO_ROW
    if not netns:
        return NO_NETNS
    if row.protocol != TCP:
        return TCP_ONLY
    if not row.cookie:
        return NO_COOKIE
    return (*socket_choices(_key(row, netns)), _in_state(row.state, netns, whole, of_what))


def _in_state(state: str, netns: int, whole: SocketMatch, of_what: str) -> Choice:
    chosen = SocketMatch(
        (state,), whole.pid, whole.start, whole.local, whole.local_port, whole.remote, whole.remote_port
    )
    return match_choice(f"all {state} {of_what}", netns, chosen)


def _key(row: Socket, netns: int) -> SocketKey:
    local, remote = endpoint(row.local), endpoint(row.remote)
    family = socket.AF_INET6 if row.local.startswith("[") else socket.AF_INET
    return SocketKey(
        netns, TCP, family, row.cookie, row.inode, local[0], local[1] or 0, remote[0], remote[1] or 0, row.device
    )


def _of_flows(screen: FlowsScreen) -> tuple[Choice, ...] | str:
    """Return to delete the flow under the cursor, and all that the list counts, if it is filtered."""
    wanted, detail = screen.wanted, screen.detail
    # An older answer counts what another filter matched.
    matched = detail.matched if detail and detail.query == wanted else 0
    return flow_choices(screen.query_one(FlowTable).selected, wanted.netns, wanted.terms, matched) or NO_ROW


def _of_sockets(screen: ShowsSocket) -> tuple[Choice, ...] | str:
    """Return to close the socket, and in a list all that it shows of this namespace."""
    key = screen.selected_key
    if key is None:
        return NO_ROW
    detail = getattr(screen, "detail", None)
    listed = detail.sockets if isinstance(detail, SocketListDetail) else ()
    found = socket_choices(key, (each.key for each in listed))
    if not found:
        return why_not_closable(key)
    if isinstance(detail, SocketListDetail) and detail.matching > len(listed):
        note = f" of {format.count(detail.matching)} that match"
        found = (found[0], *(each._replace(name=each.name + note) for each in found[1:]))
    return found
