"""`check` as text: what a terminal of 80 columns shows, and that each fact is printed once."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from sockmon.assess import Assessor
from sockmon.ceilings import TITLES
from sockmon.cli.check import as_text
from sockmon.cli.oneline import as_oneline
from sockmon.model.report import Reading, ReadingNetns
from sockmon.model.snapshot import Missing
from sockmon.observe import MOVEMENT, without_movement
from sockmon.tuning.planning import catalog
from tests.netns import child_environment
from tests.snapshots import snapshot
from tests.terminal import on_terminal
from tests.ui import fake_app

REPORT = fake_app.assess(fake_app.busy(70)).report


def test_a_terminal_gets_lines_that_fit_and_the_worst_at_both_ends() -> None:
    lines = as_text(REPORT, colour=False, width=80).splitlines()
    assert max(map(len, lines)) <= 80
    assert "ephemeral ports" in lines[1]
    assert lines[-1].startswith("✖ HIT: ephemeral ports")


def test_of_several_namespaces_the_last_line_names_the_one_of_the_worst() -> None:
    first, second = (ReadingNetns(inode, name, "container", "") for inode, name in ((1, "web"), (2, "db")))
    rows = [msgspec.structs.replace(row, netns=second) for row in REPORT.readings]
    rows[0] = msgspec.structs.replace(rows[0], netns=first)
    found = msgspec.structs.replace(REPORT, readings=tuple(rows))
    last = " ".join(as_text(found, colour=False, width=80).rpartition("HIT: ")[2].split())
    assert last.startswith(f"{TITLES[rows[0].ceiling]} web: {rows[0].subject}")


@pytest.mark.parametrize(("quiet", "where"), [(0, ""), (1, " and 1 other"), (34, " and 34 others")])
def test_the_first_line_says_how_many_namespaces_were_judged(quiet: int, where: str) -> None:
    found = msgspec.structs.replace(REPORT, quiet_netns=quiet)
    assert f"· netns {REPORT.netns}{where} ·" in as_text(found, colour=False).splitlines()[0]


def test_a_program_gets_a_line_each() -> None:
    lines = as_text(REPORT, colour=False).splitlines()
    assert sum("EADDRNOTAVAIL" in line for line in lines) == 1
    assert not lines[-1].startswith("✖")


def test_a_time_left_below_a_second_is_not_printed() -> None:
    said = as_text(REPORT, colour=False)
    assert "full in 0 s" not in said
    assert "full in 4 min" in said


def test_the_reason_of_an_unknown_reading_is_printed_once() -> None:
    shown = Missing("maps", "only root can count them")
    other = Missing("conntrack table", shown.reason)
    *known, last = REPORT.readings
    unknown = msgspec.structs.replace(last, evidence=("memory maps: reworded",), missing=(shown,))
    report = msgspec.structs.replace(REPORT, readings=(*known, unknown), missing=(shown, other))
    said = as_text(report, colour=False)
    assert "not read: maps" not in said
    assert f"? not read: conntrack table: {shown.reason}" in said


def test_an_unknown_reading_names_in_a_field_what_is_missing() -> None:
    shown, other = Missing("processes", "/proc is not mounted"), Missing("softnet", "is not there")
    bare = msgspec.structs.replace(snapshot(0.0, missing=(shown, other)), processes=None)
    found = {row.ceiling: row for row in Assessor().add(bare).report.readings}
    assert found["user-processes"].missing == found["process-fds"].missing == (shown,)
    assert found["system-fds"].missing == ()


def test_an_alarm_ends_with_the_command_that_previews_its_remedy() -> None:
    lines = as_text(REPORT, colour=False, width=80).splitlines()
    assert "      try: sockmon tune plan net.ipv4.tcp_tw_reuse=1" in lines
    assert "sockmon tune plan" not in as_text(REPORT, colour=False, plan="")


def test_a_list_of_tunables_at_80_columns_shows_the_advice_whole() -> None:
    long = catalog.CatalogRow(
        "net.netfilter.nf_conntrack_tcp_timeout_established", "432000", "", "1024 65535", "", "netns", "", "", ""
    )
    line = catalog.as_text([long], 80).splitlines()[1]
    assert line.split() == ["net.netfilter.nf_co…_timeout_established", "432000", "1024", "65535"]


def test_one_sample_names_the_limits_that_need_movement() -> None:
    calm = fake_app.assess(fake_app.busy(70)).report
    found = without_movement(calm, 0.0)
    assert (found.verdict, found.readings, found.missing[:-1]) == (calm.verdict, calm.readings, calm.missing)
    assert found.missing[-1].reader == MOVEMENT
    last = as_text(found, colour=False).splitlines()[-1]
    assert last.startswith("? sampled once; ")
    assert "--watch 8" in last
    named = last.rpartition(": ")[2].split(", ")
    ok = {TITLES[row.ceiling] for row in calm.readings if row.severity == "ok"}
    assert set(named) <= ok
    assert "TIME_WAIT buckets" in named


@pytest.mark.usefixtures("needs_userns")
@pytest.mark.parametrize(("lab", "title"), [("slow-connects", "ephemeral ports")])
def test_a_lab_that_needs_several_samples_is_ok_and_that_is_reported(lab: str, title: str) -> None:
    found = checked(lab)
    assert found["verdict"] == "ok"
    assert title in next(each["reason"] for each in found["missing"] if each["reader"] == MOVEMENT)
    watched = checked(lab, "--watch", "4")
    assert watched["verdict"] == "warning"
    assert all(each["reader"] != MOVEMENT for each in watched["missing"])


def checked(lab: str, *argv: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "sockmon", "lab", "run", lab, "--", "check", "--json", *argv]
    done = subprocess.run(command, capture_output=True, text=True, env=child_environment(), timeout=300)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def unknown(ceiling: str, subject: str, reason: str) -> Reading:
    return Reading(ceiling, subject, "host", None, None, None, None, None, "unknown", (reason,), ())


def test_a_terminal_gets_reasons_together_and_a_program_each_of_them() -> None:
    ceilings = ("inotify-instances", "inotify-watches", "epoll-watches")
    rows = [unknown(ceiling, "web-1", "descriptors of 47 processes cannot be read") for ceiling in ceilings]
    other = unknown("tcp-memory", "web-1", "needs the initial namespace")
    same = (
        Missing("maps", "need root"),
        Missing("owners", "need root"),
        Missing("x", "a long one", short="a short"),
    )
    report = msgspec.structs.replace(REPORT, readings=(*REPORT.readings[:1], *rows, other), missing=same)
    wide, narrow = as_text(report, colour=False), as_text(report, colour=False, width=80)
    assert [wide.count(text) for text in ("47 processes", "need root", "a long one", "a short")] == [3, 2, 1, 0]
    assert [narrow.count(text) for text in ("47 processes", "need root", "a long one", "a short")] == [1, 1, 0, 1]
    assert all(TITLES[ceiling] in narrow for ceiling in ceilings)
    assert max(map(len, narrow.splitlines())) <= 80


def test_a_reading_without_a_limit_has_its_reason_and_no_question_marks() -> None:
    idle = Reading("accept-queue", "host", "netns", 0, None, None, None, None, "ok", ("no socket listens",), ())
    report = msgspec.structs.replace(REPORT, readings=(idle,))
    assert not idle.counted
    assert "?" not in as_text(report, colour=False)
    assert "no socket listens" in as_text(report, colour=False)


def test_a_recording_is_called_one_with_its_time() -> None:
    report = msgspec.structs.replace(REPORT, recording="incident.jsonl")
    for width in (None, 80):
        assert "recorded 2025-06-15 15:06:40 UTC" in as_text(report, colour=False, width=width).splitlines()[0]
    assert "recorded 2025-06-15 15:06:40 UTC" in as_oneline(report)
    assert "recorded" not in as_text(REPORT, colour=False)


def test_a_list_of_tunables_for_a_file_is_not_cut() -> None:
    long = catalog.CatalogRow(
        "net.ipv4.tcp_mem", "10287901 10383868 10575802", "", "1 2 3", "", "netns", "", "", "", boot="9" * 30
    )
    line = catalog.as_text([long], None).splitlines()[1]
    assert "10287901 10383868 10575802" in line
    assert "9" * 30 in line


def test_on_a_terminal_a_line_shows_that_it_goes_on_and_then_goes() -> None:
    with on_terminal("check", "--here", "--watch", "2.5") as terminal:
        assert terminal.end() in (0, 1, 2)
        assert b"sampling: 1 s" in terminal.sent
        assert "sampling" not in terminal.screen()
