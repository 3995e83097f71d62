"""sockmon with few descriptors, little memory, little processor time: the real program under real limits."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from sockmon.errors import LabUnavailable
from sockmon.model.report import Report
from sockmon.model.snapshot import Snapshot
from sockmon.sandbox.cgroups import LabCgroups
from sockmon.sources.wire import decode
from tests.netns import child_environment
from tests.strace_faults import injected
from tests.terminal import SOCKMON, agent_of, on_terminal

PATIENCE = 60.0


@pytest.fixture
def cgroups() -> Iterator[LabCgroups]:
    """Private cgroups, removed at the end; the test skips where none can be made."""
    made = LabCgroups()
    yield made
    made.remove()


def a_group(cgroups: LabCgroups, controller: str, **limits: int | str) -> Path:
    """A private cgroup; skip with the reason if there is no place for one."""
    try:
        return cgroups.create(controller, "scarce", limits)
    except LabUnavailable as error:
        pytest.skip(error.message)


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.fault("R1")
@pytest.mark.parametrize("soft", [16, 10, 8])
def test_a_low_soft_limit_of_descriptors_is_raised(soft: int) -> None:
    with on_terminal(command=("prlimit", f"--nofile={soft}:", *SOCKMON)) as terminal:
        terminal.until("open files")
        terminal.press("q")
        assert terminal.end() == 0
        assert termios.tcgetattr(terminal.terminal) == terminal.before


@pytest.mark.fault("R1", "R2")
@pytest.mark.parametrize("hard", [32, 16, 8, 6])
def test_too_low_a_hard_limit_of_descriptors_is_named(hard: int) -> None:
    with on_terminal(command=("prlimit", f"--nofile={hard}:{hard}", *SOCKMON)) as terminal:
        assert terminal.end() == 1
        shown = terminal.screen()
        assert f"the hard limit of open files is {hard} for this process, and sockmon needs 80" in shown
        assert "ulimit -Hn 80" in shown
        assert "Traceback" not in shown
        assert termios.tcgetattr(terminal.terminal) == terminal.before


def checked(limit: int, *options: str, code: tuple[int, ...] = (0, 1, 2, 3)) -> Report:
    """What `check --json` reports if it may open `limit` files."""
    command = ["prlimit", f"--nofile={limit}:{limit}", *SOCKMON, "check", "--json", *options]
    done = subprocess.run(command, env=child_environment(), capture_output=True, text=True, check=False)
    assert done.returncode in code, done.stderr
    return msgspec.json.decode(done.stdout, type=Report)


def shape(report: Report) -> tuple[set[str], set[str]]:
    """What was read, and what was not; namespaces, watches, locks and users come and go with the other tests."""
    known = {row.ceiling for row in report.readings if row.used is not None}
    known -= {"epoll-watches", "inotify-instances", "inotify-watches", "fanotify-groups", "fanotify-marks"}
    known -= {"memlock", "user-processes"}
    return known, {entry.reader for entry in report.missing} - {"movement", "other namespaces"}


@pytest.mark.fault("R1", "R2")
@pytest.mark.parametrize("limit", [32, 16, 12])
def test_check_reads_everything_with_few_descriptors(limit: int) -> None:
    report, whole = checked(limit), checked(1024)
    assert shape(report) == shape(whole), (report.missing, whole.missing)


@pytest.mark.fault("R1", "R2")
@pytest.mark.parametrize("limit", [10, 9, 8])
def test_with_fewer_check_reports_what_it_left_out(limit: int) -> None:
    before, report, after = checked(1024), checked(limit), checked(1024)
    known, missing = shape(report)
    assert {"process-fds", "ephemeral-ports", "accept-queue"} <= known
    if known < shape(before)[0] & shape(after)[0]:
        assert "descriptors" in missing
    assert all(row.severity == "unknown" for row in report.readings if row.used is None and row.missing)


@pytest.mark.fault("R1")
def test_watching_with_few_descriptors_has_rates() -> None:
    assert any(row.rate is not None for row in checked(12, "--watch", "2").readings)


@pytest.mark.fault("R2")
@pytest.mark.usefixtures("needs_userns")
def test_another_namespace_with_few_descriptors_is_no_clean_report() -> None:
    holder = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", "echo; read line"]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        report = checked(16, "--netns", str(process.pid))
        process.communicate(b"\n")
    assert any(entry.unjudged for entry in report.missing if entry.reader == "descriptors")


@pytest.mark.fault("R2")
def test_too_few_descriptors_for_a_report_are_named() -> None:
    command = ["prlimit", "--nofile=7:7", *SOCKMON, "check"]
    done = subprocess.run(command, env=child_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "the hard limit of open files is 7 for this process, and sockmon needs 8" in done.stderr


def score(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


@pytest.mark.fault("R10")
def test_the_kernel_takes_the_screen_before_a_server() -> None:
    ours = score(os.getpid())
    with on_terminal() as terminal:
        terminal.until("Limits")
        pid = terminal.process.pid
        assert score(pid) == min(ours + 200, 1000)
        # What keeps the terminal and the host in sight is not given up.
        assert score(agent_of(pid)) == ours


class Agent:
    """An agent and what it says."""

    def __init__(self, *argv: str, under: tuple[str, ...] = (), group: Path | None = None) -> None:
        def join() -> None:
            if group is not None:
                (group / "cgroup.procs").write_text("0")

        self.process = subprocess.Popen(
            [*under, sys.executable, "-m", "sockmon", "agent", *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=child_environment(),
            preexec_fn=join,
        )

    def __enter__(self) -> Agent:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def snapshot(self, holds: Callable[[Snapshot], bool] = lambda _: True) -> Snapshot:
        """The next Snapshot of which that is true."""
        assert self.process.stdout is not None
        end = time.monotonic() + PATIENCE
        for line in self.process.stdout:
            found = decode(line)
            if isinstance(found, Snapshot) and holds(found):
                return found
            assert time.monotonic() < end, found
        raise AssertionError(self.process.communicate()[1].decode())


def starved(found: Snapshot) -> bool:
    """Whether it says that nothing can be opened."""
    return any("EMFILE or ENFILE" in each.reason for each in found.missing)


@pytest.mark.fault("R5")
def test_a_system_without_free_files_is_named_and_passes() -> None:
    with Agent("--interval", "0.2") as agent:
        before = agent.snapshot(lambda found: found.processes is not None)
        with injected(agent.process.pid, "openat", "error=ENFILE"):
            found = agent.snapshot(starved)
        assert before.processes is not None
        assert found.processes is not None
        # Neither a shorter list of those that are still there, nor a false zero.
        lasting = {each.pid for each in before.processes.rows if Path(f"/proc/{each.pid}").exists()}
        rows = {each.pid: each for each in found.processes.rows}
        assert lasting <= set(rows)
        assert rows[agent.process.pid].fds
        assert found.files is not None
        agent.snapshot(lambda found: not starved(found))


@pytest.mark.fault("R3")
def test_it_reads_again_what_it_could_not_once_descriptors_are_free() -> None:
    with Agent("--interval", "0.2") as agent:
        agent.snapshot(lambda found: found.processes is not None)
        soft, hard = resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE, (3, hard))
        found = agent.snapshot(starved)
        assert found.netns
        assert found.netns[0].states is not None
        resource.prlimit(agent.process.pid, resource.RLIMIT_NOFILE, (soft, hard))
        agent.snapshot(lambda found: not starved(found))


@pytest.mark.fault("R8")
def test_without_address_space_it_continues_or_ends_and_the_terminal_is_restored() -> None:
    with on_terminal() as terminal:
        terminal.until("open files")
        pid = terminal.process.pid
        size = int(Path(f"/proc/{pid}/status").read_text().partition("VmSize:")[2].split()[0]) << 10
        resource.prlimit(pid, resource.RLIMIT_AS, (size, resource.prlimit(pid, resource.RLIMIT_AS)[1]))
        for keys in ("b\r", "\x1b", "t"):
            terminal.press(keys)
            terminal.settle()
        # Which allocation fails first is chance; whatever became of it, a signal ends it.
        if terminal.process.poll() is None:
            terminal.process.send_signal(signal.SIGTERM)
        terminal.end()
        until(lambda: termios.tcgetattr(terminal.terminal) == terminal.before)
        assert b"Traceback" not in terminal.sent


@pytest.mark.fault("R12")
def test_with_5_percent_of_a_processor_samples_come_late_and_they_come(cgroups: LabCgroups) -> None:
    group = a_group(cgroups, "cpu")
    with Agent("--interval", "0.2", group=group) as agent:
        agent.snapshot(lambda found: found.processes is not None)
        limit_cpu(group)
        limited = time.clock_gettime(time.CLOCK_BOOTTIME)
        # The pipe may still hold what was sampled before.
        first = agent.snapshot(lambda found: found.at > limited)
        assert agent.snapshot().at > first.at


def limit_cpu(group: Path) -> None:
    """Allow 5 % of one processor."""
    if (group / "cpu.max").exists():
        (group / "cpu.max").write_text("5000 100000")
    else:
        (group / "cpu.cfs_quota_us").write_text("5000")


@pytest.fixture
def memory(cgroups: LabCgroups) -> Path:
    """A group for memory whose limit is set later."""
    return a_group(cgroups, "memory")


def limit_memory(group: Path, more: int) -> None:
    """Allow `more` bytes above what the group uses now."""
    version2 = (group / "memory.max").exists()
    usage = int((group / ("memory.current" if version2 else "memory.usage_in_bytes")).read_text())
    (group / ("memory.max" if version2 else "memory.limit_in_bytes")).write_text(str(usage + more))
    with suppress(OSError):
        (group / "memory.swap.max").write_text("0")


EAT = """
import contextlib, sys
with open(sys.argv[1] + "/cgroup.procs", "w") as group:
    group.write("0")
