"""Handshakes: how many are held, and what becomes of those that a listener has no room for."""

from __future__ import annotations

import errno
import select
import socket
import time
from contextlib import ExitStack
from itertools import product

from sockmon.labs.loads.halves import try_to_connect
from sockmon.labs.namespaces import set_sysctl
from sockmon.labs.stage import Stage
from sockmon.proofs import sockets
from sockmon.proofs.apart import apart
from sockmon.proofs.proof import Finding, Proof, Step

_BACKLOG = "net.ipv4.tcp_max_syn_backlog"
_COOKIES = "net.ipv4.tcp_syncookies"
_ABORT = "net.ipv4.tcp_abort_on_overflow"
_CLIENTS = 100
_WAIT = 0.8
"""Seconds for a client to get in: less than the 1 s after which it sends its SYN again."""
_SO_DETACH_FILTER = 27


def _half_open(cookies: int, limit: int) -> int:
    """Handshakes that are held of clients that never finish theirs."""
    set_sysctl(_COOKIES, str(cookies))
    set_sysctl(_BACKLOG, str(limit))
    with sockets.server(backlog=2 * _CLIENTS), ExitStack() as stack:
        for _ in range(_CLIENTS):
            stack.enter_context(try_to_connect(sockets.PORT, deaf=True))
        return sockets.count(sockets.SYN_RECV)


