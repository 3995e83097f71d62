"""Without free processes or threads: a screen reports it and leaves the terminal unchanged, and `check` works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sockmon import free_tasks
from sockmon.errors import LabUnavailable
from sockmon.sandbox.availability import RECORDINGS
from sockmon.sandbox.cgroups import LabCgroups
from tests.netns import child_environment
from tests.terminal import on_terminal

SOCKMON = [sys.executable, "-m", "sockmon"]
Limit = Callable[[int], list[str]]


@pytest.fixture
def limit(request: pytest.FixtureRequest) -> Iterator[Limit]:
    """What lets the command behind it have so many tasks, itself included: pids.max for root, which RLIMIT_NPROC
    does not bind; for others RLIMIT_NPROC in a private user namespace, where it counts from 0."""
    if os.geteuid() != 0:
        request.getfixturevalue("needs_userns")
        yield lambda tasks: ["unshare", "--user", "--map-root-user", "--", "prlimit", f"--nproc={tasks}", "--"]
        return
    groups = LabCgroups()

    def in_group(tasks: int) -> list[str]:
        try:
            group = groups.create("pids", "few", {"max": tasks})
        except LabUnavailable as error:
            pytest.skip(error.message)
        return ["sh", "-c", 'echo $$ > "$0"/cgroup.procs && exec "$@"', str(group)]

    try:
        yield in_group
    finally:
        groups.remove()


@pytest.mark.fault("R6")
@pytest.mark.parametrize("tasks", [1, 2, 5, 9, free_tasks.LIVE])
def test_a_screen_without_free_tasks_is_an_error_with_a_hint(limit: Limit, tasks: int) -> None:
    with on_terminal(command=[*limit(tasks), *SOCKMON]) as terminal:
        assert terminal.end() == 75
        shown = " ".join(terminal.screen().split())
        assert b"\x1b[?1049h" not in terminal.sent
        assert termios.tcgetattr(terminal.terminal) == terminal.before
    assert f"the screen needs {free_tasks.LIVE} free processes or threads, but only {tasks - 1} can be" in shown
    assert "pids.max of the cgroup" in shown
    assert "`sockmon check` starts no other" in shown


@pytest.mark.fault("R7")
def test_a_screen_with_as_many_as_it_asks_for_is_shown(limit: Limit) -> None:
    with on_terminal(command=[*limit(free_tasks.LIVE + 1), *SOCKMON]) as terminal:
        terminal.until("open files")
        for keys in ("t", "?"):
            terminal.press(keys)
            terminal.settle()
        assert terminal.process.poll() is None


def test_a_recording_takes_fewer(limit: Limit) -> None:
    recording = str(next(RECORDINGS.glob("*.jsonl")))
    with on_terminal("--from", recording, command=[*limit(free_tasks.SCREEN + 1), *SOCKMON]) as terminal:
        terminal.until("Limits")
        terminal.press("q")
        assert terminal.end() == 0


def run(prefix: list[str], *verb: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, *SOCKMON, *verb],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, env=child_environment(), timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.fault("R6")
def test_check_and_record_need_none(limit: Limit, tmp_path: Path) -> None:
    report = run(limit(1), "check", "--json")
    assert report.returncode in (0, 1, 2), report.stderr
    assert "process-fds" in {reading["ceiling"] for reading in json.loads(report.stdout)["readings"]}
    recorded = run(limit(1), "record", str(tmp_path / "now.jsonl"), "--for", "1")
    assert recorded.returncode == 0, recorded.stderr
    assert (tmp_path / "now.jsonl").read_bytes().count(b"\n") > 1


@pytest.mark.parametrize("verb", [("lab", "run", "accept-queue", "--", "check"), ("prove", "tcp_fin_timeout")])
def test_a_verb_that_needs_processes_reports_how_many(limit: Limit, verb: tuple[str, ...]) -> None:
    done = run(limit(2), *verb)
    assert done.returncode == 75
    assert "free processes or threads, but only 1 can be started" in done.stderr
    assert "pids.max of the cgroup" in done.stderr


@pytest.mark.fault("R6")
def test_a_fork_that_fails_is_reported_too(limit: Limit) -> None:
    done = run(limit(1), "lab", "list")
    assert (done.returncode, done.stdout) == (75, "")
    assert "no free process or thread" in done.stderr


def test_asking_leaves_no_thread_behind() -> None:
    before = len(os.listdir("/proc/self/task"))
    free_tasks.require(20, "a test")
    assert not free_tasks.none_left()
    assert len(os.listdir("/proc/self/task")) == before
