"""What the kernel makes of a text: the rules against the running kernel, in a private network namespace."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sockmon.tunables import BY_KEY, Tunable
from sockmon.tuning.boot import kernel_rules, kernel_write
from sockmon.tuning.boot.kernel_rules import PORT_RANGE, PORT_START, RULES
from sockmon.tuning.boot.kernel_write import Kept, Refused, write
from sockmon.tuning.boot.sysctl_d import key_of, path_of
from sockmon.tuning.boot.this_kernel import this_kernel
from sockmon.tuning.planning.plan import settable_sysctls
from tests.netns import inside

_TEXTS = (
    *("0", "1", "2", "3", "5", "16", "255", "256", "1024", "1025", "60000", "60001", "65535", "65536"),
    *("2147483647", "2147483648", "-1", "-0", "-", "+5", "010", "08", "0x10", "0x", "1e3", "1.5", "", " ", "a"),
    *("18446744073709551615", "18446744073709551616", "99999999999999999999999", "21474830", "40000", "900"),
    *("3000 # more", "7000; #", "7000 ; #", "1;", '"512"', "1#c", "\v7", "7\v", "1\t2"),
    *("4 5", "4 5 x", "5 4", "1024 65535", "900 64000", "2000 64000 # wide", "40 50"),
    *("8080,9000-9010", "1,2,3,", ",5", "9000-8000", "5-", "1-70000", "70000", "1-2-3", "1,,2"),
)


@pytest.mark.fault("S27")
@pytest.mark.usefixtures("needs_userns")
def test_s27_the_rules_are_those_of_the_running_kernel() -> None:
    compared, wrong = inside(compare_with_the_kernel)
    assert not wrong, "\n".join(wrong[:10])
    assert compared > 500


def compare_with_the_kernel() -> tuple[int, list[str]]:
    """Write each text to each key that a network namespace has of its own; return the wrong predictions."""
    compared, wrong = 0, []
    timeouts = [f"net/netfilter/nf_conntrack_{each}" for each in ("tcp_timeout_established", "udp_timeout")]
    paths = [*RULES, *timeouts]
    writable = [path for path in paths if os.access(f"/proc/sys/{path}", os.W_OK)]
    for path in (each for each in writable if each.startswith("net/")):
        file = Path("/proc/sys", path)
        for text in _TEXTS:
            for before in ("1024", "900"):
                _begin(before)
                now = {path: " ".join(file.read_text().split()), PORT_START: before, PORT_RANGE: "32768 60999"}
                outcome = write(path, text.encode(), now, this_kernel())
                errno = _write(file, text)
                after = " ".join(file.read_text().split())
                compared += 1
                if not _agrees(outcome, errno, after, now[path]):
                    wrong.append(f"{key_of(path)} = {text!r}: {errno or 'accepted'}, {after!r}; said {outcome}")
                if now[path]:
                    _write(file, now[path])
    return compared, wrong


@pytest.mark.fault("S27", "S8")
@pytest.mark.usefixtures("needs_userns")
def test_the_bounds_of_every_rule_are_the_kernels_and_ours_are_inside() -> None:
    compared, wrong = inside(compare_bounds)
    assert wrong == []
    assert compared > 60


def compare_bounds() -> tuple[int, list[str]]:
    """Write the least and the greatest value of each row, those of the kernel, and one outside on each side.

    Return how many were written, and those that the kernel takes or refuses against its rule or row."""
    compared, wrong = 0, []
    for key in settable_sysctls():
        path, row = path_of(key), BY_KEY[key]
        file, rule = Path("/proc/sys", path), kernel_rules.rule_of(path)
        ours = key.startswith("net.") and path != PORT_START and os.access(file, os.W_OK)
        if row.kind not in ("number", "numbers") or not ours:
            continue
        if rule is None:
            wrong.append(f"{key}: no rule")
            continue
        before = file.read_text()
        for value, accepted in _around(row, rule):
            text = " ".join([str(value)] * rule.count)
            refused = _write(file, text)
            kept = " ".join(file.read_text().split()) == text
            compared += 1
            if (not refused and kept) != accepted:
                wrong.append(f"{key} = {text}: {refused or 'accepted'}")
        _write(file, before.strip())
    return compared, wrong


def _around(row: Tunable, rule: kernel_rules.Rule) -> Iterator[tuple[int, bool]]:
    """Yield values, and whether the kernel accepts each."""
    yield row.minimum, True
    yield row.maximum, True
    if rule.handler == "seconds":
        # Every kernel takes as much, and none takes so much: how much is between depends on its ticks.
        yield kernel_rules.INT_MAX // 1000, True
        yield kernel_rules.INT_MAX, False
        return
    yield rule.minimum, True
    yield rule.minimum - 1, False
    yield rule.maximum, True
    yield rule.maximum + 1, False


def _begin(port_start: str) -> None:
    for path, value in ((PORT_START, "0"), (PORT_RANGE, "32768 60999"), (PORT_START, port_start)):
        Path("/proc/sys", path).write_text(value + "\n")


def _write(file: Path, text: str) -> str:
    try:
        with open(file, "wb", buffering=0) as opened:
            opened.write(text.encode() + b"\n")
    except OSError as error:
        return "EINVAL" if error.errno == 22 else str(error)
    return ""


def _agrees(outcome: kernel_write.Outcome, errno: str, after: str, before: str | None) -> bool:
    if isinstance(outcome, Refused):
        return errno == outcome.errno and after == (outcome.value if outcome.partly else before)
    return outcome.value is None or (not errno and after == outcome.value)


def test_what_the_kernel_passes_over_is_told() -> None:
    backlog = "net/ipv4/tcp_max_syn_backlog"
    assert write(backlog, b"3000   # more room", {}) == Kept("3000", "# more room")
    assert write("net/core/somaxconn", b"7000; # queue", {}) == Refused("EINVAL", "`7000;` is not a number")
    assert write("net/ipv4/tcp_fin_timeout", b"25 ; x", {}) == Kept("25", "; x")
    assert write(PORT_RANGE, b"2000 64000 # wide", {}) == Kept("2000 64000", "# wide")


def test_a_write_that_depends_on_another_key() -> None:
    refused = write(PORT_RANGE, b"900 64000", {})
    assert isinstance(refused, Refused)
    assert (refused.errno, refused.by) == ("EINVAL", PORT_START)
    assert "1024 at that moment" in refused.reason
    assert write(PORT_RANGE, b"900 64000", {PORT_START: "900"}) == Kept("900 64000")
    assert isinstance(write(PORT_START, b"40000", {}), Refused)
    unknown = write(PORT_RANGE, b"900 64000", {PORT_START: None})
    assert isinstance(unknown, Kept)
    assert unknown.value is None
    assert "ip_unprivileged_port_start" in unknown.reason


def test_a_vector_that_ends_in_a_bad_number_keeps_the_numbers_before_it() -> None:
    refused = write("net/ipv4/tcp_mem", b"100 200 x", {"net/ipv4/tcp_mem": "1 2 3"})
    assert refused == Refused("EINVAL", "`x` is not a number", partly=True, value="100 200 3")
    assert write("net/ipv4/tcp_mem", b"100 200 x", {}) == Refused("EINVAL", "`x` is not a number", partly=True)


def test_what_no_rule_is_known_for_is_not_guessed() -> None:
    assert write("net/ipv4/conf/all/rp_filter", b"2", {}) == Kept("2")
    unknown = write("net/ipv4/conf/all/rp_filter", b"2 # loose", {})
    assert isinstance(unknown, Kept)
    assert unknown.value is None
    gone = write("net/ipv4/tcp_tw_recycle", b"1", {})
    assert isinstance(gone, Refused)
    assert gone.errno == "ENOENT"
