"""One socket on a real kernel: the numbers of `ss`, its other end, and never another socket in its place."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable
from contextlib import ExitStack, closing

import pytest

from sockmon.agent.details import answer_query
from sockmon.agent.sampler import Sampler, open_sampler
from sockmon.kernel.sockets import tcp_info
from sockmon.model.socket_detail import SocketDetail, SocketQuery
from sockmon.model.socket_list import ListedSocket, SocketTerm
from sockmon.sandbox import veth_host
from sockmon.sandbox.child_process import ChildProcess
from sockmon.sources.wire import decode, encode
from tests.agent.test_socket_list import listed, number, sampling, text, whole
from tests.netns import TOOL_PATH, inside, inside_as_root

pytestmark = pytest.mark.usefixtures("needs_userns")


def page(sampler: Sampler, row: ListedSocket) -> SocketDetail:
    """Return the answer as the screen gets it."""
    answer = decode(encode(whole(answer_query(sampler, SocketQuery(row.key)))))
    assert isinstance(answer, SocketDetail)
    return answer


def only(sampler: Sampler, *terms: SocketTerm) -> ListedSocket:
    (row,) = listed(sampler, *terms).sockets
    return row


def _connected() -> tuple[SocketDetail, str]:
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        client = stack.enter_context(socket.create_connection(server.getsockname()))
        stack.enter_context(server.accept()[0])
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)
        client.sendall(bytes(3000))
        port = client.getsockname()[1]
        with sampling() as sampler:
            row = only(sampler, number("sport", port, port))
            answer = page(sampler, row)
        environment = {**os.environ, "PATH": TOOL_PATH}
        command = ["ss", "-tieOmnH", f"sport = :{port}"]
        return answer, subprocess.run(
            command, stdout=subprocess.PIPE, text=True, env=environment, check=True
        ).stdout


@pytest.mark.skipif(not shutil.which("ss", path=TOOL_PATH), reason="ss is not installed")
def test_a_connection_is_what_ss_says() -> None:
    answer, line = inside(_connected)
    assert answer.socket
    info, memory = answer.facts.info, answer.facts.memory
    names = {
        "cwnd": "snd_cwnd", "mss": "snd_mss", "rcvmss": "rcv_mss", "advmss": "advmss", "pmtu": "pmtu",
        "bytes_sent": "bytes_sent", "bytes_acked": "bytes_acked", "segs_out": "segs_out", "segs_in": "segs_in",
        "data_segs_out": "data_segs_out", "rcv_space": "rcv_space", "rcv_ssthresh": "rcv_ssthresh",
        "snd_wnd": "snd_wnd",
    }  # fmt: skip
    theirs = dict(re.findall(r"(\w+):([0-9]+)\b", line))
    found = {name: (info[ours], int(theirs[name])) for name, ours in names.items() if name in theirs}
    assert len(found) >= 10, line
    assert all(one == other for one, other in found.values()), found
    rtt = re.search(r"\brtt:([0-9.]+)/([0-9.]+)", line)
    assert rtt
    assert (info["rtt"], info["rttvar"]) == (round(float(rtt[1]) * 1000), round(float(rtt[2]) * 1000))
    skmem = re.search(r"skmem:\(r(\d+),rb(\d+),t(\d+),tb(\d+),f(\d+),w(\d+),o(\d+),bl(\d+),d(\d+)\)", line)
    assert skmem
    assert list(memory.values()) == [int(each) for each in skmem.groups()]
    assert f" {answer.facts.congestion} " in line
    assert f"ino:{answer.socket.key.inode} sk:{answer.socket.key.cookie:x} " in line
    assert [holder.pid for holder in answer.holders] == [answer.socket.owner and answer.socket.owner.pid]
    assert answer.peer
    assert answer.peer.socket.local == answer.socket.remote
    assert answer.peer.socket.recv_queue == 3000
    assert not answer.missing


def _gone() -> tuple[SocketDetail, SocketDetail, list[int], list[int]]:
    """Return a socket whose place another one took, one that is closed; cookies of listeners on one port, and
    those of their pages."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        client = socket.create_connection(server.getsockname())
        port = client.getsockname()[1]
        stack.enter_context(server.accept()[0])
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind(("127.0.0.1", 0))
        many: list[socket.socket] = []
        for _ in range(3):
            each = stack.enter_context(socket.socket())
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            each.bind(("127.0.0.1", many[0].getsockname()[1] if many else 0))
            each.listen()
            many.append(each)
        with sampling() as sampler:
            old = only(sampler, number("sport", port, port))
            udp = only(sampler, text("proto", "udp"))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
            datagrams.close()
            again = stack.enter_context(socket.socket())
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(("127.0.0.1", port))
            again.connect(server.getsockname())
            assert only(sampler, number("sport", port, port)).key.cookie != old.key.cookie
            shared = many[0].getsockname()[1]
            rows = listed(sampler, number("sport", shared, shared)).sockets
            pages = [answer.socket.key.cookie for row in rows if (answer := page(sampler, row)).socket]
            return page(sampler, old), page(sampler, udp), [row.key.cookie for row in rows], pages


