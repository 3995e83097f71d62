"""The screen when its agent ends: it reports it, keeps the last sample, and starts another agent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sockmon.errors import LabUnavailable, SourceLost
from sockmon.model.detail import SetInterval
from sockmon.model.snapshot import Snapshot
from sockmon.own_process import start_forked, wait
from sockmon.sandbox.cgroups import LabCgroups
from sockmon.sources import Interruption, agent_launcher
from sockmon.sources.agent_process import AgentProcess
from sockmon.sources.recording_damage import Damage
from sockmon.sources.ssh import Address
from sockmon.sources.wire import encode, hello
from tests.netns import child_environment
from tests.snapshots import snapshot
from tests.terminal import Terminal, agent_of, children_of, on_terminal
from tests.waiting import PATIENCE, alive, until


def launcher_of(pid: int) -> int:
    return int(Path(f"/proc/{agent_of(pid)}/stat").read_text().rpartition(")")[2].split()[1])


def is_live(terminal: Terminal) -> None:
    """Read until the header says that data comes."""
    terminal.until("live 1 s")


def test_a_killed_agent_is_started_again_and_again() -> None:
    with on_terminal() as terminal:
        terminal.until("open files")
        before = 0
        for _ in range(3):
            is_live(terminal)
            agent = agent_of(terminal.process.pid)
            assert agent != before
            before = agent
            os.kill(agent, signal.SIGKILL)
            shown = terminal.until("agent exited (signal 9): restarting ")
            assert "open files" in shown
            assert "stale" in shown.splitlines()[0]
            # The keys work meanwhile.
            terminal.press("?")
            terminal.until("HOW TO READ THE SCREEN")
            terminal.press("\x1b")
        is_live(terminal)
        assert "agent exited" not in terminal.screen()
        terminal.press("q")
        assert terminal.end() == 0


@pytest.mark.usefixtures("root_only")
def test_another_agent_has_the_privileges_of_the_first() -> None:
    def privileges(pid: int) -> list[str]:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return [line for line in lines if line.startswith(("Uid", "Gid", "Cap", "NoNewPrivs", "Groups"))]

    with on_terminal() as terminal:
        is_live(terminal)
        first = agent_of(terminal.process.pid)
        wanted = privileges(first)
        os.kill(first, signal.SIGKILL)
        terminal.until("agent exited")
        is_live(terminal)
        assert privileges(agent_of(terminal.process.pid)) == wanted
        assert privileges(terminal.process.pid) != wanted


@pytest.fixture
def no_room() -> Iterator[Path]:
    """A private cgroup for one process."""
    cgroups = LabCgroups()
    try:
        yield cgroups.create("pids", "launcher", {"max": 1})
    except LabUnavailable as error:
        pytest.skip(error.message)
    finally:
        cgroups.remove()


def test_without_a_free_process_id_it_reports_that_and_tries_again(no_room: Path) -> None:
    with on_terminal() as terminal:
        is_live(terminal)
        agent = agent_of(terminal.process.pid)
        launcher = launcher_of(terminal.process.pid)
        (no_room / "cgroup.procs").write_text(str(launcher))
        os.kill(agent, signal.SIGKILL)
        terminal.until("agent could not be started (no free process id): restarting in ")
        (no_room / "pids.max").write_text("max")
        is_live(terminal)
        terminal.process.kill()
        until(lambda: not alive(launcher))


def test_a_launcher_that_ends_is_named_and_the_last_sample_stays() -> None:
    with on_terminal() as terminal:
        is_live(terminal)
        agent, launcher = agent_of(terminal.process.pid), launcher_of(terminal.process.pid)
        os.kill(launcher, signal.SIGKILL)
        shown = terminal.until("The data ended")
        assert "the process that starts the agent has ended" in shown
        assert "open files" in shown
        assert not alive(agent)
        terminal.press("q")
        assert terminal.end() == 0


@pytest.mark.parametrize("stopped", ["agent", "launcher", "both"])
def test_no_stopped_agent_outlives_a_killed_screen(stopped: str) -> None:
    with on_terminal() as terminal:
        is_live(terminal)
        agent, launcher = agent_of(terminal.process.pid), launcher_of(terminal.process.pid)
        for pid in {"agent": [agent], "launcher": [launcher], "both": [agent, launcher]}[stopped]:
            os.kill(pid, signal.SIGSTOP)
        terminal.process.kill()
        until(lambda: not alive(agent) and not alive(launcher))


SCREEN = """
import os, time
from sockmon.sources.agent_process import AgentProcess
child = AgentProcess(["sleep", "600"], "live")
pipes = child._answer()
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
print(child.pid, flush=True)
time.sleep(600)
"""
"""What is left of a screen under sudo: it started the launcher as root, and has become another user."""


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@pytest.mark.usefixtures("root_only")
def test_nor_does_one_of_root_when_the_screen_has_become_another_user() -> None:
    """The kernel does not let the screen's death kill a process of root, and yet it wakes one that is stopped."""
    with subprocess.Popen(
        [sys.executable, "-c", SCREEN], stdout=subprocess.PIPE, env=child_environment(), start_new_session=True
    ) as screen:
        assert screen.stdout is not None
        launcher = int(screen.stdout.readline())
        family = [launcher, *children_of(launcher)]
        assert len(family) == 2
        assert "Uid:\t0\t0" in Path(f"/proc/{launcher}/status").read_text()
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
        # The kernel wakes those that are stopped when the screen ends, not those that are about to stop.
        until(lambda: all(map(is_stopped, family)))
        screen.kill()
        until(lambda: not any(map(alive, family)))


