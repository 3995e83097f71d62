"""Signals to one process on the real kernel: to exactly that one, and never to those that must live."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from sockmon.kernel.processes import proc_files
from sockmon.model.acting import SIGNALS, SignalProcess
from sockmon.sandbox.namespaces import enter, mount_proc
from sockmon.tuning.acting import signals
from tests.netns import inside
from tests.tuning.acting_targets import act, actions, confirm, refusal, signal_to, sleeper, start_of
from tests.tuning.sample_change import read_history
from tests.tuning.test_transaction import eventually


def state_of(pid: int) -> str:
    """Return the state letter of a process."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def test_stop_continue_and_end() -> None:
    with actions() as (acting, root), sleeper() as pid:
        shown = acting.prepare(signal_to(pid, "STOP"))
        assert (shown.refused, shown.word, shown.commands) == ("", "signal", (f"kill -STOP {pid}",))
        assert f"[{pid}]" in shown.title
        assert state_of(pid) != "T"
        assert acting.carry_out(confirm(shown)).state == "done"
        assert eventually(lambda: state_of(pid) == "T")
        assert any("stopped" in each for each in acting.prepare(signal_to(pid, "TERM")).warnings)
        assert act(acting, signal_to(pid, "CONT")).state == "done"
        assert eventually(lambda: state_of(pid) != "T")
        kill = acting.prepare(signal_to(pid, "KILL"))
        assert kill.word == "kill"
        assert acting.carry_out(confirm(kill)).state == "done"
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        assert "has ended" in refusal(lambda: acting.prepare(kill.action))
        if os.geteuid() == 0:
            noted = [one.action.target for one in read_history(Path(root)) if one.action]
            assert [each.rpartition(" ")[2] for each in noted] == ["KILL", "CONT", "STOP"]


def test_what_the_process_does_with_it_is_said() -> None:
    def handle() -> None:
        signal.signal(signal.SIGHUP, lambda *_: None)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGUSR2, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

    with actions() as (acting, _), sleeper(handle) as pid:
        assert eventually(
            lambda: any("ignores" in each for each in acting.prepare(signal_to(pid, "USR1")).warnings)
        )
        said = {name: " ".join(acting.prepare(signal_to(pid, name)).warnings) for name in SIGNALS}
        assert "blocks INT" in said["INT"]
        assert "no handler for USR2: the signal ends it" in said["USR2"]
        assert (said["HUP"], said["KILL"], said["CONT"]) == ("", "", "")


def test_processes_that_must_live() -> None:
    with actions() as (acting, _):
        if Path("/proc/1/stat").exists():
            shown = acting.prepare(signal_to(1, "TERM"))
            assert (shown.refused, shown.word, shown.token) == (signals.PID_1, "", "")
        assert acting.prepare(signal_to(os.getpid(), "KILL")).refused == signals.OURS
        with suppress(OSError):
            if kernel := kernel_thread():
                assert acting.prepare(signal_to(kernel, "KILL")).refused == signals.KERNEL_THREAD
        # A shell above us carries the session.
        parent = acting.prepare(signal_to(os.getppid(), "HUP"))
        assert parent.word in ("disconnect", "")
        assert parent.refused in ("", signals.PID_1)


def kernel_thread() -> int:
    """Return the pid of a thread of the kernel; 0 if none is visible."""
    proc = proc_files.open_proc()
    try:
        for name in filter(str.isdecimal, os.listdir("/proc")):
            with suppress(OSError):
                if proc_files.parse_stat(proc_files.read(f"{name}/stat", proc)).kernel_thread:
                    return int(name)
    finally:
        os.close(proc)
    return 0


def test_a_name_alone_makes_no_process_ours(tmp_path: Path) -> None:
    sleep = shutil.which("sleep")
    assert sleep
    other = tmp_path / "sockmon-guard"
    shutil.copy(sleep, other)
    child = subprocess.Popen([other, "60"])
    try:
        with actions() as (acting, _):
            assert eventually(lambda: os.readlink(f"/proc/{child.pid}/exe") == str(other))
            shown = acting.prepare(signal_to(child.pid, "KILL"))
            assert shown.title == f"Send KILL to sockmon-guard[{child.pid}]"
            assert acting.carry_out(confirm(shown)).state == "done"
            assert child.wait(20) == -signal.SIGKILL
    finally:
        child.kill()
        child.wait(20)

    def call_itself_so() -> None:
        Path("/proc/self/comm").write_text("sockmon-watch")

    with actions() as (acting, _), sleeper(call_itself_so) as pid:
        assert eventually(lambda: Path(f"/proc/{pid}/comm").read_text() == "sockmon-watch\n")
        assert acting.prepare(signal_to(pid, "KILL")).refused == signals.OURS


@pytest.mark.fault("X8")
@pytest.mark.usefixtures("unprivileged_only", "sees_everyone")
def test_x8_processes_of_other_users_need_root() -> None:
    with actions() as (acting, _):
        of_root = next(
            int(path.name)
            for path in Path("/proc").glob("[0-9]*")
            if path.stat().st_uid == 0 and path.name != "1" and Path(path, "cmdline").read_bytes() != b""
        )
        shown = acting.prepare(signal_to(of_root, "TERM"))
        assert "need root" in shown.refused
        assert shown.commands == (f"kill -TERM {of_root}",)


def reused_pid() -> None:
    """Be pid 1 of a pid namespace; give the pid of a process that was shown to another one."""
    enter(user_namespace=False, isolated=True)
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            mount_proc()
            assert os.getpid() == 1
            _reuse()
            os.write(theirs, b"ok")
            code = 0
        finally:
            os._exit(code)
    os.close(theirs)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert os.read(ours, 8) == b"ok"


def _reuse() -> None:
    with actions() as (acting, _):
        with sleeper() as first:
            shown = acting.prepare(signal_to(first, "KILL"))
        # Start times are in hundredths of a second.
        time.sleep(0.05)
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(first - 1))
        with sleeper() as second:
            assert second == first
            done = acting.carry_out(confirm(shown))
            assert (done.state, "its pid is that of another process" in done.messages[0]) == ("refused", True)
            assert state_of(second) in "SR"
            stale = SignalProcess(
                first, shown.action.start if isinstance(shown.action, SignalProcess) else 0, "KILL"
            )
            assert "another process" in refusal(partial(acting.prepare, stale))
            assert state_of(second) in "SR"
            assert act(acting, signal_to(second, "KILL")).state == "done"
            assert eventually(lambda: state_of(second) == "Z")
            assert "zombie" in refusal(lambda: acting.prepare(SignalProcess(second, start_of(second), "TERM")))


@pytest.mark.fault("X8")
@pytest.mark.usefixtures("needs_userns")
def test_x8_a_pid_that_was_given_to_another_process_is_not_signalled() -> None:
    inside(reused_pid)


def outside_of_the_namespace(pid: int, start: int) -> str:
    with actions() as (acting, _):
        return acting.prepare(SignalProcess(pid, start, "KILL")).refused


@pytest.mark.fault("X4")
@pytest.mark.usefixtures("needs_userns")
def test_root_of_a_private_user_namespace_signals_nothing_outside() -> None:
    with sleeper() as pid:
        assert inside(outside_of_the_namespace, pid, start_of(pid)) == signals.OTHER_USER_NAMESPACE
        assert state_of(pid) in "SR"
