"""What a walk over the connection tracking table costs, beside a bare recv loop and `conntrack -L`.

    python benchmarks/conntrack_walk.py [ENTRIES] [ROUNDS]

Creates ENTRIES (100,000) flows in a private network namespace, twice: one client that has most of them, and a
different client for each. Every case runs once a round; printed are medians of CPU time (user and system, children
included), in milliseconds for 100,000 entries, and their ratios.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sockmon.kernel import conntrack  # noqa: E402
from sockmon.kernel.conntrack_flows import read_flows  # noqa: E402
from sockmon.kernel.netlink import run  # noqa: E402
from sockmon.kernel.netns import open_current  # noqa: E402
from sockmon.model.conntrack_flows import FlowTerm, NetworkValue, RangeValue  # noqa: E402
from tests.conntrack_entries import create_flows, crowd, one_client  # noqa: E402
from tests.netns import enter  # noqa: E402

Case = Callable[[], object]


def main() -> None:
    """Fill the table, run every case in turn, print the table; then the same with other flows."""
    given = [int(argument) for argument in sys.argv[1:3]]
    entries, rounds = given + [100_000, 5][len(given) :]
    for title, flow in (("one client has 80 %", one_client), ("a client for each flow", crowd)):
        pid = os.fork()
        if pid == 0:
            enter(user_namespace=os.geteuid() != 0)
            create_flows(entries, flow)
            print(f"{entries:,} entries: {title}")
            report(measure(cases(), rounds), entries)
            os._exit(0)
        os.waitpid(pid, 0)


def cases() -> dict[str, Case]:
    """What is compared, by name."""
    handle = open_current()
    few = (FlowTerm("src", (NetworkValue("10.0.0.1/32"),)), FlowTerm("dport", (RangeValue(80, 80),)))
    some = (FlowTerm("src", (NetworkValue("10.0.0.0/12"),)), FlowTerm("sport", (RangeValue(1, 2000),)))
    found: dict[str, Case] = {
        "recv loop": lambda: run(conntrack.dump_entries(handle, "table", conntrack.ANY_FAMILY, lambda *_: None)),
        "read_table": lambda: run(conntrack.read_table(handle)),
        "read_flows, all": lambda: run(read_flows(handle, ())),
        "read_flows, decoded here": lambda: run(read_flows(handle, some)),
        "read_flows, by the kernel": lambda: run(read_flows(handle, few)),
    }
    if tool := shutil.which("conntrack"):
        found["conntrack -L"] = lambda: subprocess.run([tool, "-L"], capture_output=True, check=True)
    return found


def measure(chosen: dict[str, Case], rounds: int) -> dict[str, float]:
    """Return the median CPU seconds of each case."""
    taken: dict[str, list[float]] = {name: [] for name in chosen}
    for _ in range(rounds):
        for name, case in chosen.items():
            before = _cpu()
            case()
            taken[name].append(_cpu() - before)
    return {name: statistics.median(values) for name, values in taken.items()}


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def report(medians: dict[str, float], entries: int) -> None:
    """Print milliseconds for 100,000 entries, and the ratio to the recv loop."""
    for name, seconds in medians.items():
        scaled = seconds / entries * 1e8
        print(f"  {name:28} {scaled:8.0f} ms   {seconds / medians['recv loop']:5.2f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"  {'peak memory of this process':28} {peak:8,} MB", flush=True)


if __name__ == "__main__":
    main()