@pytest.mark.fault("R26")
def test_the_agent_continues_while_the_terminal_is_not_read() -> None:
    """The screen waits for its terminal; its other thread takes what the agent sends, and the newest is drawn."""
    with on_terminal() as terminal:
        is_live(terminal)
        agent = agent_of(terminal.process.pid)

        def written() -> int:
            lines = Path(f"/proc/{agent}/io").read_text().splitlines()
            return int(dict(line.split(": ") for line in lines)["wchar"])

        # More to draw than the terminal holds.
        terminal.press("jk" * 500 + "1234" * 200)
        before = written()
        # A pipe holds 64 KiB: an agent that nothing reads would stop there.
        until(lambda: written() > before + (128 << 10))
        terminal.settle()
        is_live(terminal)


def test_nor_does_a_stopped_helper_if_nothing_else_is_left_to_end_it() -> None:
    with on_terminal() as terminal:
        is_live(terminal)
        launcher = launcher_of(terminal.process.pid)
        names = {Path(f"/proc/{pid}/comm").read_text().strip(): pid for pid in children_of(launcher)}
        helper = names["sockmon-helper"]
        os.kill(names["sockmon-tty"], signal.SIGKILL)
        os.kill(helper, signal.SIGSTOP)
        terminal.process.kill()
        until(lambda: not alive(helper))


def test_leaving_ends_a_stopped_agent() -> None:
    with on_terminal() as terminal:
        is_live(terminal)
        agent = agent_of(terminal.process.pid)
        os.kill(agent, signal.SIGSTOP)
        terminal.until("No data for")
        terminal.press("q")
        assert terminal.end() == 0
        until(lambda: not alive(agent))


def test_an_agent_alone_that_is_stopped_ends_with_its_parent() -> None:
    """As over ssh: nothing of ours is its parent, and its stdin has ended while it was stopped."""
    script = (
        "import subprocess, sys, time\n"
        "agent = subprocess.Popen([sys.executable, '-m', 'sockmon', 'agent', '--attached'],"
        " stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "agent.stdout.readline()\n"
        "print(agent.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, env=child_environment()
    ) as parent:
        assert parent.stdout is not None
        agent = int(parent.stdout.readline())
        os.kill(agent, signal.SIGSTOP)
        parent.kill()
        until(lambda: not alive(agent))


# What is no agent at all, without a screen.


def shell(script: str, *files: Path) -> AgentProcess:
    return AgentProcess(["sh", "-c", script, "sh", *map(str, files)], "live")


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    path = tmp_path / "stream"
    path.write_bytes(hello() + encode(snapshot(1.0)))
    return path


def test_the_pause_grows_and_the_reason_is_reported(stream: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sockmon.sources.agent_process.MIN_RETRY_SECONDS", 0.01)
    child = shell('cat "$1"; echo "sockmon: a fault" >&2; exit 70', stream)
    pauses: list[float] = []
    for event in child.lines():
        if isinstance(event, Interruption):
            assert event.reason == "agent exited: a fault"
            pauses.append(event.retry - time.monotonic())
            if len(pauses) == 5:
                child.close()
    assert pauses == sorted(pauses)
    assert pauses[-1] > 8 * pauses[0]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 3", "agent exited (status 3)"),
        ("kill -9 $$", "agent exited (signal 9)"),
        ("echo garbage; sleep 600", "the output of the agent"),
        ("echo 'sockmon: no such namespace' >&2; echo '  do this' >&2; exit 1", "no such namespace"),
        ('echo \'{"type":"sockmon","schema":9,"version":"9"}\'; sleep 600', "has schema 9"),
        ("cat /dev/zero", "is not a sockmon recording"),
    ],
    ids=["status", "signal", "garbage", "words", "schema", "zeros"],
)
def test_the_first_start_that_fails_is_an_error(script: str, words: str) -> None:
    child = shell(script if "garbage" not in script else script.replace("echo", "yes", 1))
    with pytest.raises(SourceLost) as caught:
        list(child.lines())
    assert words in caught.value.message
    child.close()


