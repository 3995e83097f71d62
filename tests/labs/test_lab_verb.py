"""`sockmon lab`: the list, wrong names, and commands that run in a lab."""

from __future__ import annotations

import json
import termios

import pytest

from sockmon.errors import NoSuchLab
from sockmon.labs import BY_NAME, LABS, find_lab
from tests.sandbox.sample_lab import is_alive, process_tree
from tests.terminal import on_terminal
from tests.test_cli import sockmon

inside = pytest.mark.usefixtures("needs_userns")


@inside
def test_the_exit_code_and_output_of_the_command_are_passed_on() -> None:
    done = sockmon("lab", "run", "ephemeral-ports", "--", "check", "--json")
    assert (done.returncode, json.loads(done.stdout)["verdict"]) == (2, "hit")
    done = sockmon("lab", "run", "ephemeral-ports", "--", "check", "--no-such-flag")
    assert (done.returncode, done.stdout) == (64, "")
    assert "--no-such-flag" in done.stderr


def test_an_unknown_command_is_refused_before_the_lab_is_built() -> None:
    done = sockmon("lab", "run", "memory-maps", "--", "chekc")
    assert (done.returncode, done.stdout) == (64, "")
    assert "No such command 'chekc'" in done.stderr


def test_a_misspelt_name_gets_suggestions() -> None:
    with pytest.raises(NoSuchLab) as refused:
        find_lab("proces-fd")
    assert "process-fds" in refused.value.hint
    done = sockmon("lab", "run", "proces-fd")
    assert done.returncode == 64
    assert "did you mean process-fds" in done.stderr


def test_the_screen_without_a_terminal_is_refused_before_the_lab_is_built() -> None:
    done = sockmon("lab", "run", "process-fds")
    assert done.returncode == 1
    assert "needs a terminal" in done.stderr


def test_the_list_has_every_lab() -> None:
    assert [row["name"] for row in json.loads(sockmon("lab", "list", "--json").stdout)] == list(BY_NAME)
    for lab in LABS:
        assert len(lab.scenario) <= 108, lab.name
        assert len(lab.what_to_see) <= 76, lab.name
        assert lab.build or lab.recording, lab.name


@inside
def test_the_screen_shows_the_summary_and_leaves_nothing() -> None:
    with on_terminal("lab", "run", "accept-queue") as screen:
        shown = screen.until("stuck-app")
        assert BY_NAME["accept-queue"].scenario in shown
        assert "→ " + BY_NAME["accept-queue"].what_to_see in shown
        processes = process_tree(screen.process.pid)
        assert len(processes) >= 8
        screen.press("q")
        assert screen.end() == 0
        assert termios.tcgetattr(screen.terminal) == screen.before
    assert not any(map(is_alive, processes))
