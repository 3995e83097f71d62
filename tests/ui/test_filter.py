"""The syntax of the filter: what matches, what is refused and why, and that no input breaks it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sockmon.errors import FilterError
from sockmon.ui.filtering.fields import FIELDS, SYNTAX
from sockmon.ui.filtering.filter import ALL, MAX_CHARACTERS, Filter, RowValues, parse
from sockmon.ui.filtering.row_values import endpoint

FACTS: RowValues = {
    "port": (443, 50_123),
    "proc": ("envoy", "/usr/bin/envoy -c 'a b'"),
    "pid": 812,
    "src": "10.0.0.5",
    "dst": "fd00::9",
    "state": "TIME_WAIT",
    "fds": 1_024,
    "rate": None,
    "full": 82.5,
    "left": 240.0,
    "rss": 2 << 20,
    "subject": "10.0.0.5 → [fd00::9]:443",
}


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "   ",
        "envoy",
        "ENVOY 812",
        "443",
        "port:443",
        "port:50123",
        "port:80,443",
        "port:400-500",
        "port:443..443",
        "port:>8080",
        "port:>=443",
        "port:<444",
        "port:<=443",
        "!port:80",
        "fds:>1000",
        "fds:>1k",
        "fds:=1024",
        "full:>80%",
        "full:82-83",
        "left:<10m",
        "left:>3min",
        "rss:2m",
        "rss:1M-3M",
        "state:time_wait",
        "state:wait",
        "!state:LISTEN",
        "state:LISTEN,time",
        "src:10.0.0.5",
        "src:10.0.0.0/8",
        "src:10.0.",
        "!src:10.0.0.6",
        "!src:192.168.0.0/16",
        "dst:fd00::/16",
        "dst:fd00::9",
        "dst:FD00:0::9",
        "dst:fd00",
        "fd00::9",
        "!nginx",
        'proc:"a b"',
        "proc:'a b',x",
        '"10.0.0.5 →"',
        '!"no such"',
        "!rate:>0",
        "proc:ENV !proc:nginx port:443",
        "[fd00::9]:443",
        'proc:"-c"',
        "!port:>60000",
        "PORT:443",
    ],
)
def test_finds(typed: str) -> None:
    assert parse(typed).matches(FACTS)


@pytest.mark.parametrize(
    "typed",
    [
        "nginx",
        "!envoy",
        "port:44",
        "port:4433",
        "port:>50123",
        "port:444-50122",
        "!port:443",
        "fds:>1024",
        "fds:<1k",
        "state:LISTEN",
        "src:10.0.0.50",
        "src:10.0.0.6,10.0.0.7",
        "src:11.0.0.0/8",
        "dst:10.0.0.0/8",
        "src:fd00::/16",
        "rate:>0",
        "rate:<=0",
        "user:www",
        'proc:"a  b"',
        "port:443 nginx",
        '"port:443"',
        "full:>82.5",
        "left:>10m",
    ],
)
def test_does_not_find(typed: str) -> None:
    assert not parse(typed).matches(FACTS)


@pytest.mark.parametrize(
    ("typed", "message", "hint"),
    [
        ("foo:1", "foo: no such field", "fields: port src dst sport"),
        ("!sprt:22", "sprt: no such field", "fields:"),
        ("http://x", "http: no such field", "fields:"),
        ("port:http", "port: expected a number, got http", "8000-9000"),
        ("port:9000-8000", "port: 9000-8000: the lower number comes first", ""),
        ("port:1k", "port: unknown unit k", "units: none"),
        ("fds:>3h", "fds: unknown unit h", "units: k m g"),
        ("src:nosuch.host", "src: nosuch.host is not an address", "10.0.0.0/8"),
        ("dst:10.0.0.0/99", "dst: 10.0.0.0/99 is not a network", "10.0.0.0/8"),
        ("dst:10.0.0.9:5432", "dst: address and port are two terms", "write dst:10.0.0.9 port:5432"),
        (
            "x" * (MAX_CHARACTERS + 1),
            f"filter: {MAX_CHARACTERS + 1} characters, at most {MAX_CHARACTERS} are allowed",
            "",
        ),
    ],
)
def test_an_error_names_the_fault_and_gives_a_hint(typed: str, message: str, hint: str) -> None:
    with pytest.raises(FilterError) as error:
        parse(typed)
    assert error.value.message == message
    assert hint in error.value.hint
    assert not error.value.unfinished


@pytest.mark.parametrize(
    "typed", ["port:", "!port:", "port:>", "port:80-", "port:,", "left:<", "src:10.0.0.0/", "proc:"]
)
def test_unfinished_input_is_not_an_error(typed: str) -> None:
    with pytest.raises(FilterError) as error:
        parse(typed)
    assert error.value.unfinished
    assert error.value.hint


def test_terms_for_missing_fields_are_ignored_and_named() -> None:
    groups = {"port": ALL, "state": ("TIME_WAIT",)}
    for typed, kept, said in (
        ("port:443", "port:443", ""),
        ("state:time_w", "state:time_w", ""),
        ("!state:time_w", "!state:time_w", ""),
        ("state:ESTABLISHED", "", "not filtered: has only TIME_WAIT"),
        ("state:listen port:1", "port:1", "not filtered by state"),
        ("user:www cache", "cache", "not filtered by user"),
        ("user:www fds:>1", "", "not filtered: has no user, fds"),
    ):
        assert parse(typed).known(groups) == parse(kept), typed
        assert parse(typed).ignored_note(groups) == said, typed
    assert parse("cache").ignored_note({}) == "not filtered"
    assert not parse("cache port:1").known({})


def test_every_example_of_the_help_can_be_typed() -> None:
    for typed, meaning in SYNTAX:
        assert parse(typed), typed
        assert meaning
    assert all(field.meaning and field.usage for field in FIELDS)


@pytest.mark.parametrize(
    ("written", "address", "port"),
    [
        ("10.0.0.5:443", "10.0.0.5", 443),
        ("[fd00::9]:5432", "fd00::9", 5432),
        ("*:*", "*", None),
        ("@/run/x:1/s", "@/run/x:1/s", None),
        ("/run/x", "/run/x", None),
        ("", "", None),
        ("0.0.0.0:*", "0.0.0.0", None),
        ("a:²", "a:²", None),
        ("a:" + "9" * 5000, "a:" + "9" * 5000, None),
    ],
)
def test_an_endpoint_has_an_address_and_a_port(written: str, address: str, port: int | None) -> None:
    assert endpoint(written) == (address, port)


ALPHABET = st.sampled_from(
    [*"!:,\"'-<>=./[]%@* \t\n\x1b\u202e数²٣0", *(f"{field.name}:" for field in FIELDS), "10.0.0.0/8"]
)
HOSTILE = st.one_of(st.text(max_size=600), st.lists(ALPHABET, max_size=120).map("".join))


@settings(max_examples=600, deadline=None)
@given(HOSTILE)
def test_any_text_is_a_filter_or_an_error(text: str) -> None:
    found = understood(text)
    if isinstance(found, FilterError):
        assert 0 < len(found.message) < 200
        return
    assert found.matches(FACTS) in (True, False)
    assert found.matches({}) in (True, False)
    assert isinstance(found.ignored_note({"port": ALL, "state": ("LISTEN",)}), str)


def understood(text: str) -> Filter | FilterError:
    try:
        return parse(text)
    except FilterError as error:
        return error


@given(
    st.text(
        alphabet=st.characters(exclude_categories=["C", "Z"], exclude_characters="\"'"), min_size=1, max_size=60
    )
)
def test_a_row_matches_its_own_name_in_quotes(name: str) -> None:
    assert parse(f'proc:"{name}"').matches({"proc": name})
    assert parse(f'"{name}"').matches({"proc": name})
    assert not parse(f'!proc:"{name}"').matches({"proc": name})


@given(HOSTILE, HOSTILE)
def test_more_terms_never_match_more_rows(first: str, second: str) -> None:
    try:
        both, one = parse(f"{first} {second}"), parse(first)
    except FilterError:
        return
    if "'" not in first and '"' not in first and both.matches(FACTS):
        assert one.matches(FACTS)


@pytest.mark.parametrize(
    "text",
    ["a" * 10**6, ":" * 10**6, "'" * 10**6, "port:" * 10**5, ":" * 199, "!" * 200, "0-" * 100, "src:" + ":" * 195],
)
def test_long_input_is_fast(text: str) -> None:
    """Work that grows with the square of a million characters would not."""
    for _ in range(20):
        found = understood(text)
        if isinstance(found, Filter):
            found.matches(FACTS)


def test_blank_input_is_an_empty_filter() -> None:
    assert not parse("  ")
    assert not parse("!")
    assert parse("") == Filter()


@pytest.mark.parametrize("typed", ["proc:envoy", "pid:812", "envoy", "port:443 proc:envoy"])
def test_a_row_of_an_unknown_owner_might_match(typed: str) -> None:
    wanted, unknown = parse(typed), {**FACTS, "proc": (), "pid": (), "subject": "10.0.0.5"}
    assert not wanted.matches(unknown)
    assert wanted.owner_unknown(unknown)
    assert not wanted.owner_unknown(FACTS)
    assert not wanted.owner_unknown({"port": 443}), "a row of a kind that has no owner"


@pytest.mark.parametrize("typed", ["port:80 proc:envoy", "!proc:envoy", "port:443", "src:10.9.0.0/16"])
def test_an_unknown_owner_does_not_matter_to_other_terms(typed: str) -> None:
    assert not parse(typed).owner_unknown({**FACTS, "proc": (), "pid": ()})
