"""A fleet that was made up for the pictures: the hosts of a shop, a few of them in trouble."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from itertools import islice

from msgspec.structs import replace

from sockmon.errors import SockmonError
from sockmon.fleet.address import DEFAULT_TEMPLATE, address_of
from sockmon.fleet.feed import FleetState
from sockmon.fleet.hosts import Fleet, FleetHost, HostLimit, ranked, time_left, worst
from sockmon.model.severity import Severity
from sockmon.settings import Settings
from sockmon.ui.fleet.app import FleetApp
from sockmon.ui.fleet.reader import FleetReader

STEPS = 30
ROLES = ("web", "db", "proxy", "cache", "queue")
RACKS = ("a1", "a2", "b1", "b2")
QUIET = ("pid-max", "conntrack-table", "process-fds", "tcp-memory", "inotify-watches")


def rising(begin: float, end: float) -> tuple[float | None, ...]:
    """Return a trend that gets steeper."""
    return tuple(begin + (end - begin) * (at / (STEPS - 1)) ** 2 for at in range(STEPS))


def limit(
    ceiling: str, severity: Severity, used: float, most: float, subject: str = "", left: float | None = None
) -> HostLimit:
    """Return a limit by what is used of it."""
    return HostLimit(ceiling, severity, used / most, left, subject, used, most)


def host(name: str, *limits: HostLimit, rack: str, role: str, begin: float = 0.0) -> FleetHost:
    """Return a host whose fullest limit came from `begin`."""
    fullest = max((each.ratio or 0.0 for each in limits), default=0.0)
    labels = {"job": "sockmon", "rack": rack, "role": role}
    severity = limits[0].severity if limits else "ok"
    trend = rising(begin, fullest)
    return FleetHost(name, "live", severity, limits, time_left(limits), age=3.0, labels=labels, trend=trend)


SICK = (
    host(
        "proxy-2:9768",
        limit("ephemeral-ports", "hit", 28232, 28232, "10.0.0.5 → 10.0.0.9:5432"),
        limit("conntrack-table", "warning", 214_800, 262_144, "host", 1500.0),
        limit("process-fds", "warning", 842, 1024, "envoy", 900.0),
        rack="a2", role="proxy", begin=0.35,
    ),
    host(
        "web-7:9768",
        limit("accept-queue", "hit", 129, 128, "0.0.0.0:8080 gunicorn"),
        limit("process-fds", "ok", 410, 1024),
        rack="a1", role="web", begin=0.02,
    ),
    host(
        "db-1:9768", limit("process-fds", "critical", 993, 1024, "postgres", 140.0), rack="b1", role="db",
        begin=0.5,
    ),
    host(
        "web-3:9768", limit("conntrack-table", "warning", 226_000, 262_144, "host", 1380.0), rack="a1", role="web",
        begin=0.4,
    ),
    host(
        "queue-4:9768", limit("memory-maps", "warning", 55_400, 65_530, "java", 5200.0), rack="b2", role="queue",
        begin=0.7,
    ),
)  # fmt: skip
"""The hosts with an alarm, the worst first."""


def lost() -> tuple[FleetHost, ...]:
    """Return hosts of which nothing is known now."""
    labels = {"job": "sockmon", "rack": "b2", "role": "db"}
    last = (limit("process-fds", "warning", 860, 1024, "postgres"),)
    return (
        FleetHost(
            "db-3:9768", "stale", "unknown", last, age=900.0, labels=labels,
            reason="its newest sample is 15 min old", trend=(*rising(0.6, 0.84)[:-8], *[None] * 8),
        ),
        FleetHost(
            "cache-9:9768", "gone", "unknown", labels={"job": "sockmon", "rack": "a1", "role": "cache"},
            reason="it had metrics within the last hour, and has none now",
        ),
    )  # fmt: skip


def healthy(number: int) -> FleetHost:
    """Return a host without an alarm; the same for the same number."""
    role, rack = ROLES[number % len(ROLES)], RACKS[number * 7 % len(RACKS)]
    ceiling, most = QUIET[number * 3 % len(QUIET)], (1024, 4_194_304, 65_536, 262_144)[number % 4]
    used = (5 + number * 37 % 61) / 100
    name = f"{role}-{11 + number}:9768"
    found = host(name, limit(ceiling, "ok", int(used * most), most), rack=rack, role=role)
    waves = tuple(used * (1 - 0.12 * (1 + math.sin((at + number) / (1 + number % 5))) / 2) for at in range(STEPS))
    return replace(found, trend=waves)


FAR_AWAY = (
    limit("tcp-memory", "ok", 96 << 20, 1 << 30),
    limit("process-fds", "ok", 88, 1024, "node"),
    limit("conntrack-table", "ok", 9_204, 262_144),
    limit("user-processes", "ok", 410, 94_817, "www (33)"),
    limit("pid-max", "ok", 812, 4_194_304),
    limit("threads-max", "ok", 812, 189_634),
    limit("memory-maps", "ok", 412, 65_530, "java"),
    limit("inotify-instances", "ok", 2, 128, "www (33)"),
    limit("neighbour-table", "ok", 14, 1024),
    limit("accept-queue", "ok", 0, 511, "0.0.0.0:443 nginx"),
    limit("ephemeral-ports", "ok", 12, 28_232, "10.0.0.5 → 10.0.0.9:5432"),
    limit("time-wait-buckets", "ok", 61, 131_072),
    HostLimit("cgroup-memory", "unknown"),
    HostLimit("memlock", "unknown"),
)


def fleet(size: int) -> Fleet:
    """Return a fleet of so many hosts; from eight on some are lost."""
    few = (SICK[0], SICK[3])
    hosts = few if size < 8 else (*SICK, *lost())
    rest = (healthy(number) for number in range(size))
    every = (*hosts, *islice(rest, size - len(hosts)))
    return Fleet(1, "http://prometheus:9090", "2026-11-29T12:00:00+00:00", worst(every), ranked(every))


def app(size: int) -> FleetApp:
    """Return the app of a fleet of so many hosts."""
    return FleetApp(
        FleetReader(MadeUpFeed(size)), lambda host: address_of(host, DEFAULT_TEMPLATE), Settings(theme="sockmon")
    )


class MadeUpFeed:
    """Answers once, with a fleet of some size, and then with what `post` is called with."""

    title = "http://prometheus:9090"
    trend_title, trend_seconds = "1 h", 3600.0

    def __init__(self, size: int) -> None:
        self._fleet = fleet(size)
        self.post: Callable[[FleetState], object] | None = None
        self.failure: SockmonError | None = None
        """What `limits` raises."""
        self.vanished = False
        """Whether `limits` knows nothing of any host."""
        self.asked = 0
        """How often the data was to be read at once."""

    def run(self, post: Callable[[FleetState], object]) -> None:
        """Post the fleet."""
        self.post = post
        post(FleetState(self._fleet, time.monotonic()))

    def refresh(self) -> None:
        """Count it."""
        self.asked += 1

    def limits(self, name: str) -> Sequence[HostLimit]:
        """Return the limits of a host of the fleet, and a few more that are far away or unknown."""
        host = next(each for each in self._fleet.hosts if each.name == name)
        if self.failure:
            raise self.failure
        if self.vanished:
            return ()
        listed = {each.ceiling for each in host.limits}
        return *host.limits, *(each for each in FAR_AWAY if each.ceiling not in listed)

    def close(self) -> None:
        """Nothing is open."""
