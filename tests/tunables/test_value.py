"""What may be written to a sysctl: S5 to S9 and S24 of the faults, and whatever else anybody may type."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockmon.errors import InvalidValue
from sockmon.port_lists import find_ranges, format_ranges
from sockmon.text import sanitize
from sockmon.tunables import BY_KEY, TUNABLES, Tunable
from sockmon.tunables.value import describe_allowed, equal, parse, parse_limits, with_hard_limit

SETTABLE = [row for row in TUNABLES if row.settable]
SOMAXCONN = BY_KEY["net.core.somaxconn"]
RANGE = BY_KEY["net.ipv4.ip_local_port_range"]
RESERVED = BY_KEY["net.ipv4.ip_local_reserved_ports"]
TCP_MEM = BY_KEY["net.ipv4.tcp_mem"]
NOFILE = BY_KEY["nofile"]
PORTS = st.integers(1, 65535)

likely = st.text(alphabet="0123456789 ,-\t", max_size=30)
pairs = st.tuples(*[st.one_of(st.integers(-1, 2**31).map(str), st.just("unlimited"))] * 2).map(":".join)
numbers = st.lists(st.integers(-(2**65), 2**65), max_size=4).map(lambda each: " ".join(map(str, each)))


def refusal(row: Tunable, text: str) -> InvalidValue:
    with pytest.raises(InvalidValue) as caught:
        parse(row, text)
    return caught.value


def outcome(row: Tunable, text: str) -> str | InvalidValue:
    try:
        return parse(row, text)
    except InvalidValue as error:
        return error


@given(st.sampled_from(SETTABLE), st.one_of(st.text(max_size=40), likely, numbers, pairs))
def test_a_parsed_value_is_canonical_and_in_bounds(row: Tunable, text: str) -> None:
    value = outcome(row, text)
    if isinstance(value, InvalidValue):
        assert value.key == row.key
        assert value.reason
        assert value.allowed == describe_allowed(row)
        assert sanitize(value.message, 1000) == value.message
        return
    assert parse(row, value) == value
    if row.kind == "limit":
        check_limit(row, value)
        return
    assert re.fullmatch(r"[0-9 ,-]*", value)
    found = [int(number) for number in re.findall(r"[0-9]+", value)]
    assert all(str(number) in re.split(r"[ ,-]", value) for number in found), "a number is not written plainly"
    if row.kind == "switch":
        assert found[0] in row.allowed
    else:
        assert all(row.minimum <= number <= row.maximum and number % row.step == 0 for number in found)
    if row.kind in ("numbers", "range"):
        assert len(found) == len(row.field_names)
        assert found == sorted(found)


def check_limit(row: Tunable, value: str) -> None:
    parts = value.split(":")
    assert len(parts) in (1, 2)
    for part in parts:
        assert (part == "unlimited" and row.may_be_unlimited) or row.minimum <= int(part) <= row.maximum
        assert part == "unlimited" or str(int(part)) == part
    soft, hard = parse_limits(value if len(parts) == 2 else f"{value}:{value}") or (1, 0)
    assert soft <= hard


@pytest.mark.fault("S24")
@given(
    st.sampled_from(SETTABLE), likely, st.sampled_from("\n\r\0\x0b;#|`$'\"\\/\u2028\x85=é\x1b"), st.integers(0, 30)
)
def test_s24_injected_bytes_are_rejected(row: Tunable, text: str, byte: str, at: int) -> None:
    error = refusal(row, text[:at] + byte + "kernel.core_pattern=|/x" + text[at:])
    assert "\n" not in error.message
    assert "\0" not in error.message


@pytest.mark.fault("S24")
@pytest.mark.parametrize("end", ["\n", "\0", "\n\n", "\r\n"])
def test_s24_a_line_feed_at_the_end_is_rejected(end: str) -> None:
    assert "line feed" in refusal(SOMAXCONN, f"4096{end}").reason


@pytest.mark.fault("S7")
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("010", "octal"),
        ("0x10", "hexadecimal"),
        ("+5", "sign"),
        ("-1", "negative"),
        ("1e3", "exponent"),
        ("４０９６", "plain digits"),
        ("4,096", "separator"),
        ("4_096", "separator"),
        ("4.096", "separator"),
        ("9" * 30, "digits"),
        ("", "empty"),
        ("many", "plain digits"),
    ],
)
def test_s7_only_plain_decimal_numbers(text: str, reason: str) -> None:
    error = refusal(SOMAXCONN, text)
    assert reason in error.reason
    assert "1 to 1,048,576" in error.hint


@pytest.mark.fault("S5")
@pytest.mark.parametrize(
    ("row", "text"),
    [
        (RANGE, "1024 65535 7"),
        (SOMAXCONN, "1 2"),
        (TCP_MEM, "1 2 3 4"),
        (BY_KEY["net.ipv4.tcp_tw_reuse"], "1 1"),
        (NOFILE, "64:128:256"),
    ],
)
def test_s5_an_extra_number_is_rejected(row: Tunable, text: str) -> None:
    assert "numbers, expected" in refusal(row, text).reason


@pytest.mark.fault("S6")
@pytest.mark.parametrize(("row", "text"), [(RANGE, "1024"), (TCP_MEM, "1 2"), (RANGE, "")])
def test_s6_half_a_pair_is_rejected(row: Tunable, text: str) -> None:
    assert "expected" in refusal(row, text).reason


@pytest.mark.fault("S8")
@pytest.mark.parametrize(
    ("key", "text", "field"),
    [
        ("net.core.somaxconn", "0", ""),
        ("net.core.somaxconn", "2147483647", ""),
        ("net.ipv4.tcp_fin_timeout", "-1", ""),
        ("net.ipv4.tcp_max_tw_buckets", "0", ""),
        ("net.netfilter.nf_conntrack_tcp_timeout_established", "-1", ""),
        ("net.ipv4.ip_local_port_range", "60999 32768", "last port"),
        ("net.ipv4.ip_local_port_range", "1024 65536", "last port"),
        ("net.ipv4.tcp_mem", "10 5 20", "pressure"),
        ("net.ipv4.tcp_tw_reuse", "3", ""),
        ("net.ipv4.ip_local_reserved_ports", "0-5", "port"),
        ("net.ipv4.ip_local_reserved_ports", "9-5", "port"),
        ("nofile", "4096:1024", "soft limit"),
        ("nofile", "3", "soft limit"),
        ("nofile", "64:unlimited", "hard limit"),
        ("nofile", "-1", "soft limit"),
        ("nproc", "64:99999999", "hard limit"),
    ],
)
def test_s8_values_out_of_bounds_are_rejected_with_the_field(key: str, text: str, field: str) -> None:
    error = refusal(BY_KEY[key], text)
    assert error.field == field
    assert (field or key) in error.message


@pytest.mark.fault("S9")
@given(st.lists(st.tuples(PORTS, PORTS).map(lambda pair: (min(pair), max(pair))), max_size=30))
def test_s9_a_list_of_ports_is_as_short_as_it_can_be(spans: list[tuple[int, int]]) -> None:
    written = ",".join(f"{low}-{high}" if high > low else f"{low}" for low, high in spans)
    value = parse(RESERVED, written)
    wanted = {port for low, high in spans for port in range(low, high + 1)}
    found = find_ranges(value)
    assert {port for low, high in found for port in range(low, high + 1)} == wanted
    assert all(found[at][1] + 1 < found[at + 1][0] for at in range(len(found) - 1))
    assert equal(RESERVED, written, value)


@pytest.mark.fault("S9")
def test_s9_every_single_port_fits_one_write() -> None:
    every = ",".join(map(str, range(1, 65536)))
    assert parse(RESERVED, every) == format_ranges([(1, 65535)]) == "1-65535"


@pytest.mark.parametrize("row", SETTABLE, ids=lambda row: row.key)
def test_every_row_is_complete_and_accepts_its_own_bounds(row: Tunable) -> None:
    assert row.risk
    assert row.unaffected
    assert row.takes_effect
    assert set(row.related) <= set(BY_KEY)
    assert set(row.aliases) <= set(row.aliases_and_twins)
    if row.kind == "number" and row.step == 1:
        assert parse(row, str(row.minimum)) == str(row.minimum)
        assert parse(row, str(row.maximum)) == str(row.maximum)
        refusal(row, str(row.maximum + 1))
    assert bool(row.field_names) == (row.kind in ("numbers", "range", "limit"))
    assert bool(row.allowed) == (row.kind == "switch")


@pytest.mark.parametrize(
    ("text", "old", "whole"),
    [
        ("2048", "1024:4096", "2048:4096"),
        ("8192", "1024:4096", "8192:8192"),
        ("512", "1024:unlimited", "512:unlimited"),
        ("unlimited", "1024:4096", "unlimited:unlimited"),
        ("64:128", "1024:4096", "64:128"),
    ],
)
def test_a_soft_limit_alone_keeps_a_higher_hard_limit(text: str, old: str, whole: str) -> None:
    assert with_hard_limit(text, old) == whole
