"""An app with one detail screen, and fake data of a proxy in trouble for it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import msgspec
from textual.app import App
from textual.binding import BindingType
from textual.screen import Screen

from sockmon.assess import Assessment, Gauge, Key, Point
from sockmon.model.detail import (
    Detail,
    DetailQuery,
    GroupDetail,
    GroupQuery,
    Limit,
    ListenerDetail,
    ListenerQuery,
    ProcessDetail,
    ProcessQuery,
    Request,
    Socket,
)
from sockmon.model.other_netns import NetnsName
from sockmon.model.process_facts import ProcessFacts, ProcessNamespace, Relative
from sockmon.model.report import Reading, Remedy, Report
from sockmon.model.snapshot import (
    Files,
    Host,
    Listener,
    Missing,
    Netns,
    Owner,
    PortGroup,
    Ports,
    Process,
    Processes,
    Snapshot,
    Sockstat,
)
from sockmon.ui import detail
from sockmon.ui.appearance import styles, themes
from sockmon.ui.detail.detail_screen import DetailScreen
from sockmon.ui.keys import bindings
from tests.ui.fake_app import gauges_by_query

AT, WALL = 90_000.0, 1_700_000_000.0
HOSTILE = "[@click=app.quit]x[/red]"
PROCESS = ProcessQuery(1044, 8_000_000)
GROUP = GroupQuery(7, "10.0.0.5", "10.0.0.9", 5432)
LISTENER = ListenerQuery(7, 501)
FDS: Key = ("process-fds", "nginx[1044]")
PORTS: Key = ("ephemeral-ports", "10.0.0.5 → 10.0.0.9:5432")
QUEUE: Key = ("accept-queue", "0.0.0.0:8080 nginx[1044]")


class DetailApp(App[None]):
    """Shows one screen; records what it asks for and opens."""

    BINDINGS: ClassVar[list[BindingType]] = list(bindings("app"))
    CSS_PATH = Path(detail.__file__).with_name("detail.tcss")
    source = SimpleNamespace(live=False)
    keys: ClassVar[dict[str, str]] = {}

    def __init__(self, screen: Screen[None], assessment: Assessment, detail: Detail | None = None) -> None:
        super().__init__()
        self._first, self.assessment, self.detail = screen, assessment, detail
        self.answers, self.paused = True, False
        self.asked: list[Request] = []
        self.opened: list[DetailQuery] = []
        self.told: list[str] = []

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return themes.derived_variables(self.current_theme)

    def on_mount(self) -> None:
        for theme in themes.load(themes.shipped_dir()).themes:
            self.register_theme(theme)
        self.theme = "sockmon"
        styles.install(self.console, self.get_css_variables())
        self.push_screen(self._first)
        self.show(self.assessment)
        if self.detail:
            self.answer(self.detail)

    def show(self, assessment: Assessment) -> None:
        self.assessment = assessment
        top: Any = self._first
        top.show(assessment)

    def answer(self, detail: Detail) -> None:
        top: Any = self._first
        top.answer(detail)

    def ask(self, request: Request) -> bool:
        self.asked.append(request)
        return self.answers

    def open(self, focus: DetailQuery) -> None:
        self.opened.append(focus)

    def show_message(self, text: str, severity: str = "warning") -> None:
        self.told.append(text)

    async def action_back(self) -> None:
        if not (isinstance(self.screen, DetailScreen) and self.screen.back()):
            self.pop_screen()


def owner(pid: int = 812, name: str = "envoy", sockets: int = 28_201) -> Owner:
    return Owner(pid, 5_000, name, sockets)


def process(fds: int | None = 842, name: str = "nginx", command: str = "nginx: worker process") -> Process:
    return Process(
        1044, 8_000_000, name, command, 33, "www", 12, 84 << 20, fds, 1024, 4096, sockets=790, close_wait=31
    )


def listener(queue: int = 129, backlog: int = 128) -> Listener:
    return Listener("tcp", "0.0.0.0", 8080, queue, backlog, 501, 33, owner(1044, "nginx", 1))


def snapshot(at: float = AT, rows: tuple[Process, ...] = (process(),), **changes: Any) -> Snapshot:
    group = PortGroup("10.0.0.5", "10.0.0.9", 5432, 28_232, 8_752, (owner(), owner(9921, HOSTILE, 31)))
    ports = Ports(at - 3, 32768, 60999, 2, (40_000,), (), 28_232, changes.pop("groups", (group,)), 1, 0)
    netns = Netns(
        "host",
        7,
        Sockstat(900, 800, None, 8_752, 10, None, 0, None, 50),
        {},
        {"net.core.somaxconn": "4096"},
        None,
        changes.pop("listeners", (listener(),)),
        ports,
        None,
    )
    return Snapshot(
        at,
        WALL + at - AT,
        1.0,
        0.014,
        Host("web-1", "6.18.44", "boot", 2, 4096, "root", 0),
        Files(61_000, 800_000, 1_048_576),
        None,
        None,
        Processes(at, rows, 0, at),
        (netns,),
        (),
    )


def reading(key: Key = PORTS, **changes: Any) -> Reading:
    fields: dict[str, Any] = {
        "ceiling": key[0],
        "subject": key[1],
        "scope": "netns",
        "used": 28_232,
        "limit": 28_232,
        "ratio": 1.0,
        "rate": 470.0,
        "eta_seconds": 0.0,
        "severity": "hit",
        "evidence": (
            "28,232 local ports taken towards this destination",
            "usable 28,232 = 32768–60999 (28,232) − 0 reserved − 0 listening",
            "8,752 in TIME_WAIT (31 %), 60 s each",
            "connect() fails with EADDRNOTAVAIL (99); no kernel counter shows it",
        ),
        "remedies": (
            Remedy("application", None, None, "let envoy[812] reuse its connections (keep-alive, a pool)"),
            Remedy("sysctl", "net.ipv4.tcp_tw_reuse", "1", "frees the 8,752 ports in TIME_WAIT after 1 s"),
            Remedy("sysctl", "net.ipv4.ip_local_port_range", "1024 65535", "28,232 → 64,511 ports " * 9),
            Remedy("addresses", None, None, "another address gives 28,232 more"),
        ),
    }
    return Reading(**{**fields, **changes})


def assessment(now: Snapshot | None = None, readings: tuple[Reading, ...] | None = None) -> Assessment:
    now = now or snapshot()
    if readings is None:
        readings = (
            reading(),
            reading(FDS, used=842, limit=1024, ratio=0.82, rate=0.7, eta_seconds=240.0, severity="warning"),
            reading(QUEUE, used=129, limit=128, ratio=129 / 128, rate=None, eta_seconds=None, severity="hit"),
            reading(("conntrack-table", "host"), used=61_204, limit=262_144, ratio=0.23, severity="ok"),
            reading(("tcp-memory", "host"), used=None, limit=None, ratio=None, severity="unknown"),
        )
    gauges = {
        (item.ceiling, item.subject): Gauge(
            item.used, item.limit, item.ratio, item.rate, item.eta_seconds, item.severity
        )
        for item in readings
    }
    trails = {
        key: tuple(Point(now.at - 58 + i, (gauge.used or 0) * (0.25 + 0.75 * i / 58) ** 1.3) for i in range(59))
        for key, gauge in gauges.items()
    }
    queries: dict[Key, DetailQuery] = {PORTS: GROUP, FDS: PROCESS, QUEUE: LISTENER}
    return Assessment(
        now,
        Report(1, "web-1", "6.18.44", "2023-11-14T22:13:20Z", "host", "hit", readings, ()),
        gauges,
        trails,
        {("counter", "TcpExt.ListenOverflows"): 12.5},
        queries,
        {PORTS: WALL - 90},
        gauges_by_query=gauges_by_query(gauges, queries),
    )


def socket(index: int, state: str = "ESTABLISHED", whose: Owner | None = None) -> Socket:
    return Socket(
        "tcp",
        state,
        f"10.0.0.5:{32768 + index}",
        "10.0.0.9:5432" if index % 5 else "[2001:db8:85a3::8a2e:370:7334]:5432",
        index % 3 * 512,
        index % 7 * 100,
        0.4 + index % 40 if index % 4 else None,
        index % 11 // 9 if index % 4 else None,
        33,
        9_000 + index,
        whose,
    )


def facts(**changes: Any) -> ProcessFacts:
    fields: dict[str, Any] = {
        "at": AT - 1,
        "state": "S",
        "parents": (Relative(1043, 7_999_000, "nginx"), Relative(1, 1, "systemd")),
        "wchan": "ep_poll",
        "threads_by_state": {"S": 11, "D": 1},
        "executable": "/usr/sbin/nginx (deleted)",
        "directory": "/",
        "namespaces": (ProcessNamespace("net", 7, True), ProcessNamespace("mnt", 4_026_532_611, False)),
        "user_seconds": 3_000.0,
        "system_seconds": 600.0,
        "resident": 84 << 20,
        "shared": 12 << 20,
        "virtual": 1 << 30,
        "swapped": 0,
        "peak": 90 << 20,
        "read_bytes": 5 << 20,
        "written_bytes": 70 << 20,
        "read_chars": 90 << 20,
        "written_chars": 800 << 20,
        "nice": 0,
        "users": ("www", "www"),
        "owner": NetnsName("container", "web", "docker", "4f" * 32),
    }
    return ProcessFacts(**{**fields, **changes})


def process_detail(**changes: Any) -> ProcessDetail:
    fields: dict[str, Any] = {
        "at": AT - 1,
        "query": PROCESS,
        "process": process(),
        "sockets": tuple(socket(i) for i in range(500)),
        "sockets_total": 12_345,
        "kinds": {"socket": 790, "file": 31, "pipe": 12, "eventfd": 6, "eventpoll": 3},
        "limits": (
            Limit("Max open files", 1024, 4096, "files"),
            Limit("Max processes", 95_000, 95_000, "processes"),
            Limit("Max locked memory", 8_388_608, 8_388_608, "bytes"),
            Limit("Max address space", -1, -1, "bytes"),
        ),
        "listeners": (listener(), Listener("unix", f"/run/{HOSTILE}.sock", 0, 0, 511, 502, 33, None)),
        "maps": 1_204,
        "cgroup": "/system.slice/nginx.service",
        "missing": (),
        "facts": facts(),
        "netns": 7,
        "states": {"ESTABLISHED": 12_300, "CLOSE_WAIT": 31, "LISTEN": 1, "unix": 13},
        "remotes": {"10.0.0.9": 9_800, "2001:db8:85a3::8a2e:370:7334": 2_531},
        "remotes_total": 412,
        "accepted": {501: 790},
        "connections": 12_331,
        "unlisted": 2,
    }
    return ProcessDetail(**{**fields, **changes})


def group_detail(**changes: Any) -> GroupDetail:
    fields: dict[str, Any] = {
        "at": AT - 2,
        "query": GROUP,
        "sockets": tuple(socket(i, ("ESTABLISHED", "TIME_WAIT")[i % 3 == 0], owner()) for i in range(500)),
        "sockets_total": 28_232,
        "states": {"ESTABLISHED": 19_480, "TIME_WAIT": 8_752},
        "owners": (owner(), owner(9921, HOSTILE, 31)),
        "missing": (Missing("owners", "needs root to list descriptors of other users' processes"),),
    }
    return GroupDetail(**{**fields, **changes})


def listener_detail(**changes: Any) -> ListenerDetail:
    fields: dict[str, Any] = {
        "at": AT - 1,
        "query": LISTENER,
        "listener": listener(),
        "sockets": tuple(socket(i, whose=owner(1044, "nginx", 1)) for i in range(90)),
        "sockets_total": 90,
        "states": {"ESTABLISHED": 80, "CLOSE_WAIT": 9, "SYN_RECV": 1},
        "remotes": {f"10.0.1.{i}": 60 - 3 * i for i in range(20)},
        "owners": (owner(1044, "nginx", 1), owner(1045, "nginx", 1)),
        "missing": (),
    }
    return ListenerDetail(**{**fields, **changes})


def unlisted(seen: Assessment) -> Assessment:
    """Return the Assessment without readings in its Report, as for ok ones."""
    return dataclasses.replace(seen, report=msgspec.structs.replace(seen.report, readings=()))


def text_of(screen: Screen[None], part: str) -> str:
    """Return the text of a widget, line by line."""
    widget = screen.query_one(part)
    return "\n".join(widget.render_line(y).text.rstrip() for y in range(widget.size.height))
