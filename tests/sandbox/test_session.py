"""A lab is built and run, as root and as an ordinary user, and leaves nothing behind, however it ends."""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from sockmon.errors import LabUnavailable, SockmonError
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.session import _wait_until_built, run_lab
from sockmon.sandbox.workers import FOREVER
from tests.netns import ROOT, child_environment
from tests.sandbox.sample_lab import SCRIPT, becomes_true, build_quiet, is_alive, make_lab, process_tree
from tests.test_cli import sockmon

inside = pytest.mark.usefixtures("needs_userns")


def _build_and_hang(builder: LabBuilder) -> None:
    builder.progress(0.5, "half of it")
    builder.start("stuck", _hang)


def _hang() -> Iterator[float]:
    time.sleep(FOREVER)
    yield FOREVER


def _build_and_raise(error: Exception, builder: LabBuilder) -> None:
    raise error


@inside
def test_inside_only_its_own_processes_and_network_are_visible() -> None:
    progress: list[tuple[float, str]] = []
    with run_lab(make_lab(build_quiet), lambda *arguments: progress.append(arguments)) as running:
        if not running.isolated:
            pytest.skip("this kernel does not allow mounting a /proc here")
        assert progress == [(0.5, "half of it")]
        assert running.facts == {"isolated": True}
        names = running.run(["sh", "-c", "cat /proc/[0-9]*/comm"]).stdout.split()
        assert sorted(names[:2]) == ["quiet", "sockmon-lab"]
        assert running.pids == {"quiet": [2]}
        assert running.run(["id", "-u"]).stdout == "0\n"
        inode = running.run(["stat", "-Lc", "%i", "/proc/self/ns/net"]).stdout
        assert int(inode) != os.stat("/proc/self/ns/net").st_ino
        assert running.run(["cat", "/sys/class/net/lo/flags"]).returncode == 0


@inside
def test_without_a_private_proc_there_is_no_pid_namespace() -> None:
    # The kernel refuses a new /proc if something is mounted on a part of the old one, as in most containers.
    program = f"mount -t tmpfs none /proc/fs && exec {sys.executable} -c '{SCRIPT.format(build='build_quiet')}'"
    with run_lab(make_lab(build_quiet)) as outer:
        if not outer.isolated:
            pytest.skip("no /proc can be mounted here either")
        argv = outer.command(["timeout", "--signal=INT", "3", "sh", "-c", program])
        done = subprocess.run(argv, capture_output=True, text=True, env=child_environment(), cwd=ROOT, check=False)
        assert json.loads(done.stdout)[1] == {"isolated": False}, done.stderr
        assert becomes_true(
            lambda: outer.run(["sh", "-c", "cat /proc/[0-9]*/comm"]).stdout.split().count("quiet") == 1
        )


@inside
def test_a_lab_that_fails_reports_why() -> None:
    with (
        pytest.raises(LabUnavailable, match="not on Sundays"),
        run_lab(make_lab(partial(_build_and_raise, LabUnavailable("not on Sundays")))),
    ):
        pass
    broken = make_lab(partial(_build_and_raise, OSError(errno.ENOSPC, "full")))
    with pytest.raises(SockmonError, match=r"could not be built: OSError: .*full"), run_lab(broken):
        pass


@inside
def test_a_lab_that_stalls_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sockmon.sandbox.session._STALL_TIMEOUT", 2.0)
    with pytest.raises(SockmonError, match="no progress for 2 s"), run_lab(make_lab(_build_and_hang)):
        pass


def test_a_lab_may_be_built_before_its_parent_has_reported_its_pid() -> None:
    events = ({"built": {"facts": {}, "pids": {"web": [2]}}}, {"inside": 4711, "isolated": True})
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as messages:
        os.write(writer, b"".join(json.dumps(event).encode() + b"\n" for event in events))
        os.close(writer)
        running = _wait_until_built(make_lab(build_quiet), messages, None)
    assert (running.pid, running.isolated, running.pids) == (4711, True, {"web": [2]})


@inside
def test_a_lab_ends_when_one_of_its_processes_dies() -> None:
    with run_lab(make_lab(build_quiet)) as running:
        _, *workers = process_tree(running.pid)
        os.kill(workers[0], signal.SIGKILL)
        assert becomes_true(lambda: not is_alive(running.pid))
        with pytest.raises(SockmonError, match="ended before the command did"):
            running.run_in_terminal("lab", "list")


@inside
def test_an_ordinary_user_can_still_start_processes_outside() -> None:
    ours = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    with run_lab(make_lab(build_quiet)) as running:
        limits = Path(f"/proc/{running.pid}/limits").read_text().splitlines()
        inside = next(line for line in limits if line.startswith("Max processes")).split()[2]
    bounded = os.geteuid() != 0 and ours != resource.RLIM_INFINITY
    assert inside.isdecimal() and int(inside) < ours if bounded else inside in (str(ours), "unlimited")


@inside
def test_an_unmet_need_is_reported() -> None:
    newer = replace(make_lab(build_quiet), needs=("Linux 99.1",))
    with pytest.raises(LabUnavailable, match=r"needs Linux 99\.1, this is"), run_lab(newer):
        pass
    absent = replace(make_lab(build_quiet), needs=("no-such-tool",))
    with pytest.raises(LabUnavailable, match="no-such-tool is not installed"), run_lab(absent):
        pass


@inside
@pytest.mark.parametrize("build", ["build_quiet", "build_in_cgroup"])
@pytest.mark.parametrize("killed", ["caller", "supervisor"])
def test_nothing_is_left_when_a_process_is_killed(build: str, killed: str, request: pytest.FixtureRequest) -> None:
    if build == "build_in_cgroup":
        request.getfixturevalue("needs_cgroup")
    caller = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(build=build)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=child_environment(), cwd=ROOT,
    )  # fmt: skip
    assert caller.stdout is not None
    pid, facts = json.loads(caller.stdout.readline())
    processes = process_tree(caller.pid)
    assert pid in processes
    os.kill(caller.pid if killed == "caller" else processes[1], signal.SIGKILL)
    if killed == "supervisor":
        # The caller removes the cgroups of a killed supervisor when it ends.
        caller.send_signal(signal.SIGINT)
    caller.communicate()
    assert becomes_true(lambda: not any(map(is_alive, processes)))
    assert becomes_true(lambda: "group" not in facts or not Path(facts["group"]).parent.parent.exists())


@inside
def test_a_lab_ends_at_its_deadline() -> None:
    with run_lab(replace(make_lab(build_quiet), deadline=1)) as running:
        assert becomes_true(lambda: not is_alive(running.pid))


def test_a_recording_is_checked_at_its_end(tmp_path: Path) -> None:
    recording = str(tmp_path / "run.jsonl")
    assert sockmon("record", recording, "--for", "0.5", "--interval", "0.2").returncode == 0
    recorded = replace(make_lab(build_quiet), build=None, recording=recording)
    with run_lab(recorded) as running:
        report = running.check()
        assert report.kernel == os.uname().release
        assert any(reading.rate is not None for reading in report.readings)
        with pytest.raises(SockmonError, match="is a recording"):
            running.run(["true"])
    with pytest.raises(LabUnavailable, match="is missing"), run_lab(replace(recorded, recording="no.jsonl")):
        pass
