"""Numbers as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockmon import format as fmt


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (fmt.count(28_232), "28,232"),
        (fmt.count(0), "0"),
        (fmt.plural(1, "process"), "1 process"),
        (fmt.plural(1_234, "process"), "1,234 processes"),
        (fmt.plural(0, "entry", "entries"), "0 entries"),
        (fmt.limit(-1), "∞"),
        (fmt.limit(1_024), "1,024"),
        (fmt.short(28_900), "28.9k"),
        (fmt.short(9_999), "9999"),
        (fmt.short(262_144), "262k"),
        (fmt.short(99_999), "100k"),
        (fmt.short(9_223_372_036_854_775_807), "9e+18"),
        (fmt.ratio(0.82), "82 %"),
        (fmt.ratio(0.999), "99 %"),
        (fmt.ratio(0.29), "29 %"),
        (fmt.ratio(1.0), "100 %"),
        (fmt.ratio(0.001), "<1 %"),
        (fmt.ratio(0.0), "0 %"),
        (fmt.duration(240.0), "4 min"),
        (fmt.duration(45), "45 s"),
        (fmt.duration(7_200), "2 h"),
        (fmt.duration(400_000), "5 d"),
        (fmt.duration(1e12), ">999 d"),
        (fmt.eta(0.0), "now"),
        (fmt.eta(240.0), "~4 min"),
        (fmt.rate(0.7), "+0.7/s"),
        (fmt.rate(-3.0), "-3.0/s"),
        (fmt.rate(0.0), "0/s"),
        (fmt.rate(470.0), "+470/s"),
        (fmt.pace(470.0), "470/s"),
        (fmt.size(1_536), "1.5 K"),
        (fmt.size(512), "512 B"),
        (fmt.size(48 << 20), "48 M"),
        (fmt.megabytes(62_900_000), "62.9 MB"),
        (fmt.megabytes(99_960_000), "100 MB"),
        (fmt.megabytes(1_234_000_000), "1,234 MB"),
        (fmt.age(3.2), "3 s"),
        (fmt.age(-1.0), "0 s"),
    ],
)
def test_format(result: str, expected: str) -> None:
    assert result == expected


def test_unknown_is_never_zero() -> None:
    texts = [each(None) for each in (fmt.count, fmt.limit, fmt.short, fmt.ratio, fmt.duration, fmt.eta)]
    texts += [fmt.rate(None), fmt.pace(None), fmt.size(None), fmt.age(None)]
    assert set(texts) <= {fmt.UNKNOWN, fmt.NOTHING, fmt.NEVER}


@given(st.integers(min_value=0, max_value=2**63))
def test_short_fits_its_column(value: int) -> None:
    assert len(fmt.short(value)) <= 5
    assert len(fmt.size(value)) <= 6


@given(st.floats(min_value=0, max_value=0.999999))
def test_only_full_is_100_percent(value: float) -> None:
    assert fmt.ratio(value) != "100 %"
