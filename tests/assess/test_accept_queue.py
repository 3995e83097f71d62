"""Accept queues: what set the backlog, and what helps."""

from __future__ import annotations

from typing import Any

import pytest

from sockmon.assess import Assessor
from sockmon.ceilings.backlogs import BacklogSource, backlog_source
from sockmon.model.report import Reading
from sockmon.model.snapshot import Listener, Owner
from tests.snapshots import SYSCTLS, listener, netns, process, snapshot


def reading_of(*rows: Listener, somaxconn: int = 4096) -> Reading:
    """The most urgent reading of accept queues after two samples of `rows`."""
    assessor = Assessor()
    sysctls = {**SYSCTLS, "net.core.somaxconn": str(somaxconn)}
    for at in range(2):
        found = assessor.add(snapshot(float(at), netns=(netns(listeners=rows, sysctls=sysctls),))).report
    return next(item for item in found.readings if item.ceiling == "accept-queue")


@pytest.mark.parametrize(
    ("backlog", "somaxconn", "source"),
    [
        (128, 128, "cap"),
        (4096, 128, "older cap"),
        (511, 4096, "application"),
        (64, 4096, "probably application"),
        (128, 8192, "application or older cap"),
        (1024, 4096, "application or older cap"),
        (4096, 65535, "application or older cap"),
    ],
)
def test_what_set_the_backlog(backlog: int, somaxconn: int, source: BacklogSource) -> None:
    assert backlog_source(backlog, somaxconn) == source


def test_a_backlog_that_an_older_somaxconn_may_have_capped_asks_for_a_restart_first() -> None:
    found = reading_of(listener(queue=129, backlog=128), somaxconn=8192)
    assert any("an older net.core.somaxconn of 128" in line for line in found.evidence)
    texts = [remedy.text for remedy in found.remedies]
    assert texts[1].startswith("restart nginx[1044] first")
    assert not any("would not help" in text for text in texts)
    assert not any("the application asked for this backlog" in line for line in found.evidence)


def test_the_backlog_of_the_application_alone_is_its_own() -> None:
    found = reading_of(listener(queue=512, backlog=511))
    assert "the application asked for this backlog: it is below net.core.somaxconn 4,096" in found.evidence
    assert "raising it would not help" in found.remedies[1].text


def test_a_backlog_below_every_default_claims_nothing_about_somaxconn() -> None:
    found = reading_of(listener(queue=65, backlog=64))
    assert not any("would not help" in remedy.text for remedy in found.remedies)


def worker(pid: int, queue: int, **more: Any) -> Listener:
    """The listener of one worker of a master, in whose epoll set it is."""
    own = Owner(pid, 7, "web", 1)
    values = {"holders": 3, "accepting": (own,)} | more
    return listener(queue=queue, backlog=64, inode=pid, owner=own, **values)


def test_the_stuck_one_of_several_workers_is_named_and_its_siblings_are_empty() -> None:
    found = reading_of(worker(11, 0), worker(12, 65), worker(13, 0))
    assert (found.severity, found.subject) == ("hit", "0.0.0.0:8080 web[12]")
    assert any("one of 3 sockets" in line and "all others are empty" in line for line in found.evidence)
    (remedy,) = found.remedies
    assert remedy.text.startswith("check why web[12] does not accept")


def test_a_stopped_worker_has_to_continue() -> None:
    found = reading_of(worker(12, 65, stopped=(Owner(12, 7, "web", 1),)))
    assert "stopped by a signal or a debugger: web[12]" in found.evidence
    assert [remedy.text[:40] for remedy in found.remedies] == ["let web[12] continue (kill -CONT 12), or"]


def test_no_process_is_blamed_if_it_is_not_known_which_accepts() -> None:
    found = reading_of(worker(12, 65, accepting=()))
    assert found.subject == "0.0.0.0:8080 web[12] +2"
    assert any("which of them accepts is not known" in line for line in found.evidence)
    assert "the accepting one of the 3 processes" in found.remedies[0].text


def test_a_stopped_holder_is_a_hint_if_it_is_not_known_which_accepts() -> None:
    stopped = (Owner(14, 7, "web", 1),)
    rows = worker(11, 0, accepting=()), worker(12, 65, accepting=(), stopped=stopped)
    (remedy,) = reading_of(*rows).remedies
    assert remedy.text.startswith("let web[14] continue (kill -CONT 14): it is stopped, and probably the process")
    alone = reading_of(worker(12, 65, accepting=(), stopped=stopped))
    assert "the accepting one of the 3 processes" in alone.remedies[0].text


def test_all_workers_are_full_so_it_is_not_one_that_is_stuck() -> None:
    found = reading_of(worker(11, 65), worker(12, 65))
    assert len(found.remedies) == 2


def test_another_worker_without_descriptors_is_not_the_cause() -> None:
    assessor = Assessor()
    rows = process(pid=12, name="web", fds=10), process(pid=13, name="web", fds=1024)
    for at in range(2):
        found = assessor.add(snapshot(float(at), *rows, netns=(netns(listeners=(worker(12, 65),)),))).report
    queue = next(item for item in found.readings if item.ceiling == "accept-queue")
    assert not any("no free descriptor" in line for line in queue.evidence)


