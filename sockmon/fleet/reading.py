"""Read a fleet once: from a Prometheus, or by `sockmon check` on each host."""

from __future__ import annotations

import io
import re
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone

import msgspec

from sockmon.errors import BadRecording, Misuse, reported
from sockmon.fleet import ranking
from sockmon.fleet.host_limits import limit_of_reading
from sockmon.fleet.hosts import Fleet, FleetHost, HostLimit, limit_order, ranked, worst
from sockmon.fleet.prometheus import Series, Server
from sockmon.fleet.queries import EveryHost, OlderHosts, SickHosts, selections
from sockmon.fleet.trends import Trends
from sockmon.model.report import Report
from sockmon.model.snapshot import Snapshot
from sockmon.observe import report_of_samples
from sockmon.sources import push, ssh, ssh_failure
from sockmon.sources.ssh import SCHEME, Address, parse
from sockmon.sources.wire import read_stream
from sockmon.text import sanitize

MAX_PARALLEL = 16
CHECK_SECONDS = 60.0
MAX_LAST_WORDS = 4096
_MATCHER = re.compile(r'[A-Za-z_][A-Za-z0-9_]*(=|!=|=~|!~)"(?:[^"\\\n]|\\.)*"')

_REPORT = re.compile(rb"^\{\n.*^\}$", re.DOTALL | re.MULTILINE)


def from_prometheus(server: Server, matchers: Sequence[str] = (), trends: Trends | None = None) -> Fleet:
    """Return the hosts that match; raise Misuse for a bad matcher, PrometheusError. Who reads again and again
    keeps the `trends`: then only what is new of them is asked for."""
    selected, trends = selector(matchers), trends or Trends()
    answers = _answers(server, selected)
    present = {row.instance for row in (*answers.known, *answers.verdicts)}
    if now := next((row.time for row in (*answers.known, *answers.verdicts)), 0.0):
        trends.update(server, selected, now, present)
    return fleet_of(server.name, ranking.hosts(answers, trends.of))


def _answers(server: Server, selected: str) -> ranking.Answers:
    """Ask for all hosts, then for what only some of them need."""
    every, older, sick = EveryHost(), OlderHosts(), SickHosts()
    known = server.query(every.known.format(selected))
    # All answers are of one moment: a limit of a host that was sick in the first one is in the others.
    at = known[0].time if known else None

    def rows(expression: str, names: Iterable[str] | None = None) -> list[Series]:
        parts = [selected] if names is None else selections(selected, names)
        return [row for each in parts for row in server.query(expression.format(each), at)]

    verdicts, fullest = rows(every.verdicts), rows(every.fullest)
    old = {row.instance for row in verdicts} - {row.instance for row in fullest}
    alarmed = {row.instance for row in verdicts if row.labels.get("sockmon_verdict") != "ok"}
    return ranking.Answers(
        known=known,
        verdicts=verdicts,
        ages=rows(every.ages),
        left=rows(every.left),
        fullest=[*fullest, *rows(older.fullest, old)],
        unknown=[*rows(every.unknown), *rows(older.unknown, old)],
        severities=rows(sick.severities, alarmed),
        subjects=rows(sick.subjects, alarmed),
    )


def selector(matchers: Sequence[str]) -> str:
    """Return the matchers as they stand in a query; raise Misuse for one that is none."""
    for each in matchers:
        if not _MATCHER.fullmatch(each):
            raise Misuse(
                f"--match {sanitize(each, 80)} is not a matcher", "such as 'job=\"sockmon\"' or 'rack=~\"a.*\"'"
            )
    return ",".join(matchers)


def over_ssh(specs: Sequence[str], command: str = "sockmon", pushed: bool = False) -> Fleet:
    """Return the verdict of each host; one that cannot be read is a host with the reason. `pushed`: the agent is
    sent to each host, and its samples are judged here."""
    addresses = host_addresses(specs)
    with ThreadPoolExecutor(MAX_PARALLEL) as pool:
        found = list(pool.map(lambda address: _host(address, command, pushed), addresses))
    return fleet_of("ssh", found)


def host_addresses(specs: Sequence[str]) -> list[Address]:
    """Return the addresses that `ssh://HOST ...` names; raise Misuse for one that is none."""
    return [parse(spec) if spec.startswith(SCHEME) else _no_address(spec) for spec in specs]


def _no_address(spec: str) -> Address:
    raise Misuse(f"{sanitize(spec, 80)} is not a host", "write ssh://HOST")


def fleet_of(source: str, hosts: Sequence[FleetHost]) -> Fleet:
    """Return the hosts, ranked, as of now."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Fleet(1, source, now, worst(hosts), ranked(hosts))


def _host(address: Address, command: str, pushed: bool) -> FleetHost:
    name = address.name
    try:
        done = _run(address, command, pushed)
        report = _pushed_report(done.stdout) if pushed else _report(done.stdout)
    except subprocess.TimeoutExpired:
        return _failed(name, f"no report within {CHECK_SECONDS:.0f} s")
    except FileNotFoundError:
        return _failed(name, "ssh is not installed here")
    except (msgspec.MsgspecError, BadRecording) as error:
        if isinstance(error, BadRecording) and done.returncode == 0:
            return _failed(name, error.message)
        return _failed(name, _reason(done, push.NOT_FOUND_HINT if pushed else ssh.NOT_FOUND_HINT))
    return host_of(name, report)


def _run(address: Address, command: str, pushed: bool) -> subprocess.CompletedProcess[bytes]:
    words = push.command(address) if pushed else ssh.remote(address, [command, "check", "--json"])
    parcel = push.parcel([push.SAMPLES]) if pushed else b""
    return subprocess.run(words, input=parcel, capture_output=True, timeout=CHECK_SECONDS, check=False)


def _report(answer: bytes) -> Report:
    """Return the report of `check --json`, also if the shell there prints lines of its own before or after it."""
    found = _REPORT.search(answer)
    return msgspec.json.decode(found[0] if found else answer, type=Report)


def _pushed_report(stream: bytes) -> Report:
    lines = read_stream(io.BytesIO(stream).read, "the output of the agent")
    return report_of_samples(line for line in lines if isinstance(line, Snapshot))


def _reason(done: subprocess.CompletedProcess[bytes], not_found_hint: str) -> str:
    """Return what the other side or ssh said last, or the error that sockmon wrote there."""
    # nologin(8) and commands that authorized_keys prescribes say on stdout why there is no report.
    words = done.stderr if done.stderr.strip() else done.stdout[-MAX_LAST_WORDS:]
    lines = [text for line in words.decode(errors="replace").splitlines() if (text := sanitize(line.strip(), 200))]
    if error := reported(lines):
        return "; ".join(filter(None, error))
    if done.returncode == ssh_failure.NOT_FOUND and lines:
        return f"{lines[-1]}; {not_found_hint}"
    return lines[-1] if lines else f"exit code {done.returncode}, and no report"


def _failed(name: str, reason: str) -> FleetHost:
    return FleetHost(name, "failed", "unknown", reason=reason)


def host_of(name: str, report: Report) -> FleetHost:
    """Return one host by its own report."""
    limits: dict[str, HostLimit] = {}
    for reading in report.readings:
        if reading.severity != "unknown":
            limits.setdefault(reading.ceiling, limit_of_reading(reading))
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
