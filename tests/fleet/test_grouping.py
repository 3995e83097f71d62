"""Groups of hosts: by which labels, and in which order."""

from __future__ import annotations

from sockmon.fleet.grouping import BY_LIMIT, NO_VALUE, group_keys, groups
from sockmon.fleet.hosts import FleetHost, HostLimit
from sockmon.model.severity import Severity


def host(name: str, severity: Severity, ceiling: str, **labels: str) -> FleetHost:
    return FleetHost(name, "live", severity, (HostLimit(ceiling, severity, 0.5),), labels={"id": name, **labels})


HOSTS = (
    host("a", "ok", "pid-max", job="x", rack="1", zone="n"),
    host("b", "hit", "accept-queue", job="x", rack="2", zone="s"),
    host("c", "warning", "accept-queue", job="x", rack="1", zone="w"),
    host("d", "ok", "pid-max", job="x", zone="n"),
)


def test_labels_that_divide_nothing_are_left_out() -> None:
    assert group_keys(HOSTS) == ["rack", "zone", BY_LIMIT]


def test_the_group_with_the_worst_host_is_first() -> None:
    found = groups(HOSTS, "rack")
    assert [(each.value, each.worst.name, len(each.hosts)) for each in found] == [
        ("2", "b", 1),
        ("1", "c", 2),
        (NO_VALUE, "d", 1),
    ]
    assert found[1].counts == {"warning": 1, "ok": 1}


def test_by_the_nearest_limit() -> None:
    gone = FleetHost("e", "gone", "unknown")
    assert [(each.value, len(each.hosts)) for each in groups((*HOSTS, gone), BY_LIMIT)] == [
        ("accept queue", 2),
        (NO_VALUE, 1),
        ("process ids", 2),
    ]
