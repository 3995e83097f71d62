"""Handshakes: how many are kept, and what happens if a listener has no room for one."""

from __future__ import annotations

import errno
import select
import socket
import time
from contextlib import ExitStack
from itertools import product

from sockmon.experiments.experiment import Experiment
from sockmon.model.experiment import Result, Step
from sockmon.sandbox import sockets
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.namespaces import set_sysctl
from sockmon.sandbox.parallel import measure_in_namespaces
from sockmon.sandbox.sockets import start_connect

_BACKLOG = "net.ipv4.tcp_max_syn_backlog"
_COOKIES = "net.ipv4.tcp_syncookies"
_ABORT = "net.ipv4.tcp_abort_on_overflow"
_CLIENTS = 100
_WAIT = 0.8
"""Seconds in which a client must connect: less than the 1 s after which it sends its SYN again."""
_SO_DETACH_FILTER = 27


def _count_half_open(cookies: int, limit: int) -> int:
    """Return how many handshakes the kernel keeps of clients that never finish theirs."""
    set_sysctl(_COOKIES, str(cookies))
    set_sysctl(_BACKLOG, str(limit))
    with sockets.listen(backlog=2 * _CLIENTS), ExitStack() as stack:
        for _ in range(_CLIENTS):
            stack.enter_context(start_connect(sockets.SERVER_PORT, drop_replies=True))
        return sockets.count_in_state(sockets.SYN_RECV)


