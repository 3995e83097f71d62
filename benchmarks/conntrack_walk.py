"""A walk over the connection tracking table: sockmon's, a bare recv loop, and `conntrack -L`."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.benchmark import Benchmark, Run
from benchmarks.measure import Case, Command, in_turn
from benchmarks.row import Row, times_faster
from sockmon.kernel import conntrack
from sockmon.kernel.conntrack_flows import read_flows
from sockmon.kernel.netlink import run as run_steps
from sockmon.kernel.netns import open_current
from sockmon.model.conntrack_flows import FlowTerm, NetworkValue, RangeValue

FEW = (FlowTerm("src", (NetworkValue("10.0.0.1/32"),)), FlowTerm("dport", (RangeValue(80, 80),)))
"""The kernel leaves out what does not match."""
SOME = (FlowTerm("src", (NetworkValue("10.0.0.0/12"),)), FlowTerm("sport", (RangeValue(1, 2000),)))
"""The kernel cannot compare ranges: every flow is sent, and compared by sockmon."""


def measure(run: Run) -> Iterator[Row]:
    """Yield milliseconds of each walk, and how many times faster ours is."""
    handle = open_current()
    cases: dict[str, tuple[str, Case | Command]] = {
        "loop": (
            "bare loop: receive every flow, do nothing",
            lambda: run_steps(conntrack.dump_entries(handle, "table", conntrack.ANY_FAMILY, lambda *_: None)),
        ),
        "table": (
            "sockmon: states, and the largest of each kind",
            lambda: run_steps(conntrack.read_table(handle)),
        ),
        "all": ("sockmon: list of all flows", lambda: run_steps(read_flows(handle, ()))),
        "some": ("sockmon: list of a range, compared by sockmon", lambda: run_steps(read_flows(handle, SOME))),
        "few": ("sockmon: list of a client, compared by the kernel", lambda: run_steps(read_flows(handle, FEW))),
        "tool": ("`conntrack -L`", Command("conntrack", "conntrack -L")),
    }
    rows = in_turn(cases, run.rounds(3))
    yield from rows.values()
    yield times_faster(
        "table-tool", "states of all flows, faster than `conntrack -L`", rows["table"], rows["tool"], 2.7
    )
    yield times_faster("few-tool", "flows of one client, faster than `conntrack -L`", rows["few"], rows["tool"])


BENCHMARK = Benchmark(
    name="conntrack_walk",
    title="The connection tracking table",
    text="The processor time of one walk over all tracked flows. How full the table is, the kernel counts;"
    " the walk shows what fills it.",
    states=("conntrack",),
    measure=measure,
    base="loop",
)
