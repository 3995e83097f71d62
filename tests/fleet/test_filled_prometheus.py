"""A real Prometheus with the last hour of a few hosts: hostile names, older exporters, trends step by step."""

from __future__ import annotations

import http.client
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from benchmarks.fleet_hosts import Hosts, host_name, remote_write, series
from benchmarks.fleet_pages import Kind, real_page
from benchmarks.fleet_prometheus import prometheus
from benchmarks.measure import wait_until
from sockmon.fleet import queries
from sockmon.fleet.hosts import Fleet, FleetHost
from sockmon.fleet.prometheus import Server
from sockmon.fleet.reading import from_prometheus
from sockmon.fleet.trends import STEP_SECONDS, TREND_STEPS, Trends
from sockmon.text import sanitize
from tests.waiting import PATIENCE

pytestmark = pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs prometheus")

HOSTILE = ('a"} or up{x="|.*', "b\\c\\.d$^[0-9]", "new\nline \x1b[31m", "Ωμέγα 😀 (1)+?", "d" * 300)
MINUTES = 60
UPDATED_AT = 25
"""The minute in which the host `updated` has got the newer exporter."""
GONE_AT = 40


def ratio(name: str, minute: int) -> float:
    """Return how full the fullest limit of a host is in a minute of the hour."""
    return round((len(name) % 7 + minute) / 100, 2)


def written(name: str, begin: float) -> bytes:
    """Return all that a host published: its last minute has a limit that is hit, and one that is unknown."""
    end = GONE_AT if name.startswith("gone") else MINUTES
    minutes = range(end + 1)
    newer = () if name.startswith("old") else range(UPDATED_AT, end + 1) if name == "updated" else minutes

    def of(metric: str, points: dict[int, float], **labels: str) -> bytes:
        whole = {"__name__": f"sockmon_{metric}", "instance": name, "job": "sockmon", **labels}
        return series(whole, [(begin + 60 * minute, value) for minute, value in points.items()])

    def level(metric: str, value: str, **labels: str) -> bytes:
        return of(metric, {end: 1.0}, **labels, **{f"sockmon_{metric}": value})

    parts = [
        of("build_info", dict.fromkeys(minutes, 1.0), version="1"),
        level("verdict", "hit"),
        of("sample_timestamp_seconds", {end: begin + 60 * end}),
        of("ceiling_ratio", {minute: ratio(name, minute) for minute in minutes}, ceiling="pid-max"),
        of("ceiling_ratio", dict.fromkeys(minutes, 0.01), ceiling="system-fds"),
        of("ceiling_used", {end: 77}, ceiling="pid-max"),
        of("ceiling_used", {end: 3}, ceiling="system-fds"),
        level("ceiling_severity", "ok", ceiling="pid-max"),
        level("ceiling_severity", "unknown", ceiling="snat-ports"),
        level("ceiling_severity", "hit", ceiling="accept-queue"),
        level("subject_severity", "hit", ceiling="accept-queue", subject=f"of {name}"),
        of("subject_ratio", {end: 1.0}, ceiling="accept-queue", subject=f"of {name}"),
    ]
    if newer:
        parts += [
            of("fullest_ratio", {minute: ratio(name, minute) for minute in newer}, ceiling="pid-max"),
            of("fullest_used", {end: 77}, ceiling="pid-max"),
            of("unknown_ceilings", {end: 1}),
        ]
    return b"".join(parts)


NAMES = ("plain:9768", "old:9768", "updated", "gone", "gone but new", *HOSTILE)


@pytest.fixture(scope="module")
def filled() -> Iterator[tuple[Server, float]]:
    """A server, and the time of its newest samples."""
    with prometheus() as server:
        end = time.time() // STEP_SECONDS * STEP_SECONDS
        with closing(http.client.HTTPConnection(*server.address, timeout=30)) as connection:
            for name in NAMES:
                remote_write(connection, written(name, end - 60 * MINUTES))
        yield Server(server.url), end


