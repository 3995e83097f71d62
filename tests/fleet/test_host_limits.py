"""Every limit of one host: from series of a Prometheus, and from the host's own report."""

from __future__ import annotations

from sockmon.fleet.host_limits import limits, limits_of_host, limits_of_report
from sockmon.fleet.prometheus import Series, Server
from sockmon.model.report import Reading, ReadingNetns, Report
from sockmon.model.severity import Severity
from tests.fleet.test_prometheus import fake


def series(metric: str, value: float, **labels: str) -> Series:
    return Series({"__name__": metric, "instance": "web", **labels}, ((0.0, value),))


def severities(what: str, level: str, **labels: str) -> list[Series]:
    """A state set, of which one state is set."""
    metric = f"sockmon_{what}_severity"
    return [
        series(metric, float(each == level), **labels, **{metric: each})
        for each in ("ok", "hit", "warning", "unknown")
    ]


def numbers(what: str, ratio: float, used: float, most: float, **labels: str) -> list[Series]:
    return [
        series(f"sockmon_{what}_{name}", value, **labels)
        for name, value in (("ratio", ratio), ("used", used), ("limit", most))
    ]


PORTS, FILES = {"ceiling": "ephemeral-ports"}, {"ceiling": "process-fds"}
ROWS = [
    *severities("ceiling", "ok", ceiling="pid-max"),
    *numbers("ceiling", 0.1, 10, 100, ceiling="pid-max"),
    *severities("ceiling", "unknown", ceiling="memory-maps"),
    *severities("ceiling", "hit", **PORTS),
    *numbers("ceiling", 1.0, 200, 200, **PORTS),
    *(
        row
        for netns, level, used in (("pod-a", "hit", 200.0), ("host", "warning", 170.0), ("pod-b", "ok", 120.0))
        for row in (
            *severities("subject", level, **PORTS, subject="10.0.0.9:80", netns=netns),
            *numbers("subject", used / 200, used, 200, **PORTS, subject="10.0.0.9:80", netns=netns),
        )
    ),
    *severities("ceiling", "ok", **FILES),
    *numbers("ceiling", 0.7, 7, 10, **FILES),
    *severities("subject", "ok", **FILES, subject="nginx", netns=""),
    *numbers("subject", 0.7, 7, 10, **FILES, subject="nginx", netns=""),
]


def test_each_alarm_is_listed_and_a_quiet_limit_once_and_an_unknown_one_last() -> None:
    found = [(each.ceiling, each.severity, each.ratio, each.whole_subject, each.limit) for each in limits(ROWS)]
    assert found == [
        ("ephemeral-ports", "hit", 1.0, "10.0.0.9:80 (pod-a)", 200),
        ("ephemeral-ports", "warning", 0.85, "10.0.0.9:80", 200),
        ("process-fds", "ok", 0.7, "nginx", 10),
        ("pid-max", "ok", 0.1, "", 100),
        ("memory-maps", "unknown", None, "", None),
    ]


def test_the_server_is_asked_for_this_host_whatever_its_name_is() -> None:
    with fake({}) as (url, server):
        assert limits_of_host(Server(url), 'w"eb\\1', 'rack="a1"') == ()
    (expression,) = server.queries
    assert 'instance="w\\"eb\\\\1",rack="a1"}' in expression


def reading(ceiling: str, severity: Severity, ratio: float | None, netns: str = "") -> Reading:
    inside = ReadingNetns(1, netns, "container", "") if netns else None
    used = None if ratio is None else int(100 * ratio)
    return Reading(ceiling, "x", "netns", used, 100, ratio, None, None, severity, (), (), netns=inside)


def test_a_report_has_the_same() -> None:
    readings = (
        reading("accept-queue", "hit", 1.0, "pod-a"),
        reading("accept-queue", "hit", 1.0, "pod-b"),
        reading("accept-queue", "ok", 0.1),
        reading("memory-maps", "unknown", None),
        reading("memory-maps", "ok", 0.2),
        reading("pid-max", "unknown", None),
    )
    report = Report(1, "web", "6", "now", "host", "hit", readings, ())
    found = [(each.ceiling, each.severity, each.netns) for each in limits_of_report(report)]
    assert found == [
        ("accept-queue", "hit", "pod-a"),
        ("accept-queue", "hit", "pod-b"),
        ("memory-maps", "ok", ""),
        ("pid-max", "unknown", ""),
    ]
