"""The list of sockets on a real kernel: what `ss` lists, found by any term; partial answers; and one stopped."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TypeVar

import pytest

from sockmon.agent.pending import Pending
from sockmon.agent.sampler import Sampler, open_sampler
from sockmon.agent.socket_list import answer_socket_list
from sockmon.kernel.sockets.sock_diag import STATES
from sockmon.model.conntrack_flows import FlowValue, NetworkValue, RangeValue, TextValue
from sockmon.model.detail import Detail
from sockmon.model.socket_list import (
    HALF_OPEN,
    KEPT_BY_KERNEL,
    NOT_ACCEPTED,
    ListedSocket,
    SocketListDetail,
    SocketListQuery,
    SocketTerm,
)
from sockmon.sources.wire import decode, encode
from tests.kernel.all_states import AllStates
from tests.netns import inside

pytestmark = pytest.mark.usefixtures("needs_userns")
T = TypeVar("T")
HOSTILE = "[red]\x1b]0;x"


def whole(work: Generator[object, None, T]) -> T:
    while True:
        try:
            next(work)
        except StopIteration as found:
            result: T = found.value
            return result


def listed(sampler: Sampler, *terms: SocketTerm, sort: str = "", reverse: bool = False) -> SocketListDetail:
    """Return the answer as the screen gets it."""
    query = SocketListQuery(terms=terms, sort=sort, reverse=reverse)
    answer = decode(encode(whole(answer_socket_list(sampler, query))))
    assert isinstance(answer, SocketListDetail)
    assert answer.query == query
    assert answer.complete
    return answer


def term(field: str, *values: FlowValue, negated: bool = False) -> SocketTerm:
    return SocketTerm(field, values, negated)


def text(field: str, value: str, negated: bool = False) -> SocketTerm:
    return SocketTerm(field, (TextValue(value),), negated)


def number(field: str, low: int, high: int = 1 << 40) -> SocketTerm:
    return SocketTerm(field, (RangeValue(low, high),))


@contextmanager
def sampling() -> Iterator[Sampler]:
    with open_sampler(None, 1.0, others=False) as sampler:
        sampler.sample(complete=True)
        yield sampler


def _ss(flags: str) -> Counter[tuple[str, str, str]]:
    output = subprocess.run(["ss", f"-{flags}nHO"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return Counter(
        (state, local, remote) for state, _, _, local, remote, *_ in map(str.split, output.splitlines())
    )


_SS_STATES = {"ESTAB": "ESTABLISHED", "FIN-WAIT-1": "FIN_WAIT1", "FIN-WAIT-2": "FIN_WAIT2"}


def _tcp_like_ss() -> tuple[Counter[tuple[str, str, str]], Counter[tuple[str, str, str]], Counter[str]]:
    real = AllStates()
    real.populate()
    with sampling() as sampler:
        for _ in range(20):
            before, found, after = _ss("ta"), _by_state(sampler), _ss("ta")
            if before == after:
                break
    ours = Counter((row.state, _as_ss(row.local), _as_ss(row.remote)) for row in found)
    theirs = Counter(
        {
            (_SS_STATES.get(state, state.replace("-", "_")), _as_ss(local), _as_ss(remote)): count
            for (state, local, remote), count in before.items()
        }
    )
    return ours, theirs, Counter(f"{row.state} {row.no_owner}" for row in found if not row.owner)


def _by_state(sampler: Sampler) -> list[ListedSocket]:
    """Return all TCP sockets: of one state there are fewer than an answer can have."""
    answers = [listed(sampler, text("proto", "tcp"), text("state", name.casefold())) for name in STATES.values()]
    assert all(len(answer.sockets) == answer.matching for answer in answers)
    # CLOSE is also a part of CLOSE_WAIT.
    return list({row.key: row for answer in answers for row in answer.sockets}.values())


def _as_ss(end: str) -> str:
    """Return an address without what differs: v4-mapped ones are IPv4 here, and any address is `*` there."""
    address, _, port = end.replace("::ffff:", "").rpartition(":")
    bare = address.strip("[]")
    return f"{'*' if bare in ('0.0.0.0', '::', '*') else bare}:{'*' if port == '0' else port}"


def test_tcp_is_what_ss_lists_and_who_has_no_owner_says_why() -> None:
    ours, theirs, ownerless = inside(_tcp_like_ss)
    assert sum(ours.values()) > 500
    assert ours == theirs
    assert {key.partition(" ")[2] for key in ownerless} >= {KEPT_BY_KERNEL, HALF_OPEN}
    assert ownerless[f"TIME_WAIT {KEPT_BY_KERNEL}"]
    assert not any(key.endswith(" ") for key in ownerless)


def _every_kind() -> tuple[list[ListedSocket], dict[str, int], int]:
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = server.getsockname()[1]
        client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        waiting = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        accepted = stack.enter_context(server.accept()[0])
        client.sendall(b"x" * 1000)
        datagrams = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        datagrams.bind(("127.0.0.1", 0))
        datagrams.sendto(b"y", datagrams.getsockname())
        stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
        stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)))
        named = stack.enter_context(socket.socket(socket.AF_UNIX))
        named.bind(f"\0{HOSTILE}")
        named.listen()
        speaker = stack.enter_context(socket.socket(socket.AF_UNIX))
        speaker.connect(f"\0{HOSTILE}")
        heard = stack.enter_context(named.accept()[0])
        assert waiting
        assert heard
        with sampling() as sampler:
            rows = [row for row in listed(sampler).sockets if not row.owner or row.owner.pid == os.getpid()]
            me = term("pid", RangeValue(os.getpid(), os.getpid()))
            here = NetworkValue("127.0.0.0/8")
            found = {
                "pid": listed(sampler, me).matching,
                "not pid": listed(sampler, term("pid", *me.values, negated=True), text("proto", "tcp")).matching,
                "port": listed(sampler, number("port", port, port)).matching,
                "dport": listed(sampler, number("dport", port, port)).matching,
                "recvq": listed(sampler, number("recvq", 1000)).matching,
                "q": listed(sampler, number("q", 1), text("state", "estab"), text("proto", "tcp")).matching,
                "net": listed(sampler, term("src", here), text("proto", "udp")).matching,
                "word": listed(sampler, text("", str(port))).matching,
                "no word": listed(sampler, text("", "nowhere-to-be-found")).matching,
                "owner word": listed(sampler, text("", _own_name()), text("proto", "tcp")).matching,
                "rtt": listed(sampler, number("rtt", 1)).matching,
                "user": listed(sampler, text("user", "root"), text("proto", "tcp")).matching,
                "ct": listed(sampler, text("ct", "net:[")).matching - listed(sampler).matching,
                "no ct": listed(sampler, text("ct", "web")).matching,
            }
        assert accepted.fileno() >= 0
        return rows, found, port


def _own_name() -> str:
    with open("/proc/self/comm") as file:
        return file.read().strip()


def test_every_protocol_is_listed_and_found_by_every_field() -> None:
    rows, found, port = inside(_every_kind)
    by_protocol = Counter(row.key.protocol for row in rows)
    assert by_protocol["tcp"] == 5
    assert min(by_protocol[name] for name in ("udp", "raw", "packet")) == 1
    assert by_protocol["unix"] >= 3
    waiting = [row for row in rows if row.no_owner == NOT_ACCEPTED]
    assert [row.local for row in waiting] == [f"127.0.0.1:{port}"]
    assert next(row for row in rows if row.state == "LISTEN" and row.key.protocol == "tcp").recv_queue == 1
    full = rows[0]
    assert (full.recv_queue, full.state) == (1000, "ESTABLISHED")
    assert full.received_ago is not None
    assert full.sent_ago is None
    name = next(row.local for row in rows if row.key.protocol == "unix" and row.local)
    assert name.startswith("@[red]")
    assert "\x1b" not in name
    assert [row.remote for row in rows if row.key.protocol == "unix" and row.peer].count(name) == 1
    assert found["pid"] >= 10
    assert found["not pid"] == 1
    assert (found["port"], found["dport"], found["recvq"], found["q"]) == (5, 2, 1, 1)
    assert (found["net"], found["word"], found["no word"], found["owner word"]) == (1, 5, 0, 4)
    assert (found["rtt"], found["user"], found["ct"], found["no ct"]) == (4, 4, 0, 0)


def _orders() -> list[list[object]]:
    with ExitStack() as stack:
        sizes = (10, 3000, 700)
        for size in sizes:
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            client = stack.enter_context(socket.create_connection(server.getsockname()))
            stack.enter_context(server.accept()[0])
            client.sendall(bytes(size))
        with sampling() as sampler:
            tcp = text("proto", "tcp")
            most = [row.recv_queue for row in listed(sampler, tcp).sockets][:3]
            least = [row.recv_queue for row in listed(sampler, tcp, sort="recvq").sockets][-3:]
            ports = [row.key.source_port for row in listed(sampler, tcp, sort="local").sockets]
            sent = [row.sent_ago for row in listed(sampler, tcp, sort="sent", reverse=True).sockets]
            owners = [row.owner and row.owner.name for row in listed(sampler, tcp, sort="owner").sockets]
    return [list(most), list(least), list(ports), [each is None for each in sent], list(owners)]


def test_orders() -> None:
    most, least, ports, unsent, owners = inside(_orders)
    assert most == [3000, 700, 10]
    assert least == [10, 700, 3000]
    assert ports == sorted(ports, key=str) or ports == sorted(ports, key=lambda port: int(str(port)))
    assert unsent == [False] * 3 + [True] * 6
    assert len(set(owners)) == 1


def _many(pairs: int) -> tuple[list[tuple[int, bool]], int, int]:
    """Return rows and completeness of each answer to a query, and matching and rows of the next one after that was
    stopped half-way."""
    linger = struct.pack("ii", 1, 0)
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
        for _ in range(pairs):
            client = stack.enter_context(socket.create_connection(server.getsockname()))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            stack.enter_context(server.accept()[0])
        with sampling() as sampler:
            answers: list[Detail] = []
            pending = Pending(sampler)
            pending.add(SocketListQuery(terms=(text("proto", "tcp"),), number=1))
            next(pending.work(10), None)
            pending.add(SocketListQuery(terms=(text("proto", "tcp"), text("state", "listen")), number=2))
            while pending:
                answers.extend(pending.work(10))
            last = answers[-1]
            assert isinstance(last, SocketListDetail)
            assert last.query.number == 2
            assert {answer.query.number for answer in answers if isinstance(answer, SocketListDetail)} == {2}
            every = []
            with closing(answer_socket_list(sampler, SocketListQuery(terms=(text("proto", "tcp"),)))) as work:
                while True:
                    try:
                        partial = next(work)
                    except StopIteration as found:
                        every.append((len(found.value.sockets), found.value.complete))
                        matching = found.value.matching
                        break
                    if partial:
                        every.append((len(partial.sockets), partial.complete))
    return every, matching, last.matching


def test_answers_are_bounded_and_a_new_list_replaces_one_that_is_read() -> None:
    answers, matching, listening = inside(_many, 1500)
    assert answers[-1] == (1000, True)
    assert set(answers[:-1]) <= {(200, False)}
    assert len(answers) > 1
    assert (matching, listening) == (3001, 1)
