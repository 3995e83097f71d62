"""Causes before symptoms, and the ceilings that all namespaces share."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from sockmon.assess import Assessment, Assessor
from sockmon.ceilings import CEILINGS
from sockmon.model.report import Reading
from sockmon.model.snapshot import DatagramQueue, Memory, Neighbours, Owner, Snapshot, Softnet
from tests.snapshots import listener, netns, process, snapshot


def assess(*snapshots: Snapshot) -> Assessment:
    assessor = Assessor()
    return [assessor.add(item) for item in snapshots][-1]


def readings(assessment: Assessment, ceiling: str) -> list[Reading]:
    return [item for item in assessment.report.readings if item.ceiling == ceiling]


def test_a_server_without_descriptors_comes_before_its_full_queue() -> None:
    full = (netns(listeners=(listener(queue=129),), counters={"TcpExt.ListenOverflows": 5}),)
    more = (netns(listeners=(listener(queue=129),), counters={"TcpExt.ListenOverflows": 90}),)
    starved = process(fds=1024)
    found = assess(snapshot(0.0, starved, netns=full), snapshot(1.0, starved, netns=more)).report.readings
    assert [item.ceiling for item in found[:2]] == ["process-fds", "accept-queue"]
    assert {item.severity for item in found[:2]} == {"hit"}
    assert any("nginx[1044] has no free descriptor" in sentence for sentence in found[1].evidence)
    assert "process-fds" in found[1].remedies[0].text
    assert not any(remedy.kind == "sysctl" for remedy in found[1].remedies)


def test_a_worker_without_descriptors_explains_the_queue_of_its_master() -> None:
    rows = process(fds=50), process(pid=1045, fds=1024), process(pid=7, name="other", fds=1024)
    stream = [snapshot(float(at), *rows, netns=(netns(listeners=(listener(queue=129),)),)) for at in range(2)]
    (found,) = readings(assess(*stream), "accept-queue")
    assert any("nginx[1045] has no free descriptor" in sentence for sentence in found.evidence)


def test_a_queue_whose_owner_has_descriptors_is_its_own_cause() -> None:
    stream = [snapshot(float(at), netns=(netns(listeners=(listener(queue=129),)),)) for at in range(2)]
    (found,) = readings(assess(*stream), "accept-queue")
    assert not any("process-fds" in text for text in (*found.evidence, found.remedies[0].text))
    assert len(found.remedies) == 2


def log(waiting: int, at: float, **more: Any) -> tuple[Any, ...]:
    """A namespace with so many messages in /dev/log at `at`."""
    queue = DatagramQueue("/dev/log", 9, waiting, 3, Owner(12, 5, "rsyslogd", 1), at=at, **more)
    return (netns(datagrams=(queue,)),)


def severities(*looks: tuple[Any, ...]) -> list[str]:
    """One for each look, after a first one that finds nothing."""
    assessor = Assessor()
    assessor.add(snapshot())
    answers = [assessor.add(snapshot(float(at), netns=look)) for at, look in enumerate(looks, 1)]
    return [readings(answer, "unix-dgram-queue")[0].severity for answer in answers]


def test_a_datagram_queue_that_stays_full_is_hit() -> None:
    # The second is the first seen again: dumps are rarer than Snapshots.
    assert severities(log(11, 0.0), log(11, 0.0), log(11, 2.0)) == ["ok", "ok", "hit"]
    (found,) = readings(
        assess(snapshot(0.0, netns=log(14, 0.0)), snapshot(1.0, netns=log(14, 1.0))), "unix-dgram-queue"
    )
    assert (found.subject, found.used, found.limit) == ("/dev/log rsyslogd[12]", 11, 10)
    assert [item.kind for item in found.remedies] == ["application", "sysctl"]


def test_a_datagram_queue_in_use_is_no_alarm() -> None:
    assert severities(*(log(6, float(at), full=False) for at in range(5))) == ["ok"] * 5
    assert severities(log(11, 0.0), log(2, 1.0, full=False), log(11, 2.0)) == ["ok"] * 3
    assert severities(log(11, 0.0), log(2, 1.0), log(11, 2.0)) == ["ok", "unknown", "ok"]


def test_what_the_kernel_reports_of_the_room_decides() -> None:
    # Senders that have ended cannot be counted; neither can those that are not connected.
    assert severities(*(log(1, float(at), full=True) for at in range(2))) == ["ok", "hit"]
    assert severities(log(1, 0.0, full=True), log(1, 1.0, full=False)) == ["ok", "ok"]
    assert severities(*(log(15, float(at), full=True, mixed=True) for at in range(2)))[-1] == "hit"
    # A socket that was made before the limit was lowered holds more than the limit.
    assert severities(*(log(31, float(at), full=False) for at in range(2)))[-1] == "ok"


def test_a_count_that_may_be_too_low_is_unknown_and_a_hint_is_a_warning() -> None:
    assert severities(*(log(6, float(at)) for at in range(2))) == ["unknown"] * 2
    assert severities(*(log(1, float(at), reader_state="T") for at in range(2)))[-1] == "warning"
    web = Owner(20, 5, "web", 1)
    assert severities(*(log(1, float(at), blocked=(web,), blocked_total=1) for at in range(2)))[-1] == "warning"
    assert severities(*(log(1, float(at), reader_state="S") for at in range(2)))[-1] == "unknown"


def test_a_full_queue_has_the_limit_of_its_socket() -> None:
    def found(waiting: int, **more: Any) -> Reading:
        raised = {**netns().sysctls, "net.unix.max_dgram_qlen": "512"}
        (seen,) = log(waiting, 0.0, full=True, **more)
        looks = [snapshot(float(at), netns=(replace(seen, sysctls=raised),)) for at in range(2)]
        return readings(assess(*looks), "unix-dgram-queue")[0]

    older = found(13, blocked_total=2)
    assert (older.used, older.limit, [item.key for item in older.remedies]) == (11, 10, [None, None])
    assert (found(3).used, found(3).limit) == (513, 512)


def test_a_guess_warns_at_most() -> None:
    assert severities(*(log(15, float(at), mixed=True) for at in range(3)))[-1] == "warning"
    assert severities(*(log(40, float(at)) for at in range(3)))[-1] == "warning"


def test_udp_meets_its_wall_at_the_first_value() -> None:
    for pages, severity in ((700, "ok"), (760, "warning"), (900, "critical"), (1000, "hit")):
        memory = Memory(0, pages, 0, 9, (1000, 1333, 2000), 4096)
        (found,) = readings(assess(snapshot(0.0, memory=memory)), "udp-memory")
        assert (found.severity, found.used, found.limit) == (severity, pages, 1000)


def test_neighbours_of_both_families() -> None:
    def found(entries: int, fulls: int = 0) -> Reading:
        stream = [
            snapshot(at, neighbours=(Neighbours("arp_cache", entries, count), Neighbours("ndisc_cache", 4, 0)))
            for at, count in ((0.0, 0), (1.0, fulls))
        ]
        both = readings(assess(*stream), "neighbour-table")
        assert {item.subject for item in both} == {"web-1", "web-1 (IPv6)"}
        return next(item for item in both if item.subject == "web-1")

    assert [found(count).severity for count in (700, 800, 930, 1024)] == ["ok", "warning", "critical", "hit"]
    assert found(100, fulls=7).severity == "hit"
    assert "table_fulls +7 in 1 s" in found(100, fulls=7).evidence
    # Those that were set by hand or by a routing daemon do not press.
    static = snapshot(0.0, neighbours=(Neighbours("arp_cache", 1000, 0, permanent=900),))
    (healthy,) = readings(assess(static), "neighbour-table")
    assert (healthy.severity, healthy.used) == ("ok", 1000)
    assert any(line.startswith("900 of them are permanent") for line in healthy.evidence)
    # Permanent entries are listed but do not count against the limit, so no packet is dropped.
    assert found(1100).severity == "ok"
    assert found(1100, fulls=1).severity == "hit"


def test_drops_before_the_stack_are_a_hit_and_a_short_burst_in_the_queue_is_not() -> None:
    def severity(*looks: Softnet) -> str:
        return readings(
            assess(*(snapshot(float(at), softnet=look) for at, look in enumerate(looks))), "softnet-backlog"
        )[0].severity

    assert severity(Softnet(5, 0, 0, 0), Softnet(95, 0, 0, 0)) == "hit"
    assert severity(Softnet(5, 0, 0, 0), Softnet(24, 0, 0, 0)) == "warning"
    assert severity(Softnet(5, 0, 0, 0), Softnet(5, 9, 1001, 1)) == "ok"
    assert severity(Softnet(5, 0, 1001, 1), Softnet(5, 0, 1001, 1)) == "hit"
    assert severity(Softnet(5, 0, None, None), Softnet(95, 0, None, None)) == "hit"
    assert severity(Softnet(5, 0, None, None)) == "unknown"
    # A few dropped packets are one long burst, not a limit; a single one is ignored.
    for lost, expected in (1, "ok"), (30, "warning"):
        burst = [Softnet(5 + lost * (at == 4), 0, 0, 0) for at in range(5)]
        assert severity(*burst) == expected


def test_what_a_container_cannot_see_is_unknown_with_its_reason() -> None:
    found = assess(snapshot(0.0, softnet=Softnet(0, 0, 0, 0), neighbours=None, sysctls={}))
    for ceiling in ("udp-memory", "neighbour-table", "softnet-backlog"):
        (one,) = readings(found, ceiling)
        assert one.severity == "unknown"
        assert one.evidence[0]


def test_causes_stand_before_what_they_bring_about() -> None:
    order = [ceiling.id for ceiling in CEILINGS]
    chain = ["process-fds", "udp-memory", "neighbour-table", "accept-queue", "unix-dgram-queue", "softnet-backlog"]
    assert sorted(chain, key=order.index) == chain
