"""What is known of a host: its time left, and its place among others."""

from __future__ import annotations

import pytest

from sockmon.cli.fleet import as_text
from sockmon.fleet.hosts import FleetHost, HostLimit, ranked, time_left
from sockmon.fleet.reading import fleet_of
from sockmon.model.severity import Severity


@pytest.mark.parametrize(
    ("severity", "ratio", "left"),
    [("hit", 1.0, 0.0), ("critical", 0.2, 60.0), ("ok", 0.6, 60.0), ("ok", 0.4, None), ("ok", None, None)],
)
def test_time_left_of_a_limit_that_is_hit_is_none_and_far_below_it_does_not_matter(
    severity: Severity, ratio: float | None, left: float | None
) -> None:
    assert HostLimit("pid-max", severity, ratio, 60.0).left == left


def host(name: str, *limits: HostLimit) -> FleetHost:
    return FleetHost(name, "live", limits[0].severity, limits, time_left(limits))


def test_a_host_is_ranked_by_its_nearest_limit_and_not_by_another_that_is_far_away() -> None:
    far = HostLimit("pid-max", "ok", 0.1, 5.0)
    later = host("later", HostLimit("process-fds", "critical", 0.9, 600.0), far)
    sooner = host("sooner", HostLimit("process-fds", "critical", 0.9, 60.0))
    full = host("full", HostLimit("ephemeral-ports", "hit", 1.0, 105_000.0), far)
    hosts = [later, sooner, full]
    assert [each.name for each in ranked(hosts)] == ["full", "sooner", "later"]
    lines = as_text(fleet_of("here", ranked(hosts))).splitlines()
    assert lines[1].endswith("100 %  ephemeral ports")
    assert lines[2].endswith("full in 60 s")
