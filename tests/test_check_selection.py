"""`check --only`, `--ignore` and `--oneline`: what is left out is said, and the line is safe for a monitoring
system."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from sockmon.assess import Assessor
from sockmon.assess.readings import worst as worst_of
from sockmon.assess.selection import NOT_CHOSEN, Selection, parse_selection
from sockmon.ceilings import BY_ID, CEILINGS
from sockmon.cli.check import EXIT_CODES, as_text
from sockmon.cli.oneline import STATUS, as_oneline, failed
from sockmon.errors import Misuse
from sockmon.model.snapshot import Missing
from sockmon.observe import SETTINGS
from tests.netns import child_environment
from tests.snapshots import process, snapshot
from tests.ui import fake_app

REPORT = fake_app.assess(fake_app.busy(70)).report
RECORDING = str(Path(__file__).parent / "older_files" / "recording.jsonl")
PERFORMANCE = re.compile(r"[a-z-]+=(U|[0-9.]+%;[0-9.]*;[0-9.]*;0)")
"""`label=value[UOM];[warn];[crit];[min]`, as the Monitoring Plugins guidelines have it."""


def test_only_the_chosen_limits_count_and_the_others_are_called_not_judged() -> None:
    found = parse_selection(["conntrack-table, process-fds"], ()).apply(REPORT)
    assert {row.ceiling for row in found.readings} <= {"conntrack-table", "process-fds"}
    assert found.only == ("conntrack-table", "process-fds")
    assert [each.unjudged for each in found.missing if each.reader == NOT_CHOSEN] == [
        f"{len(CEILINGS) - 2} other limits"
    ]


def test_an_ignored_alarm_leaves_the_verdict_and_is_said_with_its_severity() -> None:
    worst = REPORT.readings[0]
    assert worst.severity == "hit"
    rule = f"{worst.ceiling}:{worst.subject}"
    found = parse_selection((), [rule]).apply(REPORT)
    assert found.ignored == (worst,)
    assert worst not in found.readings
    for text in (as_text(found, colour=False), as_oneline(found)):
        assert "1 ignored: " in text.splitlines()[0]
        assert "(HIT)" in text.splitlines()[0]
    assert found.verdict == worst_of(found.readings)


def test_with_everything_ignored_nothing_is_judged() -> None:
    found = parse_selection((), list(BY_ID)).apply(REPORT)
    assert (found.verdict, found.readings) == ("unknown", ())
    assert len(found.ignored) == len(REPORT.readings)
    assert as_oneline(found).startswith("SOCKMON UNKNOWN - ")


def test_a_pattern_that_matches_nothing_is_named() -> None:
    chosen = parse_selection((), ["process-fds:no-such-*", "conntrack-table"])
    assert [str(each) for each in chosen.unused(chosen.apply(REPORT))] == ["process-fds:no-such-*"]


def test_what_only_the_other_limits_miss_is_left_out() -> None:
    shown = Missing("maps", "only root can count them")
    *known, last = REPORT.readings
    other = msgspec.structs.replace(last, ceiling="memory-maps", severity="unknown", missing=(shown,))
    report = msgspec.structs.replace(REPORT, readings=(*known, other), missing=(shown,))
    chosen = Selection(("process-fds",)).apply(report)
    assert shown not in chosen.missing
    assert shown in Selection(("memory-maps",)).apply(report).missing


@pytest.mark.parametrize("only", ["acept-queue", "accept-queue:x"])
def test_what_cannot_be_chosen_is_refused(only: str) -> None:
    with pytest.raises(Misuse):
        parse_selection([only], ())


def test_the_line_has_a_status_and_performance_data_of_each_limit() -> None:
    report = Assessor().add(snapshot(0.0, *(process(pid=pid, fds=1024) for pid in range(1, 6)))).report
    line = as_oneline(report)
    assert "\n" not in line
    status, _, data = line.partition(" | ")
    assert status.startswith(f"SOCKMON {STATUS[report.verdict]} - HIT open files ")
    assert "; 2 more alarms" in status
    values = data.split(" ")
    assert all(map(PERFORMANCE.fullmatch, values)), data
    assert len({value.partition("=")[0] for value in values}) == len(values)
    assert "process-fds=100%;80;95;0" in values


@pytest.mark.parametrize(
    "subject", ["x|y=1;2", "a'b\"c`d$(e)", "n\nm\x1b[31m", "ö→\u202e", "&<script>~", "=" * 500]
)
def test_a_hostile_name_neither_ends_the_text_nor_reaches_a_shell(subject: str) -> None:
    first, *rest = REPORT.readings
    report = msgspec.structs.replace(REPORT, readings=(msgspec.structs.replace(first, subject=subject), *rest))
    line = as_oneline(report)
    assert line.count("|") == 1
    assert line.isascii()
    assert line.isprintable()
    assert not set("`~$&'\"<>\\") & set(line)
    assert line.partition(" | ")[2] == as_oneline(REPORT).partition(" | ")[2]
    assert "|" not in failed(subject)


def check(*argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sockmon", "check", *argv]
    return subprocess.run(
        command, capture_output=True, text=True, env=child_environment(), timeout=120, check=False
    )


def test_the_verb_takes_them_together() -> None:
    done = check("--from", RECORDING, "--json", "--only", "process-fds,accept-queue", "--ignore", "accept-queue:*")
    found = json.loads(done.stdout)
    assert (done.returncode, found["verdict"], found["only"]) == (0, "ok", ["process-fds", "accept-queue"])
    assert {row["ceiling"] for row in found["readings"]} == {"process-fds"}
    assert {row["ceiling"] for row in found["ignored"]} == {"accept-queue"}


def test_a_monitoring_system_gets_a_line_also_if_nothing_can_be_read() -> None:
    done = check("--oneline", "--from", "/no/such/file")
    assert done.returncode == EXIT_CODES["unknown"]
    assert done.stdout.startswith("SOCKMON UNKNOWN - ")
    assert check("--oneline", "--json").returncode == 64
    assert check("--from", RECORDING, "--oneline").stdout.startswith("SOCKMON OK - ")


def test_the_line_counts_the_faults_of_the_config_file() -> None:
    refused = (Missing(SETTINGS, "levels: x"), Missing(SETTINGS, "levels: y"))
    assert f"2 faults in {SETTINGS}" in as_oneline(msgspec.structs.replace(REPORT, missing=refused))
