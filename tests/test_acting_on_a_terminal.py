"""A signal from the real screen on a pseudo-terminal: a paste and a burst send nothing, the typed word does."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path

import pytest

from sockmon.tuning.transaction.confinement import ROOT_VARIABLE
from tests.netns import inside
from tests.terminal import Terminal, on_terminal
from tests.tuning.acting_targets import sleeper
from tests.tuning.sample_change import read_history

NAME = "actme"


def call_yourself_so() -> None:
    Path("/proc/self/comm").write_text(NAME)
    # More descriptors than others of this test, so that it is in every list.
    for _ in range(100):
        os.dup(0)


def open_page(terminal: Terminal, pid: int) -> None:
    """Go to the page of the process, and open the dialog."""
    terminal.until(NAME)
    terminal.press("2")
    terminal.settle_until_quiet()
    terminal.press("/")
    terminal.settle_until_quiet()
    terminal.press(f"pid:{pid}")
    terminal.until(NAME)
    terminal.settle_until_quiet()
    terminal.press("\r")
    terminal.settle_until_quiet()
    terminal.press("\r")
    terminal.until(f"process · {NAME}[{pid}]")
    terminal.settle_until_quiet()
    terminal.press("X")
    terminal.until("Type signal to confirm")
    terminal.settle_until_quiet()


def ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def paste_and_type() -> None:
    with (
        tempfile.TemporaryDirectory() as root,
        sleeper(call_yourself_so) as pid,
        on_terminal(variables={ROOT_VARIABLE: root}, size=(24, 80)) as terminal,
    ):
        open_page(terminal, pid)
        for pasted in ("\x1b[200~signal\r\n\x1b[201~", "signal\r"):
            terminal.press(pasted)
            terminal.until("ignored: ")
            terminal.settle_until_quiet()
            time.sleep(0.4)
            assert not ended(pid), pasted
        assert read_history(Path(root)) == []
        for letter in "signal":
            terminal.press(letter)
            time.sleep(0.15)
        terminal.until(f"Signalled {NAME}[{pid}] with TERM")
        status = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert status is not None
        assert status.si_status == signal.SIGTERM
        (noted,) = read_history(Path(root))
        assert noted.action is not None
        assert (noted.state, noted.action.pid) == ("done", pid)
        terminal.press("\x1b")
        terminal.settle()
        terminal.press("q")


@pytest.mark.fault("T20")
@pytest.mark.usefixtures("needs_userns")
def test_t20_a_paste_on_a_terminal_sends_no_signal() -> None:
    inside(paste_and_type)
