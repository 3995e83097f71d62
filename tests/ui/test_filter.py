"""The filter line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sockmon.ui.filter import ALL, FIELDS, Filter, parse

FACTS = {"port": "443", "proc": "812 envoy", "address": "10.0.0.5 10.0.0.9"}


def test_words_and_fields() -> None:
    assert parse("port:443 Nginx user:WWW") == Filter((("port", "443"), ("user", "www")), ("nginx",))


def test_a_port_is_a_whole_number() -> None:
    assert parse("port:443").matches(FACTS)
    assert not parse("port:44").matches(FACTS)


def test_names_match_in_part_and_in_any_case() -> None:
    assert parse("proc:ENV").matches(FACTS)
    assert parse("10.0.0.9 envoy").matches(FACTS)
    assert not parse("10.0.0.9 nginx").matches(FACTS)


def test_a_field_that_a_row_does_not_have_says_nothing_about_it() -> None:
    assert parse("state:time_wait").matches(FACTS)


def test_what_rows_know_nothing_of_does_not_apply_and_is_said() -> None:
    groups = {"port": ALL, "state": ("TIME_WAIT",)}
    for typed, kept, said in (
        ("port:443", "port:443", ""),
        ("state:time_w", "state:time_w", ""),
        ("state:ESTABLISHED", "", "filter does not apply here"),
        ("state:listen port:1", "port:1", "state: does not apply here"),
        ("user:www cache", "cache", "user: does not apply here"),
    ):
        assert parse(typed).known(groups) == parse(kept)
        assert parse(typed).strange(groups) == said


def test_an_unfinished_field_and_an_address_are_not_fields() -> None:
    assert not parse("port:")
    assert parse("fd00::5") == Filter((), ("fd00::5",))


@given(st.text())
def test_any_text_parses_and_matches_something_or_not(text: str) -> None:
    found = parse(text)
    assert found.matches(FACTS) in (True, False)
    assert all(name in FIELDS and value for name, value in found.fields)


@given(st.text(alphabet=st.characters(exclude_categories=["C", "Z"]), min_size=1))
def test_a_row_is_found_by_its_own_name(name: str) -> None:
    assert Filter((("proc", name.casefold()),)).matches({"proc": name})


@given(st.text(), st.text())
def test_more_words_never_find_more(first: str, second: str) -> None:
    if parse(f"{first} {second}").matches(FACTS):
        assert parse(first).matches(FACTS)
