"""Lists of ports: which texts are valid, and how they are written."""

from __future__ import annotations

import pytest

from sockmon.port_lists import count_in, find_ranges, format_ranges, parse_ranges


def test_a_list_is_merged_however_it_is_written() -> None:
    assert parse_ranges("9,1-3,4\n") == [(1, 4), (9, 9)]
    assert format_ranges([(9, 9), (1, 3), (4, 4)]) == "1-4,9"
    assert parse_ranges("\n") == []
    assert format_ranges([]) == ""


@pytest.mark.parametrize("text", ["x", "1-", "1,,2", "3-1", "65536", "-1", "1-2-3", "+1", "1_0", "٣"])
def test_what_is_not_a_list_is_refused_or_left_out(text: str) -> None:
    with pytest.raises(ValueError, match="neither a port"):
        parse_ranges(text)
    assert set(find_ranges(f"{text},7")) <= {(1, 2), (7, 7)}
    assert (7, 7) in find_ranges(f"{text},7")


def test_ports_that_lie_in_a_range() -> None:
    assert count_in([(0, 109), (105, 114), (300, 400)], 100, 199) == 15
