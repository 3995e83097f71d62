"""The list of sockets that the screen shows: the thousand with the most waiting bytes, and with filters."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.benchmark import Benchmark, Run
from benchmarks.measure import Case, Command, in_turn
from benchmarks.row import Row, times_faster
from sockmon.agent.sampler import Sampler, open_sampler
from sockmon.agent.socket_list import answer_socket_list
from sockmon.kernel.netlink import run as run_steps
from sockmon.model.conntrack_flows import RangeValue, TextValue
from sockmon.model.socket_list import SocketListQuery, SocketTerm

OF_TCP = SocketTerm("proto", (TextValue("tcp"),))
OF_PORT = SocketTerm("sport", (RangeValue(9000, 9000),))
LISTENING = SocketTerm("state", (TextValue("listen"),))


def measure(run: Run) -> Iterator[Row]:
    """Yield milliseconds of each list with its owners, and how many times faster ours is."""
    with open_sampler(None, 1.0, others=False) as sampler:
        sampler.sample(complete=True)
        cases: dict[str, tuple[str, Case | Command]] = {
            "all": ("sockmon: all TCP sockets, with owners of those that are listed", _lists(sampler, OF_TCP)),
            "ss": ("`ss -tanH`: without owners", Command("ss", "ss -tanH")),
            "port": ("sockmon: one local port, with owners", _lists(sampler, OF_TCP, OF_PORT)),
            "ss-port": ("`ss -tanH sport = :9000`: without owners", Command("ss", "ss -tanH 'sport = :9000'")),
            "listen": ("sockmon: listeners, with owners", _lists(sampler, OF_TCP, LISTENING)),
            "ss-listen": ("`ss -tlnpH`: with owners", Command("ss", "ss -tlnpH", run.seconds(20.0))),
        }
        rows = in_turn(cases, run.rounds(3))
    yield from rows.values()
    yield times_faster("all-ss", "list of all sockets, faster than `ss`", rows["all"], rows["ss"])
    yield times_faster("port-ss", "list of one port, faster than `ss`", rows["port"], rows["ss-port"])
    yield times_faster(
        "listen-ss", "list of listeners with owners, faster than `ss -p`", rows["listen"], rows["ss-listen"]
    )


def _lists(sampler: Sampler, *terms: SocketTerm) -> Callable[[], object]:
    query = SocketListQuery(terms=terms)
    return lambda: run_steps(answer_socket_list(sampler, query))


BENCHMARK = Benchmark(
    name="socket_list",
    title="The list of sockets",
    text="The processor time of one answer. sockmon lists at most a thousand rows, those with the most"
    " waiting bytes first, counts all that match, and adds the owner of each listed row. `ss` prints"
    " every row; `ss -p` adds owners.",
    states=("100k", "1m"),
    measure=measure,
    base="ss",
)
