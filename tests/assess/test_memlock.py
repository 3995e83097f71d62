"""The verdicts on locked memory, of a process and of a user."""

from __future__ import annotations

from msgspec.structs import replace

from sockmon.model.report import Reading
from sockmon.model.snapshot import UNLIMITED, LockedMemory, ProcessLocked
from tests.assess.test_assessor import assess
from tests.snapshots import HOST, snapshot

MIB = 1 << 20
VAULT = ProcessLocked(1044, 7, "vault", 33, "www", 0, 0, 8 * MIB, 0, 0)


def found(*rows: ProcessLocked, kernel: str = "6.18.44") -> list[Reading]:
    at = snapshot(0.0, locked=LockedMemory(0.0, rows, 0), host=replace(HOST, kernel=kernel))
    return [row for row in assess(at).report.readings if row.ceiling == "memlock"]


def only(*rows: ProcessLocked, kernel: str = "6.18.44") -> Reading:
    (row,) = found(*rows, kernel=kernel)
    return row


def test_levels_of_a_process() -> None:
    for used, severity in ((6 * MIB, "ok"), (7 * MIB, "warning"), (8 * MIB - 4096, "critical"), (8 * MIB, "hit")):
        row = only(replace(VAULT, locked=used))
        assert (row.severity, row.used, row.limit, row.subject, row.scope) == (
            severity, used, 8 * MIB, "vault[1044]", "process",
        )  # fmt: skip
    assert [(item.kind, item.key, item.pid) for item in row.remedies] == [
        ("rlimit", "memlock", 1044),
        ("application", None, None),
    ]


def test_what_is_locked_and_what_is_pinned_are_two_counts() -> None:
    both = replace(VAULT, locked=5 * MIB, pinned=4 * MIB, rings=1)
    assert [(row.severity, row.scope, row.used) for row in found(both)] == [
        ("ok", "process", 5 * MIB),
        ("ok", "user", 4 * MIB),
    ]


def test_io_uring_of_all_processes_of_a_user_counts_together() -> None:
    rows = [replace(VAULT, pid=pid, pinned=3 * MIB, rings=1, ring_bytes=28_672) for pid in (1, 2)]
    other = replace(VAULT, pid=3, uid=34, user="ftp", pinned=MIB, rings=1)
    by_subject = {row.subject: row for row in found(*rows, other)}
    assert by_subject["www (33)"].used == 6 * MIB + 2 * 28_672
    assert by_subject["ftp (34)"].used == MIB


def test_a_user_without_room_for_another_ring_is_a_hit() -> None:
    full = replace(VAULT, rings=292, ring_bytes=292 * 28_672)
    assert only(full).severity == "hit"
    assert only(replace(full, rings=291, ring_bytes=291 * 28_672)).severity == "critical"


def test_kernels_that_charge_rings_to_the_cgroup() -> None:
    full = replace(VAULT, rings=292, ring_bytes=292 * 28_672)
    for kernel, severity in (("5.11.0", "hit"), ("5.12.0", "ok"), ("6.13.7", "ok"), ("6.14.0", "hit")):
        assert only(full, kernel=kernel).severity == severity


def test_the_lowest_limit_of_a_user_binds() -> None:
    rows = [replace(VAULT, pid=1, limit=UNLIMITED), replace(VAULT, pid=2, limit=4 * MIB)]
    row = only(*(replace(row, pinned=2 * MIB, rings=1) for row in rows))
    assert (row.used, row.limit, row.severity) == (4 * MIB, 4 * MIB, "hit")
    assert row.remedies[0].pid == 2


def test_more_than_the_limit_was_locked_with_a_privilege_and_is_unknown() -> None:
    row = only(replace(VAULT, locked=64 * MIB))
    assert (row.severity, row.used, row.limit) == ("unknown", 64 * MIB, None)
    assert row.evidence[0]


def test_a_virtual_machine_with_a_limit_made_for_it_raises_no_alarm() -> None:
    guest = replace(VAULT, name="qemu-kvm", locked=64 << 30, limit=65 << 30)
    assert only(guest).severity == "ok"
    assert only(replace(guest, locked=(65 << 30) - MIB)).severity == "critical"


def test_descriptors_that_cannot_be_read_may_be_io_uring() -> None:
    blind = snapshot(0.0, locked=LockedMemory(0.0, (), 1))
    rows = [row for row in assess(blind).report.readings if row.ceiling == "memlock"]
    assert [row.severity for row in rows] == ["unknown"]


def test_no_limit_is_no_alarm_and_no_process_is_no_zero() -> None:
    assert only(replace(VAULT, locked=64 * MIB, limit=UNLIMITED)).severity == "ok"
    row = only()
    assert (row.severity, row.used, row.limit) == ("ok", None, None)
    unread = [row for row in assess(snapshot(0.0, locked=None)).report.readings if row.ceiling == "memlock"]
    assert [row.severity for row in unread] == ["unknown"]
