"""`sockmon guide`: the list, a walk as JSON and as text, on a terminal, on a recording; and misuse."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from sockmon.guides import GUIDES
from sockmon.guides.report import GuideList, WalkReport
from tests.netns import ROOT, child_environment
from tests.terminal import Terminal, on_terminal
from tests.test_docs_commands import false_ssh

SOCKMON = [sys.executable, "-m", "sockmon", "guide"]
RECORDINGS = ROOT / "sockmon/labs/recordings"


def guide(*argv: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*SOCKMON, *argv],
        env=child_environment(), capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def type_word(terminal: Terminal, word: str) -> None:
    """Type as a person does: after a pause, and each letter after the echo of the last."""
    terminal.settle()
    for end in range(1, len(word) + 1):
        terminal.press(word[end - 1])
        terminal.until(f"to cancel): {word[:end]}")
        terminal.settle_until_quiet(0.1)


def test_the_list_has_every_guide() -> None:
    found = msgspec.json.decode(guide("--json").stdout, type=GuideList)
    assert {row.name for row in found.guides} == {row.name for row in GUIDES}
    listed = guide().stdout
    assert all(row.name in listed for row in GUIDES)


def test_those_that_fit_a_report_come_first_with_the_reason() -> None:
    recording = str(RECORDINGS / "four-plateaus.jsonl")
    found = msgspec.json.decode(guide("--json", "--from", recording).stdout, type=GuideList)
    assert found.guides[0].fits
    assert [bool(row.fits) for row in found.guides] == sorted(
        (bool(row.fits) for row in found.guides), reverse=True
    )


def test_a_recording_is_walked_up_to_the_change(tmp_path: Path) -> None:
    note = tmp_path / "note.md"
    recording = str(RECORDINGS / "four-plateaus.jsonl")
    done = guide("cannot-assign-address", "--from", recording, "--json", "--report", str(note))
    walk = msgspec.json.decode(done.stdout, type=WalkReport)
    assert (walk.outcome, walk.source) == ("run-commands", "recording")
    assert "sudo sockmon tune apply" in walk.steps[5].advice[-1]
    assert all(step.advice for step in walk.steps if step.passed and step.kind == "act")
    assert note.read_text().startswith("# Cannot assign requested address")
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    guide("cannot-assign-address", "--from", recording, "--report", str(note), code=1)


def test_a_source_that_cannot_be_read_leaves_no_empty_note(tmp_path: Path) -> None:
    note = tmp_path / "note.md"
    guide("cannot-assign-address", "--from", str(tmp_path / "none.jsonl"), "--report", str(note), code=1)
    assert not note.exists()


def test_the_text_has_the_steps_and_the_result() -> None:
    text = guide("stuck-at-n", "600", "--from", str(RECORDINGS / "four-plateaus.jsonl")).stdout
    assert text.startswith("Stuck at N\n")
    assert "1. Limits at this number" in text
    assert "Hypothesis: A limit of this host is at this number." in text
    assert "Result: Not changed from here" in text


def test_a_command_is_on_a_line_of_its_own() -> None:
    text = guide("cannot-assign-address", "--from", str(RECORDINGS / "four-plateaus.jsonl")).stdout
    (command,) = [line for line in text.splitlines() if "tune apply" in line]
    assert command.strip().startswith("sudo sockmon tune apply")


def test_examples_are_printed_with_their_steps() -> None:
    text = guide("close-wait", "--examples").stdout
    assert text.startswith("Close what the peers have closed\n")
    assert "docs/examples/close_after_peer.py" in text
    guide("--examples", code=64)


def test_the_schema_of_a_walk_is_documented() -> None:
    schema = json.loads((ROOT / "docs/guide.schema.json").read_text())
    assert schema["$ref"] == "#/$defs/WalkReport"


def test_another_host_is_walked_over_ssh(tmp_path: Path) -> None:
    variables = {"PATH": f"{false_ssh(tmp_path)}:{os.environ['PATH']}"}
    done = subprocess.run(
        [*SOCKMON, "cannot-assign-address", "--from", "ssh://web-1", "--json"],
        env=child_environment() | variables, capture_output=True, timeout=240, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    walk = msgspec.json.decode(done.stdout, type=WalkReport)
    assert walk.source == "remote"
    assert b"waiting for the first sample of ssh web-1" in done.stderr
    assert walk.cannot_change
    assert walk.outcome


@pytest.mark.parametrize(
    "argv",
    [
        ["stuck-at"],
        ["cannot-assign-address", "200"],
        ["stuck-at-n", "many"],
        ["--lab"],
        ["--yes"],
        ["stuck-at-n", "--lab", "--from", "x"],
        ["stuck-at-n", "--lab", "--netns", "1"],
    ],
)
def test_misuse(argv: list[str]) -> None:
    guide(*argv, code=64)


@pytest.mark.usefixtures("needs_userns")
def test_a_person_walks_to_verified_and_keeps_the_change(tmp_path: Path) -> None:
    note = tmp_path / "note.md"
    with on_terminal(
        "guide", "cannot-assign-address", "--lab", "--report", str(note), size=(24, 80), variables={"TERM": "dumb"}
    ) as terminal:
        for title in ("Ports to one destination", "TIME_WAIT", "The remedy", "Widen the range of local ports"):
            terminal.until(f"Enter go on to: {title}", 120)
            terminal.press("\n")
        terminal.until("Enter preview the change")
        terminal.press("\n")
        terminal.until("to cancel")
        terminal.forget()
        terminal.press("\n")
        terminal.until("to cancel")
        type_word(terminal, "apply")
        terminal.until("Enter go on to: Verified", 120)
        terminal.press("\n")
        terminal.until("The change is pending")
        terminal.press("k\n")
        assert terminal.end() == 0, terminal.screen()
    assert "40000 40199 → 1024 65535: kept" in note.read_text()
    assert "Result: Verified" in note.read_text()


@pytest.mark.usefixtures("needs_userns")
def test_a_person_takes_another_way_goes_back_and_quits() -> None:
    with on_terminal("guide", "cannot-assign-address", "--lab", size=(24, 80)) as terminal:
        terminal.until("Enter go on to: Ports to one destination", 120)
        terminal.press("a\n")
        terminal.until("2. Let connect() choose the port")
        terminal.forget()
        terminal.press("p\n")
        terminal.until("Enter go on to: Ports to one destination")
        terminal.press("z\n")
        terminal.until("does nothing here")
        terminal.press("q\n")
        assert terminal.end() == 0, terminal.screen()


@pytest.mark.usefixtures("needs_userns")
def test_what_a_lab_cannot_change_is_said_before_the_walk() -> None:
    if not shutil.which("nft"):
        pytest.skip("nft is not installed")
    done = guide("conntrack-full", "--lab")
    assert "nf_conntrack_max is a setting of the whole host" in done.stderr
    assert "Result: Not changed from here" in done.stdout
