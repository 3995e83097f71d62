"""Close TCP sockets: which ones that would be, what is left out, and closing them one by one."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from sockmon import format
from sockmon.errors import TuningError
from sockmon.kernel.netlink import Incremental, run
from sockmon.kernel.processes import proc_files
from sockmon.kernel.processes.descriptors import read_descriptors
from sockmon.kernel.processes.send_signal import read_process
from sockmon.kernel.sockets import sock_diag
from sockmon.kernel.sockets.sock_diag import MESSAGE, STATES
from sockmon.kernel.sockets.socket_destroy import destroy, row_of
from sockmon.kernel.sockets.socket_rows import endpoint
from sockmon.model.acting import (
    CLOSE_WORD,
    DISCONNECT_WORD,
    MAX_TARGETS,
    SHOWN_ROWS,
    CloseSockets,
    PreparedAction,
    SocketMatch,
)
from sockmon.model.socket_list import TCP, SocketKey
from sockmon.tuning.acting.namespace_sockets import OpenNetns, open_to_act
from sockmon.tuning.acting.own_session import OwnSession
from sockmon.tuning.acting.prepared import Outcome, Prepared, count_outcomes
from sockmon.tuning.acting.socket_holders import holders

NEEDS_ROOT = "closing the sockets of others needs root (CAP_NET_ADMIN)"
NO_SUPPORT = "this kernel cannot close it (EOPNOTSUPP): no CONFIG_INET_DIAG_DESTROY, or not for this state"
TOO_MANY = "not all sockets of a namespace are closed: a process, an address or a port is needed"
NONE_MATCH = "no TCP socket matches any more"
CARRIES_TERMINAL = "it carries the terminal that you are typing on"
_CAP_NET_ADMIN = 12
_NUMBERS = {name: number for number, name in STATES.items()}
_COMMANDS = 3
_REASONS = {
    errno.ENOENT: "gone already, or another socket of its address is found first (SO_REUSEPORT)",
    errno.ESTALE: "its state has changed since it was shown",
    errno.EOPNOTSUPP: NO_SUPPORT,
    errno.EPERM: NEEDS_ROOT,
}
_RESET = ("ESTABLISHED", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "CLOSE_WAIT")
_SS_STATES = {"SYN_RECV": "syn-recv", "SYN_SENT": "syn-sent", "FIN_WAIT1": "fin-wait-1", "FIN_WAIT2": "fin-wait-2"}
_SS_STATES |= {"LISTEN": "listening", "CLOSE": "closed"}


def prepare(action: CloseSockets, session: OwnSession, proc: int) -> Prepared:
    """Return which sockets would be closed; raise TuningError if there are none, or the namespace has ended."""
    with open_to_act(action.netns, "query", proc) as there:
        rows, left_out, total = _find(action, _diag(there), proc)
        refused = "" if _may_close(there, proc) else NEEDS_ROOT
    own = [row for row in rows if session.carried_by(row, _inode(row)) and _state(row) != "LISTEN"]
    word = CLOSE_WORD
    if own and len(rows) > len(own):
        rows = [row for row in rows if row not in own]
        left_out.append(f"{format.plural(len(own), 'connection')}: {CARRIES_TERMINAL}")
    elif own:
        word = DISCONNECT_WORD
    if not rows:
        raise TuningError(NONE_MATCH, "; ".join(left_out))
    if total > len(rows) + len(own):
        left_out.append(
            f"{format.count(total - len(rows))} more match: at most {MAX_TARGETS:,} are closed at once"
        )
    states = Counter(map(_state, rows))
    by_state = ", ".join(f"{format.count(number)} {state}" for state, number in states.most_common())
    owned = _holders_text(rows, proc)
    title = f"Close {format.plural(len(rows), 'TCP socket')}"
    shown = PreparedAction(
        action=action,
        title=title,
        count=len(rows),
        rows=tuple(map(_line, rows[:SHOWN_ROWS])),
        facts=(f"{by_state}", *owned, *([] if there.own else [f"in network namespace net:[{action.netns}]"])),
        effects=tuple(_effects(states)),
        warnings=tuple(_warnings(states, word)),
        left_out=tuple(left_out),
        commands=tuple(_commands(rows, there.entry)),
        refused=refused,
        word="" if refused else word,
    )
    target = f"{format.plural(len(rows), 'TCP socket')} ({by_state}){' ' + owned[0] if owned else ''}"
    return Prepared(shown, target, action.netns, _closer(rows, action.netns))


def _find(action: CloseSockets, diag: socket.socket, proc: int) -> tuple[list[bytes], list[str], int]:
    """Return the rows, what is left out, and how many match."""
    if action.match is not None:
        rows: list[bytes] = []
        total = run(_matching(action.match, diag, proc, rows))
        return rows, [], total
    found = [_now(diag, one, action.netns) for one in dict.fromkeys(action.sockets)]
    rows = [row for row in found if row is not None]
    gone = len(found) - len(rows)
    return rows, [f"{format.plural(gone, 'socket')}: gone already"] if gone else [], len(rows)


def _diag(there: OpenNetns) -> socket.socket:
    """Return sock_diag; raise ReadError if netlink is refused: its text in /proc cannot close anything."""
    diag = there.handle.query_socket
    if not isinstance(diag, socket.socket):
        raise TuningError(there.handle.netlink_fallback or "sock_diag is refused")
    return diag


def _now(diag: socket.socket, wanted: SocketKey, netns: int) -> bytes | None:
    """Return a socket as it is now; None if it has gone or another one has its addresses."""
    families = (socket.AF_INET, socket.AF_INET6)
    if wanted.protocol != TCP or wanted.netns != netns or wanted.family not in families or wanted.cookie <= 0:
        raise TuningError("not a TCP socket of this network namespace with its cookie")
    try:
        row = sock_diag.one_tcp(diag, row_of(wanted), 0)
    except (OSError, ValueError):
        raise TuningError("not an address of a socket") from None
    return row[:MESSAGE] if row is not None else None


def _matching(match: SocketMatch, diag: socket.socket, proc: int, rows: list[bytes]) -> Incremental[int]:
    """Append the sockets that match, at most MAX_TARGETS; return how many match."""
    if not (match.pid or match.local or match.local_port or match.remote or match.remote_port):
        raise TuningError(TOO_MANY)
    unknown = [name for name in match.states if name not in _NUMBERS]
    if unknown:
        raise TuningError("not a state of TCP")
    states = sum(1 << _NUMBERS[name] for name in set(match.states))
    states = states or sock_diag.EVERY_STATE & ~(1 << sock_diag.LISTEN)
    inodes: frozenset[int] | None = None
    if match.pid:
        read_process(match.pid, match.start, proc)
        held = run(read_descriptors(match.pid, proc))
        if held.total > held.read:
            raise TuningError(f"the process has {held.total:,} descriptors; at most {held.read:,} are read")
        inodes = frozenset(held.inodes)
    local, remote = _packed(match.local), _packed(match.remote)
    total = 0

    def absorb(block: bytes, stride: int) -> None:
        nonlocal total
        for at in range(0, len(block), stride):
            row = block[at : at + MESSAGE]
            if inodes is not None and _inode(row) not in inodes:
                continue
            if _ends_match(row, match, local, remote):
                total += 1
                if len(rows) < MAX_TARGETS:
                    rows.append(row)

    yield from sock_diag.tcp(diag, states, absorb, sport=match.local_port)
    return total


def _packed(address: str) -> bytes:
    if not address:
        return b""
    try:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return sock_diag.unmapped(socket.inet_pton(family, address))
    except OSError:
        raise TuningError("not an IP address") from None


def _ends_match(row: bytes, match: SocketMatch, local: bytes, remote: bytes) -> bool:
    sport, dport = struct.unpack_from("!HH", row, sock_diag.SPORT)
    source, destination = map(sock_diag.unmapped, sock_diag.addresses(row))
    return (
        match.local_port in (0, sport)
        and match.remote_port in (0, dport)
        and local in (b"", source)
        and remote in (b"", destination)
    )


def _closer(rows: list[bytes], netns: int) -> Callable[[int], Outcome]:
    def carry_out(proc: int) -> Outcome:
        with open_to_act(netns, "query", proc) as there:
            diag = _diag(there)
            return count_outcomes((_close(diag, row) for row in rows), _reason, NEEDS_ROOT)

    return carry_out


def _close(diag: socket.socket, shown: bytes) -> int:
    """Close a socket that is still as it was shown; return 0, or why not: the errno of the kernel, ESTALE if its
    state has changed."""
    now = sock_diag.one_tcp(diag, shown, 0)
    if now is None:
        return errno.ENOENT
    return destroy(diag, shown) if _state(now) == _state(shown) else errno.ESTALE


def _reason(code: int) -> str:
    return _REASONS.get(code) or f"the kernel refuses: {os.strerror(code)}"


def _may_close(there: OpenNetns, proc: int) -> bool:
    """Return whether the kernel would allow it: who made a namespace has the capability inside."""
    with suppress(OSError):
        return not there.own or bool(
            proc_files.parse_capabilities(proc_files.read("self/status", proc, 8192)) >> _CAP_NET_ADMIN & 1
        )
    return True


def _state(row: bytes) -> str:
    minisocket = row[sock_diag.TIMER] == sock_diag.TIMER_TIMEWAIT
    name = STATES.get(row[sock_diag.STATE], "unknown")
    return "FIN_WAIT2" if minisocket and name == "FIN_WAIT2" else name


def _inode(row: bytes) -> int:
    return int(struct.unpack_from("=I", row, sock_diag.INODE)[0])


def _ends(row: bytes) -> tuple[str, str]:
    sport, dport = struct.unpack_from("!HH", row, sock_diag.SPORT)
    source, destination = sock_diag.addresses(row)
    return endpoint(source, sport), endpoint(destination, dport)


def _line(row: bytes) -> str:
    local, remote = _ends(row)
    return f"{_state(row):<11} {local}" if _state(row) == "LISTEN" else f"{_state(row):<11} {local} → {remote}"


def _holders_text(rows: Iterable[bytes], proc: int) -> list[str]:
    found, unknown = holders([_inode(row) for row in rows], proc)
    parts = [f"{name} {format.count(number)}" if len(found) > 1 else name for name, number in found.most_common(5)]
    if len(found) > 5:
        parts.append(f"{len(found) - 5} more processes")
    if unknown and found:
        parts.append(f"{format.count(unknown)} of others")
    return [f"of {', '.join(parts)}"] if parts else []


def _effects(states: Counter[str]) -> Iterator[str]:
    if any(state in states for state in _RESET):
        yield "The peer gets a reset; the process gets ECONNABORTED, and keeps its descriptor until it closes it."
    if "TIME_WAIT" in states:
        yield "TIME_WAIT ends early: a late segment of an old connection may reach a new one."
    if "SYN_SENT" in states or "LAST_ACK" in states or "CLOSING" in states:
        yield "Those that are being opened or closed end without a reset."
    if "CLOSE_WAIT" in states:
        yield "The program that forgets to close goes on forgetting: this frees the sockets, not its descriptors."


def _warnings(states: Counter[str], word: str) -> Iterator[str]:
    if word == DISCONNECT_WORD:
        yield "This connection carries the terminal that you are typing on: it is cut off."
    if "LISTEN" in states:
        yield (
            "LISTEN: the service stops listening until it is started again, and every connection that waits in the"
            " accept queue is reset."
        )


def _commands(rows: list[bytes], entry: str) -> Iterator[str]:
    for row in rows[:_COMMANDS]:
        state = _SS_STATES.get(_state(row), _state(row).lower().replace("_", "-"))
        local, remote = _ends(row)
        ends = f"src {local}" if _state(row) == "LISTEN" else f"src {local} dst {remote}"
        yield f"{entry}ss -K state {state} {ends}"
    if len(rows) > _COMMANDS:
        yield f"# and {len(rows) - _COMMANDS:,} more"
