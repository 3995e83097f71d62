"""The fault catalogue is whole: each fault has a test or a written reason, and each marker a fault."""

from __future__ import annotations

from collections import Counter

from docs.faults import PARTS, catalogue, marked

COUNTS = {"R": 26, "Q": 18, "N": 12, "S": 30, "T": 24, "U": 5, "V": 12, "X": 8}


def test_no_fault_is_left_out_without_a_reason() -> None:
    tests = marked()
    assert [fault for fault, row in catalogue().items() if fault not in tests and not row.note] == []


def test_the_catalogue_has_every_id_once_and_in_order() -> None:
    expected = [f"{part}{number}" for part in PARTS for number in range(1, COUNTS[part] + 1)]
    assert list(catalogue()) == expected
    assert Counter(fault[0] for fault in catalogue()) == COUNTS


def test_every_marker_names_a_fault() -> None:
    assert set(marked()) - set(catalogue()) == set()
