"""How labs are run: inside, as root and as anybody, with nothing left behind whatever happens."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from sockmon.errors import LabUnavailable, NoSuchLab, SockmonError
from sockmon.labs import BY_NAME, LABS, cgroups, find
from sockmon.labs.crew import FOREVER
from sockmon.labs.lab import Expect, Lab, judge
from sockmon.labs.running import running
from sockmon.labs.stage import Group, Stage
from sockmon.model.report import Reading, Report
from tests.netns import ROOT, child_environment
from tests.terminal import on_terminal
from tests.test_cli import sockmon

inside = pytest.mark.usefixtures("needs_userns")


def _stay(group: Group | None = None) -> Iterator[float]:
    if group:
        group.join()
    yield FOREVER


def _quiet(stage: Stage) -> None:
    stage.start("quiet", _stay)
    stage.facts["isolated"] = stage.isolated
    stage.progress(0.5, "half of it")


def _grouped(stage: Stage) -> None:
    stage.cgroup("pids", "outer", max=40)
    group = stage.cgroup("pids", "outer/inner", max=20)
    stage.facts["group"] = str(group.path)
    stage.start("member", partial(_stay, group))


def _hangs(stage: Stage) -> None:
    stage.progress(0.5, "half of it")
    stage.start("stuck", _never)


def _never() -> Iterator[float]:
    time.sleep(FOREVER)
    yield FOREVER


def _raises(error: Exception, stage: Stage) -> None:
    raise error


def lab(build: Callable[[Stage], None]) -> Lab:
    return replace(BY_NAME["process-fds"], name="mine", build=build)


@inside
def test_inside_are_only_its_own_processes_and_its_own_network() -> None:
    told: list[tuple[float, str]] = []
    with running(lab(_quiet), lambda *said: told.append(said)) as world:
        if not world.isolated:
            pytest.skip("this kernel lets nobody mount a /proc here")
        assert told == [(0.5, "half of it")]
        assert world.facts == {"isolated": True}
        names = world.run(["sh", "-c", "cat /proc/[0-9]*/comm"]).stdout.split()
        assert sorted(names[:2]) == ["quiet", "sockmon-lab"]
        assert world.pids == {"quiet": [2]}
        assert world.run(["id", "-u"]).stdout == "0\n"
        inode = world.run(["stat", "-Lc", "%i", "/proc/self/ns/net"]).stdout
        assert int(inode) != os.stat("/proc/self/ns/net").st_ino
        assert world.run(["cat", "/sys/class/net/lo/flags"]).returncode == 0


@inside
def test_where_no_proc_can_be_mounted_there_is_no_pid_namespace() -> None:
    # The kernel refuses a new /proc where something covers a part of the old one, as in most containers.
    program = f"mount -t tmpfs none /proc/fs && exec {sys.executable} -c '{_ASKER.format(build='_quiet')}'"
    with running(lab(_quiet)) as outer:
        if not outer.isolated:
            pytest.skip("this is such a place already")
        argv = outer.command(["timeout", "--signal=INT", "3", "sh", "-c", program])
        done = subprocess.run(argv, capture_output=True, text=True, env=child_environment(), cwd=ROOT, check=False)
        assert json.loads(done.stdout)[1] == {"isolated": False}, done.stderr
        assert _in_time(
            lambda: outer.run(["sh", "-c", "cat /proc/[0-9]*/comm"]).stdout.split().count("quiet") == 1
        )


@inside
def test_a_lab_that_fails_says_why() -> None:
    with (
        pytest.raises(LabUnavailable, match="not on Sundays"),
        running(lab(partial(_raises, LabUnavailable("not on Sundays")))),
    ):
        pass
    broken = lab(partial(_raises, OSError(errno.ENOSPC, "full")))
    with pytest.raises(SockmonError, match=r"could not be built: OSError: .*full"), running(broken):
        pass


@inside
def test_one_that_is_never_built_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sockmon.labs.running._STALLED", 2.0)
    with pytest.raises(SockmonError, match="it has not got on"), running(lab(_hangs)):
        pass


@inside
def test_a_lab_that_lost_a_process_is_no_lab_any_more() -> None:
    with running(lab(_quiet)) as world:
        _, *workers = _family(world.pid)
        os.kill(workers[0], signal.SIGKILL)
        assert _in_time(lambda: not _alive(world.pid))
        with pytest.raises(SockmonError, match="ended while it was looked at"):
            world.call("lab", "list")


@inside
def test_an_ordinary_user_can_still_start_something_beside_a_lab() -> None:
    ours = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    with running(lab(_quiet)) as world:
        limits = Path(f"/proc/{world.pid}/limits").read_text().splitlines()
        inside = next(line for line in limits if line.startswith("Max processes")).split()[2]
    bounded = os.geteuid() != 0 and ours != resource.RLIM_INFINITY
    assert inside.isdecimal() and int(inside) < ours if bounded else inside in (str(ours), "unlimited")


@inside
def test_a_need_that_is_not_met_is_told_in_words() -> None:
    newer = replace(lab(_quiet), needs=("Linux 99.1",))
    with pytest.raises(LabUnavailable, match=r"needs Linux 99\.1, this is"), running(newer):
        pass
    absent = replace(lab(_quiet), needs=("no-such-tool",))
    with pytest.raises(LabUnavailable, match="no-such-tool is not installed"), running(absent):
        pass


@inside
def test_a_verb_passes_its_exit_code_and_its_output_through() -> None:
    done = sockmon("lab", "run", "ephemeral-ports", "--", "check", "--json")
    assert (done.returncode, json.loads(done.stdout)["verdict"]) == (2, "hit")
    done = sockmon("lab", "run", "ephemeral-ports", "--", "check", "--no-such-flag")
    assert (done.returncode, done.stdout) == (3, "")
    assert "--no-such-flag" in done.stderr


def test_a_verb_that_there_is_not_is_told_before_anything_is_built() -> None:
    done = sockmon("lab", "run", "memory-maps", "--", "chekc")
    assert (done.returncode, done.stdout) == (2, "")
    assert "No such command 'chekc'" in done.stderr


def test_bad_names_get_the_nearest() -> None:
    with pytest.raises(NoSuchLab) as refused:
        find("proces-fd")
    assert "process-fds" in refused.value.hint
    done = sockmon("lab", "run", "proces-fd")
    assert done.returncode == 1
    assert "did you mean process-fds" in done.stderr


def test_the_screen_needs_a_terminal_before_anything_is_built() -> None:
    done = sockmon("lab", "run", "process-fds")
    assert done.returncode == 1
    assert "needs a terminal" in done.stderr


def test_the_list_has_all_of_them() -> None:
    assert [row["name"] for row in json.loads(sockmon("lab", "list", "--json").stdout)] == list(BY_NAME)
    for one in LABS:
        assert len(one.does) <= 108, one.name
        assert len(one.look) <= 76, one.name
        assert one.build or one.recording, one.name


@pytest.fixture
def needs_cgroup() -> None:
    try:
        cgroups.home("pids")
    except LabUnavailable as refused:
        pytest.skip(refused.message)


@inside
@pytest.mark.usefixtures("needs_cgroup")
def test_a_cgroup_holds_its_member_and_is_gone_afterwards() -> None:
    with running(lab(_grouped)) as world:
        group = Path(world.facts["group"])
        assert (group / "pids.max").read_text() == "20\n"
        assert (group.parent / "pids.max").read_text() == "40\n"
        assert len((group / "cgroup.procs").read_text().split()) == 1
    assert not group.parent.parent.exists()


@pytest.mark.usefixtures("needs_cgroup")
def test_groups_are_swept_once_nobody_holds_them() -> None:
    # No process has this number: so it looks from here where the supervisor lives in another pid namespace.
    group = cgroups.home("pids") / f"sockmon-lab-{2**22 + os.getpid()}"
    group.mkdir()
    door = os.open(group, os.O_RDONLY)
    try:
        fcntl.flock(door, fcntl.LOCK_EX)
        cgroups.sweep()
        assert group.exists()
    finally:
        os.close(door)
    cgroups.sweep()
    assert not group.exists()


_ASKER = """
import json, sys, time
from sockmon.labs.running import running
from tests.labs import test_framework as mine
with running(mine.lab(mine.{build})) as world:
    print(json.dumps([world.pid, world.facts]), flush=True)
    time.sleep(60)