def test_a_closed_socket_is_closed_also_if_another_one_has_its_addresses() -> None:
    replaced, closed, rows, pages = inside(_gone)
    assert replaced.socket is closed.socket is None
    assert replaced.missing == closed.missing == ()
    assert len(set(rows)) == 3
    assert pages == rows


def _unix() -> tuple[SocketDetail, int]:
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket(socket.AF_UNIX))
        server.bind("\0some-service")
        server.listen()
        client = stack.enter_context(socket.socket(socket.AF_UNIX))
        client.connect("\0some-service")
        stack.enter_context(server.accept()[0])
        with sampling() as sampler:
            rows = listed(sampler, text("proto", "unix")).sockets
            row = next(row for row in rows if row.key.inode == os.fstat(client.fileno()).st_ino)
            return page(sampler, row), os.getpid()


def test_the_peer_of_a_unix_socket_has_its_name_and_owner() -> None:
    answer, pid = inside(_unix)
    assert answer.peer
    assert answer.peer.socket.local == "@some-service"
    assert [holder.pid for holder in answer.peer.holders] == [pid]
    assert answer.facts.kind == "stream"
    assert answer.facts.memory["sndbuf"]


class _Remote:
    """A server in another network namespace: told a pid, it moves to the other end of a pair, and listens."""

    def __init__(self) -> None:
        self.kept: list[socket.socket] = []

    def __call__(self, pid: int) -> int:
        if pid:
            veth_host.enter_remote_host(pid)
            self.kept.append(socket.create_server((veth_host.REMOTE, 8080)))
        else:
            self.kept.append(self.kept[0].accept()[0])
        return os.stat("/proc/self/ns/net").st_ino


def _across() -> tuple[SocketDetail, int]:
    remote = ChildProcess(_Remote())
    inode = remote.call(os.getpid())
    veth_host.configure_local_end()
    with closing(socket.create_connection((veth_host.REMOTE, 8080), 5)):
        remote.call(0)
        with open_sampler(None, 1.0) as sampler:
            sampler.sample(complete=True)
            row = only(sampler, number("dport", 8080, 8080), text("src", "192.0.2.1"), text("state", "estab"))
            return page(sampler, row), inode


def test_the_other_end_in_another_namespace() -> None:
    if os.geteuid():
        pytest.skip("entering another namespace takes root")
    answer, inode = inside_as_root(_across)
    assert answer.peer
    assert answer.peer.socket.key.netns == inode
    assert answer.peer.socket.local == f"{veth_host.REMOTE}:8080"
    assert answer.peer.holders


@pytest.mark.parametrize("size", [0, 5, 8, 104, 192, 232, 248])
def test_a_shorter_struct_has_fewer_fields_and_never_zeros_in_their_place(size: int) -> None:
    found = tcp_info.parse(bytes([17]) * size)
    after: Callable[[str], bool] = found.__contains__
    assert after("state") == (size > 0)
    assert after("rto") == (size >= 12)
    assert after("total_retrans") == (size >= 104)
    assert after("sndbuf_limited") == (size >= 192)
    assert after("snd_wnd") == (size >= 232)
    assert after("total_rto_time") == (size >= 248)
    assert 0 not in found.values()
