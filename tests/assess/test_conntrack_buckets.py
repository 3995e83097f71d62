"""Buckets of connection tracking: long chains, what the kernel refuses, and what that is not taken for."""

from __future__ import annotations

from typing import Any

import pytest

from sockmon.assess import Assessor
from sockmon.model.report import Reading
from sockmon.model.snapshot import Conntrack, Missing, Snapshot, Snat, SnatGroup
from tests.snapshots import netns, snapshot

BUCKETS = 16_384
ZERO = {"drop": 0, "insert_failed": 0, "early_drop": 0, "chainlength": 0}


def look(at: float, count: int = 0, stats: dict[str, int] | None = None, **more: Any) -> Snapshot:
    table = Conntrack(count, 1_000_000, more.pop("buckets", BUCKETS), ZERO if stats is None else ZERO | stats)
    return snapshot(at, netns=(netns(conntrack=table, **more),))


def reading(ceiling: str, *looks: Snapshot) -> Reading:
    assessor = Assessor()
    report = [assessor.add(each).report for each in looks][-1]
    return next(item for item in report.readings if item.ceiling == ceiling)


@pytest.mark.parametrize(
    ("count", "used", "severity"),
    [
        (0, 0, "ok"),
        (1, 1, "ok"),
        (BUCKETS, 2, "ok"),
        (4 * BUCKETS, 8, "ok"),
        (6 * BUCKETS, 12, "warning"),
        (13 * BUCKETS, 26, "critical"),
    ],
)
def test_the_length_of_a_bucket_on_average(count: int, used: int, severity: str) -> None:
    found = reading("conntrack-buckets", look(0.0, count))
    assert (found.used, found.limit, found.severity) == (used, 50, severity)


def test_a_refused_entry_is_a_hit_whoever_fills_the_buckets() -> None:
    found = reading("conntrack-buckets", look(0.0, 10), look(1.0, 10, {"chainlength": 3, "insert_failed": 3}))
    assert (found.used, found.severity) == (1, "hit")
    assert (found.remedies[0].kind, found.remedies[0].key) == ("sysctl", "net.netfilter.nf_conntrack_buckets")
    assert found.remedies[0].value == str(1 << 20)


def test_a_kernel_without_the_counter_has_no_limit() -> None:
    old = Conntrack(13 * BUCKETS, 1_000_000, BUCKETS, {"drop": 0, "searched": 4})
    found = reading("conntrack-buckets", snapshot(netns=(netns(conntrack=old),)))
    assert (found.used, found.limit, found.severity) == (26, None, "warning")


def test_a_bucket_that_is_too_long_is_not_a_clash_of_translated_ports() -> None:
    dense = Snat(0.0, (SnatGroup("192.0.2.1", "10.0.0.9", 443, "tcp", 10, 40000, 40009),), 1)
    refused = {"chainlength": 40, "insert_failed": 40, "drop": 9}
    looks = look(0.0, 10, snat=dense), look(1.0, 10, refused, snat=dense)
    assert reading("snat-ports", *looks).severity == "ok"
    # What is dropped and no clash is a full table.
    assert reading("conntrack-table", *looks).severity == "hit"
    assert reading("conntrack-table", looks[0], look(1.0, 10, refused | {"drop": 0})).severity == "ok"


def test_what_could_not_be_read_is_unknown() -> None:
    missing = (Missing("conntrack", "nf_conntrack is not loaded"),)
    absent = snapshot(netns=(netns(conntrack=None),), missing=missing)
    assert reading("conntrack-buckets", absent).missing == missing
    assert reading("conntrack-buckets", look(0.0, buckets=0)).severity == "unknown"