with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
    score.write("-1000")
sys.stdin.readline()
held = []
while True:
    held.append(b"x" * (1 << 20))
"""
"""Allocates memory until it is killed; if permitted, with the oom_score_adj that makes the kernel kill it last."""


@pytest.mark.fault("R9")
@pytest.mark.usefixtures("root_only")
def test_the_screen_is_the_first_to_go_and_the_recorder_stays(memory: Path, tmp_path: Path) -> None:
    def join() -> None:
        (memory / "cgroup.procs").write_text("0")

    recording = tmp_path / "during.jsonl"
    with (
        on_terminal(command=("sh", "-c", f'echo 0 >{memory}/cgroup.procs; exec "$@"', "sh", *SOCKMON)) as terminal,
        subprocess.Popen(
            [*SOCKMON, "record", str(recording), "--interval", "0.2"],
            preexec_fn=join, env=child_environment(), stderr=subprocess.DEVNULL,
        ) as recorder,
        subprocess.Popen([sys.executable, "-c", EAT, str(memory)], stdin=subprocess.PIPE) as eater,
    ):  # fmt: skip
        try:
            terminal.until("open files")
            until(lambda: recording.exists() and recording.read_bytes().count(b"\n") > 2)
            limit_memory(memory, 48 << 20)
            assert eater.stdin is not None
            eater.stdin.write(b"\n")
            eater.stdin.flush()
            assert terminal.process.wait(PATIENCE) == -signal.SIGKILL
            # The standby process is small enough to survive.
            until(lambda: termios.tcgetattr(terminal.terminal) == terminal.before)
            eater.kill()
            written = recording.read_bytes().count(b"\n")
            until(lambda: recording.read_bytes().count(b"\n") > written + 2)
            recorder.send_signal(signal.SIGINT)
            assert recorder.wait(PATIENCE) == 0
        finally:
            recorder.kill()
            eater.kill()
