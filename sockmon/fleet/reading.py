"""Read a fleet once from a Prometheus, and what a fleet is made of."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone

from sockmon.errors import Misuse
from sockmon.fleet import ranking
from sockmon.fleet.host_limits import limit_of_reading
from sockmon.fleet.hosts import Fleet, FleetHost, HostLimit, limit_order, ranked, time_left, worst
from sockmon.fleet.prometheus import Series, Server
from sockmon.fleet.queries import EveryHost, OlderHosts, SickHosts, selections
from sockmon.fleet.trends import Trends
from sockmon.model.report import Report
from sockmon.sources.ssh import SCHEME, Address, parse
from sockmon.text import sanitize

_MATCHER = re.compile(r'[A-Za-z_][A-Za-z0-9_]*(=|!=|=~|!~)"(?:[^"\\\n]|\\.)*"')


def from_prometheus(server: Server, matchers: Sequence[str] = (), trends: Trends | None = None) -> Fleet:
    """Return the hosts that match; raise Misuse for a bad matcher, PrometheusError. Who reads again and again
    keeps the `trends`: then only what is new of them is asked for."""
    selected, trends = selector(matchers), trends or Trends()
    with _uncollected():
        answers = _answers(server, selected)
        present = {row.instance for row in (*answers.known, *answers.verdicts)}
        if now := next((row.time for row in (*answers.known, *answers.verdicts)), 0.0):
            trends.update(server, selected, now, present)
        return fleet_of(server.name, ranking.hosts(answers, trends.of))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Collect no garbage meanwhile: a hundred thousand new objects stay, and to walk over them again and again
    takes as much time as all else."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


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


def host_addresses(specs: Sequence[str]) -> list[Address]:
    """Return the addresses that `ssh://HOST ...` names; raise Misuse for one that is none."""
    return [parse(spec) if spec.startswith(SCHEME) else _no_address(spec) for spec in specs]


def _no_address(spec: str) -> Address:
    raise Misuse(f"{sanitize(spec, 80)} is not a host", "write ssh://HOST")


def fleet_of(source: str, hosts: Sequence[FleetHost]) -> Fleet:
    """Return the hosts, ranked, as of now."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Fleet(1, source, now, worst(hosts), ranked(hosts))


def host_of(name: str, report: Report) -> FleetHost:
    """Return one host by its own report."""
    limits: dict[str, HostLimit] = {}
    for reading in report.readings:
        if reading.severity != "unknown":
            limits.setdefault(reading.ceiling, limit_of_reading(reading))
    nearest = sorted(limits.values(), key=limit_order)[: ranking.MAX_LIMITS]
    return FleetHost(
        name=name,
        state="live",
        severity=report.verdict,
        limits=tuple(nearest),
        seconds_left=time_left(nearest),
        unknown=len({reading.ceiling for reading in report.readings} - limits.keys()),
        age=0.0,
        labels={"host": sanitize(report.host, 120), "kernel": sanitize(report.kernel, 80)},
    )
