"""Foreign text: no code point that a terminal executes remains."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockmon.text import sanitize

FORBIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


@pytest.mark.fault("U1")
def test_no_forbidden_code_point_survives() -> None:
    for begin in range(0, 0x110000, 0x1000):
        text = "".join(map(chr, range(begin, begin + 0x1000)))
        assert not {unicodedata.category(character) for character in sanitize(text, 0x2000)} & FORBIDDEN


@given(st.binary(max_size=64))
def test_bytes_never_raise(raw: bytes) -> None:
    assert not {unicodedata.category(character) for character in sanitize(raw)} & FORBIDDEN


@pytest.mark.fault("U1")
def test_plain_text_and_markup_stay_as_they_are() -> None:
    for text in ("nginx: worker", "[@click=app.quit]x[/]", "名前", "é"):
        assert sanitize(text) == text
        assert sanitize(text.encode()) == text


@pytest.mark.fault("U2")
@pytest.mark.parametrize("length", [9, 10, 11, 500])
def test_long_text_ends_in_an_ellipsis(length: int) -> None:
    text = sanitize("x" * length, 10)
    assert len(text) == min(length, 10)
    assert text.endswith("…") == (length > 10)
