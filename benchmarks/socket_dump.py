"""Counting sockets: sockmon's readers, a bare recv loop, and the usual tools, on the same sockets."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.benchmark import Benchmark, Run
from benchmarks.measure import Case, Command, in_turn
from benchmarks.row import Row, times_faster
from sockmon.kernel import netlink, sockstat
from sockmon.kernel.sockets import sock_diag
from sockmon.kernel.sockets.listeners import listeners
from sockmon.kernel.sockets.port_groups import port_groups
from sockmon.kernel.sockets.tcp_queues import tcp_queues
from sockmon.kernel.sockets.tcp_states import count_states, states

LOW, HIGH = 32_768, 60_999
"""The default range of ephemeral ports: one end of each connection, so half of the sockets, has such a port."""
TENTH = LOW + (HIGH - LOW) // 10
SLOW_SECONDS = 20.0
"""How long a rival may take that needs minutes for a million sockets."""
GROUPS = (
    'ss -tanH | awk \'{split($4, l, ":"); if (l[2] >= 32768) c[l[1] " " $5]++} END {for (g in c) print g, c[g]}\''
)
PSUTIL = "import psutil; psutil.net_connections('tcp')"
PYROUTE2 = (
    "from pyroute2 import DiagSocket\nwith DiagSocket() as diag:\n diag.bind()\n"
    " list(diag.get_sock_stats(family=2))"
)
GOALS = {"10k": (10, None, None), "100k": (20, 5, 15), "1m": (25, 5, 15), "tw": (None, None, None)}
"""Goals against `ss | awk` in each state: of the state table, of port groups if half match, if 5 % match."""


def measure(run: Run) -> Iterator[Row]:
    """Yield processor milliseconds of each case, and how many times faster ours are."""
    rows = in_turn(_ours() | _theirs(), run.rounds(3 if run.state == "1m" else 5))
    yield from rows.values()
    table, half, few = GOALS[run.state]
    ss, groups = rows["ss"], rows["groups"]
    yield times_faster("states-ss", "state table, faster than `ss | awk`", rows["states"], ss, table)
    yield times_faster("half-ss", "port groups, half match, faster than `ss | awk`", rows["half"], groups, half)
    yield times_faster("few-ss", "port groups, 5 % match, faster than `ss | awk`", rows["few"], groups, few)
    yield times_faster("queues-ss", "queues, faster than `ss -m | awk`", rows["queues"], rows["ss-queues"])
    yield times_faster("states-netstat", "state table, faster than netstat", rows["states"], rows["netstat"])
    # They need seconds to minutes, so once is enough.
    slow = in_turn(_slow(run), 1)
    yield from slow.values()
    for id, rival in (("psutil", "psutil"), ("pyroute2", "pyroute2"), ("ss-p", "ss -p")):
        yield times_faster(f"states-{id}", f"state table, faster than {rival}", rows["states"], slow[id])


def _ours() -> dict[str, tuple[str, Case | Command]]:
    diag = netlink.open_netlink()
    return {
        "loop": ("bare loop: receive every socket, do nothing", lambda: _receive_all(diag)),
        "states": ("sockmon: exact table of states", lambda: exact_states(diag)),
        "half": ("sockmon: port groups, half of the sockets match", lambda: _groups(diag, HIGH)),
        "few": ("sockmon: port groups, 5 % match", lambda: _groups(diag, TENTH)),
        "queues": ("sockmon: queues and memory of all sockets", lambda: netlink.run(tcp_queues(diag))),
    }


def _theirs() -> dict[str, tuple[str, Case | Command]]:
    return {
        "ss-s": ("`ss -s`: totals only", Command("ss", "ss -s")),
        "ss": (
            "`ss -tanH | awk`: states",
            Command("ss", "ss -tanH | awk '{c[$1]++} END {for (s in c) print s, c[s]}'"),
        ),
        "groups": ("`ss -tanH | awk`: port groups", Command("ss", GROUPS)),
        "ss-queues": (
            "`ss -tanmH | awk`: queues",
            Command("ss", "ss -tanmH | awk '{r += $2; s += $3} END {print r, s}'"),
        ),
        "netstat": ("`netstat -tan`", Command("netstat", "netstat -tan")),
    }


def _slow(run: Run) -> dict[str, tuple[str, Case | Command]]:
    python = f"{sys.executable} -c"
    seconds = run.seconds(SLOW_SECONDS)
    return {
        "psutil": ("psutil.net_connections", Command(sys.executable, f'{python} "{PSUTIL}"', seconds)),
        "pyroute2": ("pyroute2 DiagSocket", Command(sys.executable, f'{python} "{PYROUTE2}"', seconds)),
        "ss-p": ("`ss -tanpH`: with owners", Command("ss", "ss -tanpH", seconds)),
    }


def _receive_all(diag: socket.socket) -> None:
    netlink.run(sock_diag.tcp(diag, sock_diag.EVERY_STATE, lambda block, stride: None))


def exact_states(diag: socket.socket) -> object:
    """Return what the screen shows: counters, listeners and the rare states."""
    snmp = Path("/proc/net/snmp").read_text()
    names, values = re.findall(r"^Tcp: (.*)$", snmp, re.MULTILINE)
    established = int(dict(zip(names.split(), values.split(), strict=True))["CurrEstab"])
    own, _ = sockstat.parse(
        Path("/proc/net/sockstat").read_bytes(), Path("/proc/net/sockstat6").read_bytes(), None
    )
    return states(netlink.run(count_states(diag)), own, established, netlink.run(listeners(diag)))


def _groups(diag: socket.socket, high: int) -> object:
    """Return the groups of local ports up to `high`, listeners left out."""
    listening = [each.port for each in netlink.run(listeners(diag))]
    return netlink.run(port_groups(diag, LOW, high, (), listening, time_wait=False))


BENCHMARK = Benchmark(
    name="socket_dump",
    title="Counting sockets",
    text="The processor time of one answer, user and system, on the same sockets. The bare loop asks the"
    " kernel for every socket and does nothing with it: a program that reads every socket cannot be"
    " faster. sockmon is faster than the loop where it reads the kernel's counters, and only those"
    " sockets that the counters do not cover.\n\nThe load has a hash table of sockets of its own, as"
    " large as that of the host (Linux 6.1), so that sockets of other programs on this machine do not"
    " count.",
    states=("10k", "100k", "tw", "1m"),
    measure=measure,
    base="loop",
    seconds=400.0,
)
