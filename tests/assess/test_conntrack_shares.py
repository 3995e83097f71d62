"""Who fills the connection table, as evidence and as fields of a reading."""

from __future__ import annotations

import msgspec

from sockmon.model.conntrack_tops import ConntrackTops, Top, TopRow
from sockmon.model.report import LargestShare, Reading
from sockmon.model.snapshot import Conntrack, Snapshot
from tests.assess.test_conntrack_buckets import reading
from tests.snapshots import netns, snapshot

SOURCE = TopRow(61, source="10.0.0.7")


def tops(*sources: TopRow) -> ConntrackTops:
    one = Top((TopRow(100, destination="192.0.2.1"),), 0, 1)
    ports = Top((TopRow(65, protocol="tcp", port=443),), 35, 1)
    groups = Top((TopRow(40, source="10.0.0.7", destination="192.0.2.1", protocol="tcp", port=443),), 60, 30)
    return ConntrackTops(100, Top(sources, 39, None), one, ports, groups, Top((), 0, 0), 50, 0, 0)


def full(largest: ConntrackTops | None, at: float = 0.0, drop: int = 0) -> Snapshot:
    stats = {"drop": drop, "insert_failed": 0, "early_drop": 0}
    table = {"tcp ESTABLISHED": 100}
    tracked = Conntrack(100, 100, 1_000, stats, 0.0 if largest else None, table if largest else None, 5, largest)
    return snapshot(at, netns=(netns(conntrack=tracked),))


def of_table(largest: ConntrackTops | None, at: float = 1.0) -> Reading:
    return reading("conntrack-table", full(largest), full(largest, at, 3))


def test_a_full_table_names_who_fills_it() -> None:
    found = of_table(tops(SOURCE))
    assert found.severity == "hit"
    assert (
        "source 10.0.0.7 has 61 % of the entries; destination 192.0.2.1 has 100 % of the entries;"
        " destination port tcp 443 has 65 % of the entries"
    ) in found.evidence
    kinds = {share.kind: share for share in found.shares}
    assert kinds["source"] == LargestShare("source", 61, 0.61, source="10.0.0.7")
    assert kinds["port"] == LargestShare("port", 65, 0.65, protocol="tcp", port=443)
    assert (kinds["group"].source, kinds["group"].port) == ("10.0.0.7", 443)
    assert reading("conntrack-buckets", full(tops(SOURCE))).shares == found.shares


def test_the_fields_are_in_the_json_and_absent_without_a_walk() -> None:
    assert msgspec.json.decode(msgspec.json.encode(of_table(tops(SOURCE))))["shares"][0] == {
        "kind": "source", "used": 61, "ratio": 0.61, "source": "10.0.0.7",
    }  # fmt: skip
    unread = of_table(None)
    assert (unread.severity, unread.shares) == ("hit", ())
    assert "shares" not in msgspec.json.decode(msgspec.json.encode(unread))
    assert not any("of the entries;" in line for line in unread.evidence)


def test_many_small_sources_are_not_named() -> None:
    found = of_table(tops(TopRow(1, source="10.0.0.7", missed=3)))
    assert any(line.endswith("no source has 2 %") for line in found.evidence)
    assert found.shares[0].missed == 3


def test_an_old_walk_says_its_age() -> None:
    assert any(line.endswith("(30 s ago)") for line in of_table(tops(SOURCE), 30.0).evidence)
