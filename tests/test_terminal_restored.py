"""The terminal after the screen has ended in every way that there is (V1, V11), on a real pseudo-terminal."""

from __future__ import annotations

import os
import resource
import signal
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.terminal import Terminal, children_of, on_terminal

MODES_OFF = (b"\x1b[?1049l", b"\x1b[?1000l", b"\x1b[?1003l", b"\x1b[?2004l", b"\x1b[?25h", b"\x1b[?7h")
"""Alternate screen, mouse clicks and moves, bracketed paste; the cursor and the wrapping of lines stay on."""
HANDLED = ("TERM", "HUP", "QUIT", "INT", "ABRT", "USR1", "USR2", "ALRM", "XCPU")
DEADLY = ("KILL", "SEGV", "BUS", "ILL", "SYS")
BROKEN = """
from sockmon.ui.main.screen import MainScreen
def show(self, assessment):
    raise ValueError("a fault that\\x1b[2J the test made")
MainScreen.show = show
from sockmon.cli.main import main
main()
"""


def children(terminal: Terminal) -> list[int]:
    """The processes that must not outlive the screen: its launcher, and what that has started.

    A helper's are not among them: a guard outlives everything."""
    own = children_of(terminal.process.pid)
    return own + [child for pid in own if name_of(pid) == "sockmon-launch" for child in children_of(pid)]


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_for(condition: object, *, seconds: float = 30.0) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def restorer(terminal: Terminal) -> int:
    wait_for(lambda: "sockmon-tty" in map(name_of, children(terminal)))
    return next(pid for pid in children(terminal) if name_of(pid) == "sockmon-tty")


def is_restored(terminal: Terminal) -> bool:
    terminal.read(0.0)
    tail = terminal.sent[terminal.sent.rfind(b"\x1b[?1003h") :]
    return termios.tcgetattr(terminal.terminal) == terminal.before and all(mode in tail for mode in MODES_OFF)


@pytest.mark.fault("V1")
@pytest.mark.parametrize("name", HANDLED + DEADLY)
def test_a_signal_leaves_the_terminal_as_it_was(name: str) -> None:
    """V1: the modes are equal to before, the terminal's own modes are reset, and no child stays."""
    number = signal.Signals[f"SIG{name}"]
    with on_terminal() as terminal:
        terminal.until("Limits")
        hard = resource.prlimit(terminal.process.pid, resource.RLIMIT_CORE)[1]
        resource.prlimit(terminal.process.pid, resource.RLIMIT_CORE, (0, hard))
        assert termios.tcgetattr(terminal.terminal) != terminal.before
        keeper, family = restorer(terminal), children(terminal)
        terminal.process.send_signal(number)
        assert terminal.end() == (128 + number if name in HANDLED else -number)
        wait_for(lambda: is_restored(terminal))
        wait_for(lambda: all(map(ended, family)))
        assert keeper in family
        assert os.get_blocking(terminal.terminal)


@pytest.mark.fault("V1")
def test_the_whole_process_group_is_killed() -> None:
    """V1: what a shell's `kill -9 %1` and `timeout -s KILL` do."""
    with on_terminal() as terminal:
        terminal.until("Limits")
        restorer(terminal)
        os.killpg(terminal.process.pid, signal.SIGKILL)
        terminal.end()
        wait_for(lambda: is_restored(terminal))


@pytest.mark.fault("V1")
def test_modes_that_a_shell_set_meanwhile_stay() -> None:
    """V1: a shell that was faster with its prompt keeps its modes; the terminal's own are reset all the same."""
    with on_terminal() as terminal:
        terminal.until("Limits")
        process = restorer(terminal)
        terminal.settle()
        os.kill(process, signal.SIGSTOP)
        terminal.process.kill()
        terminal.process.wait()
        prompt = termios.tcgetattr(terminal.terminal)
        prompt[3] = (prompt[3] | termios.ISIG) & ~(termios.ICANON | termios.ECHO)
        termios.tcsetattr(terminal.terminal, termios.TCSANOW, prompt)
        os.kill(process, signal.SIGCONT)
        wait_for(lambda: ended(process))
        terminal.settle()
        assert termios.tcgetattr(terminal.terminal)[:4] == prompt[:4]
        assert [mode for mode in MODES_OFF if mode not in terminal.sent] == []


@pytest.mark.fault("V1")
def test_mouse_reports_that_came_after_the_end_are_no_commands() -> None:
    """V1: what the terminal reported until its modes were reset does not reach the shell."""
    with on_terminal() as terminal:
        terminal.until("Limits")
        process = restorer(terminal)
        terminal.settle()
        os.kill(process, signal.SIGSTOP)
        terminal.process.kill()
        terminal.process.wait()
        os.write(terminal.controller, b"\x1b[<35;10;10M" * 20)
        os.kill(process, signal.SIGCONT)
        wait_for(lambda: ended(process))
        os.set_blocking(terminal.terminal, False)
        with pytest.raises(BlockingIOError):
            os.read(terminal.terminal, 1)


@pytest.mark.fault("V1", "V3")
def test_a_terminal_that_nobody_reads_does_not_keep_the_restorer() -> None:
    """V1, V3: a killed screen on a stalled terminal leaves no process behind."""
    with on_terminal() as terminal:
        terminal.until("Limits")
        process = restorer(terminal)
        terminal.press("?\x1b" * 40)
        terminal.process.kill()
        terminal.process.wait()
        wait_for(lambda: ended(process))
        assert termios.tcgetattr(terminal.terminal) == terminal.before


@pytest.mark.fault("V1")
def test_no_other_process_holds_the_pipe() -> None:
    """V1: the pipe ends with the screen; none of its children has the end that is written to."""
    with on_terminal() as terminal:
        terminal.until("Limits")
        pipe = os.readlink(f"/proc/{restorer(terminal)}/fd/0")
        holders = [pid for pid in children(terminal) if pid != restorer(terminal) and holds(pid, pipe)]
        assert holders == []
        assert holds(terminal.process.pid, pipe)


def holds(pid: int, pipe: str) -> bool:
    found = []
    # The helper lets no other process look at its descriptors, one of the same user neither.
    with suppress(PermissionError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found.append(os.readlink(link))
    return pipe in found


@pytest.mark.fault("V1")
def test_it_is_small() -> None:
    """V1: the process that stands by holds little that is its own; a fork of the screen would hold 7 MB."""
    with on_terminal() as terminal:
        terminal.until("Limits")
        lines = Path(f"/proc/{restorer(terminal)}/smaps_rollup").read_text().splitlines()
        sizes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}
        assert sizes["Private_Dirty"] < 5_000


@pytest.mark.fault("V11")
def test_a_fault_of_the_screen_is_one_line_and_exit_code_70(tmp_path: Path) -> None:
    """V11: the traceback goes to the log, the terminal is restored, and what the error quotes is made harmless."""
    command = [sys.executable, "-c", BROKEN]
    with on_terminal(command=command, variables={"XDG_STATE_HOME": str(tmp_path)}) as terminal:
        assert terminal.end() == 70
        assert is_restored(terminal)
        told = terminal.sent[terminal.sent.rfind(b"\x1b[?1049l") :].decode()
        assert "sockmon: the screen failed: ValueError" in told
        assert "Traceback" not in told
        assert "\x1b[2J" not in told
        if os.geteuid():
            assert "Traceback" in "".join(path.read_text() for path in tmp_path.rglob("*.log"))
