"""The verdicts and explanations on memory maps, inotify and epoll."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from sockmon.ceilings import CEILINGS
from sockmon.model.report import Reading
from sockmon.model.snapshot import Maps, Owner, ProcessMaps, Snapshot, UserWatches, Watches
from tests.assess.test_assessor import assess, reading
from tests.snapshots import HOST, HOST_SYSCTLS, listener, netns, process, snapshot


def mapped(maps: int, threads: int = 1, unseen: int = 0, counted: int = 1, **changes: Any) -> Snapshot:
    rows = (ProcessMaps(1044, 7, "java", maps, threads),)
    return snapshot(0.0, maps=Maps(0.0, rows, counted, unseen), **changes)


def watching(epoll: int = 0, instances: int = 0, watches: int = 0, **changes: Any) -> Snapshot:
    owners = (Owner(12, 7, "kubelet", instances + watches),)
    user = UserWatches(33, "www", epoll, instances, watches, changes.pop("estimated", False), owners)
    return snapshot(0.0, watches=Watches(0.0, (user,), 0), **changes)


def test_levels_of_memory_maps() -> None:
    for maps, severity in (
        (52_000, "ok"),
        (53_000, "warning"),
        (62_500, "critical"),
        (65_530, "hit"),
        (65_531, "hit"),
    ):
        found = reading(assess(mapped(maps)), "memory-maps")
        assert (found.severity, found.used, found.limit) == (severity, maps, 65_530)
        assert found.subject == "java[1044]"


def test_a_server_with_a_thread_per_connection_is_distinguished_from_other_causes_of_eagain() -> None:
    found = reading(assess(mapped(65_531, threads=32_700)), "memory-maps")
    said = " ".join(found.evidence)
    for word in ("32,700 threads", "ENOMEM (12)", "EAGAIN (11)", "fork() still works"):
        assert word in said
    assert [item.kind for item in found.remedies] == ["sysctl", "application"]
    assert (found.remedies[0].key, found.remedies[0].value) == ("vm.max_map_count", "262144")
    assert "pool" in found.remedies[1].text


def test_a_plateau_of_threads_is_next_to_the_limit() -> None:
    # Measured: 65,529, 65,530 or 65,531, as the program's other maps have it.
    assert reading(assess(mapped(65_529, threads=32_000)), "memory-maps").severity == "hit"
    assert reading(assess(mapped(65_528, threads=32_000)), "memory-maps").severity == "critical"
    assert reading(assess(mapped(65_529)), "memory-maps").severity == "critical"


def test_with_a_generous_limit_the_application_comes_first() -> None:
    generous = {**HOST_SYSCTLS, "vm.max_map_count": "1048576"}
    found = reading(assess(mapped(1_048_576, sysctls=generous)), "memory-maps")
    assert (found.severity, found.remedies[0].kind) == ("hit", "application")
    assert int(found.remedies[1].value or 0) > 1_048_576


def test_maps_of_other_users_are_unknown_with_a_reason() -> None:
    # One of very many is in `missing`, and no reason to doubt the others.
    few = assess(mapped(100, unseen=1, counted=130)).report.readings
    assert [item.severity for item in few if item.ceiling == "memory-maps"] == ["ok"]
    found = assess(mapped(100, unseen=3, host=replace(HOST, uid=1000))).report.readings
    unseen = [item for item in found if item.ceiling == "memory-maps" and item.severity == "unknown"]
    assert [item.evidence for item in unseen] == [("memory maps of 3 processes of other users need root",)]
    assert reading(assess(snapshot(0.0, maps=None)), "memory-maps").severity == "unknown"


def test_too_many_open_files_with_hardly_any_open_is_inotify() -> None:
    assessment = assess(watching(instances=128))
    found = reading(assessment, "inotify-instances")
    assert (found.severity, found.used, found.limit, found.subject) == ("hit", 128, 128, "www (33)")
    assert any("EMFILE (24)" in line for line in found.evidence)
    assert any("kubelet[12]" in line for line in found.evidence)
    assert (found.remedies[0].key, found.remedies[0].value) == ("fs.inotify.max_user_instances", "512")
    files = reading(assessment, "process-fds")
    assert files.severity == "ok"
    assert any("inotify-instances" in line for line in files.evidence)


def test_watches_at_their_limit_explain_enospc() -> None:
    found = reading(assess(watching(watches=192_536)), "inotify-watches")
    assert (found.severity, found.remedies[0].key) == ("hit", "fs.inotify.max_user_watches")
    assert any("ENOSPC (28)" in line for line in found.evidence)
    found = reading(assess(watching(epoll=5_000_000, estimated=True)), "epoll-watches")
    assert (found.severity, found.used) == ("warning", 5_000_000)
    assert found.evidence[0].startswith("about 5,000,000 descriptors in epoll sets of www")


def test_fanotify_has_limits_and_owners_of_its_own() -> None:
    owners = (Owner(99, 7, "scanner", 129),)
    user = UserWatches(
        0, "root", 0, 1, 1, False, (), fanotify_groups=128, fanotify_marks=1, fanotify_owners=owners
    )
    assessment = assess(snapshot(0.0, watches=Watches(0.0, (user,), 0)))
    groups, marks = (reading(assessment, f"fanotify-{kind}") for kind in ("groups", "marks"))
    assert (groups.severity, groups.used, groups.limit, groups.subject) == ("hit", 128, 128, "root (0)")
    assert (groups.remedies[0].key, groups.remedies[0].value) == ("fs.fanotify.max_user_groups", "512")
    assert any("scanner[99]" in line for line in groups.evidence)
    assert (marks.severity, marks.used) == ("ok", 1)
    assert reading(assessment, "inotify-instances").severity == "ok"


def test_a_kernel_without_limits_of_fanotify_is_unknown() -> None:
    older = {key: value for key, value in HOST_SYSCTLS.items() if "fanotify" not in key}
    for name in ("fanotify-groups", "fanotify-marks"):
        assert reading(assess(watching(sysctls=older)), name).severity == "unknown"


def test_in_a_user_namespace_its_own_limit_binds_too() -> None:
    sysctls = {**HOST_SYSCTLS, "user.max_inotify_instances": "50"}
    found = reading(assess(watching(instances=50, sysctls=sysctls)), "inotify-instances")
    assert (found.severity, found.limit, found.remedies[0].key) == ("hit", 50, "user.max_inotify_instances")


def test_no_readable_process_is_unknown_and_no_user_is_zero() -> None:
    def of(watches: Watches | None) -> list[Reading]:
        found = assess(snapshot(0.0, watches=watches)).report.readings
        return [
            item for item in found if item.ceiling in ("inotify-instances", "inotify-watches", "epoll-watches")
        ]

    assert {item.severity for item in of(None)} == {"unknown"}
    assert {item.severity for item in of(Watches(0.0, (), 9))} == {"unknown"}
    # One of very many is in `missing`, and no reason to doubt the others.
    table = [process(pid=pid) for pid in range(2000, 2100)]
    many = assess(snapshot(0.0, *table, watches=Watches(0.0, (), 1))).report.readings
    assert {item.severity for item in many if item.ceiling.startswith("inotify")} == {"ok"}
    assert {(item.severity, item.used, item.subject) for item in of(Watches(0.0, (), 0))} == {
        ("ok", 0, "root (0)")
    }


def test_a_server_without_descriptors_explains_its_overflowing_queue() -> None:
    full, waiting = process(fds=1024), (listener(queue=129),)
    counters = {**netns().counters, "TcpExt.ListenOverflows": 19}
    stream = [
        snapshot(0.0, full, netns=(netns(listeners=waiting),)),
        snapshot(1.0, full, netns=(netns(listeners=waiting, counters=counters),)),
    ]
    first = assess(*stream).report.readings[0]
    assert (first.ceiling, first.severity) == ("process-fds", "hit")
    assert any("ListenOverflows +14" in line for line in first.evidence)


def test_every_ceiling_of_descriptors_and_maps_can_be_explained() -> None:
    for name in (
        "memory-maps",
        "process-fds",
        "system-fds",
        "inotify-instances",
        "inotify-watches",
        "fanotify-groups",
        "fanotify-marks",
        "epoll-watches",
    ):
        manual = next(ceiling.manual for ceiling in CEILINGS if ceiling.id == name)
        assert manual is not None
        assert manual.symptoms
        assert manual.sysctls
