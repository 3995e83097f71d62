"""Fake data for the app: Assessments of a proxy in trouble, a healthy host and an unprivileged user; a Source."""

from __future__ import annotations

import math
import queue
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import msgspec

from sockmon.assess import Assessment, Assessor, Gauge, Key, Point
from sockmon.ceilings.ports import group_label
from sockmon.model.conntrack_flows import FlowQuery, FlowsQuery
from sockmon.model.detail import (
    DetailQuery,
    GroupQuery,
    ListenerQuery,
    ProcessDetail,
    ProcessQuery,
    Request,
    Socket,
)
from sockmon.model.report import Reading, Remedy, Report
from sockmon.model.severity import Severity
from sockmon.model.snapshot import (
    Conntrack,
    Files,
    Host,
    Listener,
    Memory,
    Missing,
    Netns,
    Owner,
    PortGroup,
    Ports,
    Process,
    Processes,
    Snapshot,
    Sockstat,
    StateCount,
    States,
    Tasks,
)
from sockmon.sources import Event
from tests.ui import fake_flows

START = 86_400.0
WALL = 1_750_000_000.0
NETNS = 4_026_531_840

HOSTILE = (
    "[@click=app.quit]x[/]",
    "[/red]",
    "[/",
    "[link=http://evil]x[/link]",
    "[pid=3,x=]",
    "[$primary]",
    "数据库代理进程数据库代理进程",
    "e\u0301" * 40,
    "$(reboot)",
    "👩🔧 emoji",
    "\\[bold]",
)

ENVOY = Owner(812, 100, "envoy", 28_201)


def processes(count: int = 300, tick: int = 0) -> tuple[Process, ...]:
    """Return processes of a proxy, with all hostile names; nginx[1044] leaks descriptors."""
    rows = [
        Process(1044, 7, "nginx", "nginx: worker process", 33, "www", 1, 48 << 20, 842 + tick, 1024, 4096, 790, 0),
        Process(
            812, 100, "envoy", "/usr/bin/envoy -c /etc/envoy.yaml", 101, "envoy", 18, 410 << 20,
            28_910, 65_536, 65_536, 28_900, 31,
        ),
        Process(77, 3, "java", "java -Xmx8g -jar api.jar", 1001, "api", 212, 9 << 30, 3_120, -1, -1, 1_040, 402),
    ]  # fmt: skip
    for index in range(count - len(rows)):
        name = HOSTILE[index] if index < len(HOSTILE) else f"worker-{index}"
        fds = None if index % 97 == 50 else 8 + index * 7 % 120
        rows.append(
            Process(
                2_000 + index, 50 + index, name[:15], f"{name} --queue {index}",
                1000 + index % 5, f"user{index % 5}",
                1 + index % 9, (3 + index % 90) << 20, fds, 1024, 4096, None if fds is None else fds // 3, 0,
            )
        )  # fmt: skip
    return tuple(rows)


def _states(tick: int, at: float) -> States:
    wave = int(800 * math.sin(tick / 4))
    totals = {
        "ESTABLISHED": (11_902 + wave, 1_100), "TIME_WAIT": (9_120 - wave, None), "CLOSE_WAIT": (402 + tick, 31),
        "SYN_RECV": (12, 0), "SYN_SENT": (tick % 5, 0), "FIN_WAIT1": (3, 0), "FIN_WAIT2": (88, 1),
        "LAST_ACK": (2, 0), "CLOSING": (0, 0), "LISTEN": (21, 9),
    }  # fmt: skip
    counts = {name: StateCount(v4 + (v6 or 0), v4, v6) for name, (v4, v6) in totals.items()}
    return States(at, counts)


