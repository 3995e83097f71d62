"""The guide for a number at which something stops: on its lab, on others, on a healthy host, and its branches."""

from __future__ import annotations

from sockmon.guides.facts import Place
from sockmon.guides.stuck_at_n import GUIDE
from sockmon.guides.walk import Walk
from sockmon.model.snapshot import Missing, PidsCgroup
from tests.guides.lab_walks import end, named, path, walk_on_lab
from tests.guides.walks import Stream, branches, ends_of_change, follow, full, taken
from tests.snapshots import cgroups, netns, process

NAME = GUIDE.name


def test_on_its_lab_more_descriptors_are_verified() -> None:
    walk = walk_on_lab(NAME, GUIDE.lab, "256", "--yes")
    assert path(walk) == ["suspects", "reached", "remedy", "raise", "grows", "verified"]
    assert walk.steps[0].readings[0].ceiling == "process-fds"
    assert [(setting.key, change.state) for change in walk.changes for setting in change.settings] == [
        ("nofile", "kept")
    ]


def test_another_number_is_not_this_limit() -> None:
    walk = walk_on_lab(NAME, GUIDE.lab, "10000", "--yes")
    assert path(walk) == ["suspects", "others", "other-limit"]
    assert walk.steps[0].verdict == "contradicts"
    assert "process-fds" in named(walk)


def test_the_number_of_ports_names_the_ports() -> None:
    walk = walk_on_lab(NAME, "ephemeral-ports", "200", "--yes")
    assert walk.outcome == "verified"
    assert walk.steps[0].readings[0].ceiling == "ephemeral-ports"


def test_a_leak_is_not_tuned() -> None:
    walk = walk_on_lab(NAME, "close-wait-leak", "256", "--yes")
    assert walk.outcome == "do-not-tune"
    assert walk.changes == ()
    assert any("forgetful" in line for line in end(walk).advice)


def test_a_setting_of_the_host_is_not_changed_in_a_lab() -> None:
    walk = walk_on_lab(NAME, "memory-maps", "32,7xx", "--yes")
    assert walk.steps[0].readings[0].ceiling == "memory-maps"
    assert walk.outcome == "run-commands"
    assert any("vm.max_map_count" in line for line in end(walk).advice)


def test_on_a_healthy_host_no_limit_is_reached() -> None:
    walk = walk_on_lab(NAME, "idle-box", "10000", "--yes")
    assert walk.outcome == "not-here"
    assert any("Redis" in line for line in end(walk).advice)


def _walk(number: str, stream: Stream, seconds: float = 1.0) -> Walk:
    walk = Walk(GUIDE, stream.next(netns()), number=number)
    if seconds > 1:
        walk.add(stream.next(netns(), seconds))
    list(follow(walk))
    return walk


def _steps(walk: Walk) -> list[str]:
    return [*(passed.step for passed in walk.progress.path), walk.step.id]


def _in_cgroup(limit: int = 64) -> Walk:
    group = PidsCgroup("/web", limit, limit, 3, "web[7]", 1)
    return _walk(str(limit), Stream(changes={"cgroups": cgroups(0.0, group)}))


def _nearly() -> Walk:
    return _walk("1,000", Stream(processes=(process(fds=850, soft=1024),)))


def _hidden() -> Walk:
    missing = (Missing("maps", "needs root to read the maps of other users"),)
    return _walk("65,530", Stream(changes={"maps": None, "missing": missing}))


def _leak() -> Walk:
    leak = process(fds=1024, soft=1024, sockets=1000, close_wait=990)
    return _walk("1,024", Stream(processes=(leak,)))


def test_the_limit_of_a_cgroup_is_raised() -> None:
    walk = _in_cgroup()
    assert walk.step.id == "raise"
    assert any(each.key.startswith("pids.max@/") for each in walk.wanted)
    # The kernel takes no higher limit, so there is nothing that sockmon could set.
    walk = _in_cgroup(4_194_304)
    assert walk.step.id == "by-hand"
    assert any("pids.max" in line for line in walk.advice)


def test_a_limit_that_is_not_reached_yet_is_no_cause() -> None:
    assert _steps(_nearly()) == ["suspects", "reached", "others", "not-here"]


def test_without_a_number_every_alarm_is_a_suspect() -> None:
    walk = _walk("", Stream(processes=(process(fds=1024, soft=1024),)))
    assert _steps(walk) == ["suspects", "reached", "remedy", "raise"]


def test_hidden_maps_are_not_decided() -> None:
    walk = _hidden()
    assert _steps(walk) == ["suspects", "others", "cannot-be-known"]


def test_the_command_as_root_has_the_number() -> None:
    missing = (Missing("maps", "needs root"),)
    stream = Stream(changes={"maps": None, "missing": missing})
    place = Place(privileged=False, sudo=True)
    walk = Walk(GUIDE, stream.next(netns()), place, "65,530")
    assert walk.finding is not None
    assert walk.finding.commands == ("as root on web-1: sudo sockmon guide stuck-at-n 65,530",)


def test_every_branch_is_taken() -> None:
    walks = [_in_cgroup(), _nearly(), _hidden(), _leak(), _walk("7777", Stream(), 10)]
    walks.append(_walk("7777", Stream(processes=(process(fds=1024, soft=1024),)), 10))
    for to in ("grows", "run-commands"):
        walk = _in_cgroup(4_194_304)
        walk.take(to)
        walks.append(walk)
    walks += ends_of_change(GUIDE, full(), full(usable=64512), netns(ports=None))
    # Whether the first suspect is reached is always known: it has an alarm.
    assert branches(GUIDE) - taken(*walks) == {("reached", "cannot-be-known")}