def test_a_program_that_is_not_there_is_an_error() -> None:
    child = AgentProcess(["/nonexistent/ssh"], "ssh web-1", Address("", "web-1", None))
    with pytest.raises(SourceLost, match=r"ssh could not be started \(No such file"):
        list(child.lines())


def over_ssh(script: str, *files: Path) -> AgentProcess:
    """An ssh that does what the script does."""
    argv = ["sh", "-c", script, "sh", *map(str, files)]
    return AgentProcess(argv, "ssh web-1", Address("ann", "web-1", 2222))


def test_what_a_shell_prints_before_the_stream_is_no_damage(stream: Path) -> None:
    child = over_ssh('echo Welcome; echo; echo "to $(hostname)"; cat "$1"; echo garbage; sleep 600', stream)
    events = child.lines()
    assert isinstance(next(events), Snapshot)
    damage = next(events)
    assert isinstance(damage, Damage)
    assert (damage.damaged, damage.first) == (1, 6)
    child.close()


@pytest.mark.parametrize(
    ("script", "cause", "hint"),
    [
        ("echo Welcome", "what it printed is no stream of sockmon: `Welcome`", "{} true"),
        ("yes Welcome", "what it printed is no stream of sockmon: `Welcome`", "{} true"),
        ("exit 0", "it ended and printed nothing", "look at its shell: {}"),
        ("echo Welcome; echo 'sh: sockmon: not found' >&2; exit 127", "sh: sockmon: not found", "--push"),
        ("echo 'sockmon: too old' >&2; echo '  install it' >&2; exit 1", "too old", "install it"),
        ("echo Banner >&2; exit 255", "its command was killed, or the connection ended", "Banner"),
        ("exit 3", "exit code 3", ""),
    ],
    ids=["garbage", "endless", "nothing", "not-found", "reported", "banner", "code"],
)
def test_the_error_of_another_host_names_it_and_what_to_do(script: str, cause: str, hint: str) -> None:
    child = over_ssh(script)
    with pytest.raises(SourceLost) as caught:
        list(child.lines())
    assert caught.value.message == f"web-1:2222: {cause}"
    assert hint.format("ssh -p 2222 ann@web-1") in caught.value.hint
    child.close()


def test_garbage_between_samples_is_counted_and_the_stream_continues(stream: Path) -> None:
    child = shell('cat "$1"; echo garbage; head -c 40000000 /dev/zero; echo; tail -n 1 "$1"; sleep 600', stream)
    found, damage = 0, Damage()
    for event in child.lines():
        if isinstance(event, Damage):
            damage = event
        found += isinstance(event, Snapshot)
        if found == 2:
            child.close()
    assert damage.damaged == 2


def test_much_on_stderr_does_not_stop_the_stream_and_its_end_is_kept(stream: Path) -> None:
    """A pipe holds 64 KiB: ssh stopped when a host wrote more than that."""
    script = (
        'cat "$1"; yes "noise \033[31m" | head -c 1000000 >&2; tail -n 1 "$1"; printf "\nlast words\n" >&2; '
        "read -r line; exit 9"
    )
    child = shell(script, stream)
    found, reason = 0, ""
    for event in child.lines():
        if isinstance(event, Snapshot):
            found += 1
            if found == 2:
                assert child.ask(SetInterval(2.0))
        if isinstance(event, Interruption):
            reason = event.reason
            child.close()
    assert found == 2
    assert reason == "agent exited (status 9): last words"


def test_a_request_to_an_agent_that_does_not_read_never_waits(stream: Path) -> None:
    child = shell('cat "$1"; sleep 600', stream)
    lines = child.lines()
    assert isinstance(next(lines), Snapshot)
    request = SetInterval(1.0)
    for _ in range(1 << 20 >> 5):
        child.ask(request)
    child.close()
    assert list(lines) == []


def test_the_launcher_ends_if_its_parent_has_ended_already() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        pid = start_forked(lambda: agent_launcher.serve(1, theirs, ["true"], list), (0, 1, 2), [theirs.fileno()])
        assert wait(pid, PATIENCE) == 1


def test_a_fork_that_is_interrupted_at_once_ends_and_does_not_do_our_work(monkeypatch: pytest.MonkeyPatch) -> None:
    fork = os.fork

    def interrupted() -> int:
        if not (pid := fork()):
            raise KeyboardInterrupt
        return pid

    monkeypatch.setattr(os, "fork", interrupted)
    assert wait(start_forked(lambda: None, (0, 1, 2)), PATIENCE) == 1