def _listeners() -> tuple[Listener, ...]:
    return (
        Listener("tcp", "0.0.0.0", 8080, 512, 511, 9_001, 33, Owner(1044, 7, "nginx", 1)),
        Listener("tcp", "::", 443, 3, 4_096, 9_002, 101, ENVOY),
        Listener("tcp", "127.0.0.1", 5432, 0, 200, 9_003, 70, None),
        Listener("unix", "@/run/[/red]/sock", 0, 1, 128, 9_004, 0, Owner(2_001, 51, "[/red]", 1)),
        *(Listener("tcp", "10.0.0.5", 9_000 + n, 0, 128, 9_100 + n, 0, Owner(77, 3, "java", 1)) for n in range(6)),
    )


def _ports(tick: int, at: float) -> Ports:
    groups = [
        PortGroup("10.0.0.5", "10.0.0.9", 5432, 28_232, 8_752, (ENVOY, Owner(9_921, 5, "curl", 31))),
        PortGroup("10.0.0.5", "10.0.0.7", 6379, 9_001 + 12 * tick, 180, (ENVOY,)),
        PortGroup("fd00::5", "fd00:db8:1:2:3:4:5:9", 443, 4_410, 4_100, (ENVOY,)),
        *(PortGroup("10.0.0.5", f"10.0.1.{n}", 443, 400 - n * 9, 40, (ENVOY,)) for n in range(12)),
    ]
    return Ports(at, 32_768, 60_999, 2, (40_001,), (), 28_232, tuple(groups), 212, 3_120)


def _conntrack(tick: int, at: float) -> Conntrack:
    table = {
        "tcp ESTABLISHED": 40_110, "tcp TIME_WAIT": 17_002, "tcp SYN_SENT": 310, "tcp CLOSE": 12,
        "tcp CLOSE_WAIT": 640, "udp": 3_092, "icmp": 4, "tcp SYN_RECV": 34,
    }  # fmt: skip
    stats = {"drop": 0, "insert_failed": 3, "early_drop": 0}
    return Conntrack(61_204 + tick, 262_144, 262_144, stats, at, table, 1_220, fake_flows.tops())


def busy(tick: int = 0, name: str = "web-1") -> Snapshot:
    """Return a Snapshot of a proxy in trouble."""
    at = START + tick
    dump = at - tick % 4
    stat = Sockstat(24_300, 11_902, 1_100, 9_120, 40, 6, 2, None, 410)
    netns = Netns(
        "host", NETNS, stat,
        {"TcpExt.ListenOverflows": 1_204 + tick * 9, "Tcp.ActiveOpens": 900_000 + 470 * tick}, {},
        _states(tick, dump), _listeners(), _ports(tick, dump), _conntrack(tick, dump),
    )  # fmt: skip
    return Snapshot(
        at=at, wall=WALL + tick, interval=1.0, cost=0.014,
        host=Host(name, "6.18.44", "b00t", 8, 4096, "root", 0),
        files=Files(61_000, 9_223_372, 1_048_576), tasks=Tasks(1_930, 4_194_304, 255_000),
        memory=Memory(31_000, 12, 3, 24_000, (180_000, 240_000, 360_000), 65_536),
        processes=Processes(at, processes(300, tick), 0, dump), netns=(netns,), missing=(),
    )  # fmt: skip


def calm(tick: int = 0) -> Snapshot:
    """Return a Snapshot of a healthy host."""
    whole = busy(tick, "quiet-7")
    netns = whole.netns[0]
    assert netns.ports
    assert netns.states
    ports = msgspec.structs.replace(netns.ports, groups=netns.ports.groups[4:], groups_total=11, other_used=0)
    listeners = tuple(msgspec.structs.replace(row, queue=0) for row in _listeners())
    states = States(whole.at, {"ESTABLISHED": StateCount(42, 38, 4), "LISTEN": StateCount(12, 8, 4)})
    netns = msgspec.structs.replace(netns, ports=ports, listeners=listeners, states=states)
    few = tuple(row for row in processes(60) if row.pid >= 2_000)
    return msgspec.structs.replace(
        whole, processes=Processes(whole.at, few, 0, whole.at), netns=(netns,), cost=0.006
    )


