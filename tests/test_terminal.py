"""The real program on a real pseudo-terminal: what reaches it, and how it is left behind."""

from __future__ import annotations

import json
import os
import resource
import signal
import termios
import time
from pathlib import Path

import pytest

from sockmon.sources.wire import encode, hello
from tests.snapshots import process, snapshot
from tests.terminal import agent_of, on_terminal

HOSTILE = [
    "\x1b]52;c;cGFzcw==\x07",
    "\x9b31mred",
    "a\r\nb",
    "\u202egnp.exe",
    "[@click=app.quit]x[/]",
    "[/red]",
    "\x1b[2J",
]


@pytest.fixture
def forged(tmp_path: Path) -> Path:
    """A recording that was not made by us: every name in it is hostile."""
    line = json.loads(encode(snapshot(1.0, *(process(pid=pid) for pid in range(10, 10 + len(HOSTILE))))))
    for row, name in zip(line["processes"]["rows"], HOSTILE, strict=True):
        row["name"] = row["command"] = row["user"] = name
    line["host"]["name"] = line["netns"][0]["name"] = HOSTILE[0]
    line["netns"][0]["listeners"][0]["owner"]["name"] = HOSTILE[1]
    line["missing"] = [{"reader": name, "reason": name} for name in HOSTILE]
    path = tmp_path / "forged.jsonl"
    path.write_bytes(hello() + json.dumps(line).encode() + b"\n")
    return path


@pytest.mark.fault("U1")
def test_nothing_foreign_reaches_the_terminal_raw(forged: Path) -> None:
    with on_terminal("--from", str(forged)) as terminal:
        terminal.until("[/red]")
        for keys in ("b", "\r", "\x1b", "b", "2", "\r", "\x1b", "3", "4", "/red\r", "\x1b", "?"):
            terminal.press(keys)
            terminal.settle()
        terminal.until("HOW TO READ THE SCREEN")
        assert b"\x1b]52" not in terminal.sent
        assert "\x9b".encode() not in terminal.sent
        assert "\u202e".encode() not in terminal.sent
        assert terminal.process.poll() is None


def test_q_ends_it_and_gives_the_terminal_back() -> None:
    with on_terminal() as terminal:
        terminal.until("Limits")
        terminal.press("q")
        assert terminal.end() == 0
        assert termios.tcgetattr(terminal.terminal) == terminal.before


@pytest.mark.fault("V1")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_gives_the_terminal_back(number: signal.Signals) -> None:
    with on_terminal() as terminal:
        terminal.until("Limits")
        terminal.process.send_signal(number)
        assert terminal.end() == 128 + number
        assert termios.tcgetattr(terminal.terminal) == terminal.before
        assert b"\x1b[?1049l" in terminal.sent
        assert os.get_blocking(terminal.terminal)


@pytest.mark.fault("V3")
def test_a_terminal_that_nobody_reads_does_not_keep_it_alive() -> None:
    with on_terminal() as terminal:
        terminal.until("Limits")
        terminal.press("jk" * 500 + "1234" * 200)
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.process.wait(20) == 128 + signal.SIGTERM


@pytest.mark.fault("V2")
def test_a_terminal_that_is_gone_ends_it() -> None:
    with on_terminal() as terminal:
        terminal.until("Limits")
        os.close(terminal.terminal)
        os.close(terminal.controller)
        assert terminal.process.wait(20) != 0


def test_the_screen_keeps_no_privilege_and_the_agent_ends_with_it() -> None:
    with on_terminal() as terminal:
        terminal.until("Limits")
        pid = terminal.process.pid
        status = dict(
            line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line
        )
        # The bounding set can be emptied by those only who have something to bound.
        sets = ["CapEff", "CapPrm", "CapInh", "CapAmb"] + ["CapBnd"] * (os.geteuid() == 0)
        assert {int(status[name], 16) for name in sets} == {0}
        assert status["NoNewPrivs"] == "1"
        opened = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
        assert not [path for path in opened if path.startswith("/proc")]
        agent = agent_of(pid)
        terminal.process.kill()
        end = time.monotonic() + 20
        while Path(f"/proc/{agent}").exists():
            assert time.monotonic() < end
            time.sleep(0.05)


@pytest.mark.fault("V12")
def test_bytes_that_are_no_keys_are_ignored() -> None:
    with on_terminal() as terminal:
        terminal.until("Limits")
        os.write(terminal.controller, b"\xff\xfe\x80\xe9j" * 10)
        terminal.settle()
        terminal.press("?")
        terminal.until("HOW TO READ THE SCREEN")


def test_without_keys_on_stdin_the_terminal_is_the_keyboard() -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    with on_terminal(keyboard=nothing) as terminal:
        terminal.until("Limits")
        terminal.press("q")
        assert terminal.end() == 0
    os.close(nothing)


@pytest.mark.fault("R3", "R4")
def test_it_goes_on_without_a_free_descriptor() -> None:
    with on_terminal() as terminal:
        terminal.until("open files")
        # The answer to a key says that the code of all pages is imported.
        terminal.press("?")
        terminal.until("Esc")
        terminal.press("\x1b")
        terminal.settle()
        pid = terminal.process.pid
        agent = agent_of(pid)
        for each in (pid, agent):
            # The soft limit alone: only it is asked, and root or not may lower it.
            hard = resource.prlimit(each, resource.RLIMIT_NOFILE)[1]
            resource.prlimit(each, resource.RLIMIT_NOFILE, (3, hard))
        terminal.press("b")
        terminal.settle()
        terminal.press("\r")
        terminal.until("Esc")
        terminal.settle()
        terminal.press("\x1b")
        terminal.settle()
        terminal.press("b")
        terminal.settle()
        terminal.press("2")
        terminal.settle()
        terminal.press("\r")
        terminal.until("By kind")
        assert terminal.process.poll() is None
        assert Path(f"/proc/{agent}").exists()
