"""`check` in words: what a terminal of 80 columns shows, and what is said once only."""

from __future__ import annotations

import msgspec

from sockmon.check import as_text
from sockmon.model.snapshot import Missing
from sockmon.tuning import listing
from tests.ui import stage

REPORT = stage.assess(stage.busy(70)).report


def test_a_terminal_gets_lines_that_fit_and_the_worst_at_both_ends() -> None:
    lines = as_text(REPORT, colour=False, width=80).splitlines()
    assert max(map(len, lines)) <= 80
    assert "ephemeral ports" in lines[1]
    assert lines[-1].startswith("✖ HIT: ephemeral ports")


def test_a_program_gets_a_line_each() -> None:
    lines = as_text(REPORT, colour=False).splitlines()
    assert sum("EADDRNOTAVAIL" in line for line in lines) == 1
    assert not lines[-1].startswith("✖")


def test_what_fills_up_in_no_time_does_not_say_so() -> None:
    said = as_text(REPORT, colour=False)
    assert "full in 0 s" not in said
    assert "full in 4 min" in said


def test_what_an_unknown_reading_says_is_not_said_again() -> None:
    shown = Missing("maps", REPORT.readings[-1].evidence[0])
    other = Missing("conntrack table", "needs CAP_NET_ADMIN")
    said = as_text(msgspec.structs.replace(REPORT, missing=(shown, other)), colour=False)
    assert said.count(shown.reason) == 1
    assert "? not seen: conntrack table: needs CAP_NET_ADMIN" in said


def test_an_alarm_ends_with_the_command_that_previews_its_remedy() -> None:
    lines = as_text(REPORT, colour=False, width=80).splitlines()
    assert "      try: sockmon tune plan net.ipv4.tcp_tw_reuse=1" in lines
    assert "sockmon tune plan" not in as_text(REPORT, colour=False, plan="")


def test_a_list_of_tunables_at_80_columns_shows_the_advice_whole() -> None:
    long = listing.Row(
        "net.netfilter.nf_conntrack_tcp_timeout_established", "432000", "", "1024 65535", "", "netns", "", "", ""
    )
    line = listing.as_text([long], 80).splitlines()[1]
    assert line.split() == ["net.netfilter.nf_co…_timeout_established", "432000", "1024", "65535"]
