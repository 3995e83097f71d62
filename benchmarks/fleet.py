"""`python -m benchmarks.fleet [--hosts N]`: what `sockmon fleet --prometheus` costs, on a real Prometheus.

It fills a Prometheus in a temporary folder with N (10,000) synthetic hosts. Then it prints for each query the time
until the answer, the processor time of Prometheus, and the size of the answer; and what sockmon itself needs to
read the fleet and to show it on a terminal. 10,000 hosts need up to 12 GB of memory.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.benchmark import SOCKMON
from benchmarks.fleet_hosts import Hosts
from benchmarks.fleet_pages import real_page
from benchmarks.fleet_prometheus import Prometheus, prometheus
from benchmarks.measure import family, precise_seconds
from benchmarks.on_terminal import on_terminal, watch_all
from sockmon.fleet.prometheus import Server
from sockmon.fleet.reading import from_prometheus
from sockmon.fleet.trends import STEP_SECONDS, Trends

START_SECONDS = 30.0
WATCH_SECONDS = 60
QUICK_HOSTS = 20
FILTER = "full:>30 !state:gone"
"""Matches most hosts: each of them is compared."""


@dataclass(frozen=True)
class MeasuredServer(Server):
    """Prints a line for each query."""

    server: Prometheus | None = None
    totals: dict[str, float] = field(default_factory=dict)

    def _body(self, verb: str, form: Mapping[str, str]) -> bytes:
        assert self.server is not None
        used, begin = self.server.seconds, time.monotonic()
        body = super()._body(verb, form)
        took = time.monotonic() - begin
        spent = self.server.seconds - used
        found = {"s": took, "cpu": spent, "MB": len(body) / 1e6}
        for name, number in found.items():
            self.totals[name] = self.totals.get(name, 0.0) + number
        numbers = f"{found['s']:7.2f} s {found['cpu']:7.2f} s of processor {found['MB']:7.2f} MB"
        _, named, rest = form["query"].partition('instance=~"')
        names = f" … {1 + rest.partition(chr(34))[0].count('|')} hosts" if named else ""
        print(f"  {numbers}   {form['query'][:80]}{names}", flush=True)
        return body


def main() -> int:
    """Fill a Prometheus, and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=(__doc__ or "").split("\n")[2])
    parser.add_argument("--hosts", type=int, default=10_000)
    parser.add_argument("--older", type=int, default=0, metavar="N", help="so many have an exporter of before")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="few hosts and no waiting, to see that it works")
    given = parser.parse_args()
    # What has been started ends, and the folder is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with prometheus() as server:
        fill(server, Hosts(real_page(), QUICK_HOSTS if given.quick else given.hosts, given.older))
        measure(server, given.rounds, given.quick)
    return 0


def fill(server: Prometheus, hosts: Hosts) -> None:
    """Write the series of the hosts."""
    begin = time.monotonic()
    hosts.write(server.address, time.time())
    took, used = time.monotonic() - begin, server.seconds
    series = server.number("prometheus_tsdb_head_series")
    print(
        f"{series:,.0f} series of {hosts.count:,} hosts, {server.memory:.1f} GB; written in {took:.0f} s"
        f" with {used:.0f} s of processor",
        flush=True,
    )


def measure(server: Prometheus, rounds: int, quick: bool = False) -> None:
    """Print what a first read and refreshes cost, and the screen."""
    trends = Trends()
    for number in range(rounds + 1):
        title = "the first read, with the trend of an hour" if number == 0 else f"refresh {number}"
        print(f"\n{title}", flush=True)
        if number == rounds and not quick:
            # The last one has a new step of the trend.
            time.sleep(STEP_SECONDS - time.time() % STEP_SECONDS + 1)
        asked = MeasuredServer(server.url, server=server)
        used, begin = time.process_time(), time.monotonic()
        fleet = from_prometheus(asked, (), trends)
        took, own = time.monotonic() - begin, time.process_time() - used
        totals = asked.totals
        print(
            f"  {totals['s']:7.2f} s {totals['cpu']:7.2f} s of processor {totals['MB']:7.2f} MB   all;"
            f" {took:.1f} s for {len(fleet.hosts):,} hosts with {own:.2f} s of our processor",
            flush=True,
        )
    print(f"\nPrometheus has {server.memory:.1f} GB now")
    for text in ("", FILTER):
        _screen(server.url, text, quick)


def _screen(url: str, text: str, quick: bool) -> None:
    """Print what the screen takes: the median second, in which only ages are drawn, and the mean of all."""
    with on_terminal("fleet", [*SOCKMON, "fleet", "--prometheus", url]) as screen:
        watch_all([screen], 1.0 if quick else START_SECONDS)
        if text:
            screen.press("/")
            watch_all([screen], 1.0)
            screen.press(f"{text}\r")
        watch_all([screen], 1.0 if quick else START_SECONDS)
        seconds: list[float] = []
        sent = screen.sent
        for _ in range(2 if quick else WATCH_SECONDS):
            before = precise_seconds(family(screen.process.pid))
            watch_all([screen], 1.0)
            seconds.append(100 * (precise_seconds(family(screen.process.pid)) - before))
        if screen.ended:
            raise RuntimeError("the screen ended")
    title = f"the screen with the filter {text}" if text else "the screen"
    quiet, mean = statistics.median(seconds), statistics.mean(seconds)
    print(
        f"{title}: {quiet:.2f} % of a processor in the median second, {mean:.2f} % with its refreshes;"
        f" {(screen.sent - sent) / len(seconds):,.0f} B/s",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