class Page(BaseHTTPRequestHandler):
    """Answers as the exporter of a synthetic host would."""

    kind: Kind

    def do_GET(self) -> None:
        values = self.kind.values(time.time())
        for_labels = [
            ",".join(f'{name}="{value}"' for name, value in line.labels.items()) for line in self.kind.lines
        ]
        lines = zip(self.kind.lines, for_labels, values, strict=True)
        body = "".join(f"{line.name}{{{labels}}} {value}\n" for line, labels, value in lines).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_scrape_makes_the_series_that_the_benchmark_writes() -> None:
    hosts = Hosts(real_page(), 3)
    Page.kind = hosts.kinds[2]
    with HTTPServer(("127.0.0.1", 0), Page) as pages:
        thread = threading.Thread(target=pages.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        labels = {"instance": "scraped", "rack": "rack-02", "__metrics_path__": "/"}
        target = {"targets": [f"127.0.0.1:{pages.server_port}"], "labels": labels}
        with prometheus([{"job_name": "sockmon", "scrape_interval": "1s", "static_configs": [target]}]) as filled:
            hosts.write(filled.address, time.time())
            server = Server(filled.url)

            def of(instance: str) -> list[list[tuple[str, str]]]:
                rows = server.query(f'{{instance="{instance}",__name__!~"up|scrape_.*"}}')
                return sorted(sorted({**row.labels, "instance": ""}.items()) for row in rows)

            assert wait_until(lambda: bool(of("scraped")), PATIENCE)
            assert of("scraped") == of(host_name(2))
            assert len(of(host_name(2))) == len(Page.kind.lines)
            fleet = by_name(from_prometheus(server))
            assert fleet[host_name(0)].severity == "hit"
            assert fleet["scraped"].limits == fleet[host_name(2)].limits
        pages.shutdown()
        thread.join()


def by_name(fleet: Fleet) -> dict[str, FleetHost]:
    return {host.name: host for host in fleet.hosts}


def test_every_host_is_right_whatever_its_name_and_its_exporter(
    filled: tuple[Server, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, _ = filled
    found = by_name(from_prometheus(server))
    assert found.keys() == {sanitize(name, 200) for name in NAMES}
    for name in NAMES:
        host = found[sanitize(name, 200)]
        if name.startswith("gone"):
            assert (host.state, host.severity) == ("gone", "unknown")
            continue
        assert (host.state, host.severity, host.unknown, host.age is not None) == ("live", "hit", 1, True), name
        first, second = host.limits
        subject = sanitize(f"of {name}", 200)
        assert (first.ceiling, first.severity, first.subject, first.ratio) == ("accept-queue", "hit", subject, 1.0)
        assert (second.ceiling, second.ratio, second.used) == ("pid-max", ratio(name, MINUTES), 77)
    monkeypatch.setattr(queries, "HOSTS_AT_ONCE", 2)
    again = by_name(from_prometheus(server))
    assert {name: (host.limits, host.unknown, host.trend) for name, host in again.items()} == {
        name: (host.limits, host.unknown, host.trend) for name, host in found.items()
    }


def test_a_trend_that_is_read_step_by_step_is_that_which_is_read_whole(filled: tuple[Server, float]) -> None:
    server, end = filled

    def whole(now: float) -> dict[str, list[float | None]]:
        trends = Trends()
        trends.update(server, "", now, NAMES)
        return {name: list(trends.of(name)) for name in NAMES}

    expected = whole(end)
    for name in NAMES:
        steps = [60 - 2 * back for back in range(TREND_STEPS - 2, -1, -1)]
        values: list[float | None] = [ratio(name, minute) for minute in steps]
        if name.startswith("gone"):
            # For five minutes a series has its last value.
            values = [ratio(name, min(minute, GONE_AT)) if minute < GONE_AT + 5 else None for minute in steps]
        assert expected[name] == values, name
    trends = Trends()
    for back in (3000, 2990, 2870, 1700, 600, 480, 1, 0):
        trends.update(server, "", end - back, NAMES)
    assert {name: list(trends.of(name)) for name in NAMES} == expected
    # The clock of the server is set back, and then far forward: all is read again.
    for now in (end - 1800, end + 7200, end):
        trends.update(server, "", now, NAMES)
        assert {name: list(trends.of(name)) for name in NAMES} == whole(now)
