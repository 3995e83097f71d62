"""Each guide as an ordinary user on the host, outside of any user namespace: to the commands that root has to run,
or to the reason not to tune. Symptoms that need a setting of a network namespace are in one that root has made."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest

from sockmon.guides.report import WalkReport
from tests.guides.lab_walks import end
from tests.load import Load
from tests.netns import ROOT, child_environment

PROGRAM = (sys.executable, "-m", "tests.guides.user_symptoms")


@pytest.fixture(scope="module")
def _symptoms() -> Iterator[None]:
    with subprocess.Popen(
        PROGRAM, cwd=ROOT, env=child_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        yield
        process.stdin.close()  # type: ignore[union-attr]


def _command(guide: str, *argv: str) -> list[str]:
    return [*PROGRAM, "guide", guide, *argv, "--json"]


def _walk(guide: str, *argv: str) -> WalkReport:
    done = subprocess.run(
        _command(guide, *argv), cwd=ROOT, env=child_environment(), capture_output=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr.decode()
    return msgspec.json.decode(done.stdout, type=WalkReport)


def _assert_has_the_command(walk: WalkReport, setting: str) -> None:
    assert walk.outcome == "run-commands", walk.outcome
    assert walk.cannot_change
    assert any("sudo " in line and " tune apply " in line and setting in line for line in end(walk).advice)


@pytest.mark.usefixtures("_symptoms")
@pytest.mark.parametrize(
    ("guide", "number", "setting"),
    [
        ("stuck-at-n", "200", "nofile@"),
        ("too-many-files", "", "nofile@"),
        ("before-a-launch", "100000", "nofile@"),
    ],
)
def test_a_limit_is_raised_by_a_command_of_root(guide: str, number: str, setting: str) -> None:
    _assert_has_the_command(_walk(guide, *([number] if number else [])), setting)


@pytest.mark.usefixtures("_symptoms")
@pytest.mark.parametrize("guide", ["connections-time-out", "close-wait", "unix-socket-eagain", "lost-packets"])
def test_an_application_is_not_tuned(guide: str) -> None:
    walk = _walk(guide)
    assert walk.outcome == "do-not-tune"
    assert len(end(walk).advice) > 1


def _walk_in_namespace(guide: str, load: Load) -> WalkReport:
    with load:
        done = load.run(_command(guide), timeout=240)
    assert done.returncode == 0, done.stderr
    return msgspec.json.decode(done.stdout, type=WalkReport)


@pytest.mark.usefixtures("root_only")
@pytest.mark.parametrize("guide", ["cannot-assign-address", "slow-connects"])
def test_ports_are_given_by_a_command_of_root(guide: str) -> None:
    walk = _walk_in_namespace(guide, Load(ports=(200, 200), user_namespace=False))
    _assert_has_the_command(walk, "net.ipv4.ip_local_port_range")


@pytest.mark.usefixtures("root_only")
def test_many_in_time_wait_are_left_alone() -> None:
    walk = _walk_in_namespace("time-wait", Load(time_wait=1500, user_namespace=False))
    if walk.outcome == "other-limit":
        pytest.skip("another program of this host is at a limit")
    assert walk.outcome == "do-not-tune"


@pytest.mark.parametrize(
    ("guide", "recording", "setting"),
    [
        ("neighbour-table-full", "neighbour-table", "net.ipv4.neigh.default.gc_thresh3="),
        ("conntrack-full", "conntrack-buckets", "net.netfilter.nf_conntrack_buckets="),
        ("cannot-fork", "threads-max", "kernel.threads-max="),
    ],
)
def test_a_limit_of_the_host_on_its_recording(guide: str, recording: str, setting: str) -> None:
    """A state that only a host has is not made on this one."""
    walk = _walk(guide, "--from", f"sockmon/labs/recordings/{recording}.jsonl")
    _assert_has_the_command(walk, setting)
