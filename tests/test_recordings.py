"""`check --from` and the screen with damaged recordings: readable lines are used, damaged ones are reported."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from sockmon.sources.wire import encode, hello
from tests.netns import child_environment
from tests.snapshots import process, snapshot
from tests.terminal import on_terminal

FULL = encode(snapshot(1.0, process(fds=1024, soft=1024)))
CALM = encode(snapshot(2.0, process()))


def check(path: Path | str, *argv: str, data: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "sockmon", "check", "--from", str(path), *argv]
    return subprocess.run(command, input=data, capture_output=True, env=child_environment(), timeout=60)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (hello() + CALM + FULL + FULL[:-50], "line 4 is incomplete: still being written, or cut off"),
        (hello() + CALM + b"damaged\n" * 3 + FULL, "3 of 6 lines are damaged: first at line 3: "),
        (hello() + FULL[:-50] + b"\n" + FULL, "1 of 3 lines is damaged: line 2: "),
        (FULL, "line 1: no header line before it"),
    ],
    ids=["cut", "garbage", "torn", "no-header"],
)
def test_check_judges_what_is_readable_and_reports_the_damage(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "incident.jsonl"
    path.write_bytes(content)
    done = check(path, "--json")
    assert done.returncode == 2, done.stderr
    report = json.loads(done.stdout)
    assert report["verdict"] in ("critical", "hit")
    assert [item["reader"] for item in report["missing"]].count("recording") == 1
    assert words in report["missing"][-1]["reason"]
    assert words in done.stderr.decode()
    done = check(path)
    assert done.returncode == 2
    assert words in " ".join(done.stdout.decode().split())
    assert check("-", data=content).returncode == 2


def test_check_reports_that_a_recording_has_several_hosts(tmp_path: Path) -> None:
    other = msgspec.structs.replace(snapshot(5.0), host=msgspec.structs.replace(snapshot().host, name="web-2"))
    path = tmp_path / "both.jsonl"
    path.write_bytes(hello() + FULL + hello() + encode(other))
    done = check(path, "--json")
    report = json.loads(done.stdout)
    assert report["host"] == "web-2"
    assert "2 hosts (web-1, web-2)" in report["missing"][-1]["reason"]


@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero", "/tmp", sys.executable, "/nonexistent"])
def test_check_refuses_what_is_not_a_recording(path: str) -> None:
    done = check(path)
    assert done.returncode == 3
    assert path in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert not done.stdout


@pytest.mark.fault("U5")
def test_a_line_of_60_megabytes_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.jsonl"
    with path.open("wb") as file:
        file.write(hello() + FULL)
        file.write(b'{"type":"snapshot","x":"\\u0001","y":[')
        for _ in range(60):
            file.write(b"[],[],[],".ljust(1 << 20, b"[],"[:1]))
        file.write(b"]}\n" + FULL)
    code = (
        "import pathlib, sys; from sockmon.observe import report_of_recording;"
        "report = report_of_recording(sys.argv[1]);"
        # Not ru_maxrss: execve() keeps the peak of the parent, and a worker of pytest grows past any limit.
        "status = pathlib.Path('/proc/self/status').read_text();"
        "print(report.verdict, status.partition('VmHWM:')[2].split()[0], report.missing[-1].reason)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        env=child_environment(),
        check=True,
    )
    verdict, kilobytes, *reason = done.stdout.split()
    assert verdict in ("critical", "hit")
    assert int(kilobytes) < 256 << 10
    assert " ".join(reason) == "1 of 4 lines is damaged: line 3: longer than 32 MiB"


@pytest.mark.fault("V7")
def test_without_a_terminal_for_keys_it_reports_that_and_leaves_nothing() -> None:
    """stdin is a stream, and the session has no terminal: no key could ever come."""
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "sockmon"],
        stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal, start_new_session=True,
        env=child_environment() | {"TERM": "xterm"},
    ) as screen:  # fmt: skip
        assert screen.wait(60) == 1
    assert b"no terminal to read keys from" in os.read(controller, 4096)
    os.close(controller)
    os.close(terminal)
    session = [path for path in Path("/proc").glob("[0-9]*/stat") if _session(path) == screen.pid]
    end = time.monotonic() + 20
    while [path for path in session if _session(path) == screen.pid]:
        assert time.monotonic() < end
        time.sleep(0.05)


def _session(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[3])
    except OSError:
        return 0


def test_the_screen_reports_the_damage_and_continues(tmp_path: Path) -> None:
    path = tmp_path / "incident.jsonl"
    later = encode(snapshot(3.0, process(fds=777, soft=1024)))
    path.write_bytes(hello() + CALM + b"damaged\n" + later + FULL[:-50])
    with on_terminal("--from", str(path)) as terminal:
        shown = terminal.until("line 5 is incomplete")
        assert "incident.jsonl: 1 of 5 lines is damaged: line 3: " in shown
        terminal.until("777")
        terminal.press("q")
        assert terminal.end() == 0


def test_the_screen_waits_for_the_writer_of_a_pipe_and_can_be_left(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    subprocess.run(["mkfifo", str(pipe)], check=True)
    with on_terminal("--from", str(pipe)) as terminal:
        terminal.until("Limits")
        terminal.press("q")
        assert terminal.end() == 0