def _syn_backlog(builder: LabBuilder) -> Result:
    cases = list(product((1, 0), (16, 64)))
    found = dict(zip(cases, measure_in_namespaces(builder, 1, _count_half_open, *cases), strict=True))
    steps = [
        Step(
            f"{_COOKIES}={cookies} {_BACKLOG}={limit}",
            f"{found[cookies, limit]} of {_CLIENTS} handshakes were kept",
            "it has no effect, the queue is as long as the backlog"
            if cookies
            else "beyond three quarters of it the kernel drops SYNs",
            found[cookies, limit] == (_CLIENTS if cookies else limit * 3 // 4 + 1),
        )
        for cookies, limit in cases
    ]
    numbers = (
        f"of {_CLIENTS} handshakes {found[1, 16]} were kept with tcp_max_syn_backlog=16 and {found[1, 64]} with 64"
        f" while tcp_syncookies=1, {found[0, 16]} and {found[0, 64]} with 0"
    )
    return Result(steps, numbers, "this has an effect only without SYN cookies")


def _connect_to_full_queue(cookies: int, accept_queue: bool) -> tuple[bool, int]:
    """Return whether a client can connect after 40 others have filled a queue, and the length of that queue."""
    set_sysctl(_COOKIES, str(cookies))
    set_sysctl("net.ipv4.tcp_synack_retries", "30")
    with sockets.listen(backlog=16) as listener, ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(start_connect(sockets.SERVER_PORT, drop_replies=not accept_queue))
        time.sleep(0.2)
        waiting = (
            sockets.accept_queue_length(listener) if accept_queue else sockets.count_in_state(sockets.SYN_RECV)
        )
        return sockets.connects_within(stack.enter_context(sockets.start_connect()), _WAIT), waiting


def _cookies(builder: LabBuilder) -> Result:
    cases = list(product((1, 0, 2), (False, True)))
    found = {
        case: tuple(each)
        for case, each in zip(
            cases, measure_in_namespaces(builder, 2, _connect_to_full_queue, *cases), strict=True
        )
    }
    # One more than the backlog fits; handshakes in older kernels: exactly the backlog.
    expected = {1: (True, (16, 17)), 0: (False, (16, 17)), 2: (True, (0,))}
    documented = {
        1: "a full SYN queue refuses no client, but a full accept queue does",
        0: "a full SYN queue refuses clients",
        2: "the SYN queue stays empty; a full accept queue still refuses clients",
    }
    steps = [
        Step(
            f"{_COOKIES}={value}",
            f"backlog 16: with {found[value, False][1]} in the SYN queue a client"
            f" {_connected(found[value, False][0])}, with {found[value, True][1]} in the accept queue it"
            f" {_connected(found[value, True][0])}",
            documented[value],
            found[value, False][0] == expected[value][0]
            and found[value, False][1] in expected[value][1]
            and found[value, True] == (False, 17),
        )
        for value in documented
    ]
    steps.append(_with_a_cookie(builder))
    numbers = (
        f"while a SYN queue was full a client {_connected(found[1, False][0])} with tcp_syncookies=1 and"
        f" {_connected(found[0, False][0])} with 0; while an accept queue was full it"
        f" {_connected(found[1, True][0])} with 1"
    )
    return Result(steps, numbers, "SYN cookies help if the SYN queue is full, but not if the accept queue is full")


def _negotiated_options(timestamps: int) -> int:
    """Return the TCP options of a connection to a listener that always replies with a SYN cookie."""
    set_sysctl(_COOKIES, "2")
    set_sysctl("net.ipv4.tcp_timestamps", str(timestamps))
    with sockets.listen(), socket.create_connection((sockets.LOOPBACK, sockets.SERVER_PORT), 5) as client:
        return sockets.tcp_options(client)


def _with_a_cookie(builder: LabBuilder) -> Step:
    without, with_ = (
        found & (sockets.SACK | sockets.WINDOW_SCALING)
        for found in measure_in_namespaces(builder, 1, _negotiated_options, (0,), (1,))
    )
    return Step(
        f"{_COOKIES}=2",
        f"a connection {_has(with_)} with net.ipv4.tcp_timestamps=1, and {_has(without)} with 0",
        "without timestamps, window scaling and SACK are lost",
        bool(with_) and not without,
    )


def _has(options: int) -> str:
    names = {sockets.SACK: "SACK", sockets.WINDOW_SCALING: "window scaling"}
    return "has " + (" and ".join(name for bit, name in names.items() if options & bit) or "neither")


def _connected(success: bool) -> str:
    return "connected" if success else f"did not connect within {_WAIT} s"


def _late_handshakes(abort: int) -> dict[str, int]:
    """Let four clients finish their handshake while the accept queue is full, and return what happens to them."""
    set_sysctl(_ABORT, str(abort))
    with sockets.listen(backlog=8) as listener, ExitStack() as stack:
        late = [stack.enter_context(start_connect(sockets.SERVER_PORT, drop_replies=True)) for _ in range(4)]
        for _ in range(9):
            stack.enter_context(sockets.start_connect())
        if sockets.wait_for_value(lambda: sockets.accept_queue_length(listener), 9) != 9:
            raise RuntimeError("the accept queue is not full")
        for client in late:
            client.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
        # The kernel sends the SYN-ACK again after 1 s and after 2 s more; a reset follows at once.
        for client in late:
            _wait_for_outcome(client)
        time.sleep(0.3)
        errors = [client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for client in late]
        new = stack.enter_context(sockets.start_connect())
        time.sleep(0.3)
        return {
            "counted": sockets.tcp_counter("EmbryonicRsts"),
            "unanswered": sockets.tcp_state(new) == sockets.SYN_SENT,
            "connected": sum(sockets.tcp_state(client) == sockets.ESTABLISHED for client in late),
            "reset": sum(error in (errno.ECONNRESET, errno.ECONNREFUSED) for error in errors),
            "accepted": sockets.accept_queue_length(listener) - 9,
        }


def _wait_for_outcome(client: socket.socket) -> None:
    """Wait until a started connect() has succeeded or failed."""
    poll = select.poll()
    poll.register(client, select.POLLOUT)
    poll.poll(8000)


def _abort(builder: LabBuilder) -> Result:
    values = (0, 1)
    found = measure_in_namespaces(builder, 3, _late_handshakes, *((value,) for value in values))
    expected = (
        {"connected": 4, "reset": 0, "accepted": 0, "counted": 0, "unanswered": True},
        {"connected": 0, "reset": 4, "accepted": 0, "counted": 4, "unanswered": True},
    )
    documented = (
        "clients appear to be connected, but are not in the accept queue",
        "clients get an error at once; nothing changes for SYNs that find the queue full",
    )
    steps = [
        Step(
            f"{_ABORT}={value}",
            f"of 4 clients {each['connected']} appeared to be connected, {each['reset']} got an error"
            f" (EmbryonicRsts {each['counted']}), {each['accepted']} entered the accept queue; a new SYN"
            f" {'got no reply' if each['unanswered'] else 'got a reply'}",
            text,
            each == right,
        )
        for value, each, right, text in zip(values, found, expected, documented, strict=True)
    ]
    numbers = (
        f"of 4 clients whose handshake ended while the accept queue was full {found[0]['connected']} appeared"
        f" to be connected with tcp_abort_on_overflow=0, and {found[1]['reset']} were reset with 1"
    )
    return Result(steps, numbers, "with 1 they get an error, with 0 they do not")


EXPERIMENTS = (
    Experiment(_BACKLOG, "it has an effect only without SYN cookies", _syn_backlog, 1),
    Experiment(_COOKIES, "SYN cookies help with a full SYN queue, not with a full accept queue", _cookies, 2),
    Experiment(_ABORT, "clients that find the accept queue full get an error, or none", _abort, 3),
)
