"""Plateaus: what is typed is read, and what this machine's limits make of it comes first."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from sockmon.agent.sampler import open_sampler
from sockmon.fingerprints import Number, fingerprints, nearest, parse
from sockmon.model.snapshot import Cgroups, PidsCgroup
from tests.snapshots import SYSCTLS, listener, netns, ports, process, snapshot


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("32720", Number(32720, 32720, False)),
        ("32,720", Number(32720, 32720, False)),
        ("32_720", Number(32720, 32720, False)),
        ("32 720", Number(32720, 32720, False)),
        ("~1.048.576", Number(1048576, 1048576, False)),
        ("32,7xx", Number(32700, 32799, False)),
        ("470/s", Number(470, 470, True)),
        ("1,075 /sec", Number(1075, 1075, True)),
        ("0", Number(0, 0, False)),
    ],
)
def test_numbers_are_read_as_they_are_written(text: str, number: Number) -> None:
    assert parse(text) == number


@pytest.mark.parametrize(
    "text", ["", "x", "xx7", "3x2", "12.5", "-3", "1e9", "9" * 40, "٣٢", "EMFILE", "64k", "1,2"]
)
def test_what_is_no_number_is_none(text: str) -> None:
    assert parse(text) is None


def found(text: str, **changes: object) -> list[str | None]:
    number = parse(text)
    assert number
    return [mark.ceiling for mark in fingerprints(number, snapshot(**changes))]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "ceilings"),
    [
        ("32,720", {"memory-maps", "pid-max"}),
        ("32,7xx", {"memory-maps", "pid-max"}),
        ("32,460", {"pid-max", "memory-maps"}),
        ("28,232", {"ephemeral-ports"}),
        ("14,116", {"ephemeral-ports"}),
        ("470/s", {"ephemeral-ports"}),
        ("65,531", {"memory-maps", "process-fds", "conntrack-table"}),
        ("129", {"accept-queue", "inotify-instances"}),
        ("4,097", {"accept-queue", "process-fds", "tcp-orphans"}),
        ("262,144", {"conntrack-table"}),
        ("1,048,570", {"process-fds"}),
        ("10,000", {None}),
    ],
)
def test_what_a_plateau_points_to(text: str, ceilings: set[str | None]) -> None:
    assert set(found(text)) == ceilings


def test_a_rate_and_a_number_are_told_apart() -> None:
    assert found("470") == []
    assert all(mark.per == "second" for mark in fingerprints(Number(470, 470, True), snapshot()))


def test_this_machine_comes_from_its_own_limits() -> None:
    narrow = replace(netns(), ports=ports(low=40001, high=40101, usable=101), listeners=(listener(backlog=777),))
    group = PidsCgroup("/kx", 3, 901, 0, "sh", 1)
    ours = snapshot(0.0, process(soft=6000), netns=(narrow,), cgroups=Cgroups(0.0, (group,), (), False))
    for text, ceiling, words in (
        ("100", "ephemeral-ports", "40001–40101"),
        ("778", "accept-queue", "0.0.0.0:8080"),
        ("900", "cgroup-pids", "/kx"),
        ("5,990", "process-fds", "nginx[1044]"),
        ("2,998", "process-fds", "two descriptors each"),
    ):
        number = parse(text)
        assert number
        first = fingerprints(number, ours)[0]
        assert (first.ceiling, first.here) == (ceiling, True)
        assert words in first.what


def test_a_known_mark_gives_way_to_the_one_here() -> None:
    marks = fingerprints(Number(28232, 28232, False), snapshot())
    assert [mark.here for mark in marks] == [True]
    assert [mark.here for mark in fingerprints(Number(28232, 28232, False), None)] == [False]


def test_what_is_not_known_is_left_out() -> None:
    bare = snapshot(processes=None, files=None, tasks=None, memory=None, sysctls={})
    empty = replace(netns(), ports=None, listeners=None, conntrack=None, sysctls={})
    bare = replace(bare, netns=(empty,), processes=None)
    assert not [mark for mark in fingerprints(Number(32720, 32720, False), bare) if mark.here]


def test_limits_that_are_none_make_no_mark() -> None:
    values = SYSCTLS | {"net.ipv4.tcp_max_tw_buckets": "0"}
    odd = snapshot(0.0, process(soft=-1, nproc=-1), netns=(netns(sysctls=values),))
    assert all(
        mark.high > 0 for text in ("1", "5") for mark in fingerprints(Number(int(text), int(text), False), odd)
    )


def test_the_nearest_of_a_number_that_nothing_explains() -> None:
    number = Number(90_000, 90_000, False)
    assert fingerprints(number, None) == []
    below, above = nearest(number, None)
    assert below.high < 90_000 < above.low


def test_a_real_machine_has_its_own_marks() -> None:
    with open_sampler(None, 1.0) as kernel:
        now = kernel.sample(complete=True)
    ports_here = now.netns[0].ports
    assert ports_here
    usable = ports_here.usable
    marks = fingerprints(Number(usable, usable, False), now)
    assert any(mark.here and mark.ceiling == "ephemeral-ports" for mark in marks)
