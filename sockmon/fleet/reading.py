"""Read a fleet once: from a Prometheus, or by `sockmon check` on each host."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import msgspec

from sockmon.errors import Misuse
from sockmon.fleet import ranking
from sockmon.fleet.hosts import Fleet, FleetHost, HostLimit, limit_order, ranked, worst
from sockmon.fleet.prometheus import Server
from sockmon.model.report import Report
from sockmon.sources.ssh import SCHEME, Address, parse, remote
from sockmon.text import sanitize

MAX_PARALLEL = 16
CHECK_SECONDS = 60.0
_MATCHER = re.compile(r'[A-Za-z_][A-Za-z0-9_]*(=|!=|=~|!~)"(?:[^"\\\n]|\\.)*"')


def from_prometheus(server: Server, matchers: Sequence[str] = (), trends: bool = True) -> Fleet:
    """Return the hosts that match; raise Misuse for a bad matcher, PrometheusError."""
    for each in matchers:
        if not _MATCHER.fullmatch(each):
            raise Misuse(
                f"--match {sanitize(each, 80)} is not a matcher", "such as 'job=\"sockmon\"' or 'rack=~\"a.*\"'"
            )
    selected = ",".join(matchers)
    queries = ranking.Queries()
    answers = ranking.Answers(*(server.query(each.format(selected)) for each in queries[:-1]))
    rows = []
    if trends:
        now = time.time()
        step = ranking.TREND_SECONDS / ranking.TREND_STEPS
        begin = now - ranking.TREND_SECONDS + step
        rows = server.query_range(queries.trend.format(selected), begin, now, step)
    return _fleet(server.name, ranking.hosts(answers, rows))


def over_ssh(specs: Sequence[str], command: str = "sockmon") -> Fleet:
    """Return the verdict of each host; one that cannot be read is a host with the reason."""
    addresses = [parse(spec) if spec.startswith(SCHEME) else _no_address(spec) for spec in specs]
    with ThreadPoolExecutor(MAX_PARALLEL) as pool:
        found = list(pool.map(lambda address: _check(address, command), addresses))
    return _fleet("ssh", found)


def _no_address(spec: str) -> Address:
    raise Misuse(f"{sanitize(spec, 80)} is not a host", "write ssh://HOST")


def _fleet(source: str, hosts: Sequence[FleetHost]) -> Fleet:
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Fleet(1, source, now, worst(hosts), ranked(hosts))


def _check(address: Address, command: str) -> FleetHost:
    name = address.name
    words = remote(address, [command, "check", "--json"])
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=CHECK_SECONDS, check=False
        )
        report = msgspec.json.decode(done.stdout, type=Report)
    except subprocess.TimeoutExpired:
        return _failed(name, f"no report within {CHECK_SECONDS:.0f} s")
    except FileNotFoundError:
        return _failed(name, "ssh is not installed here")
    except msgspec.MsgspecError:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = sanitize(lines[-1], 200) if lines else f"exit code {done.returncode}, and no report"
        return _failed(name, reason)
    return host_of(name, report)


def _failed(name: str, reason: str) -> FleetHost:
    return FleetHost(name, "failed", "unknown", reason=reason)


def host_of(name: str, report: Report) -> FleetHost:
    """Return one host by its own report."""
    limits: dict[str, HostLimit] = {}
    for reading in report.readings:
        if reading.severity != "unknown":
            subject = f"{reading.netns.name}: {reading.subject}" if reading.netns else reading.subject
            row = HostLimit(
                reading.ceiling, reading.severity, reading.ratio, reading.eta_seconds, sanitize(subject, 120)
            )
            limits.setdefault(reading.ceiling, row)
    left = [row.seconds_left for row in limits.values() if row.seconds_left is not None]
    known = {reading.ceiling for reading in report.readings if reading.severity != "unknown"}
    return FleetHost(
        name=name,
        state="live",
        severity=report.verdict,
        limits=tuple(sorted(limits.values(), key=limit_order)[: ranking.MAX_LIMITS]),
        seconds_left=min(left, default=None),
        unknown=len({reading.ceiling for reading in report.readings} - known),
        age=0.0,
        labels={"host": sanitize(report.host, 120), "kernel": sanitize(report.kernel, 80)},
    )
