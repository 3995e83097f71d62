"""A made-up host with containers: Snapshots of several network namespaces, assessed by the real assessor.

`python -m tests.ui.many_netns [NUMBER]` shows it on this terminal.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from msgspec.structs import replace
from textual.pilot import Pilot

from sockmon.model.other_netns import OtherNetns
from sockmon.model.snapshot import Conntrack, Netns, Owner, Process, Snapshot, Sockstat, StateCount, States
from sockmon.settings import Settings
from sockmon.ui.app import SockmonApp
from sockmon.ui.main.screen import MainScreen
from tests.snapshots import group, listener, netns, ports, process, snapshot
from tests.ui.fake_app import FakeSource
from tests.ui.fake_helper import until

BOOT, WALL = 86_400.0, 1_750_000_000.0
API, SLOW, TABLE = 3, 5, 8
"""Numbers of the containers in trouble: out of ports, with a stuck listener, with a full connection table."""


def container(number: int, at: float, tick: int = 0) -> Netns:
    """Return a namespace of a container; the healthy ones are read in turn, every few seconds."""
    name = {API: "checkout-api", SLOW: "slow-worker", TABLE: "edge-proxy"}.get(number, f"web-{number}")
    base = netns(
        name=name,
        inode=4_026_532_000 + number,
        kind="container",
        runtime="docker",
        container=f"{number:064x}",
        processes=2 + number % 3,
        pid=2000 + number,
        pids=(2000 + number,),
        entry=str(2000 + number),
        at=at - number % 3,
        sockstat=Sockstat(20 + number, 10 + number, 0, 4, 1, 0, 0, 0, 8),
        states=None,
        ports=None,
        udp=None,
        snat=None,
        datagrams=None,
        listeners=(listener(owner=Owner(2000 + number, 7, "nginx", 1), inode=70_000 + number),),
        conntrack=Conntrack(10 + number, 262_144, 262_144, {"drop": 0, "insert_failed": 0, "early_drop": 0}),
        ruled_out=("states", "ports", "udp", "snat", "datagrams"),
    )
    states = States(at, {"ESTABLISHED": StateCount(28_100, 28_100, 0), "TIME_WAIT": StateCount(40, 40, None)})
    if number == API:
        full = ports(group(28_232, 8_752), at=at)
        return replace(
            base, at=None, ruled_out=(), states=states, ports=full, counters={"Tcp.ActiveOpens": 470 * tick}
        )
    if number == SLOW:
        queue = (listener(queue=129, owner=Owner(2005, 7, "gunicorn", 1), inode=70_005, port=8000),)
        return replace(base, at=None, listeners=queue, counters={"TcpExt.ListenOverflows": 9 * tick})
    if number == TABLE:
        table = Conntrack(
            255_000, 262_144, 262_144, {"drop": 0, "insert_failed": 0, "early_drop": 0}, at, {"udp": 255_000}
        )
        return replace(base, at=at, conntrack=table)
    return base


def host(tick: int = 0, number: int = 12) -> Snapshot:
    """Return a Snapshot of a host with `number` containers."""
    at = BOOT + tick
    rows: list[Process] = [process(1044, fds=840, name="nginx")]
    for each in range(1, number + 1):
        named = {API: "java", SLOW: "gunicorn"}.get(each, "nginx")
        rows.append(process(2000 + each, fds=30 + each, name=named, command=f"{named}: container {each}"))
    states = States(at, {"ESTABLISHED": StateCount(4, 4, 0), "LISTEN": StateCount(1, 1, 0)})
    own = replace(netns(), states=states, ports=ports(group(100), at=at))
    spaces = (own, *(container(each, at, tick) for each in range(1, number + 1)))
    return replace(
        snapshot(at, *rows, netns=spaces), wall=WALL + tick, other_netns=OtherNetns(at, 3, 4, (), 0, unreadable=3)
    )


class ManyNetnsSource(FakeSource):
    """Sends Snapshots of a host with containers."""

    def __init__(self, number: int = 12, every: float | None = None) -> None:
        self.number = number
        super().__init__(every=every)

    def step(self) -> None:
        self._lines.put(msgspec.json.decode(msgspec.json.encode(host(self.tick, self.number)), type=Snapshot))
        self.tick += 1


@asynccontextmanager
async def play(
    number: int = 12, size: tuple[int, int] = (160, 50)
) -> AsyncIterator[tuple[SockmonApp, Pilot[None], ManyNetnsSource]]:
    """Run the app on a host with `number` containers, after three samples."""
    source = ManyNetnsSource(number)
    app = SockmonApp(source, Settings(theme="sockmon"))
    async with app.run_test(size=size) as pilot:
        for _ in range(2):
            source.step()
        await until(pilot, lambda: app.newest is not None and isinstance(app.screen, MainScreen))
        await until(pilot, lambda: app.newest is not None and app.newest.snapshot.wall >= WALL + 62)
        await pilot.pause()
        yield app, pilot, source


if __name__ == "__main__":
    SockmonApp(
        ManyNetnsSource(int(sys.argv[1]) if len(sys.argv) > 1 else 12, every=1.0), Settings(theme="sockmon")
    ).run()
