"""Hostile text in every field of a sample at once: no front end passes a byte of it to the terminal."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from sockmon.cli.check import as_json, as_text
from sockmon.cli.text_page import render_page
from sockmon.document import Section
from sockmon.observe import report_of_recording
from sockmon.sources.wire import encode, hello
from tests.snapshots import cgroups, group, listener, netns, ports, process, snapshot
from tests.terminal import on_terminal

PAYLOADS = (
    "\x1b[2J\x1b[31mred",
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]52;c;cGFzcw==\x07",
    "\x9b31mred\x9d0;x\x9c",
    "zero\0byte",
    "bell\x07\x08\x08\x08",
    "a\r\nsockmon: forged\tline",
    "\u202egnp.exe\u2066",
    "zero\u200dwidth\u200b\ufeff",
    "世界" * 40,
    "[red]x[/red]",
    "[/",
    "[$error]x[0]",
    "[a=1,b=]",
    "[@click=app.quit]x[/]",
    "[link=http://evil]x[/link] =cmd()|<script>",
)
FORBIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
SENT_BY_NONE = [
    b"\x1b]0;title", b"\x1b]8;", b"\x1b]52", "\x9b".encode(), "\x9d".encode(), b"\0", b"bell\x07", b"\x08",
    "\u202e".encode(), "\u2066".encode(), "\u200d".encode(), "\u200b".encode(), "\ufeff".encode(),
]  # fmt: skip
"""What must not be among the bytes that a terminal gets; the screen itself needs none of them."""


def hostile_line(turn: int) -> bytes:
    """A sample as a line of a recording, with a payload in each text of it: another one for each `turn`."""
    rows = [process(pid=pid, fds=1000) for pid in range(10, 30)]
    hostile = netns(
        listeners=(listener(128), listener(protocol="unix", address="/run/x", port=0, inode=72)),
        ports=ports(group(28000), group(20, destination="10.0.0.8")),
    )
    made: dict[str, Any] = json.loads(encode(snapshot(1.0 + turn, *rows, netns=(hostile,), cgroups=cgroups(1.0))))
    made["missing"] = [{"reader": f"reader {n}", "reason": "reason"} for n in range(len(PAYLOADS))]
    count = turn

    def made_hostile(value: Any, key: str = "") -> Any:
        nonlocal count
        if isinstance(value, dict):
            return {name: made_hostile(each, name) for name, each in value.items()}
        if isinstance(value, list):
            return [made_hostile(each) for each in value]
        # Sysctls are numbers for those who read them, addresses are parsed.
        if isinstance(value, str) and key not in KEPT and "." not in key:
            count += 1
            return PAYLOADS[count % len(PAYLOADS)]
        return value

    return json.dumps(made_hostile(made)).encode() + b"\n"


KEPT = ("type", "protocol", "source", "boot_id", "table")


@pytest.fixture
def forged(tmp_path: Path) -> Path:
    """A recording in which each text is each payload once."""
    path = tmp_path / "forged.jsonl"
    path.write_bytes(hello() + b"".join(map(hostile_line, range(len(PAYLOADS)))))
    return path


@pytest.mark.fault("U1", "U3")
@pytest.mark.parametrize("turn", range(len(PAYLOADS)))
def test_check_prints_no_byte_that_acts(tmp_path: Path, turn: int) -> None:
    path = tmp_path / "forged.jsonl"
    path.write_bytes(hello() + hostile_line(turn))
    report = report_of_recording(str(path))
    text, data = as_text(report, False, 80, ""), as_json(report)
    for said in (text, data):
        assert {unicodedata.category(each) for each in said if each != "\n"} & FORBIDDEN == set()
    # One line is one entry: none was forged.
    assert not re.search(r"^sockmon: forged", text, re.MULTILINE)
    assert len(json.loads(data)["readings"]) > 10
    assert any(each["subject"] in text for each in json.loads(data)["readings"])


@pytest.mark.fault("U1")
def test_the_screen_sends_no_byte_that_acts_and_runs_no_action(forged: Path) -> None:
    with on_terminal("--from", str(forged)) as terminal:
        terminal.until("Limits")
        for keys in ("b\r", "\x1b", "2\r", "\x1b", "4[["):
            terminal.press(keys)
            terminal.settle()
        # Clicks where names stand.
        for row in range(3, 40, 6):
            terminal.press(f"\x1b[<0;40;{row}M\x1b[<0;40;{row}m")
        terminal.settle()
        assert [each for each in SENT_BY_NONE if each in terminal.sent] == []
        # No click was an action of a name.
        assert terminal.process.poll() is None


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_page_about_a_key_with_a_hostile_name_is_plain(payload: str) -> None:
    key = f"pids.max@/{payload}"
    text = render_page(key, "", [Section("To last", (f"systemctl set-property {payload}",))], 80, colour=False)
    assert not {character for character in text if unicodedata.category(character) in FORBIDDEN} - {"\n"}
