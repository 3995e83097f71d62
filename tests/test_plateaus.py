"""Plateaus: what is typed is read, and what this machine's limits make of it comes first."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from sockmon.agent.sampler import open_sampler
from sockmon.explain.plateaus import Number, matching_plateaus, nearest, parse
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
def test_text_that_is_not_a_number(text: str) -> None:
    assert parse(text) is None


def found(text: str, **changes: object) -> list[str | None]:
    number = parse(text)
    assert number
    return [plateau.ceiling for plateau in matching_plateaus(number, snapshot(**changes))]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "ceilings"),
    [
        ("32,720", {"memory-maps", "pid-max", "process-fds"}),
        ("32,7xx", {"memory-maps", "pid-max", "process-fds"}),
        ("32,460", {"pid-max", "memory-maps", "ephemeral-ports", "process-fds"}),
        ("28,232", {"ephemeral-ports"}),
        ("14,116", {"ephemeral-ports"}),
        ("470/s", {"ephemeral-ports"}),
        ("65,531", {"memory-maps", "process-fds", "conntrack-table", "aio-events", "inotify-watches"}),
        ("129", {"accept-queue", "inotify-instances", "fanotify-groups"}),
        ("4,097", {"accept-queue", "process-fds", "tcp-orphans", "user-processes"}),
        ("262,144", {"conntrack-table", "process-fds", "memory-maps"}),
        ("1,048,570", {"process-fds", "memory-maps", "inotify-watches"}),
        ("10,000", {None}),
    ],
)
def test_what_a_plateau_points_to(text: str, ceilings: set[str | None]) -> None:
    assert set(found(text)) == ceilings


@pytest.mark.parametrize(
    ("text", "ceiling", "words"),
    [
        ("1073741816", "process-fds", "infinity"),
        ("1073741824", "process-fds", "fs.nr_open"),
        ("2147483584", "process-fds", "highest fs.nr_open"),
        ("9223372036854775807", None, "no limit"),
        ("4915", "cgroup-pids", "15 %"),
        ("9830", "cgroup-pids", "15 % of 65,536"),
        ("629145", "cgroup-pids", "15 % of 4,194,304"),
        ("10813", "cgroup-pids", "33 % of 32,768"),
        ("28232", "ephemeral-ports", "default range"),
        ("14116", "ephemeral-ports", "half"),
        ("32256", "ephemeral-ports", "half"),
        ("131067", "memory-maps", "262,144"),
        ("524283", "memory-maps", "1,048,576"),
        ("8192", "inotify-watches", "Linux 5.11"),
        ("212992", None, "rmem_default"),
        ("425984", None, "doubled"),
        ("253", None, "SCM_MAX_FD"),
        ("11", "unix-dgram-queue", "max_dgram_qlen"),
        ("537/s", "snat-ports", "120 s"),
        ("151", None, "MySQL"),
        ("19660", "cgroup-pids", "15 % of 131,072"),
        ("39321", "cgroup-pids", "15 % of 262,144"),
        ("28233", "ephemeral-ports", "before Linux 4.2"),
        ("12288", "cgroup-pids", "UserTasksMax"),
        ("4064", "process-fds", "Redis"),
        ("768", None, "Debian"),
        ("51", "accept-queue", "ServerSocket"),
        ("2048", "accept-queue", "gunicorn"),
        ("100000", None, "fs.mount-max"),
        ("8388608", None, "RLIMIT_MEMLOCK"),
    ],
)
def test_a_default_or_a_share_of_it_is_known(text: str, ceiling: str | None, words: str) -> None:
    number = parse(text)
    assert number
    found = matching_plateaus(number, None)
    assert any(plateau.ceiling == ceiling and words in plateau.what for plateau in found[:4])
    assert not found[0].local


def test_65530_is_first_the_number_of_maps() -> None:
    assert matching_plateaus(Number(65530, 65530, False), snapshot())[0].ceiling == "memory-maps"
    assert matching_plateaus(Number(65530, 65530, False), None)[0].ceiling == "memory-maps"


def test_what_systemd_takes_of_pid_max_is_derived_from_this_machine() -> None:
    found = matching_plateaus(Number(4915, 4915, False), snapshot())
    assert any(plateau.local and "15 % of 32,768" in plateau.what for plateau in found)


def test_rates_and_numbers_do_not_mix() -> None:
    assert found("470") == []
    assert all(plateau.rate for plateau in matching_plateaus(Number(470, 470, True), snapshot()))


def test_local_plateaus_come_from_the_limits_of_the_machine() -> None:
    narrow = replace(netns(), ports=ports(low=40001, high=40101, usable=101), listeners=(listener(backlog=777),))
    group = PidsCgroup("/kx", 3, 901, 0, "sh", 1)
    ours = snapshot(0.0, process(soft=6000), netns=(narrow,), cgroups=Cgroups(0.0, (group,), (), False))
    for text, ceiling, words in (
        ("100", "ephemeral-ports", "101 are usable"),
        ("778", "accept-queue", "0.0.0.0:8080"),
        ("900", "cgroup-pids", "/kx"),
        ("5,990", "process-fds", "nginx[1044]"),
        ("2,998", "process-fds", "two descriptors each"),
    ):
        number = parse(text)
        assert number
        first = matching_plateaus(number, ours)[0]
        assert (first.ceiling, first.local) == (ceiling, True)
        assert words in first.what


def test_a_local_plateau_replaces_the_well_known_one() -> None:
    plateaus = matching_plateaus(Number(28232, 28232, False), snapshot())
    assert [plateau.local for plateau in plateaus] == [True]
    assert not any(plateau.local for plateau in matching_plateaus(Number(28232, 28232, False), None))


def test_an_unknown_limit_has_no_plateau() -> None:
    bare = snapshot(processes=None, files=None, tasks=None, memory=None, sysctls={})
    empty = replace(netns(), ports=None, listeners=None, conntrack=None, sysctls={})
    bare = replace(bare, netns=(empty,), processes=None)
    assert not [plateau for plateau in matching_plateaus(Number(32720, 32720, False), bare) if plateau.local]


def test_unlimited_has_no_plateau() -> None:
    values = SYSCTLS | {"net.ipv4.tcp_max_tw_buckets": "0"}
    odd = snapshot(0.0, process(soft=-1, nproc=-1), netns=(netns(sysctls=values),))
    assert all(
        plateau.high > 0
        for text in ("1", "5")
        for plateau in matching_plateaus(Number(int(text), int(text), False), odd)
    )


def test_the_nearest_plateaus_of_an_unexplained_number() -> None:
    number = Number(90_000, 90_000, False)
    assert matching_plateaus(number, None) == []
    below, above = nearest(number, None)
    assert below.high < 90_000 < above.low


def test_plateaus_of_the_running_machine() -> None:
    with open_sampler(None, 1.0) as kernel:
        now = kernel.sample(complete=True)
    ports_here = now.netns[0].ports
    assert ports_here
    usable = ports_here.usable
    plateaus = matching_plateaus(Number(usable, usable, False), now)
    assert any(plateau.local and plateau.ceiling == "ephemeral-ports" for plateau in plateaus)