def unprivileged(tick: int = 0) -> Snapshot:
    """Return a Snapshot of an ordinary user: unknown owners, no conntrack."""
    whole = busy(tick)
    hidden = [
        msgspec.structs.replace(row, fds=None, sockets=None, close_wait=None) if row.uid != 1001 else row
        for row in processes(300, tick)
    ]
    assert whole.processes
    seen = Processes(whole.at, tuple(hidden), len(hidden) - 61, None)
    netns = msgspec.structs.replace(whole.netns[0], conntrack=None, ports=None, listeners=None)
    missing = (
        Missing("conntrack", "nf_conntrack is not loaded in this namespace"),
        Missing("ports", "sock_diag: no owners for sockets of other users"),
        Missing("listeners", "sock_diag: permission denied"),
    )
    host = Host("web-1", "6.18.44", "b00t", 8, 4096, "alice", 1001)
    return msgspec.structs.replace(whole, host=host, processes=seen, netns=(netns,), missing=missing)


FIX = Remedy("application", None, None, "reuse connections: envoy[812] opened 470/s, each lived 0.2 s")
REUSE = Remedy("sysctl", "net.ipv4.tcp_tw_reuse", "1", "frees 8,752 ports after 1 s")
WIDER = Remedy("sysctl", "net.ipv4.ip_local_port_range", "1024 65535", "28,232 → 64,511 ports")


def _reading(
    ceiling: str, subject: str, used: int | None, limit: int | None, severity: Severity,
    rate: float | None = 0.0, eta: float | None = None, evidence: tuple[str, ...] = (),
) -> Reading:  # fmt: skip
    ratio = used / limit if used is not None and limit else None
    return Reading(
        ceiling, subject, "netns", used, limit, ratio, rate, eta, severity, evidence, (FIX, REUSE, WIDER)
    )


def readings(kind: str, tick: int) -> tuple[Reading, ...]:
    """Return the readings of a kind of host, most urgent first."""
    quiet = (
        _reading("tcp-memory", "host", 31_000, 360_000, "ok", 2.0, None),
        _reading("tcp-orphans", "host", 3, 65_536, "ok"),
        _reading("time-wait-buckets", "host", 9_120, 65_536, "ok"),
        _reading("system-fds", "web-1", 61_000, 9_223_372, "ok"),
    )
    if kind == "calm":
        return (_reading("conntrack-table", "host", 412, 262_144, "ok"), *quiet)
    fds = _reading("process-fds", "nginx[1044]", 842 + tick, 1_024, "warning", 0.7, 240.0 - tick % 60)
    if kind == "unprivileged":
        why = ("nf_conntrack is not loaded in this namespace",)
        return (fds, *quiet, _reading("conntrack-table", "host", None, None, "unknown", None, None, why))
    dropped = "TcpExt.ListenOverflows +9/s"
    maps = ("needs root to read /proc/PID/maps",)
    taken = "28,232 of 28,232 source ports are taken: connect() returns EADDRNOTAVAIL"
    return (
        _reading("ephemeral-ports", "10.0.0.5 → 10.0.0.9:5432", 28_232, 28_232, "hit", 470.0, 0.0, (taken,)),
        _reading("accept-queue", "0.0.0.0:8080 nginx[1044]", 512, 511, "hit", 0.0, None, (dropped,)),
        fds,
        _reading("ephemeral-ports", "10.0.0.5 → 10.0.0.7:6379", 9_001 + 12 * tick, 28_232, "ok", 12.0, 1_602.0),
        _reading("conntrack-table", "host", 61_204, 262_144, "ok", 1.0, None),
        *quiet,
        _reading("memory-maps", "12 processes", None, None, "unknown", None, None, maps),
    )  # fmt: skip


def _trail(tick: int, values: Callable[[int], float]) -> tuple[Point, ...]:
    return tuple(Point(START + n, values(n)) for n in range(max(tick - 60, tick - 60), tick + 1))


