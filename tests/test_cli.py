"""The command line: what it prints, its exit codes, and its errors for bad input."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sockmon.model.report import Report
from sockmon.sources.wire import encode, hello
from tests.netns import child_environment
from tests.snapshots import group, netns, ports, snapshot

SOCKMON = [sys.executable, "-m", "sockmon"]


def sockmon(*argv: str, **more: object) -> subprocess.CompletedProcess[str]:
    environment = child_environment() | {"TERM": "xterm-256color"} | more.pop("env", {})  # type: ignore[operator]
    return subprocess.run([*SOCKMON, *argv], capture_output=True, text=True, env=environment, timeout=60, **more)  # type: ignore[call-overload, no-any-return]


def test_the_text_of_check_and_its_exit_code_agree() -> None:
    done = sockmon("check")
    assert done.returncode in (0, 1, 2)
    assert "open files" in done.stdout
    assert "\x1b" not in done.stdout


def test_check_json_is_the_contract() -> None:
    done = sockmon("check", "--json")
    report = msgspec.json.decode(done.stdout.encode(), type=Report)
    raw = json.loads(done.stdout)
    fields = ["schema", "host", "kernel", "time", "netns", "verdict", "readings", "missing"]
    assert list(raw) == [*fields, "only", "ignored", "recording", "quiet_netns", "owners_known"]
    assert list(raw["readings"][0])[:11] == [
        "ceiling",
        "subject",
        "scope",
        "used",
        "limit",
        "ratio",
        "rate",
        "eta_seconds",
        "severity",
        "evidence",
        "remedies",
    ]
    assert report.kernel == os.uname().release
    assert done.returncode == {"ok": 0, "warning": 1, "critical": 2, "hit": 2, "unknown": 3}[report.verdict]
    assert all(reading.evidence for reading in report.readings)


def test_watch_gives_rates() -> None:
    report = msgspec.json.decode(sockmon("check", "--json", "--watch", "1").stdout.encode(), type=Report)
    assert any(reading.rate is not None for reading in report.readings)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["chekc"], "No such command 'chekc'"),
        (["check", "--jsn"], "No such option"),
        (["check", "--netns", "nowhere"], "nowhere"),
        (["check", "--netns", "/etc/passwd"], "/etc/passwd"),
        (["check", "--netns", "999999999"], "999999999"),
        (["check", "--watch", "soon"], "soon"),
        (["--interval", "0", "check"], "0"),
        (["record", "/nonexistent/file"], "/nonexistent/file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_named_on_stderr(argv: list[str], words: str) -> None:
    done = sockmon(*argv)
    assert words in done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.returncode


@pytest.mark.fault("V7")
def test_without_a_terminal_the_error_names_check() -> None:
    done = sockmon(stdin=subprocess.DEVNULL)
    assert done.returncode != 0
    assert "sockmon check" in done.stderr


@pytest.mark.fault("V5")
@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_terminal_that_cannot_draw_is_an_error(term: str) -> None:
    controller, terminal = pty.openpty()
    environment = child_environment() | {"TERM": term}
    subprocess.run(SOCKMON, stdin=terminal, stdout=terminal, stderr=terminal, env=environment, timeout=30)
    os.close(terminal)
    assert b"sockmon check" in os.read(controller, 4096)
    os.close(controller)


def test_a_missing_recording_is_an_error() -> None:
    controller, terminal = pty.openpty()
    argv = [*SOCKMON, "--from", "/nonexistent"]
    environment = child_environment() | {"TERM": "xterm"}
    subprocess.run(argv, stdin=terminal, stdout=terminal, stderr=terminal, env=environment, timeout=30)
    os.close(terminal)
    assert b"/nonexistent cannot be read" in os.read(controller, 4096)
    os.close(controller)


def test_record_writes_what_check_could_read_and_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "incident.jsonl"
    done = sockmon("record", str(path), "--for", "1", "--interval", "0.3")
    assert done.returncode == 0
    lines = path.read_bytes().splitlines()
    assert json.loads(lines[0])["type"] == "sockmon"
    assert [json.loads(line)["type"] for line in lines[1:]] == ["snapshot"] * (len(lines) - 1)
    assert len(lines) >= 3
    assert path.stat().st_mode & 0o777 == 0o600
    again = sockmon("record", str(path), "--for", "1")
    assert "already exists" in again.stderr
    assert path.read_bytes().splitlines() == lines


def test_the_agent_streams_until_its_reader_leaves() -> None:
    agent = subprocess.Popen(
        [*SOCKMON, "agent", "--interval", "0.2"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=child_environment(),
    )
    assert agent.stdout
    types = [json.loads(agent.stdout.readline())["type"] for _ in range(3)]
    assert types == ["sockmon", "snapshot", "snapshot"]
    agent.stdout.close()
    assert agent.wait(20) == 0


def test_an_attached_agent_answers_and_ends_with_its_stdin() -> None:
    agent = subprocess.Popen(
        [*SOCKMON, "agent", "--attached"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=child_environment()
    )
    assert agent.stdin
    assert agent.stdout
    started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    agent.stdin.write(b'nonsense\n{"focus":"process","pid":%d,"start":%s}\n' % (os.getpid(), started.encode()))
    agent.stdin.flush()
    answer = next(found for line in agent.stdout if (found := json.loads(line))["type"] == "process-detail")
    assert answer["process"]["pid"] == os.getpid()
    agent.stdin.close()
    agent.stdout.read()
    assert agent.wait(20) == 0
    agent.stdout.close()


def test_ctrl_c_ends_a_recording_whole(tmp_path: Path) -> None:
    path = tmp_path / "incident.jsonl"
    # What runs in the background has SIGINT ignored, and hands that on.
    code = "import signal; signal.signal(2, signal.default_int_handler); from sockmon.cli.main import main; main()"
    argv = [sys.executable, "-c", code, "record", str(path)]
    recorder = subprocess.Popen(argv, stderr=subprocess.DEVNULL, env=child_environment())
    try:
        while not path.exists() or path.read_bytes().count(b"\n") < 3:
            time.sleep(0.05)
            assert recorder.poll() is None
        recorder.send_signal(signal.SIGINT)
        assert recorder.wait(20) == 0
        assert path.read_bytes().endswith(b"\n")
    finally:
        recorder.kill()
        recorder.wait()


SCREEN_ONLY = ("textual", "rich", "psutil", "pyroute2")
PRIVILEGED_ONLY = ("sockmon.agent", "sockmon.tuning.helper.server", "sockmon.tuning.transaction.guard")


@pytest.mark.parametrize(
    ("modules", "others"),
    [
        ("sockmon.cli.check", SCREEN_ONLY),
        ("sockmon.agent.server", SCREEN_ONLY),
        ("sockmon.cli.record", SCREEN_ONLY),
        ("sockmon.cli.main", SCREEN_ONLY),
        ("sockmon.cli.screen, sockmon.cli.agent, sockmon.tuning.helper.client, sockmon.ui.run", PRIVILEGED_ONLY),
        ("sockmon.ui.fleet.run, sockmon.fleet.streams", ("sockmon.ui.app", "sockmon.guides", "sockmon.tunables")),
    ],
)
def test_no_process_imports_what_only_another_one_needs(modules: str, others: tuple[str, ...]) -> None:
    code = f"import sys, {modules}; print([name for name in {others} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=child_environment())
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_lead_nowhere(closed: str) -> None:
    program = f"exec {sys.executable} -m sockmon explain EMFILE {closed}"
    done = subprocess.run(
        ["sh", "-c", program], capture_output=True, text=True, env=child_environment(), check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.fault("U1")
@pytest.mark.parametrize("argv", [["record", "/nonexistent/\x1b[31m"], ["check", "\x1b[31m"], ["\x1b[31m"]])
def test_an_error_is_quoted_without_what_a_terminal_obeys(argv: list[str]) -> None:
    done = sockmon(*argv)
    assert done.returncode
    assert done.stderr
    assert "\x1b" not in done.stderr


def _swap(name: str, key: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda line: line["netns"][0][name].update({key: value})


def _all_ports_gone(line: dict[str, Any]) -> None:
    line["netns"][0]["ports"]["usable"] = 0


@pytest.mark.fault("U5")
@pytest.mark.parametrize(
    ("forge", "codes"),
    [
        (_swap("sysctls", "net.core.somaxconn", "many"), (0, 1, 2)),
        (lambda line: line["netns"][0]["ports"]["groups"][0].update(destination="nowhere"), (0, 1, 2)),
        (_all_ports_gone, (0, 1, 2, 3)),
    ],
    ids=["words", "no-address", "no-ports"],
)
def test_a_forged_recording_is_assessed_or_refused_with_a_message(
    tmp_path: Path, forge: Callable[[dict[str, Any]], None], codes: tuple[int, ...]
) -> None:
    line = json.loads(encode(snapshot(1.0, netns=(netns(ports=ports(group(28_000, 100))),))))
    line["netns"][0]["sysctls"]["net.ipv4.tcp_tw_reuse"] = "2"
    forge(line)
    path = tmp_path / "forged.jsonl"
    path.write_bytes(hello() + json.dumps(line).encode() + b"\n")
    done = sockmon("check", "--from", str(path))
    assert done.returncode in codes, done.stderr
    if done.returncode == 3:
        assert "cannot be judged" in done.stderr


def test_a_caller_that_ignores_the_end_of_children_does_not_hide_that_of_ours() -> None:
    code = (
        "import contextlib, signal, sys; from sockmon.cli.main import main\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "sys.argv = ['sockmon', '--version']\n"
        "with contextlib.suppress(SystemExit): main()\n"
        "print(signal.getsignal(signal.SIGCHLD).name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "SIG_DFL"
