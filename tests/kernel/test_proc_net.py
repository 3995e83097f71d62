"""The text of /proc/net against netlink, in a private namespace; forged, broken and endless text."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from sockmon.errors import NotPresent, ReadError
from sockmon.kernel import netlink
from sockmon.kernel.netlink import run
from sockmon.kernel.sockets import proc_net
from sockmon.kernel.sockets.bound_sockets import read_bound_idle
from sockmon.kernel.sockets.datagrams import MessageSizer, read_queues
from sockmon.kernel.sockets.listeners import listeners, unix_listeners
from sockmon.kernel.sockets.port_groups import port_groups
from sockmon.kernel.sockets.proc_net import FILES, ProcNet
from sockmon.kernel.sockets.sock_diag import EVERY_STATE, Diag
from sockmon.kernel.sockets.socket_rows import group_sockets, port_sockets, sockets_by_inode
from sockmon.kernel.sockets.tcp_states import count_states, time_wait_families
from sockmon.kernel.sockets.udp_ports import udp_ports
from sockmon.model.detail import Socket
from tests.kernel.all_states import MAPPED, V4, V6, AllStates
from tests.netns import inside

HEADER = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
ROW = b"   0: 0100007F:1F90 0200007F:0016 01 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 100\n"


@contextmanager
def text() -> Iterator[ProcNet]:
    """Return the text of the namespace of this process."""
    files = {path: os.open(f"/proc/{path}", os.O_RDONLY) for path in FILES if Path("/proc", path).exists()}
    try:
        yield ProcNet(files)
    finally:
        for each in files.values():
            os.close(each)


@contextmanager
def made_up(folder: Path, **files: bytes) -> Iterator[ProcNet]:
    """Return text that no kernel wrote, by the last part of its path."""
    opened = {}
    for name, data in files.items():
        (folder / name).write_bytes(data)
        opened[f"net/{name}"] = os.open(folder / name, os.O_RDONLY)
    try:
        yield ProcNet(opened)
    finally:
        for each in opened.values():
            os.close(each)


def _without(row: Socket) -> Socket:
    """Return it without what text does not show."""
    return replace(row, rtt=None, retransmits=None, cookie=0, device=0)


def _all_of_it(diag: Diag, real: AllStates) -> dict[str, Any]:
    found = run(listeners(diag))
    rare = run(count_states(diag))
    listening = [each.port for each in found]
    groups = run(port_groups(diag, 1024, 65535, [(2000, 2100)], listening, time_wait=True))
    port = real.six.getsockname()[1]
    mine = {os.fstat(each.fileno()).st_ino for each in real.kept[:20]}
    group = run(group_sockets(diag, V4, V4, real.four.getsockname()[1], 500))
    inbound = run(port_sockets(diag, "::", port, 500))
    rows = run(sockets_by_inode(diag, mine, 500))
    udp = run(udp_ports(diag, 1024, 65535, ()))
    return {
        "listeners": sorted((each.address, each.port, each.queue, each.inode, each.uid) for each in found),
        "states": rare.counts,
        "minisockets": rare.minisockets,
        "close_wait": sorted(rare.close_wait),
        "requests": sorted(rare.requests.items()),
        "time_wait": run(time_wait_families(diag)),
        "groups": sorted(groups.groups, key=lambda each: (each.source, each.port)),
        "inodes": sorted(sorted(inodes) for inodes in groups.inodes),
        "group": (group.total, group.states, sorted(map(_without, group.sockets), key=repr)),
        "inbound": (inbound.total, inbound.states, inbound.remotes),
        "rows": (rows.total, rows.states, sorted(map(_without, rows.sockets), key=repr)),
        "udp": (udp.used, udp.usable, sorted(udp.inodes)),
    }


def _both() -> tuple[dict[str, Any], dict[str, Any]]:
    real = AllStates()
    real.populate()
    for family, address in ((socket.AF_INET, V4), (socket.AF_INET6, V6)):
        real.kept.append(socket.socket(family, socket.SOCK_DGRAM))
        real.kept[-1].bind((address, 0))
    with netlink.open_netlink() as diag, text() as other:
        for _ in range(50):
            before = _all_of_it(diag, real)
            by_text = _all_of_it(other, real)
            if before == _all_of_it(diag, real):
                break
            time.sleep(0.1)
    return before, by_text


@pytest.mark.fault("R21")
@pytest.mark.usefixtures("needs_userns")
def test_text_agrees_with_netlink() -> None:
    ours, theirs = inside(_both)
    for part in ours:
        assert theirs[part] == ours[part], part


@pytest.mark.fault("R21")
def test_what_text_does_not_show_is_unknown() -> None:
    with socket.create_server((V4, 0), backlog=7) as server, text() as diag, closing(MessageSizer()) as scale:
        mine = [each for each in run(listeners(diag)) if each.inode == os.fstat(server.fileno()).st_ino]
        assert [each.backlog for each in mine] == [None]
        assert run(read_bound_idle(diag, 1024, 65535)) is None
        with pytest.raises(ReadError, match="no queues"):
            run(unix_listeners(diag))
        with pytest.raises(ReadError, match="no queues"):
            run(read_queues(diag, scale))


def _forge() -> tuple[list[tuple[str, str, int]], list[int]]:
    real, forger, other = (socket.socket(socket.AF_UNIX) for _ in range(3))
    real.bind("\0real")
    real.listen()
    inode = os.fstat(real.fileno()).st_ino
    row = "ffff888000000000: 00000002 00000000 00010000 0001 01 {} /run/systemd/private"
    forger.bind("\0z\n" + row.format(inode))
    other.bind("\0y\n" + row.format(99999999))
    own = os.fstat(forger.fileno()).st_ino
    with text() as diag:
        found = run(sockets_by_inode(diag, {inode, own}, 50))
        everything: list[int] = []
        run(diag.unix(lambda block, stride: everything.append(struct.unpack_from("=I", block, 20)[0])))
    assert inode not in everything, "an inode with two rows must not be trusted"
    return [(row.local, row.state, row.inode) for row in found.sockets], [own]


@pytest.mark.fault("Q6")
@pytest.mark.usefixtures("needs_userns")
def test_a_row_forged_in_an_abstract_name_is_not_trusted() -> None:
    rows, (own,) = inside(_forge)
    assert rows == [("@z", "CLOSE", own)]


def _every_tcp(diag: ProcNet) -> int:
    found: list[int] = []
    run(diag.tcp(EVERY_STATE, lambda block, stride: found.append(len(block) // stride), b"", 0))
    return sum(found)


@pytest.mark.fault("Q8")
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (HEADER + ROW[:40], "ends within a row"),
        (HEADER + b"x" * 100 + b"\n", "not a socket"),
        (HEADER + ROW.replace(b"4711", b"-4711"), "not a socket"),
        (HEADER + ROW.replace(b"4711", b"18446744073709551616"), "not a socket"),
        (HEADER + ROW.replace(b" 1000 ", b" 4294967296 "), "not a socket"),
        (HEADER + ROW.replace(b"0100007F:", b"0100007F01:"), "not a socket"),
        (HEADER + ROW.replace(b":1F90", b":11F90"), "not a socket"),
        (HEADER + bytes(range(256)) + b"\n", "not a socket"),
        (HEADER + b"\0" * 10_000, "not lines of text"),
    ],
    ids=["cut", "words", "negative", "2^64", "uid", "address", "port", "binary", "no lines"],
)
def test_malformed_text_raises_read_error_only(tmp_path: Path, data: bytes, reason: str) -> None:
    with made_up(tmp_path, tcp=data) as diag, pytest.raises(ReadError, match=reason):
        _every_tcp(diag)


@pytest.mark.fault("Q8", "Q17")
def test_empty_text_and_no_ipv6_are_no_sockets(tmp_path: Path) -> None:
    for data, count in ((b"", 0), (HEADER, 0), (HEADER + ROW + ROW, 2)):
        with made_up(tmp_path, tcp=data) as diag:
            assert _every_tcp(diag) == count
    with made_up(tmp_path, udp=HEADER + ROW) as diag:
        assert run(udp_ports(diag, 1024, 65535, ())).used == 1
    with made_up(tmp_path, udp6=HEADER) as diag, pytest.raises(NotPresent):
        run(udp_ports(diag, 1024, 65535, ()))


@pytest.mark.fault("R16", "R21")
def test_at_most_a_million_rows_are_read_in_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc_net, "MAX_ROWS", 5000)
    with made_up(tmp_path, tcp=HEADER + ROW * 5000) as diag:
        steps = list(diag.tcp(EVERY_STATE, lambda block, stride: None, b"", 0))
        assert len(steps) >= len(HEADER + ROW * 5000) // proc_net._CHUNK_BYTES
    with made_up(tmp_path, tcp=HEADER + ROW * 5001) as diag, pytest.raises(ReadError, match="5,000 rows"):
        _every_tcp(diag)


def _programs() -> list[tuple[str, int, int]]:
    real = AllStates()
    for address in (V4, V6, MAPPED):
        real.pairs(address, 5)
    port = real.six.getsockname()[1]
    found = []
    with netlink.open_netlink() as diag, text() as other:
        asked: dict[str, Callable[[Diag], Any]] = {
            "v4": lambda each: port_sockets(each, V4, real.four.getsockname()[1], 50),
            "any v4": lambda each: port_sockets(each, "0.0.0.0", port, 50),
            "v6": lambda each: group_sockets(each, V6, V6, port, 50),
            "mapped": lambda each: group_sockets(each, V4, V4, port, 50),
            "other": lambda each: group_sockets(each, "10.0.0.1", V4, port, 50),
        }
        for name, ask in asked.items():
            found.append((name, run(ask(diag)).total, run(ask(other)).total))
    return found


@pytest.mark.usefixtures("needs_userns")
def test_filters_pass_what_the_kernel_passes() -> None:
    found = inside(_programs)
    assert [(name, ours) for name, ours, _ in found] == [(name, theirs) for name, _, theirs in found]
    assert {name: ours for name, ours, _ in found} == {"v4": 5, "any v4": 5, "v6": 5, "mapped": 5, "other": 0}