def _gauges(snapshot: Snapshot, found: tuple[Reading, ...]) -> dict[Key, Gauge]:
    gauges: dict[Key, Gauge] = {}
    for row in snapshot.processes.rows if snapshot.processes else ():
        limit = row.soft if row.soft and row.soft > 0 else None
        ratio = row.fds / limit if row.fds is not None and limit else None
        level: Severity = "unknown" if row.fds is None else "ok"
        gauges["process-fds", f"{row.name}[{row.pid}]"] = Gauge(row.fds, limit, ratio, 0.0, None, level)
    ports = snapshot.netns[0].ports
    for group in ports.groups if ports else ():
        gauges["ephemeral-ports", group_label(group)] = Gauge(
            group.used, 28_232, group.used / 28_232, 12.0, None, "ok"
        )
    for row_ in found:
        gauges[row_.ceiling, row_.subject] = Gauge(
            row_.used, row_.limit, row_.ratio, row_.rate, row_.eta_seconds, row_.severity
        )
    return gauges


def _focuses(snapshot: Snapshot) -> dict[Key, DetailQuery]:
    rows = snapshot.processes.rows if snapshot.processes else ()
    ports = snapshot.netns[0].ports
    return {
        **{("process-fds", f"{row.name}[{row.pid}]"): ProcessQuery(row.pid, row.start) for row in rows},
        **{
            ("ephemeral-ports", group_label(each)): GroupQuery(NETNS, each.source, each.destination, each.port)
            for each in (ports.groups if ports else ())
        },
        ("process-fds", "nginx[1044]"): ProcessQuery(1044, 7),
    }


def assess(snapshot: Snapshot, kind: str = "busy") -> Assessment:
    """Return an Assessment of a fake Snapshot, with fixed readings."""
    tick = int(snapshot.at - START)
    found = readings(kind, tick)
    report = Report(
        1, snapshot.host.name, snapshot.host.kernel, "2025-06-15T15:06:40Z", "host",
        found[0].severity, found, snapshot.missing,
    )  # fmt: skip
    trails: dict[Key, tuple[Point, ...]] = {}
    for reading in found:
        if reading.used is not None:
            end, slope = reading.used, (reading.rate or 0) * 3
            trails[reading.ceiling, reading.subject] = _trail(tick, lambda n: max(end - slope * (tick - n), 0))  # noqa: B023
    for name in ("ESTABLISHED", "TIME_WAIT", "CLOSE_WAIT", "SYN_SENT", "SYN_RECV", "FIN_WAIT2", "LISTEN"):
        trails["state", name] = _trail(tick, lambda n: 1000 + 800 * math.sin(n / (3 + len(name) % 5)))  # noqa: B023
    rates: dict[Key, float | None] = {
        ("counter", "conntrack.drop"): 0.0, ("counter", "conntrack.insert_failed"): 0.0,
        ("counter", "conntrack.early_drop"): None, ("counter", "Tcp.ActiveOpens"): 470.0,
        ("counter", "Tcp.PassiveOpens"): 512.0, ("counter", "Tcp.RetransSegs"): 3.2,
    }  # fmt: skip
    focuses: dict[Key, DetailQuery] = {
        **_focuses(snapshot),
        ("accept-queue", "0.0.0.0:8080 nginx[1044]"): ListenerQuery(NETNS, 9_001),
    }
    since = {
        (row.ceiling, row.subject): WALL - 40 for row in found if row.severity in ("hit", "critical", "warning")
    }
    gauges = _gauges(snapshot, found)
    by_query = gauges_by_query(gauges, focuses)
    return Assessment(snapshot, report, gauges, trails, rates, focuses, since, gauges_by_query=by_query)


