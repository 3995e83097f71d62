"""The Report that a stream of Snapshots gives: severities, order, evidence, remedies."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from sockmon.assess import Assessment, Assessor
from sockmon.ceilings import CEILINGS
from sockmon.model.detail import ListenerQuery, ProcessQuery
from sockmon.model.report import Reading
from sockmon.model.severity import URGENCY
from sockmon.model.snapshot import Conntrack, Files, Memory, Missing, Snapshot, Sockstat
from tests.snapshots import SYSCTLS, group, listener, netns, ports, process, snapshot


def assess(*snapshots: Snapshot) -> Assessment:
    assessor = Assessor()
    assessments = [assessor.add(item) for item in snapshots]
    return assessments[-1]


def reading(assessment: Assessment, ceiling: str) -> Reading:
    """The most urgent reading of a ceiling."""
    return next(item for item in assessment.report.readings if item.ceiling == ceiling)


def test_a_healthy_host_has_every_ceiling_and_no_alarm() -> None:
    report = assess(snapshot(0.0), snapshot(1.0)).report
    assert {item.ceiling for item in report.readings} == {ceiling.id for ceiling in CEILINGS}
    assert {item.severity for item in report.readings} == {"ok"}
    assert report.verdict == "ok"


def test_levels_of_open_files() -> None:
    for fds, severity in ((800, "ok"), (820, "warning"), (980, "critical"), (1024, "hit"), (2000, "hit")):
        found = reading(assess(snapshot(0.0, process(fds=fds))), "process-fds")
        assert (found.severity, found.used, found.limit) == (severity, fds, 1024)


def test_the_effective_limit_is_the_lower_of_soft_and_nr_open() -> None:
    unlimited = process(fds=12_700, soft=-1, hard=-1)
    found = reading(
        assess(snapshot(0.0, unlimited, files=replace(snapshot().files, nr_open=12_800))),  # type: ignore[type-var]
        "process-fds",
    )
    assert found.limit == 12_800
    assert any("nr_open" in sentence for sentence in found.evidence)
    assert found.remedies[0].key == "fs.nr_open"


def test_an_alarm_ends_lower_than_it_begins() -> None:
    assessor = Assessor()
    severities = [
        reading(assessor.add(snapshot(float(at), process(fds=fds))), "process-fds").severity
        for at, fds in enumerate((820, 818, 790, 770, 760))
    ]
    assert severities == ["warning", "warning", "warning", "warning", "ok"]


def test_a_wall_that_dances_by_one_stays_hit() -> None:
    assessor = Assessor()
    severities = [
        reading(assessor.add(snapshot(float(at), process(fds=fds))), "process-fds").severity
        for at, fds in enumerate((1024, 1023, 1022, 1024, 1000))
    ]
    assert severities == ["hit", "hit", "hit", "hit", "critical"]


def test_steady_growth_past_half_is_an_alarm_before_the_ratio_is() -> None:
    stream = [snapshot(float(at), process(fds=520 + at)) for at in range(60)]
    found = reading(assess(*stream), "process-fds")
    assert found.severity == "warning"
    assert found.eta_seconds is not None
    assert 300 < found.eta_seconds < 600
    assert found.rate is not None
    assert 0.9 < found.rate < 1.1


def test_a_start_up_that_climbs_is_no_alarm() -> None:
    stream = [snapshot(float(at), process(fds=10 + 5 * at)) for at in range(60)]
    assert reading(assess(*stream), "process-fds").severity == "ok"


def test_close_wait_is_the_applications_fault_and_no_knob_is_first() -> None:
    found = reading(assess(snapshot(0.0, process(fds=1000, close_wait=900))), "process-fds")
    assert found.remedies[0].kind == "application"
    assert "CLOSE_WAIT" in found.remedies[0].text


def test_ports_are_counted_per_destination() -> None:
    found_netns = netns(ports=ports(group(180), group(20, port=80), usable=200, low=40000, high=40199))
    found = reading(assess(snapshot(0.0, netns=(found_netns,))), "ephemeral-ports")
    assert (found.subject, found.used, found.limit) == ("10.0.0.5 → 10.0.0.9:5432", 180, 200)
    assert found.severity == "critical"
    assert {item.kind for item in found.remedies} == {"application", "sysctl", "addresses"}


def test_an_odd_range_may_waste_its_last_port() -> None:
    def found(used: int, low: int, high: int) -> Reading:
        found_netns = netns(ports=ports(group(used), low=low, high=high, usable=high - low + 1))
        return reading(assess(snapshot(0.0, netns=(found_netns,))), "ephemeral-ports")

    assert found(100, 40000, 40100).severity == "critical"
    assert "last port may never be allocated" in found(100, 40000, 40100).evidence[-1]
    assert found(101, 40000, 40100).severity == "hit"
    assert found(2, 40001, 40003).severity == "hit"
    assert found(99, 40000, 40099).severity == "critical"


def test_ipv6_destinations_stand_in_brackets() -> None:
    six = replace(group(100), source="fd00::5", destination="fd00::9")
    found = reading(assess(snapshot(0.0, netns=(netns(ports=ports(six)),))), "ephemeral-ports")
    assert found.subject == "fd00::5 → [fd00::9]:5432"


def test_time_wait_that_connect_takes_again_is_no_wall() -> None:
    def severity(reuse: str, destination: str) -> str:
        full = ports(group(200, time_wait=190, destination=destination), usable=200, low=40000, high=40199)
        found_netns = netns(
            ports=full, sysctls=SYSCTLS | {"net.ipv4.tcp_tw_reuse": reuse}, counters={"TcpExt.TWRecycled": 3}
        )
        return reading(assess(snapshot(0.0, netns=(found_netns,))), "ephemeral-ports").severity

    assert severity("2", "127.0.0.1") == "ok"
    assert severity("2", "10.0.0.9") == "hit"
    assert severity("1", "10.0.0.9") == "ok"
    assert severity("0", "127.0.0.1") == "hit"


def test_no_usable_port_at_all_is_a_hit() -> None:
    found = reading(assess(snapshot(0.0, netns=(netns(ports=ports(usable=0)),))), "ephemeral-ports")
    assert (found.severity, found.used, found.limit) == ("hit", 0, 0)


def test_a_queue_that_is_full_twice_is_hit_and_names_its_owner() -> None:
    full = (netns(listeners=(listener(queue=129),)),)
    found = reading(assess(snapshot(0.0, netns=full), snapshot(1.0, netns=full)), "accept-queue")
    assert (found.severity, found.subject) == ("hit", "0.0.0.0:8080 nginx[1044]")
    assert (found.used, found.limit) == (129, 128)
    assert found.remedies[1].text.startswith("restart nginx[1044] first")


def test_a_queue_that_fills_for_a_moment_is_no_alarm() -> None:
    stream = (
        snapshot(0.0),
        snapshot(1.0, netns=(netns(listeners=(listener(queue=129),)),)),
    )
    assert reading(assess(*stream), "accept-queue").severity == "ok"


def test_overflows_are_blamed_on_the_listener_that_was_full() -> None:
    moving = {"TcpExt.ListenOverflows": 19, "TcpExt.ListenDrops": 19}
    stream = (
        snapshot(0.0, netns=(netns(listeners=(listener(queue=129), listener(port=80, inode=72))),)),
        snapshot(1.0, netns=(netns(listeners=(listener(), listener(port=80, inode=72)), counters=moving),)),
    )
    found = reading(assess(*stream), "accept-queue")
    assert (found.severity, found.subject) == ("hit", "0.0.0.0:8080 nginx[1044]")
    assert "ListenOverflows +14 in 1 s" in found.evidence


def test_overflows_that_no_queue_explains_are_still_reported() -> None:
    moving = {"TcpExt.ListenOverflows": 19}
    found = reading(assess(snapshot(0.0), snapshot(1.0, netns=(netns(counters=moving),))), "accept-queue")
    assert (found.severity, found.subject) == ("hit", "host")


def test_a_hit_passes_when_the_window_has_moved_on() -> None:
    moving = (netns(counters={"TcpExt.TCPTimeWaitOverflow": 70}),)
    stream = [snapshot(0.0), *(snapshot(float(at), netns=moving) for at in range(1, 64))]
    assert reading(assess(*stream[:30]), "time-wait-buckets").severity == "hit"
    assert reading(assess(*stream), "time-wait-buckets").severity == "ok"


def conntrack(drop: int = 0, insert_failed: int = 0, early_drop: int = 0, count: int = 100) -> Conntrack:
    return Conntrack(count, 1000, 1000, {"drop": drop, "insert_failed": insert_failed, "early_drop": early_drop})


def test_a_full_table_and_a_nat_clash_are_distinguished() -> None:
    def severity(after: Conntrack) -> str:
        stream = (
            snapshot(0.0, netns=(netns(conntrack=conntrack()),)),
            snapshot(1.0, netns=(netns(conntrack=after),)),
        )
        return reading(assess(*stream), "conntrack-table").severity

    assert severity(conntrack(drop=10)) == "hit"
    assert severity(conntrack(drop=10, insert_failed=10)) == "ok"
    assert severity(conntrack(early_drop=5)) == "warning"


@pytest.mark.fault("N11")
def test_an_unused_table_reports_that_nothing_is_tracked() -> None:
    found = reading(assess(snapshot(0.0)), "conntrack-table")
    assert (found.severity, found.used) == ("ok", 0)
    assert any("nothing is tracked in this namespace" in sentence for sentence in found.evidence)


def test_an_unlimited_table_has_no_ratio() -> None:
    found = reading(assess(snapshot(0.0, netns=(netns(conntrack=Conntrack(5, 0, 1000, {})),))), "conntrack-table")
    assert (found.severity, found.limit, found.ratio) == ("ok", None, None)


def test_tcp_memory_warns_at_the_pressure_mark() -> None:
    for pages, severity in ((1300, "ok"), (1400, "warning"), (1850, "critical"), (2000, "hit")):
        memory = Memory(pages, 0, 0, 9, (1000, 1333, 2000), 4096)
        assert reading(assess(snapshot(0.0, memory=memory)), "tcp-memory").severity == severity


def test_orphans_alarm_early_because_the_kernel_counts_them_double() -> None:
    memory = Memory(0, 0, 1100, 9, (1000, 1333, 2000), 4096)
    assert reading(assess(snapshot(0.0, memory=memory)), "tcp-orphans").severity == "warning"


def test_few_retries_of_orphans_are_not_raised_to_few() -> None:
    key = "net.ipv4.tcp_orphan_retries"
    memory = Memory(0, 0, 1100, 9, (1000, 1333, 2000), 4096)
    for now, advised in (("0", True), ("8", True), ("2", False), ("1", False)):
        space = netns(sysctls={**SYSCTLS, key: now})
        found = reading(assess(snapshot(0.0, netns=(space,), memory=memory)), "tcp-orphans")
        assert (key in [remedy.key for remedy in found.remedies]) == advised, now


def test_what_a_namespace_hides_is_unknown_and_never_ok() -> None:
    hidden = snapshot(0.0, memory=Memory(0, 0, 0, 9, None, None))
    report = assess(hidden).report
    for ceiling in ("tcp-memory", "tcp-orphans"):
        found = next(item for item in report.readings if item.ceiling == ceiling)
        assert (found.severity, found.used, found.limit) == ("unknown", 0, None)
        assert "initial network namespace" in found.evidence[0]
    assert report.verdict == "ok"


def test_nothing_readable_at_all_is_unknown() -> None:
    unread = netns(listeners=None, ports=None, conntrack=None, states=None)
    blind = snapshot(
        0.0,
        files=None,
        tasks=None,
        memory=None,
        locked=None,
        sysctls={},
        netns=(replace(unread, udp=None, snat=None, transmit=None, sysctls={}),),
        missing=(Missing("conntrack", "nf_conntrack is not loaded"),),
    )
    report = assess(
        replace(blind, processes=None, maps=None, watches=None, neighbours=None, softnet=None, cgroups=None)
    ).report
    assert report.verdict == "unknown"
    assert all(item.used is None and item.ratio is None for item in report.readings)
    assert reading(assess(replace(blind, processes=None)), "conntrack-table").evidence == (
        "conntrack: nf_conntrack is not loaded",
    )


def test_most_urgent_first_and_causes_before_symptoms() -> None:
    found_netns = netns(
        listeners=(listener(queue=200),),
        ports=ports(group(180), usable=200, low=40000, high=40199),
        conntrack=conntrack(count=800),
        sockstat=Sockstat(10, 5, 0, 110_000, 1, 0, 0, 0, 12),
    )
    sick = [snapshot(float(at), process(fds=1024), netns=(found_netns,)) for at in range(2)]
    report = assess(*sick).report
    order = [(item.ceiling, item.severity) for item in report.readings[:5]]
    assert order == [
        ("process-fds", "hit"),
        ("accept-queue", "hit"),
        ("ephemeral-ports", "critical"),
        ("time-wait-buckets", "warning"),
        ("conntrack-table", "warning"),
    ]
    urgencies = [URGENCY[item.severity] for item in report.readings]
    assert urgencies == sorted(urgencies, reverse=True)


def test_every_alarm_is_listed_and_of_the_rest_the_worst() -> None:
    many = [process(pid=pid, fds=900) for pid in range(50)] + [
        process(pid=pid, fds=pid) for pid in range(100, 200)
    ]
    report = assess(snapshot(0.0, *many)).report
    files = [item for item in report.readings if item.ceiling == "process-fds"]
    assert sum(item.severity == "warning" for item in files) == 50
    assert [item.used for item in files if item.severity == "ok"] == [199, 198, 197]


@pytest.mark.fault("Q10")
def test_another_namespace_or_boot_starts_afresh() -> None:
    assessor = Assessor()
    assessor.add(snapshot(0.0))
    other = netns(inode=1, counters={"TcpExt.ListenOverflows": 900})
    assert assessor.add(snapshot(1.0, netns=(other,))).report.verdict == "ok"


def test_an_alarm_remembers_when_it_began() -> None:
    assessor = Assessor()
    key = ("process-fds", "nginx[1044]")
    assert key not in assessor.add(snapshot(0.0)).since
    began = [assessor.add(snapshot(float(at), process(fds=1024))).since[key] for at in (1, 2, 3)]
    assert began == [1_800_000_001.0] * 3


def test_the_same_stream_gives_the_same_report() -> None:
    stream = [snapshot(float(at), process(fds=500 + at * 3)) for at in range(40)]
    assert assess(*stream).report == assess(*stream).report


def test_a_sandbox_that_forbade_itself_to_open_anything_is_no_alarm() -> None:
    # A descriptor that was inherited under a high number is no sandbox: the server is at its limit.
    inherited = assess(snapshot(0.0, process(pid=9, fds=65, soft=64, hard=64))).report
    assert [item.severity for item in inherited.readings if item.ceiling == "process-fds"] == ["hit"]
    sandbox = process(pid=9, fds=7, soft=1, hard=1)
    report = assess(snapshot(0.0, process(fds=500), sandbox)).report
    assert report.verdict == "ok"
    assert report.readings[0].subject == "nginx[1044]"


def test_growth_of_what_can_be_taken_again_is_no_threat() -> None:
    stream = []
    for at in range(60):
        full = ports(group(110 + at, time_wait=at, destination="127.0.0.1"), usable=200, low=40000, high=40199)
        proof = {"TcpExt.TWRecycled": 1 + at}
        stream.append(snapshot(float(at), netns=(netns(ports=replace(full, at=float(at)), counters=proof),)))
    found = reading(assess(*stream), "ephemeral-ports")
    assert (found.severity, found.eta_seconds) == ("ok", None)


def test_time_wait_that_will_level_off_is_no_threat() -> None:
    # 300 connections a second that end in TIME_WAIT stand at 18,000 of 28,232 after a minute.
    stream = []
    for at in range(56):
        used = 300 * at + 1
        found_netns = netns(
            ports=ports(group(used, time_wait=used), at=float(at)),
            sockstat=Sockstat(10, 5, 0, used, 1, 0, 0, 0, 12),
        )
        stream.append(snapshot(float(at), netns=(found_netns,)))
    assert assess(*stream).report.verdict == "ok"


@pytest.mark.parametrize(("grows", "severity"), [(0, "ok"), (2, "critical")])
def test_time_wait_levels_off_with_a_steady_pool_but_not_with_a_growing_one(grows: int, severity: str) -> None:
    # A pool of 480 of 1,000 ports, and two short connections a second that make 120 in TIME_WAIT after a minute.
    assessor, found = Assessor(), None
    for at in range(55):
        pool = 480 + grows * at
        full = ports(group(pool + 2 * at, time_wait=2 * at, destination="10.0.0.9"), at=float(at), usable=1000)
        found = assessor.add(snapshot(float(at), netns=(netns(ports=full),)))
    assert found is not None
    assert {reading.severity for reading in found.report.readings if reading.ceiling == "ephemeral-ports"} == {
        severity
    }


def test_a_reuse_delay_as_long_as_time_wait_frees_nothing() -> None:
    full = ports(group(200, time_wait=190, destination="127.0.0.1"), usable=200, low=40000, high=40199)
    late = netns(ports=full, sysctls=SYSCTLS | {"net.ipv4.tcp_tw_reuse_delay": "60000"})
    assert reading(assess(snapshot(0.0, netns=(late,))), "ephemeral-ports").severity == "hit"


def test_listeners_that_share_an_address_show_the_fullest() -> None:
    group_ = (netns(listeners=(listener(), listener(queue=129, inode=72), listener(inode=73))),)
    found = reading(assess(snapshot(0.0, netns=group_), snapshot(1.0, netns=group_)), "accept-queue")
    assert (found.severity, found.used) == ("hit", 129)
    assert any("one of 3 sockets" in line and "all others are empty" in line for line in found.evidence)


def test_a_full_unix_listener_has_no_syns() -> None:
    full = (netns(listeners=(listener(queue=9, backlog=8, protocol="unix", address="/run/app", port=0),)),)
    found = reading(assess(snapshot(0.0, netns=full), snapshot(1.0, netns=full)), "accept-queue")
    assert (found.severity, found.subject) == ("hit", "/run/app nginx[1044]")
    assert not any("SYN" in sentence for sentence in found.evidence)


def test_a_counter_proves_a_hit_where_the_limit_is_hidden() -> None:
    hidden = Memory(70, 0, 3, 9, None, None)
    counters = {"TcpExt.TCPMemoryPressures": 0, "TcpExt.TCPAbortOnMemory": 0}
    moving = {"TcpExt.TCPMemoryPressures": 7, "TcpExt.TCPAbortOnMemory": 200}
    stream = [
        snapshot(0.0, memory=hidden, netns=(netns(counters=counters),)),
        snapshot(1.0, memory=hidden, netns=(netns(counters=moving),)),
    ]
    assessment = assess(*stream)
    assert (reading(assessment, "tcp-memory").severity, reading(assessment, "tcp-memory").used) == ("hit", 70)
    assert reading(assessment, "tcp-orphans").severity == "hit"
    calm = assess(stream[0])
    assert (reading(calm, "tcp-memory").severity, reading(calm, "tcp-memory").used) == ("unknown", 70)


def test_advice_stays_within_what_the_kernel_takes() -> None:
    unlimited = assess(snapshot(0.0, netns=(netns(conntrack=Conntrack(5, 0, 1000, {})),)))
    assert [item.kind for item in reading(unlimited, "conntrack-table").remedies] == ["application"]
    boundless = assess(snapshot(0.0, files=Files(1000, 2**63 - 1, 1_048_576)))
    assert [item.kind for item in reading(boundless, "system-fds").remedies] == ["application"]
    high = assess(snapshot(0.0, process(fds=500_000, soft=524_288, hard=524_288)))
    assert reading(high, "process-fds").remedies[0].value == "1048576:1048576"


def test_what_a_counter_proves_needs_movement() -> None:
    assert {row.id for row in CEILINGS if row.hit_counters} < {row.id for row in CEILINGS if row.needs_movement}


def test_a_row_finds_its_numbers_by_what_it_is_not_by_what_it_is_called() -> None:
    space = netns(listeners=(listener(5),))
    seen = snapshot(0.0, process(fds=800, soft=1000), process(pid=1045, fds=10), netns=(space,))
    found = Assessor().add(seen)
    gauge = found.gauge("process-fds", ProcessQuery(1044, 7))
    assert gauge is not None
    assert (gauge.used, gauge.limit) == (800, 1000)
    assert found.key("process-fds", ProcessQuery(1044, 7)) == ("process-fds", "nginx[1044]")
    assert found.gauge("process-fds", ProcessQuery(1044, 8)) is None, "the pid belongs to another process by now"
    assert found.gauge("memory-maps", ProcessQuery(1045, 7)) is None
    (each,) = seen.netns[0].listeners or ()
    queue = found.gauge("accept-queue", ListenerQuery(seen.netns[0].inode, each.inode))
    assert queue is not None
    assert queue.used == 5
    assert found.series_of("process-fds", ProcessQuery(1044, 8)) == ()