def _syn_backlog(stage: Stage) -> Finding:
    cases = list(product((1, 0), (16, 64)))
    found = dict(zip(cases, apart(stage, 1, _half_open, *cases), strict=True))
    steps = [
        Step(
            f"{_COOKIES}={cookies} {_BACKLOG}={limit}",
            f"{found[cookies, limit]} of {_CLIENTS} handshakes held",
            "it decides nothing, the queue is as long as the backlog"
            if cookies
            else "beyond three quarters of it SYNs are dropped",
            found[cookies, limit] == (_CLIENTS if cookies else limit * 3 // 4 + 1),
        )
        for cookies, limit in cases
    ]
    numbers = (
        f"of {_CLIENTS} handshakes {found[1, 16]} were held with tcp_max_syn_backlog=16 and {found[1, 64]} with 64"
        f" while tcp_syncookies=1, {found[0, 16]} and {found[0, 64]} with 0"
    )
    return Finding(steps, numbers, "this counts only without SYN cookies")


def _arrives(cookies: int, accept_queue: bool) -> tuple[bool, int]:
    """Whether a client gets in after 40 others that fill a queue, and how many wait in that queue."""
    set_sysctl(_COOKIES, str(cookies))
    set_sysctl("net.ipv4.tcp_synack_retries", "30")
    with sockets.server(backlog=16) as listener, ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(try_to_connect(sockets.PORT, deaf=not accept_queue))
        time.sleep(0.2)
        waiting = sockets.queued(listener) if accept_queue else sockets.count(sockets.SYN_RECV)
        return sockets.connected(stack.enter_context(sockets.begin()), _WAIT), waiting


def _cookies(stage: Stage) -> Finding:
    cases = list(product((1, 0, 2), (False, True)))
    found = {case: tuple(each) for case, each in zip(cases, apart(stage, 2, _arrives, *cases), strict=True)}
    # One more than the backlog fits; of handshakes in older kernels just the backlog.
    expected = {1: (True, (16, 17)), 0: (False, (16, 17)), 2: (True, (0,))}
    words = {
        1: "a full SYN queue turns nobody away, a full accept queue does",
        0: "a full SYN queue turns clients away",
        2: "the SYN queue stays empty; a full accept queue turns clients away all the same",
    }
    steps = [
        Step(
            f"{_COOKIES}={value}",
            f"backlog 16: with {found[value, False][1]} in the SYN queue a client"
            f" {_got_in(found[value, False][0])}, with {found[value, True][1]} in the accept queue it"
            f" {_got_in(found[value, True][0])}",
            words[value],
            found[value, False][0] == expected[value][0]
            and found[value, False][1] in expected[value][1]
            and found[value, True] == (False, 17),
        )
        for value in words
    ]
    steps.append(_with_a_cookie(stage))
    numbers = (
        f"while a SYN queue was full a client {_got_in(found[1, False][0])} with tcp_syncookies=1 and"
        f" {_got_in(found[0, False][0])} with 0; while an accept queue was full it"
        f" {_got_in(found[1, True][0])} with 1"
    )
    return Finding(steps, numbers, "cookies help a full SYN queue, and not a full accept queue")


def _agreed(timestamps: int) -> int:
    """What a client and a listener that always answers with a cookie agree on."""
    set_sysctl(_COOKIES, "2")
    set_sysctl("net.ipv4.tcp_timestamps", str(timestamps))
    with sockets.server(), socket.create_connection((sockets.LOOPBACK, sockets.PORT), 5) as client:
        return sockets.options(client)


def _with_a_cookie(stage: Stage) -> Step:
    without, with_ = (
        found & (sockets.SACK | sockets.WINDOW_SCALING) for found in apart(stage, 1, _agreed, (0,), (1,))
    )
    return Step(
        f"{_COOKIES}=2",
        f"a connection {_has(with_)} where net.ipv4.tcp_timestamps=1, and {_has(without)} where it is 0",
        "window scaling and SACK are lost where timestamps are off",
        bool(with_) and not without,
    )


def _has(options: int) -> str:
    names = {sockets.SACK: "SACK", sockets.WINDOW_SCALING: "window scaling"}
    return "has " + (" and ".join(name for bit, name in names.items() if options & bit) or "neither")


def _got_in(one: bool) -> str:
    return "got in" if one else f"did not get in within {_WAIT} s"


def _late_handshakes(abort: int) -> dict[str, int]:
    """What becomes of four clients whose handshake ends when the accept queue is full."""
    set_sysctl(_ABORT, str(abort))
    with sockets.server(backlog=8) as listener, ExitStack() as stack:
        late = [stack.enter_context(try_to_connect(sockets.PORT, deaf=True)) for _ in range(4)]
        for _ in range(9):
            stack.enter_context(sockets.begin())
        if sockets.settled(lambda: sockets.queued(listener), 9) != 9:
            raise RuntimeError("the accept queue is not full")
        for client in late:
            client.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        # The SYN-ACK comes again after 1 s, and after 2 s more; a reset follows at once.
        for client in late:
            _answered(client)
        time.sleep(0.3)
        errors = [client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for client in late]
        new = stack.enter_context(sockets.begin())
        time.sleep(0.3)
        return {
            "counted": sockets.counter("EmbryonicRsts"),
            "unanswered": sockets.state(new) == sockets.SYN_SENT,
            "connected": sum(sockets.state(client) == sockets.ESTABLISHED for client in late),
            "reset": sum(error in (errno.ECONNRESET, errno.ECONNREFUSED) for error in errors),
            "accepted": sockets.queued(listener) - 9,
        }


def _answered(client: socket.socket) -> None:
    """Wait until a connect() that was begun has come to an end, either way."""
    poll = select.poll()
    poll.register(client, select.POLLOUT)
    poll.poll(8000)


def _abort(stage: Stage) -> Finding:
    values = (0, 1)
    found = apart(stage, 3, _late_handshakes, *((value,) for value in values))
    expected = (
        {"connected": 4, "reset": 0, "accepted": 0, "counted": 0, "unanswered": True},
        {"connected": 0, "reset": 4, "accepted": 0, "counted": 4, "unanswered": True},
    )
    words = (
        "clients believe that they are connected, and are not in the accept queue",
        "they get an error at once; for SYNs that meet a full queue nothing changes",
    )
    steps = [
        Step(
            f"{_ABORT}={value}",
            f"of 4 clients {each['connected']} believed to be connected, {each['reset']} got an error"
            f" (EmbryonicRsts {each['counted']}), {each['accepted']} came into the accept queue; a new SYN"
            f" {'got no answer' if each['unanswered'] else 'was answered'}",
            word,
            each == right,
        )
        for value, each, right, word in zip(values, found, expected, words, strict=True)
    ]
    numbers = (
        f"of 4 clients whose handshake ended while the accept queue was full {found[0]['connected']} believed to"
        f" be connected with tcp_abort_on_overflow=0, and {found[1]['reset']} were reset with 1"
    )
    return Finding(steps, numbers, "with 1 they are told, with 0 they are not")


PROOFS = (
    Proof(_BACKLOG, "it counts only without SYN cookies", _syn_backlog, 1),
    Proof(_COOKIES, "they help a full SYN queue, and not a full accept queue", _cookies, 2),
    Proof(_ABORT, "clients that came too late are told, or not", _abort, 3),
)
