"""Leaving the screen while something does not answer, and being stopped and continued (V2, V3, V9)."""

from __future__ import annotations

import os
import signal
import stat
import sys
import termios
import time
from pathlib import Path

import pytest

from tests.terminal import Terminal, on_terminal
from tests.test_terminal_restored import children, ended, is_restored, name_of, wait_for

WHO = ("sockmon", "sockmon-launch", "sockmon-helper", "sockmon-tty")
FAKE_SSH = """#!{python}
import os, sys
sys.argv[:] = ["sockmon", "agent", "--attached", "--interval", "1"]
from sockmon.cli.main import main
main()
"""


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")


def leave(terminal: Terminal) -> None:
    """Press q, and hold that all ends: the screen with 0, its children too, whatever state they are in."""
    family = children(terminal)
    terminal.press("q")
    assert terminal.end() == 0
    assert is_restored(terminal)
    wait_for(lambda: all(map(ended, family)))


@pytest.mark.parametrize("who", [*WHO, "all"])
def test_q_ends_it_while_a_child_is_stopped(who: str) -> None:
    """A stopped agent, helper or restorer, or all three, cannot keep the screen, and none of them stays."""
    with on_terminal() as terminal:
        terminal.until("Limits")
        wait_for(lambda: {*WHO} <= {name_of(pid) for pid in children(terminal)})
        chosen = [pid for pid in children(terminal) if name_of(pid) == who or who == "all"]
        assert chosen
        for pid in chosen:
            stop(pid)
        family = children(terminal)
        terminal.press("q")
        assert terminal.end() == 0
        assert termios.tcgetattr(terminal.terminal) == terminal.before
        wait_for(lambda: all(map(ended, family)))


@pytest.fixture
def ssh(tmp_path: Path) -> Path:
    """A folder with an `ssh` that runs the agent here; the real one would need a server."""
    path = tmp_path / "ssh"
    path.write_text(FAKE_SSH.format(python=sys.executable))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return tmp_path


def test_q_ends_it_while_ssh_is_stopped(ssh: Path) -> None:
    """A line to another host that hangs does not keep the screen, and ssh does not stay behind."""
    variables = {"PATH": f"{ssh}{os.pathsep}{os.environ['PATH']}"}
    with on_terminal("--from", "ssh://far", variables=variables) as terminal:
        terminal.until("Limits")
        # The first child of the launcher.
        stop(children(terminal)[1])
        leave(terminal)


def test_a_stopped_child_ends_when_the_screen_is_killed() -> None:
    """SIGKILL of the screen leaves no stopped agent or helper behind."""
    with on_terminal() as terminal:
        terminal.until("Limits")
        wait_for(lambda: "sockmon-tty" in {name_of(pid) for pid in children(terminal)})
        family = children(terminal)
        for pid in family:
            if name_of(pid) != "sockmon-tty":
                stop(pid)
        terminal.process.kill()
        terminal.end()
        wait_for(lambda: all(map(ended, family)))


@pytest.mark.fault("V9")
def test_q_ends_it_after_sigcont_alone() -> None:
    """V9: SIGCONT without SIGTSTP starts nothing twice; the screen goes on, and ends."""
    with on_terminal() as terminal:
        terminal.until("Limits")
        terminal.settle()
        tasks = sorted(os.listdir(f"/proc/{terminal.process.pid}/task"))
        for _ in range(5):
            terminal.process.send_signal(signal.SIGCONT)
            terminal.settle()
        tasks = [
            path.joinpath("comm").read_text() for path in Path(f"/proc/{terminal.process.pid}/task").iterdir()
        ]
        assert len(tasks) < 12
        terminal.press("?")
        terminal.until("HOW TO READ THE SCREEN")
        terminal.press("\x1b")
        terminal.settle()
        leave(terminal)


@pytest.mark.fault("V9")
@pytest.mark.parametrize("number", [signal.SIGTSTP, signal.SIGSTOP])
def test_stopped_and_continued_it_takes_the_terminal_again(number: signal.Signals) -> None:
    """V9: after a stop of either kind the modes are the screen's again, everything is drawn, and q ends it."""
    with on_terminal() as terminal:
        terminal.until("Limits")
        terminal.settle()
        modes = termios.tcgetattr(terminal.terminal)
        for _ in range(3):
            terminal.process.send_signal(number)
            wait_for(lambda: stopped(terminal))
            if number == signal.SIGTSTP:
                assert termios.tcgetattr(terminal.terminal) == terminal.before
            # What a shell does to the terminal while it is in front.
            termios.tcsetattr(terminal.terminal, termios.TCSANOW, terminal.before)
            terminal.settle()
            terminal.forget()
            terminal.process.send_signal(signal.SIGCONT)
            terminal.until("Limits")
            terminal.until("FULL")
            terminal.settle()
            assert termios.tcgetattr(terminal.terminal) == modes
        leave(terminal)


def stopped(terminal: Terminal) -> bool:
    terminal.read(0.05)
    return Path(f"/proc/{terminal.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@pytest.mark.fault("V9", "V1")
def test_killed_while_suspended_the_shell_keeps_its_terminal() -> None:
    """V9, V1: what is suspended has given the terminal back; when it is killed then, nothing is reset again."""
    with on_terminal() as terminal:
        terminal.until("Limits")
        terminal.settle()
        terminal.process.send_signal(signal.SIGTSTP)
        wait_for(lambda: stopped(terminal))
        terminal.settle()
        before, family = len(terminal.sent), children(terminal)
        editor = termios.tcgetattr(terminal.terminal)
        editor[3] &= ~(termios.ISIG | termios.ICANON | termios.ECHO)
        termios.tcsetattr(terminal.terminal, termios.TCSANOW, editor)
        terminal.process.kill()
        wait_for(lambda: all(map(ended, family)))
        terminal.settle()
        assert terminal.sent[before:] == b""
        assert termios.tcgetattr(terminal.terminal)[:4] == editor[:4]


@pytest.mark.fault("V3")
def test_a_signal_on_a_stalled_terminal_ends_it() -> None:
    """V3: with a terminal that nobody reads, SIGTERM ends the screen, and q does."""
    for end in ("TERM", "q"):
        with on_terminal() as terminal:
            terminal.until("Limits")
            terminal.press("z" * 60)
            time.sleep(1)
            if end == "q":
                terminal.press("q")
            else:
                terminal.process.send_signal(signal.SIGTERM)
            assert terminal.process.wait(20) in (0, 128 + signal.SIGTERM)
            assert termios.tcgetattr(terminal.terminal) == terminal.before


SLOW_END = """
import sys, time
class Slow:
    def __del__(self, sleep=time.sleep):
        sleep(4)
slow = Slow()
sys.argv[0] = "sockmon"
from sockmon.cli.main import main
main()
"""
RECORDING = str(Path(__file__).parents[1] / "screenshots" / "four-plateaus.jsonl")


def test_q_ends_with_0_where_the_interpreter_would_end_slowly() -> None:
    """The timer for leaving must not kill it where the interpreter has given up its signal handlers."""
    with on_terminal("--from", RECORDING, command=(sys.executable, "-c", SLOW_END)) as terminal:
        terminal.until("Limits")
        leave(terminal)


@pytest.mark.parametrize("name", ["COLUMNS", "LINES"])
@pytest.mark.parametrize("size", ["0", "-1", "99999999", "wide"])
def test_a_size_in_the_environment_that_no_terminal_has_is_ignored(name: str, size: str) -> None:
    with on_terminal("--from", RECORDING, variables={name: size}) as terminal:
        terminal.until("Limits")
        leave(terminal)