def app(queue: int, **more: Any) -> Listener:
    """A unix listener that was full between two samples."""
    return listener(queue=queue, backlog=16, protocol="unix", address="/run/app", port=0, **more)


def test_a_unix_queue_that_is_full_in_bursts_warns_whether_a_sample_meets_it_or_not() -> None:
    bursts = {"peak": 17, "full_samples": 9, "bursts": 4, "samples": 40, "sampled_seconds": 0.4, "has_room": True}
    for queue in (0, 17):
        found = reading_of(app(queue, **bursts))
        assert (found.severity, found.used, found.limit) == ("warning", 16, 16)
        assert "its queue was full (17) in 9 of 40 samples within 0.4 s, and became full 4 times" in found.evidence


def test_a_unix_queue_that_was_full_once_is_no_alarm() -> None:
    once = {"peak": 17, "full_samples": 3, "bursts": 1, "samples": 40, "sampled_seconds": 0.4, "has_room": True}
    found = reading_of(app(0, **once))
    assert (found.severity, found.used) == ("ok", 0)
    assert any("became full 1 time" in line for line in found.evidence)


def test_a_unix_queue_that_stays_full_is_hit() -> None:
    found = reading_of(app(17, peak=17, full_samples=40, bursts=1, samples=40, sampled_seconds=0.4))
    assert (found.severity, found.used) == ("hit", 17)


def after_drops(*drops: tuple[int, int], overflows: int, all_drops: int) -> list[tuple[int | None, str, str]]:
    """Return used, subject and severity of the alarms after listeners dropped connections (before, after), while
    no sample found a full queue."""
    assessor = Assessor()
    for at in range(2):
        rows = tuple(
            listener(port=8000 + number, inode=number, drops=values[at]) for number, values in enumerate(drops, 1)
        )
        counters = {"TcpExt.ListenOverflows": 5 + at * overflows, "TcpExt.ListenDrops": 5 + at * all_drops}
        space = netns(listeners=rows, counters=counters)
        found = assessor.add(snapshot(float(at), netns=(space,))).report
    alarms = [row for row in found.readings if row.ceiling == "accept-queue" and row.severity != "ok"]
    # A queue that is not full now is an alarm for what happened before, and says so.
    assert all("was full in the last minute" in row.evidence[0] for row in alarms if row.used is not None)
    return [(row.used, row.subject, row.severity) for row in alarms]


@pytest.mark.parametrize(
    ("drops", "overflows", "all_drops", "ports"),
    [
        # The first drop of a listener, all drops are overflows.
        ([(0, 9), (7, 7)], 9, 9, [8001]),
        ([(0, 4), (7, 12)], 9, 9, [8001, 8002]),
        # One listener dropped, also for its SYN queue.
        ([(0, 12), (7, 7)], 9, 12, [8001]),
        # Which of them overflowed, and which has a full SYN queue, is not known.
        ([(0, 9), (7, 10)], 9, 12, None),
        ([(0, 0), (7, 7)], 9, 9, None),
        # A full SYN queue alone is another limit.
        ([(0, 9), (7, 7)], 0, 9, []),
    ],
)
def test_a_queue_that_overflowed_between_two_samples_is_known_by_the_drops_of_its_listener(
    drops: list[tuple[int, int]], overflows: int, all_drops: int, ports: list[int] | None
) -> None:
    found = after_drops(*drops, overflows=overflows, all_drops=all_drops)
    named = [(0, f"0.0.0.0:{port} nginx[1044]", "hit") for port in ports or ()]
    assert sorted(found, key=str) == (named if ports is not None else [(None, "host", "hit")])


def test_a_full_listener_is_blamed_and_not_one_that_dropped_as_well() -> None:
    assessor = Assessor()
    for at in range(2):
        full, other = listener(queue=129, inode=1, drops=9 * at), listener(port=8001, inode=2, drops=at)
        counters = {"TcpExt.ListenOverflows": 9 * at, "TcpExt.ListenDrops": 10 * at}
        now = snapshot(float(at), netns=(netns(listeners=(full, other), counters=counters),))
        found = assessor.add(now).report
    hits = [row.subject for row in found.readings if row.severity == "hit"]
    assert hits == ["0.0.0.0:8080 nginx[1044]"]


def test_what_a_listener_has_dropped_is_evidence() -> None:
    plain = reading_of(listener())
    assert len(reading_of(listener(drops=0)).evidence) == len(plain.evidence)
    assert len(reading_of(listener(drops=7)).evidence) == len(plain.evidence) + 1


@pytest.mark.parametrize(("stuck", "longer_helps"), [(1, False), (2, False), (4, False), (5, True), (8, True)])
def test_some_full_queues_of_an_address_are_stuck_processes(stuck: int, longer_helps: bool) -> None:
    """The kernel spreads connections evenly over the sockets of SO_REUSEPORT: a longer backlog would fill too."""
    rows = [
        listener(
            queue=65 if number < stuck else 0, backlog=64, inode=number, owner=Owner(100 + number, 1, "web", 1)
        )
        for number in range(8)
    ]
    found = reading_of(*rows)
    assert (found.used, found.limit) == (65, 64)
    # The text of this remedy begins so only where the others have room.
    assert found.remedies[0].text.startswith("check why web[") != longer_helps
    assert (len(found.remedies) > 1) == longer_helps, "to raise the backlog"