"""


@inside
@pytest.mark.parametrize("build", ["_quiet", "_grouped"])
@pytest.mark.parametrize("victim", ["asker", "supervisor"])
def test_nothing_is_left_when_someone_is_killed(build: str, victim: str, request: pytest.FixtureRequest) -> None:
    if build == "_grouped":
        request.getfixturevalue("needs_cgroup")
    asker = subprocess.Popen(
        [sys.executable, "-c", _ASKER.format(build=build)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=child_environment(), cwd=ROOT,
    )  # fmt: skip
    assert asker.stdout is not None
    pid, facts = json.loads(asker.stdout.readline())
    family = _family(asker.pid)
    assert pid in family
    os.kill(asker.pid if victim == "asker" else family[1], signal.SIGKILL)
    if victim == "supervisor":
        # The asker sweeps up after a supervisor when it ends.
        asker.send_signal(signal.SIGINT)
    asker.communicate()
    assert _in_time(lambda: not any(map(_alive, family)))
    assert _in_time(lambda: "group" not in facts or not Path(facts["group"]).parent.parent.exists())


def _family(pid: int) -> list[int]:
    """A process and all below it, parents first."""
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in below for each in _family(int(child)))]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _in_time(holds: Callable[[], bool]) -> bool:
    give_up = time.monotonic() + 20
    while not holds() and time.monotonic() < give_up:
        time.sleep(0.05)
    return holds()


@inside
def test_it_dies_at_its_deadline() -> None:
    with running(replace(lab(_quiet), deadline=1)) as world:
        assert _in_time(lambda: not _alive(world.pid))


@inside
def test_the_screen_shows_the_story_and_leaves_nothing() -> None:
    with on_terminal("lab", "run", "accept-queue") as screen:
        shown = screen.until("stuck-app")
        assert BY_NAME["accept-queue"].does in shown
        assert "→ " + BY_NAME["accept-queue"].look in shown
        family = _family(screen.process.pid)
        assert len(family) >= 8
        screen.press("q")
        assert screen.end() == 0
        assert termios.tcgetattr(screen.terminal) == screen.before
    assert not any(map(_alive, family))


def test_of_a_recording_the_end_is_judged(tmp_path: Path) -> None:
    recording = str(tmp_path / "run.jsonl")
    assert sockmon("record", recording, "--for", "0.5", "--interval", "0.2").returncode == 0
    recorded = replace(lab(_quiet), build=None, recording=recording)
    with running(recorded) as world:
        report = world.check()
        assert report.kernel == os.uname().release
        assert any(reading.rate is not None for reading in report.readings)
        with pytest.raises(SockmonError, match="is a recording"):
            world.run(["true"])
    with pytest.raises(LabUnavailable, match="not there"), running(replace(recorded, recording="no.jsonl")):
        pass


def _reading(ceiling: str, severity: str, used: int = 5, scope: str = "process") -> Reading:
    return Reading(ceiling, "web[7]", scope, used, 5, 1.0, None, None, severity, ("because",), ())  # type: ignore[arg-type]


def _judged(*readings: Reading, first: Expect | None, never: tuple[str, ...] = ()) -> list[str]:
    report = Report(1, "h", "6.1", "now", "net", "ok", readings, ())
    return judge(replace(BY_NAME["process-fds"], first=first, also=(), never=never), report)


WEB = Expect("process-fds", r"^web\[", (5, 5), (5, 5), ("hit",))


def test_the_judge() -> None:
    full = _reading("process-fds", "hit")
    queue = _reading("accept-queue", "hit")
    assert _judged(full, queue, first=WEB) == []
    assert _judged(_reading("system-fds", "hit", scope="host"), full, first=WEB) == []
    assert "not process-fds" in _judged(queue, full, first=WEB)[0]
    assert "used is not in 5–5" in _judged(_reading("process-fds", "hit", used=4), first=WEB)[0]
    assert "severity is not hit" in _judged(_reading("process-fds", "ok"), first=WEB)[0]
    assert "must not come: accept-queue" in _judged(full, queue, first=WEB, never=("accept-queue",))[0]
    assert "must not come: process-fds" in _judged(full, first=None)[0]
    assert _judged(_reading("process-fds", "ok"), first=None) == []
