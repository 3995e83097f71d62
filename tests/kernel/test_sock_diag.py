"""The socket dumps on a real kernel: the same sockets as ss, /proc/net/tcp and pyroute2 report."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sockmon.kernel import netlink, sockstat
from sockmon.kernel.sockets import sock_diag
from sockmon.kernel.sockets.bound_sockets import read_bound_idle
from sockmon.kernel.sockets.listeners import listeners, unix_listeners
from sockmon.kernel.sockets.port_groups import port_groups
from sockmon.kernel.sockets.port_ranges import usable
from sockmon.kernel.sockets.socket_rows import group_sockets, port_sockets, sockets_by_inode
from sockmon.kernel.sockets.tcp_states import count_states, states, time_wait_families
from sockmon.model.snapshot import StateCount
from tests.kernel.all_states import MAPPED, V4, V6, AllStates, by_family, proc_net_tcp
from tests.netns import TOOL_PATH, inside, set_sysctl

pytestmark = pytest.mark.usefixtures("needs_userns")

_SS_NAMES = {"ESTAB": "ESTABLISHED", "FIN-WAIT-1": "FIN_WAIT1", "FIN-WAIT-2": "FIN_WAIT2", "UNCONN": "CLOSE"}


def _curr_estab() -> int:
    names, values = (
        line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line[:4] == "Tcp:"
    )
    return int(dict(zip(names, values, strict=True))["CurrEstab"])


def _table(diag: socket.socket) -> dict[str, StateCount]:
    own, _ = sockstat.parse(
        Path("/proc/net/sockstat").read_bytes(), Path("/proc/net/sockstat6").read_bytes(), None
    )
    rare, listening = netlink.run(count_states(diag)), netlink.run(listeners(diag))
    return states(rare, own, _curr_estab(), listening, netlink.run(time_wait_families(diag)))


def _ss_states() -> dict[str, int]:
    output = subprocess.run(["ss", "-tanH"], stdout=subprocess.PIPE, text=True, check=True).stdout
    found = Counter(line.split()[0] for line in output.splitlines())
    return {_SS_NAMES.get(name, name.replace("-", "_")): count for name, count in found.items()}


def _pyroute2_states() -> Counter[tuple[int, str]]:
    from pyroute2 import DiagSocket

    with DiagSocket() as theirs:
        theirs.bind()
        found: list[Any] = []
        for family in socket.AF_INET, socket.AF_INET6:
            found += theirs.get_sock_stats(family=family)
    return Counter((int(each["idiag_family"]), sock_diag.STATES[each["idiag_state"]]) for each in found)


def _tables() -> tuple[dict[str, StateCount], Counter[tuple[int, str]], Counter[tuple[int, str]], dict[str, int]]:
    """Return the table of sockmon, of /proc/net/tcp, of pyroute2, and of ss, once the states have settled."""
    real = AllStates()
    real.populate()
    diag = netlink.open_netlink()
    for _ in range(50):
        before = by_family(proc_net_tcp())
        ours, theirs = _table(diag), _pyroute2_states()
        ss = _ss_states() if shutil.which("ss", path=TOOL_PATH) else {}
        if before == by_family(proc_net_tcp()):
            break
        time.sleep(0.1)
    return ours, before, theirs, ss


def test_the_exact_table_agrees_with_ss_proc_and_pyroute2() -> None:
    ours, proc, theirs, ss = inside(_tables)
    families = {
        (family, name): count
        for name, row in ours.items()
        for family, count in ((int(socket.AF_INET), row.v4), (int(socket.AF_INET6), row.v6))
        if count
    }
    assert families == proc == theirs
    assert {name: row.total for name, row in ours.items() if row.total} == Counter(
        {name: sum(count for (_, state), count in proc.items() if state == name) for _, name in proc}
    )
    if ss:
        assert {name: row.total for name, row in ours.items() if row.total} == ss
    alive = {name for name, row in ours.items() if row.total}
    assert alive == {*sock_diag.STATES.values()} - {"CLOSE", "CLOSING"}


def _rare() -> tuple[int, set[int], set[int]]:
    real = AllStates()
    real.populate()
    time.sleep(0.2)
    rare = netlink.run(count_states(netlink.open_netlink()))
    listed = {inode for _, state, *_, inode in proc_net_tcp() if state == "CLOSE_WAIT"}
    return rare.minisockets.total(), set(rare.close_wait), listed


def test_minisockets_and_the_inodes_in_close_wait() -> None:
    minisockets, close_wait, listed = inside(_rare)
    assert minisockets == 5 + 10 + 15
    assert close_wait == listed


def _groups() -> tuple[
    dict[tuple[str, str, int], tuple[int, int, set[int]]], dict[tuple[str, str, int], tuple[int, int, set[int]]]
]:
    real = AllStates()
    real.populate()
    time.sleep(0.2)
    diag = netlink.open_netlink()
    low, high = (int(word) for word in Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    listening = tuple(each.port for each in netlink.run(listeners(diag)))
    lines = [line for line in proc_net_tcp() if line[1] != "LISTEN" and low <= line[3] <= high]
    odd = sorted({line[3] for line in lines} - {*listening})[::2]
    reserved = [(port, port) for port in odd]  # far more intervals than MAX_INTERVALS
    found = netlink.run(port_groups(diag, low, high, reserved, listening, time_wait=True))
    ours = {
        (group.source, group.destination, group.port): (group.used, group.time_wait, set(inodes))
        for group, inodes in zip(found.groups, found.inodes, strict=True)
    }
    theirs: dict[tuple[str, str, int], tuple[int, int, set[int]]] = {}
    for _, state, source, sport, destination, dport, inode in lines:
        if sport in listening or sport in odd:
            continue
        key = (source.replace("::ffff:", ""), destination.replace("::ffff:", ""), dport)
        used, waiting, inodes = theirs.get(key, (0, 0, set()))
        theirs[key] = (used + 1, waiting + (state == "TIME_WAIT"), inodes | {inode} - {0})
    assert found.groups_total == len(theirs)
    assert found.other_used == 0
    return ours, theirs


def test_port_groups_with_more_holes_than_the_kernel_compares() -> None:
    ours, theirs = inside(_groups)
    assert ours == theirs
    assert len(ours) >= 4


def _few_groups() -> tuple[list[tuple[int, int]], int, int, list[tuple[int, int]]]:
    real = AllStates()
    real.pairs(V4, 30)
    real.pairs(MAPPED, 20)
    real.pairs(V6, 10)
    diag = netlink.open_netlink()
    listening = [each.port for each in netlink.run(listeners(diag))]
    first = netlink.run(port_groups(diag, 1024, 65535, (), listening, time_wait=False, top=1))
    nothing = netlink.run(port_groups(diag, 1024, 65535, [(1024, 65535)], listening, time_wait=True))
    group = first.groups[0]
    one_port = next(line[3] for line in proc_net_tcp() if line[5] == group.port)
    single = netlink.run(port_groups(diag, one_port, one_port, (), (), time_wait=True))
    return (
        [(each.used, each.time_wait) for each in first.groups],
        first.groups_total,
        first.other_used,
        [(each.used, each.time_wait) for each in (*nothing.groups, *single.groups)],
    )


@pytest.mark.fault("R16")
def test_the_largest_groups_and_the_sum_of_the_others() -> None:
    largest, total, others, single = inside(_few_groups)
    assert largest == [(30, 0)]
    assert (total, others) == (3, 30)
    assert single == [(1, 0)]


def _bound() -> tuple[frozenset[int] | None, int, int, int]:
    set_sysctl("net.ipv4.ip_local_port_range", "40000 40099")
    held = [socket.socket() for _ in range(3)]
    for number, each in enumerate(held):
        each.bind(("127.0.0.9", 40010 + number))
    listener = socket.create_server((V4, 40020))
    target = socket.create_server((V4, 9000), backlog=200)
    diag = netlink.open_netlink()
    idle = netlink.run(read_bound_idle(diag, 40000, 40099))
    bound = None if idle is None else frozenset(idle.all_ports())
    left = usable(40000, 40099, [(40050, 40059)], [40020], bound or ())
    set_sysctl("net.ipv4.ip_local_reserved_ports", "40050-40059")
    clients = []
    try:
        while True:
            clients.append(socket.create_connection(target.getsockname()))
    except OSError:
        pass
    group = netlink.run(port_groups(diag, 40000, 40099, [(40050, 40059)], [40020], time_wait=True)).groups[0]
    listener.close()
    return bound, left, len(clients), group.used


def test_the_usable_ports_are_those_that_connect_gets() -> None:
    bound, left, connected, used = inside(_bound)
    if bound is None:
        pytest.skip("this kernel does not show bound sockets")
    assert bound == {40010, 40011, 40012}
    assert left == connected == used == 100 - 3 - 1 - 10


def _listening() -> tuple[
    list[tuple[str, int, int, int | None, int]], list[tuple[str, int, int, int | None, int]]
]:
    real = AllStates()
    waiting = [socket.create_connection(real.four.getsockname()) for _ in range(3)]
    found = netlink.run(listeners(netlink.open_netlink()))
    named = {real.four: (V4, 3, 50), real.six: ("::", 0, 50), real.full: (V4, 0, 0)}
    expected = [
        (address, each.getsockname()[1], queue, backlog, os.fstat(each.fileno()).st_ino)
        for each, (address, queue, backlog) in named.items()
    ]
    assert len(waiting) == 3
    assert all((each.protocol, each.uid, each.owner) == ("tcp", os.getuid(), None) for each in found)
    return sorted((each.address, each.port, each.queue, each.backlog, each.inode) for each in found), sorted(
        expected
    )


def test_listeners_and_their_queues() -> None:
    ours, expected = inside(_listening)
    assert ours == expected


def _unix() -> list[tuple[str, str, int, int | None, int]]:
    with tempfile.TemporaryDirectory() as folder:
        names = f"{folder}/socket", "\0abstract\x1b[2J"
        held = [socket.socket(socket.AF_UNIX) for _ in names]
        for each, name in zip(held, names, strict=True):
            each.bind(name)
            each.listen(5)
        client = socket.socket(socket.AF_UNIX)
        client.connect(names[0])
        found = netlink.run(unix_listeners(netlink.open_netlink()))
        client.close()
    return [
        (each.protocol, each.address.replace(folder, ""), each.queue, each.backlog, each.uid) for each in found
    ]


def test_unix_listeners() -> None:
    assert sorted(inside(_unix)) == [("unix", "/socket", 1, 5, 0), ("unix", "@abstract�[2J", 0, 5, 0)]


def _rows() -> None:
    real = AllStates()
    pairs = real.pairs(V4, 20) + real.pairs(MAPPED, 10)
    real.pairs(V6, 5)
    diag = netlink.open_netlink()
    client = pairs[0][0]
    inode = os.fstat(client.fileno()).st_ino
    group = netlink.run(group_sockets(diag, V4, V4, real.four.getsockname()[1], limit=500))
    assert (group.total, group.states, len(group.sockets)) == (20, {"ESTABLISHED": 20}, 20)
    assert set(group.inodes) == {os.fstat(one.fileno()).st_ino for one, _ in pairs[:20]}
    row = next(each for each in group.sockets if each.inode == inode)
    info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    assert row.rtt == struct.unpack_from("=I", info, 68)[0] / 1000
    assert row.retransmits == struct.unpack_from("=I", info, 100)[0] == 0
    assert row.local == "{}:{}".format(*client.getsockname())
    assert row.remote == "{}:{}".format(*client.getpeername())
    mapped = netlink.run(group_sockets(diag, V4, V4, real.six.getsockname()[1], limit=3))
    assert (mapped.total, len(mapped.sockets), len(mapped.inodes)) == (10, 3, 10)
    server = netlink.run(port_sockets(diag, "::", real.six.getsockname()[1], limit=500))
    assert (server.total, dict(server.remotes)) == (15, {V4: 10, V6: 5})
    for address, total in (V4, 20), ("0.0.0.0", 20), ("127.0.0.2", 0):
        assert netlink.run(port_sockets(diag, address, real.four.getsockname()[1], limit=500)).total == total


def test_rows_of_a_group_and_of_a_listener() -> None:
    inside(_rows)


def _of_a_process() -> list[tuple[str, str, str, str]]:
    real = AllStates()
    real.pairs(V4, 50)
    datagram, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.bind((V6, 5353))
    client = socket.create_connection(real.four.getsockname())
    own = real.four, udp, datagram, client
    inodes = {os.fstat(each.fileno()).st_ino for each in own}
    rows = netlink.run(sockets_by_inode(netlink.open_netlink(), inodes, limit=10))
    assert rows.total == 4
    assert set(rows.inodes) == inodes
    there = {f":{real.four.getsockname()[1]}": ":four", f":{client.getsockname()[1]}": ":client"}
    there[f"[{os.fstat(other.fileno()).st_ino}]"] = "[other]"
    named = []
    for row in rows.sockets:
        ends = [row.local, row.remote]
        for old, new in there.items():
            ends = [end.replace(old, new) for end in ends]
        named.append((row.protocol, row.state, ends[0], ends[1]))
    return named


def _drops() -> tuple[list[int | None], int]:
    full, idle = (socket.create_server((V4, 0), backlog=0) for _ in range(2))
    held = []
    for _ in range(4):
        held.append(socket.socket())
        held[-1].setblocking(False)
        held[-1].connect_ex(full.getsockname())
    give_up = time.monotonic() + 30
    while not (counted := _listen_drops()) and time.monotonic() < give_up:
        time.sleep(0.01)
    found = {each.port: each.drops for each in netlink.run(listeners(netlink.open_netlink()))}
    return [found[each.getsockname()[1]] for each in (full, idle)], counted


def _listen_drops() -> int:
    names, values = (
        line.split() for line in Path("/proc/net/netstat").read_text().splitlines() if line[:7] == "TcpExt:"
    )
    return int(dict(zip(names, values, strict=True))["ListenDrops"])


def test_a_listener_reports_what_it_has_dropped() -> None:
    (full, idle), counted = inside(_drops)
    assert idle == 0
    assert full is not None
    assert full >= counted > 0


def test_sockets_of_one_process() -> None:
    assert sorted(inside(_of_a_process)) == [
        ("tcp", "ESTABLISHED", "127.0.0.1:client", "127.0.0.1:four"),
        ("tcp", "LISTEN", "127.0.0.1:four", "0.0.0.0:0"),
        ("udp", "CLOSE", "[::1]:5353", "[::]:0"),
        ("unix", "ESTABLISHED", "", "socket:[other]"),
    ]


def half_open() -> tuple[dict[tuple[str, int], int], dict[tuple[str, int], int], dict[str, int]]:
    """Make handshakes whose answers a rule drops, to both families; return what is counted, what /proc/net/tcp
    shows, and the counters after twenty clients have met a backlog of five."""
    nft = shutil.which("nft", path=TOOL_PATH)
    assert nft
    rule = "add table inet t; add chain inet t c { type filter hook output priority 0; };"
    subprocess.run([nft, rule + "add rule inet t c tcp flags & (syn|ack) == (syn|ack) drop"], check=True)
    listening = [
        socket.create_server((V4, 7001), backlog=5),
        socket.create_server(("0.0.0.0", 7002), backlog=50),
        socket.create_server((V6, 7003), family=socket.AF_INET6, backlog=50),
    ]
    targets = [(V4, 7001)] * 20 + [("127.0.0.5", 7002)] * 3 + [(V6, 7003)] * 4
    clients = []
    for address, port in targets:
        client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        client.setblocking(False)
        client.connect_ex((address, port))
        clients.append(client)
    rare = netlink.run(count_states(netlink.open_netlink()))
    listed = Counter((source, sport) for _, state, source, sport, *_ in proc_net_tcp() if state == "SYN_RECV")
    found = {(each.address, each.port): each.count for each in rare.half_open}
    names, values = (
        line.split() for line in Path("/proc/net/netstat").read_text().splitlines() if line[:7] == "TcpExt:"
    )
    counters = {name: int(value) for name, value in zip(names[1:], values[1:], strict=True)}
    assert len(listening) + len(clients) == 30
    return found, dict(listed), counters


@pytest.mark.usefixtures("needs_nft")
def test_half_open_connections_by_the_address_that_they_came_to() -> None:
    found, listed, counters = inside(half_open)
    # A backlog of five holds six; the others got cookies.
    assert found == listed == {(V4, 7001): 6, ("127.0.0.5", 7002): 3, (V6, 7003): 4}
    assert counters["TCPReqQFullDoCookies"] >= 14
