"""T20, P6: which keys are the word, and which no finger typed."""

from __future__ import annotations

import pytest

from sockmon.tuning.confirmation import KEY_HELD_DOWN, PASTED, TOO_EARLY, WORD, WRONG_WORD, ConfirmationWord


def typed(*keys: tuple[str, float]) -> tuple[ConfirmationWord, list[bool]]:
    """The word after these keys, on a preview that was drawn at 0."""
    word = ConfirmationWord()
    word.preview_drawn(0.0)
    return word, [word.press(char, at) for char, at in keys]


def spaced(text: str, gap: float, begin: float = 1.0) -> list[tuple[str, float]]:
    return [(char, begin + place * gap) for place, char in enumerate(text)]


@pytest.mark.fault("T20")
@pytest.mark.parametrize("gap", [0.06, 0.15, 3.0])
def test_T20_the_word_typed_by_a_person_counts_once(gap: float) -> None:
    word, done = typed(*spaced(WORD, gap))
    assert done == [False, False, False, False, True]
    assert word.letters == WORD


@pytest.mark.fault("T20")
@pytest.mark.parametrize("gap", [0.0, 0.001, 0.004, 0.02, 0.029])
def test_T20_a_paste_without_brackets_does_not_count(gap: float) -> None:
    word, done = typed(*spaced(WORD, gap))
    assert not any(done)
    assert word.rejection in (PASTED, KEY_HELD_DOWN, WRONG_WORD)
    assert word.letters == ""


@pytest.mark.fault("T20")
def test_T20_pastes_again_and_again_do_not_add_up() -> None:
    keys = [key for n in range(20) for key in spaced("apply\rapply", 0.0005, 1 + n * 0.11)]
    word, done = typed(*keys)
    assert not any(done)
    assert word.letters == ""


@pytest.mark.fault("T20")
@pytest.mark.parametrize("cut", range(1, 5))
def test_T20_a_paste_in_two_parts_does_not_count(cut: int) -> None:
    """As a slow line hands it on."""
    keys = [*spaced(WORD[:cut], 0.0005), *spaced(WORD[cut:], 0.0005, 1.25)]
    assert not any(typed(*keys)[1])


@pytest.mark.fault("T20")
def test_T20_two_letters_at_once_do_not_count() -> None:
    _, done = typed(*spaced("ap", 0.15), *spaced("pl", 0.002, 1.4), ("y", 1.6))
    assert not any(done)


@pytest.mark.fault("T20")
@pytest.mark.parametrize("rate", [0.015, 0.025, 0.033, 0.049])
@pytest.mark.parametrize("held", ["a", "p", "l"])
def test_T20_a_held_key_does_not_type_the_word(held: str, rate: float) -> None:
    before = WORD[: WORD.index(held)]
    word, done = typed(*spaced(before, 0.15), *spaced(held * 50, rate, 2.0))
    assert not any(done)
    assert word.letters in ("", "a")


@pytest.mark.fault("T20")
def test_T20_uneven_keys_that_are_too_fast_as_a_whole_do_not_count() -> None:
    keys = [(char, 1 + at) for char, at in zip(WORD, (0.0, 0.01, 0.062, 0.07, 0.08), strict=True)]
    word, done = typed(*keys)
    assert not any(done)
    assert (word.letters, word.rejection) == ("", PASTED)


@pytest.mark.fault("T20")
def test_T20_what_is_typed_before_it_can_be_read_does_not_count() -> None:
    word = ConfirmationWord()
    assert not any(word.press(char, at) for char, at in spaced(WORD, 0.15))
    assert word.rejection == TOO_EARLY
    word.preview_drawn(5.0)
    assert not any(word.press(char, at) for char, at in spaced("app", 0.1, 5.05))
    assert word.letters == ""
    assert [word.press(char, at) for char, at in spaced(WORD, 0.15, 5.5)][-1]


def test_another_letter_begins_anew() -> None:
    word, done = typed(*spaced("appx", 0.15))
    assert (word.letters, word.rejection) == ("", WRONG_WORD)
    word, done = typed(*spaced("aapply", 0.15))
    assert done[-1]
    word, done = typed(*spaced("APPLY", 0.15))
    assert not any(done)


def test_a_letter_can_be_taken_back() -> None:
    word, _ = typed(*spaced("appp", 0.15)[:3])
    word.backspace()
    assert word.letters == "ap"
    assert [word.press(char, at) for char, at in spaced("ply", 0.15, 2.0)][-1]


@pytest.mark.fault("T20")
def test_T20_a_paste_with_brackets_takes_away_what_was_typed() -> None:
    word, _ = typed(*spaced("appl", 0.15))
    word.paste(1.6)
    assert (word.letters, word.rejection) == ("", PASTED)
    assert not word.press("y", 1.7)
