"""Closing TCP sockets on the real kernel: exactly those that were shown, each by its cookie."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
import struct
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from sockmon.errors import SockmonError
from sockmon.kernel.identity import netns_inode
from sockmon.model.acting import CarryOutAction, CloseSockets, PreparedAction, SocketMatch
from sockmon.sandbox.namespaces import enter
from sockmon.tuning.acting import sockets
from sockmon.tuning.acting.actions import NOT_SHOWN
from sockmon.tuning.acting.namespace_sockets import ENDED
from tests.netns import inside
from tests.tuning.acting_targets import (
    Connections,
    act,
    actions,
    confirm,
    error_of,
    key_of,
    refusal,
    sleeper,
    start_of,
)
from tests.tuning.sample_change import read_history
from tests.tuning.test_transaction import eventually

pytestmark = pytest.mark.usefixtures("needs_userns")


def one_of_twins(family: socket.AddressFamily) -> None:
    with actions() as (acting, root):
        (one, its_server), (twin, twin_server) = Connections(family).open(2)
        action = CloseSockets(netns_inode(), (key_of(one),))
        shown = acting.prepare(action)
        assert (shown.title, shown.count, shown.word, shown.refused) == ("Close 1 TCP socket", 1, "close", "")
        assert "ESTABLISHED" in shown.rows[0]
        assert any(f"[{os.getpid()}]" in fact for fact in shown.facts)
        assert shown.commands[0].startswith("ss -K state established src ")
        assert error_of(one) == 0
        done = acting.carry_out(confirm(shown))
        assert (done.state, done.messages) == ("done", ())
        assert error_of(one) == errno.ECONNABORTED
        assert error_of(its_server) == errno.ECONNRESET
        assert [error_of(each) for each in (twin, twin_server)] == [0, 0]
        twin.sendall(b"x")
        assert twin_server.recv(1) == b"x"
        noted = read_history(Path(root))
        assert [one.id for one in noted] == [done.id]
        assert noted[0].action is not None
        assert (noted[0].action.kind, noted[0].action.confirmed, noted[0].action.done) == ("close", 1, 1)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["v4", "v6"])
def test_one_connection_is_closed_and_its_twin_is_not(family: socket.AddressFamily) -> None:
    inside(one_of_twins, family)


def v4_mapped() -> None:
    with (
        actions() as (acting, _),
        closing(socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)) as listener,
    ):
        client = socket.create_connection(("127.0.0.1", listener.getsockname()[1]))
        server = listener.accept()[0]
        assert act(acting, CloseSockets(netns_inode(), (key_of(server),))).state == "done"
        assert (error_of(server), error_of(client)) == (errno.ECONNABORTED, errno.ECONNRESET)


def test_a_connection_of_ipv4_on_a_socket_of_ipv6_is_closed() -> None:
    inside(v4_mapped)


def leak(count: int) -> None:
    with actions() as (acting, _):
        connections = Connections()
        pairs = connections.open(count + 2)
        for client, _server in pairs[:count]:
            client.close()
        others = Connections().open(1)
        match = SocketMatch(("CLOSE_WAIT",), os.getpid(), start_of(os.getpid()))
        shown = acting.prepare(CloseSockets(netns_inode(), match=match))
        assert (shown.count, len(shown.rows)) == (count, min(count, 20))
        assert f"{count} CLOSE_WAIT" in shown.facts[0]
        # One that appears after it was shown is not acted on.
        late = connections.open(1)[0]
        late[0].close()
        done = acting.carry_out(confirm(shown))
        assert done.action is not None
        assert (done.state, done.action.done) == ("done", count)
        assert f"{count} TCP sockets ({count} CLOSE_WAIT) of " in done.action.target
        assert [error_of(server) for _, server in pairs[:count]] == [errno.ECONNABORTED] * count
        alive = [*pairs[count:], *others]
        assert {error_of(each) for pair in alive for each in pair} == {0}
        assert error_of(late[1]) == 0
        assert refusal(lambda: acting.carry_out(confirm(shown))) == NOT_SHOWN


def test_all_close_wait_of_one_process() -> None:
    inside(leak, 30)


def filters() -> None:
    with actions() as (acting, _):
        first, second = Connections(), Connections()
        here, there = first.open(3), second.open(2)
        port = second.listener.getsockname()[1]
        by_remote = acting.prepare(
            CloseSockets(netns_inode(), match=SocketMatch(remote="127.0.0.1", remote_port=port))
        )
        assert by_remote.count == 2
        by_local = acting.prepare(CloseSockets(netns_inode(), match=SocketMatch(local_port=port)))
        # A listener is left out unless its state is asked for.
        assert by_local.count == 2
        listening = acting.prepare(CloseSockets(netns_inode(), match=SocketMatch(("LISTEN",), local_port=port)))
        assert listening.count == 1
        assert "the service stops listening" in " ".join(listening.warnings)
        assert acting.carry_out(confirm(listening)).state == "done"
        assert {error_of(each) for pair in (*here, *there) for each in pair} == {0}
        assert (
            refusal(
                lambda: acting.prepare(
                    CloseSockets(netns_inode(), match=SocketMatch(local_port=port, states=("LISTEN",)))
                )
            )
            == sockets.NONE_MATCH
        )


def test_filters_and_a_listener() -> None:
    inside(filters)


def kept_by_the_kernel() -> None:
    with actions() as (acting, _):
        connections = Connections()
        client, server = connections.open(1)[0]
        port = connections.listener.getsockname()[1]
        client.close()
        server.close()
        action = CloseSockets(netns_inode(), match=SocketMatch(("TIME_WAIT",), remote_port=port))
        assert eventually(lambda: _count(acting.prepare, action) == 1)
        done = act(acting, action)
        # Older kernels cannot.
        assert done.state == "done" or sockets.NO_SUPPORT in done.messages[0]


def _count(prepare: Callable[[CloseSockets], PreparedAction], action: CloseSockets) -> int:
    with suppress(SockmonError):
        return prepare(action).count
    return 0


def test_time_wait_ends() -> None:
    inside(kept_by_the_kernel)


def reused() -> None:
    with actions() as (acting, _):
        connections = Connections()
        server_port = connections.listener.getsockname()[1]
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind(("127.0.0.1", 0))
        own_port = client.getsockname()[1]
        client.connect(("127.0.0.1", server_port))
        server = connections.listener.accept()[0]
        before = key_of(client)
        shown = acting.prepare(CloseSockets(netns_inode(), (before,)))
        # A reset on close leaves no TIME_WAIT, so the same addresses can be used at once.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        server.close()
        again = socket.socket()
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", own_port))
        again.connect(("127.0.0.1", server_port))
        assert key_of(again).source_port == before.source_port
        assert key_of(again).cookie != before.cookie
        done = acting.carry_out(confirm(shown))
        assert done.state == "refused"
        assert "gone already" in done.messages[0]
        assert error_of(again) == 0
        assert refusal(lambda: acting.prepare(CloseSockets(netns_inode(), (before,)))) == sockets.NONE_MATCH


@pytest.mark.fault("X8")
def test_another_socket_with_the_same_addresses_is_not_closed() -> None:
    inside(reused)


def changed_state() -> None:
    with actions() as (acting, _):
        client, server = Connections().open(1)[0]
        shown = acting.prepare(CloseSockets(netns_inode(), (key_of(server),)))
        client.close()
        assert eventually(lambda: "state" in acting_state(server))
        done = acting.carry_out(confirm(shown))
        assert (done.state, done.messages) == ("refused", ("1 left: its state has changed since it was shown",))
        assert error_of(server) == 0


def acting_state(server: socket.socket) -> str:
    server.settimeout(5)
    return "state" if server.recv(1, socket.MSG_PEEK) == b"" else ""


def test_a_socket_that_has_changed_since_is_left() -> None:
    inside(changed_state)


def not_what_was_shown() -> None:
    with actions() as (acting, _):
        pairs = Connections().open(2)
        action = CloseSockets(netns_inode(), tuple(key_of(client) for client, _ in pairs))
        for wrong in (
            {"token": "0" * 32},
            {"token": ""},
            {"count": 1},
            {"count": 3},
            {"word": "yes"},
            {"word": ""},
            {"word": "disconnect"},
        ):
            shown = acting.prepare(action)
            assert refusal(partial(acting.carry_out, replace(confirm(shown), **wrong))) == NOT_SHOWN
            # Also what was right would be too late now.
            assert refusal(partial(acting.carry_out, confirm(shown))) == NOT_SHOWN
        first = acting.prepare(action)
        acting.prepare(CloseSockets(netns_inode(), (key_of(pairs[0][0]),)))
        assert refusal(lambda: acting.carry_out(confirm(first))) == NOT_SHOWN
        assert refusal(lambda: acting.carry_out(CarryOutAction("é" * 64, 1, "close"))) == NOT_SHOWN
        assert {error_of(each) for pair in pairs for each in pair} == {0}


@pytest.mark.fault("X8")
def test_only_what_was_shown_last_is_carried_out_and_once() -> None:
    inside(not_what_was_shown)


def invalid_targets() -> None:
    with actions() as (acting, _):
        client = Connections().open(1)[0][0]
        good = key_of(client)
        for wrong in (
            {"cookie": 0},
            {"cookie": -1},
            {"protocol": "udp"},
            {"family": 1},
            {"netns": good.netns + 1},
            {"source": "127.0.0.1; reboot"},
            {"destination": "::1"},
            {"source_port": 70_000},
            {"device": -1},
        ):
            bad = CloseSockets(netns_inode(), (replace(good, **wrong),))
            assert "not a" in refusal(partial(acting.prepare, bad)), wrong
        # Of a socket that is not there, whatever its numbers are.
        gone = CloseSockets(netns_inode(), (replace(good, cookie=(1 << 62) + 1),))
        assert refusal(lambda: acting.prepare(gone)) == sockets.NONE_MATCH
        for match in (SocketMatch(("OPEN",), local_port=1), SocketMatch(local="x"), SocketMatch(remote="1.2.3")):
            assert "not a" in refusal(partial(acting.prepare, CloseSockets(netns_inode(), match=match)))
        for everything in (SocketMatch(), SocketMatch(("ESTABLISHED",))):
            whole = CloseSockets(netns_inode(), match=everything)
            assert refusal(partial(acting.prepare, whole)) == sockets.TOO_MANY
        assert error_of(client) == 0


def test_targets_that_are_not_valid() -> None:
    inside(invalid_targets)


def own_connection() -> None:
    _client, server = Connections().open(1)[0]
    other = Connections().open(1)[0]
    local, remote = server.getsockname(), server.getpeername()
    with actions(ssh_connection=f"{remote[0]} {remote[1]} {local[0]} {local[1]}") as (acting, _):
        shown = acting.prepare(CloseSockets(netns_inode(), (key_of(server),)))
        assert (shown.word, shown.count) == ("disconnect", 1)
        assert "carries the terminal" in shown.warnings[0]
        assert refusal(lambda: acting.carry_out(replace(confirm(shown), word="close"))) == NOT_SHOWN
        # Among others it is left out.
        both = acting.prepare(CloseSockets(netns_inode(), (key_of(server), key_of(other[0]))))
        assert (both.word, both.count) == ("close", 1)
        assert "carries the terminal" in both.left_out[0]
        assert acting.carry_out(confirm(both)).state == "done"
        assert (error_of(server), error_of(other[0])) == (0, errno.ECONNABORTED)


def test_the_connection_of_this_session_needs_another_word() -> None:
    inside(own_connection)


def connection_of_an_ancestor() -> None:
    """The parent of the process that acts holds the connection, as sshd does."""
    (_client, server), (other, _) = Connections().open(2)
    ours, theirs = os.pipe()

    def work() -> None:
        held = key_of(server)
        server.close()
        other.close()
        with actions() as (acting, _):
            os.write(theirs, acting.prepare(CloseSockets(netns_inode(), (held,))).word.encode())
        os._exit(0)

    with sleeper(work):
        os.close(theirs)
        assert os.read(ours, 64) == b"disconnect"


def test_a_connection_that_an_ancestor_holds_carries_the_session() -> None:
    inside(connection_of_an_ancestor)


def in_another_namespace() -> None:
    """Close a socket of a child in a namespace of its own, then try it after the namespace has ended."""
    ours, theirs = os.pipe()

    def work() -> None:
        enter(user_namespace=False)
        connections = Connections()
        client, server = connections.open(1)[0]
        os.write(theirs, f"{netns_inode()} {server.getsockname()[1]}\n".encode())
        signal.signal(signal.SIGUSR1, lambda *_: os.write(theirs, b"%d\n" % error_of(client)))
        while True:
            time.sleep(3600)

    with actions() as (acting, _), sleeper(work) as pid, os.fdopen(ours) as lines:
        inode, port = map(int, lines.readline().split())
        action = CloseSockets(inode, match=SocketMatch(remote_port=port))
        assert refusal(lambda: acting.prepare(replace(action, netns=netns_inode()))) == sockets.NONE_MATCH
        shown: PreparedAction = acting.prepare(action)
        assert shown.facts[-1] == f"in network namespace net:[{inode}]"
        assert shown.commands[0].startswith(f"nsenter -t {pid} -n ss -K state established ")
        done = acting.carry_out(confirm(shown))
        assert (done.state, done.plan.netns) == ("done", inode)
        os.kill(pid, signal.SIGUSR1)
        assert int(lines.readline()) == errno.ECONNABORTED
        listener = CloseSockets(inode, match=SocketMatch(("LISTEN",), local_port=port))
        assert acting.prepare(listener).count == 1
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert refusal(lambda: acting.prepare(listener)) == ENDED


def test_a_namespace_of_others_and_one_that_has_ended() -> None:
    inside(in_another_namespace)


def ended_meanwhile() -> None:
    ours, theirs = os.pipe()

    def work() -> None:
        enter(user_namespace=False)
        listener = socket.create_server(("127.0.0.1", 0))
        os.write(theirs, f"{netns_inode()} {listener.getsockname()[1]}\n".encode())
        while True:
            time.sleep(3600)

    with actions() as (acting, root), sleeper(work) as pid, os.fdopen(ours) as lines:
        inode, port = map(int, lines.readline().split())
        shown = acting.prepare(CloseSockets(inode, match=SocketMatch(("LISTEN",), local_port=port)))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        time.sleep(0.2)
        done = acting.carry_out(confirm(shown))
        assert done.state == "refused"
        assert done.messages[0] == ENDED or "gone" in done.messages[0]
        assert read_history(Path(root))[0].state == "refused"


def test_a_namespace_that_ends_before_the_word_is_typed() -> None:
    inside(ended_meanwhile)


def no_capability() -> None:
    with actions() as (acting, _):
        server = Connections().open(1)[0][1]
        action = CloseSockets(netns_inode(), (key_of(server),))
        # Drop all capabilities of this thread (capset(2)), as an ordinary user has none.
        ctypes.CDLL(None).capset(struct.pack("=Ii", 0x20080522, 0), bytes(24))
        shown = acting.prepare(action)
        assert (shown.refused, shown.word, shown.token) == (sockets.NEEDS_ROOT, "", "")
        assert shown.commands
        assert refusal(lambda: acting.carry_out(CarryOutAction("", 1, "close"))) == NOT_SHOWN
        assert error_of(server) == 0


def test_without_the_capability_it_says_so_and_names_the_command() -> None:
    inside(no_capability)
