"""Acting on one thing: close TCP sockets, delete flows of the connection table, signal a process.

Nothing of this can be undone. The screen asks in two steps: PrepareAction, which changes nothing and returns what
exactly would be acted on, and CarryOutAction with what was shown and the word that the user has typed. What has
appeared meanwhile is not acted on.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec

from sockmon.model.conntrack_flows import Flow, FlowTerm
from sockmon.model.socket_list import SocketKey

Signal = Literal["TERM", "INT", "HUP", "USR1", "USR2", "STOP", "CONT", "KILL"]
SIGNALS: tuple[Signal, ...] = get_args(Signal)
MAX_TARGETS = 65_536
"""Sockets or flows that one action acts on at most."""
MAX_LISTED = 10_000
"""Sockets or flows that a request may list."""
SHOWN_ROWS = 20
"""Sockets or flows of which an answer has a line."""
CLOSE_WORD, DELETE_WORD, SIGNAL_WORD, KILL_WORD = "close", "delete", "signal", "kill"
DISCONNECT_WORD = "disconnect"
"""The word for what may end the session of the user who types it."""
WORDS = (CLOSE_WORD, DELETE_WORD, SIGNAL_WORD, KILL_WORD, DISCONNECT_WORD)
NO_WAY_BACK = "There is no way back: sockmon cannot undo it."

Inode = Annotated[int, msgspec.Meta(ge=1, le=(1 << 63) - 1)]
Pid = Annotated[int, msgspec.Meta(ge=1, le=1 << 22)]
"""PID_MAX_LIMIT, include/linux/threads.h."""
Ticks = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Address = Annotated[str, msgspec.Meta(max_length=45)]
StateName = Annotated[str, msgspec.Meta(max_length=16)]


class SocketMatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """TCP sockets that have all of these; a listener only if LISTEN is one of the `states`. A process, an
    address or a port is needed."""

    states: Annotated[tuple[StateName, ...], msgspec.Meta(max_length=11)] = ()
    """Names of the kernel; empty: every state but LISTEN."""
    pid: Annotated[int, msgspec.Meta(ge=0, le=1 << 22)] = 0
    """The process that holds them; 0: any."""
    start: Ticks = 0
    """Start time of the process."""
    local: Address = ""
    """Empty: any address; IPv4 includes v4-mapped."""
    local_port: Port = 0
    """0: any."""
    remote: Address = ""
    remote_port: Port = 0


class CloseSockets(msgspec.Struct, frozen=True, tag="close", tag_field="act", forbid_unknown_fields=True):
    """Close TCP sockets with SOCK_DESTROY: those of the list, or all that match."""

    netns: Inode
    sockets: Annotated[tuple[SocketKey, ...], msgspec.Meta(max_length=MAX_LISTED)] = ()
    """Of TCP, in this namespace, each with its cookie."""
    match: SocketMatch | None = None
    """None: those of the list."""


class DeleteFlows(msgspec.Struct, frozen=True, tag="delete", tag_field="act", forbid_unknown_fields=True):
    """Delete flows of the connection table: those of the list, or all that match all terms."""

    netns: Inode
    flows: Annotated[tuple[Flow, ...], msgspec.Meta(max_length=MAX_LISTED)] = ()
    """Their tuple, zones and id count; the rest may have changed."""
    match: Annotated[tuple[FlowTerm, ...], msgspec.Meta(max_length=64)] | None = None
    """Terms that a flow must match, all of them, one at least. None: those of the list."""


class SignalProcess(msgspec.Struct, frozen=True, tag="signal", tag_field="act", forbid_unknown_fields=True):
    """Send a signal to one process."""

    pid: Pid
    start: Ticks
    """Its start time: a pid can be reused."""
    signal: Signal


Action = CloseSockets | DeleteFlows | SignalProcess


class PrepareAction(msgspec.Struct, frozen=True, tag="prepare-action", tag_field="kind"):
    """Find what an action would act on; nothing is changed."""

    action: Action


class CarryOutAction(msgspec.Struct, frozen=True, tag="act", tag_field="kind", forbid_unknown_fields=True):
    """Carry out the action that was prepared last."""

    token: Annotated[str, msgspec.Meta(max_length=64)]
    """That of its PreparedAction."""
    count: Annotated[int, msgspec.Meta(ge=1, le=MAX_TARGETS)]
    """What the user has seen; never more are acted on."""
    word: Annotated[str, msgspec.Meta(max_length=16)]
    """What the user has typed."""


class PreparedAction(msgspec.Struct, frozen=True, tag="prepared-action", tag_field="kind"):
    """What an action would act on."""

    action: Action
    title: str
    """`Close 12 sockets`."""
    count: int
    """What it acts on."""
    rows: tuple[str, ...]
    """The first of them, a line each."""
    facts: tuple[str, ...]
    """What they have in common: states, owners, network namespace."""
    effects: tuple[str, ...]
    """What happens to them, a sentence each."""
    warnings: tuple[str, ...]
    left_out: tuple[str, ...]
    """What matches and is not acted on, with the reason."""
    commands: tuple[str, ...]
    """Shell commands that do the same as root."""
    refused: str = ""
    """Why it cannot be carried out from here; empty if it can."""
    word: str = ""
    """The word to type; empty if it is refused."""
    token: str = ""


class ActionRecord(msgspec.Struct, frozen=True):
    """An action in the history."""

    kind: Literal["close", "delete", "signal"]
    target: str
    """`12 TCP sockets (12 CLOSE_WAIT) of nginx[1044]`, `nginx[1044] with TERM`."""
    confirmed: int
    """How many the user has confirmed."""
    done: int
    """How many it was carried out on."""
    examples: tuple[str, ...] = ()
    """The first of them."""
    pid: int = 0
    start: int = 0


def action_text(record: ActionRecord) -> str:
    """Return `closed 11 of 12: 12 TCP sockets of nginx[1044]`, `signalled nginx[1044] with TERM`."""
    verb = {"close": "closed", "delete": "deleted", "signal": "signalled"}[record.kind]
    if record.kind == "signal":
        return f"{verb} {record.target}" if record.done else f"not {verb}: {record.target}"
    some = "" if record.done == record.confirmed else f" {record.done:,} of {record.confirmed:,}:"
    return f"{verb}{some} {record.target}"