def gauges_by_query(
    gauges: Mapping[Key, Gauge], queries: Mapping[Key, DetailQuery]
) -> dict[str, dict[DetailQuery, Gauge]]:
    """The gauges that `Assessment.gauge` finds."""
    found: dict[str, dict[DetailQuery, Gauge]] = {}
    for key, query in queries.items():
        if key in gauges:
            found.setdefault(key[0], {})[query] = gauges[key]
    return found


KINDS: dict[str, Callable[[int], Snapshot]] = {"busy": busy, "calm": calm, "unprivileged": unprivileged}


class FakeAssessor(Assessor):
    """Returns the fixed Assessments."""

    def __init__(self, kind: str = "busy") -> None:
        super().__init__()
        self.kind = kind

    def add(self, snapshot: Snapshot) -> Assessment:
        return assess(snapshot, self.kind)


class FakeSource:
    """A Source that sends a Snapshot at each `step()`, or every `every` seconds."""

    title = "live"
    live, remote = True, False

    def __init__(self, kind: str = "busy", every: float | None = None) -> None:
        self.kind = kind
        self.every = every
        self.asked: list[Request] = []
        self.retried = 0
        self.tick = 60
        self._lines: queue.Queue[Event | Exception | None] = queue.Queue()
        self.step()

    def step(self) -> None:
        """Send one more Snapshot."""
        self._lines.put(KINDS[self.kind](self.tick))
        self.tick += 1

    def emit(self, line: Event | Exception) -> None:
        """Send any event; an exception is raised in the reader."""
        self._lines.put(line)

    def lines(self) -> Iterator[Event]:
        while True:
            try:
                line = self._lines.get(timeout=self.every)
            except queue.Empty:
                self.step()
                continue
            if line is None:
                return
            if isinstance(line, Exception):
                raise line
            yield line

    def retry(self) -> None:
        """Count how often the agent was to be started at once."""
        self.retried += 1

    def ask(self, request: Request) -> bool:
        self.asked.append(request)
        if isinstance(request, ProcessQuery):
            self._lines.put(process_detail(request))
        elif isinstance(request, FlowsQuery):
            self._lines.put(fake_flows.flows_detail(request, START + self.tick))
        elif isinstance(request, FlowQuery):
            self._lines.put(fake_flows.flow_detail(request, START + self.tick))
        return True

    def close(self) -> None:
        self._lines.put(None)


def process_detail(focus: ProcessQuery) -> ProcessDetail:
    """Return an answer about a fake process."""
    found = next((row for row in processes() if (row.pid, row.start) == (focus.pid, focus.start)), None)
    sockets = (Socket("tcp", "ESTABLISHED", "10.0.0.5:443", "10.9.8.7:50123", 0, 0, 12.5, 1, 33, 4_711),)
    return ProcessDetail(
        START,
        focus,
        found,
        sockets,
        1,
        {"socket": 790, "file": 40, "eventpoll": 2},
        (),
        _listeners()[:1],
        120,
        "/",
        (),
    )


def hostile(assessment: Assessment) -> Assessment:
    """Return the Assessment with hostile subjects and reasons."""
    bad = tuple(
        msgspec.structs.replace(row, subject=HOSTILE[n % len(HOSTILE)], evidence=(HOSTILE[n % len(HOSTILE)],))
        for n, row in enumerate(assessment.report.readings)
    )
    return replace(assessment, report=msgspec.structs.replace(assessment.report, readings=bad))


def main() -> None:
    """Show fake data on this terminal: `python -m tests.ui.fake_app [busy|calm|unprivileged]`."""
    import sys

    from sockmon.settings import Settings
    from sockmon.ui.app import SockmonApp

    kind = sys.argv[1] if len(sys.argv) > 1 else "busy"
    theme = sys.argv[2] if len(sys.argv) > 2 else None
    SockmonApp(FakeSource(kind, every=1.0), Settings(theme=theme), assessor=FakeAssessor(kind)).run()
    time.sleep(0)


if __name__ == "__main__":
    main()
