"""What a socket dump costs: sockmon's readers beside a bare recv loop and the usual tools, on the same sockets.

    python benchmarks/socket_dump.py [PAIRS] [ROUNDS]

Opens PAIRS (20,000) loopback connections, so twice as many sockets, in a private network namespace; every case
runs once a round; printed are medians of CPU time (user and system, children included) and their ratios.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sockmon.kernel import netlink, sockstat  # noqa: E402
from sockmon.kernel.sockets import sock_diag  # noqa: E402
from sockmon.kernel.sockets.listeners import listeners  # noqa: E402
from sockmon.kernel.sockets.port_groups import port_groups  # noqa: E402
from sockmon.kernel.sockets.tcp_queues import tcp_queues  # noqa: E402
from sockmon.kernel.sockets.tcp_states import count_states, states  # noqa: E402
from tests.netns import enter  # noqa: E402

Case = Callable[[], object]


def main() -> None:
    """Build the load, run every case in turn, print the table."""
    given = [int(argument) for argument in sys.argv[1:3]]
    pairs, rounds = given + [20_000, 7][len(given) :]
    enter(user_namespace=os.geteuid() != 0)
    holders = hold(pairs)
    try:
        report(measure(cases(), rounds), 2 * pairs)
    finally:
        for pid in holders:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def hold(pairs: int) -> list[int]:
    """Processes that hold the connections, as many of them as the descriptor limit asks for."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    each = min(hard // 2 - 100, 20_000)
    return [_holder(min(each, pairs - start)) for start in range(0, pairs, each)]


def _holder(pairs: int) -> int:
    ready, done = os.pipe()
    pid = os.fork()
    if pid:
        os.close(done)
        if os.read(ready, 1) != b"1":
            raise SystemExit("could not open the connections")
        os.close(ready)
        return pid
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    held = []
    for _ in range(pairs):
        held.append(socket.create_connection(listener.getsockname()))
        held.append(listener.accept()[0])
    os.write(done, b"1")
    while True:
        signal.pause()


def cases() -> dict[str, Case]:
    """What is compared, by name."""
    diag = netlink.open_netlink()
    return {
        "bare recv loop, full dump": lambda: netlink.run(
            sock_diag.tcp(diag, sock_diag.EVERY_STATE, lambda block, stride: None)
        ),
        "exact state table": lambda: exact(diag),
        "ss -tanH | awk, states": lambda: shell("ss -tanH | awk '{c[$1]++} END {for (s in c) print s, c[s]}'"),
        "port groups, half match": lambda: grouped(diag, 32768, 60999),
        "port groups, 5 % match": lambda: grouped(diag, 32768, 32768 + 28232 // 10),
        "queues and memory of all": lambda: netlink.run(tcp_queues(diag)),
        "ss -tanmH | awk, queues": lambda: shell("ss -tanmH | awk '{r += $2; s += $3} END {print r, s}'"),
        "ss -tanH | awk, groups": lambda: shell(
            'ss -tanH | awk \'{split($4, l, ":"); if (l[2] >= 32768) c[l[1] " " $5]++}'
            " END {for (g in c) print g, c[g]}'"
        ),
    }


def exact(diag: socket.socket) -> object:
    """Counters, listeners and the rare states: the table that the screen shows."""
    snmp = Path("/proc/net/snmp").read_text()
    names, values = re.findall(r"^Tcp: (.*)$", snmp, re.MULTILINE)
    established = int(dict(zip(names.split(), values.split(), strict=True))["CurrEstab"])
    own, _ = sockstat.parse(
        Path("/proc/net/sockstat").read_bytes(), Path("/proc/net/sockstat6").read_bytes(), None
    )
    return states(netlink.run(count_states(diag)), own, established, netlink.run(listeners(diag)))


def grouped(diag: socket.socket, low: int, high: int) -> object:
    """The groups of local ports, listeners left out."""
    listening = [each.port for each in netlink.run(listeners(diag))]
    return netlink.run(port_groups(diag, low, high, (), listening, time_wait=False))


def shell(command: str) -> object:
    """The output of a shell command."""
    return subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, check=True).stdout


def net_connections() -> object:
    """psutil's table of all sockets: slow enough to run once."""
    import psutil

    return len(psutil.net_connections("tcp"))


def measure(named: dict[str, Case], rounds: int) -> dict[str, float]:
    """Median CPU milliseconds of each case, interleaved."""
    taken: dict[str, list[float]] = {name: [] for name in named}
    for _ in range(rounds):
        for name, case in named.items():
            taken[name].append(spent(case))
    medians = {name: statistics.median(times) for name, times in taken.items()}
    return {**medians, "psutil.net_connections (once)": spent(net_connections)}


def spent(case: Case) -> float:
    """CPU milliseconds of one run."""
    before = _cpu()
    case()
    return 1000 * (_cpu() - before)


def _cpu() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def report(medians: dict[str, float], sockets: int) -> None:
    """Print milliseconds, and every case as a multiple of the bare loop."""
    floor = medians["bare recv loop, full dump"]
    print(f"{sockets} sockets, CPU time, medians")
    for name, milliseconds in medians.items():
        print(f"  {name:32} {milliseconds:10.1f} ms {milliseconds / floor:8.2f} × bare loop")
    for ours, theirs in (
        ("exact state table", "ss -tanH | awk, states"),
        ("port groups, half match", "ss -tanH | awk, groups"),
        ("port groups, 5 % match", "ss -tanH | awk, groups"),
        ("queues and memory of all", "ss -tanmH | awk, queues"),
        ("exact state table", "psutil.net_connections (once)"),
    ):
        print(f"  {ours} is {medians[theirs] / medians[ours]:.1f} × faster than {theirs}")


if __name__ == "__main__":
    main()
