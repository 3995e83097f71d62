"""A /proc that hides processes: hidepid, subset=pid, no /proc. What is not visible is unknown, with the reason."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from sockmon.assess import Assessor
from sockmon.ceilings import CEILINGS
from sockmon.model.snapshot import HIDDEN_PROCESSES, Cgroups, Processes
from tests.kernel.sleepers import NOBODY
from tests.netns import child_environment
from tests.snapshots import process, snapshot

HIDING = "/proc is mounted with hidepid"
VERBS = [("check", "--json"), ("agent",), ("record", "/dev/null")]
OF_PROCESSES = {ceiling.id for ceiling in CEILINGS if ceiling.from_processes}


def _inside(mount: str, *argv: str) -> subprocess.CompletedProcess[bytes]:
    """Run `sockmon` as root of private namespaces, with a private pid namespace and /proc."""
    return _run(["unshare", "-Urm", "-pf"], mount, [sys.executable, "-m", "sockmon", *argv])


def _run(unshare: list[str], mount: str, argv: list[str]) -> subprocess.CompletedProcess[bytes]:
    # Something of another user, for those that do not run as this one.
    script = mount + '\nsleep 60 >/dev/null 2>&1 & "$@"; code=$?; kill $!; exit $code'
    return subprocess.run(
        [*unshare, "sh", "-c", script, "sh", *argv],
        capture_output=True, env=child_environment(), check=False, timeout=120,
    )  # fmt: skip


AS_NOBODY = f"""
import os, sys
import sockmon.cli.check, sockmon.observe, sockmon.agent.sampler, sockmon.cli.main, sockmon.log
import textwrap, shlex, json, errno
os.setgroups([]); os.setresgid({NOBODY}, {NOBODY}, {NOBODY}); os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
import ctypes
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, as after an exec
from sockmon.cli.check import as_json
from sockmon.observe import current_report
print(as_json(current_report()))
"""
"""An interpreter below root's home can only import as root: what `check` needs comes first."""


def _report(done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    assert done.returncode in (0, 1, 2, 3), done.stderr.decode()
    assert b"Traceback" not in done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def _others(report: dict[str, Any]) -> dict[str, str]:
    return {
        row["ceiling"]: " ".join(row["evidence"])
        for row in report["readings"]
        if row["subject"] == HIDDEN_PROCESSES
    }


@pytest.mark.fault("Q11")
@pytest.mark.usefixtures("needs_userns")
def test_hidepid_of_a_user_namespace_shows_all_to_its_root() -> None:
    report = _report(_inside("mount -t proc -o hidepid=2 proc /proc", "check", "--json"))
    assert not _others(report)


@pytest.mark.fault("Q11", "X1")
@pytest.mark.usefixtures("root_only")
@pytest.mark.parametrize("hidepid", [1, 2])
def test_hidepid_makes_the_processes_of_others_unknown(hidepid: int) -> None:
    mount = f"mount -t proc -o hidepid={hidepid} proc /proc"
    done = _run(["unshare", "-m", "-pf"], mount, [sys.executable, "-c", AS_NOBODY])
    report = _report(done)
    others = _others(report)
    assert set(others) == OF_PROCESSES
    assert all("hidepid" in why for why in others.values())
    assert any(item["reader"] == "processes" and "hidepid" in item["reason"] for item in report["missing"])
    assert report["owners_known"] is None
    seen = [row for row in report["readings"] if row["ceiling"] == "process-fds" and row["severity"] == "ok"]
    assert {row["subject"].partition("[")[0] for row in seen} <= {"sockmon", "python", "python3", "python3.11"}


@pytest.mark.fault("Q11")
@pytest.mark.usefixtures("needs_userns")
def test_without_proc_sys_every_ceiling_that_needs_it_is_unknown() -> None:
    """subset=pid: no /proc/sys, no /proc/net."""
    done = _inside("mount -t proc -o subset=pid proc /proc", "check", "--json")
    if b"mount" in done.stderr:
        pytest.skip(f"no subset=pid here: {done.stderr.decode()}")
    report = _report(done)
    unknown = {
        row["ceiling"]: " ".join(row["evidence"]) for row in report["readings"] if row["severity"] == "unknown"
    }
    assert {"pid-max", "threads-max", "system-fds", "memory-maps", "ephemeral-ports", "time-wait-buckets"} <= set(
        unknown
    )
    assert not [why for why in unknown.values() if "not read yet" in why], unknown
    assert any("subset=pid" in item["reason"] for item in report["missing"])


@pytest.mark.fault("Q12")
@pytest.mark.usefixtures("needs_userns")
@pytest.mark.parametrize(
    ("mount", "reason"),
    [("mount -t tmpfs none /proc", b"/proc is not mounted"), ("true", b"/proc belongs to another pid namespace")],
    ids=["none", "other"],
)
@pytest.mark.parametrize(
    "verb", [("check", "--json"), ("agent",), ("record", "/dev/null")], ids=lambda verb: verb[0]
)
def test_without_a_proc_of_ours_it_refuses_with_the_reason(
    mount: str, reason: bytes, verb: tuple[str, ...]
) -> None:
    done = _inside(mount, *verb)
    assert done.returncode
    assert reason in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.fault("Q11")
def test_nothing_that_was_not_seen_is_called_ok() -> None:
    hidden = Processes(0.0, (process(nproc=-1),), 0, 0.0, hidden=HIDING)
    report = Assessor().add(snapshot(0.0, processes=hidden, cgroups=Cgroups(0.0, (), (), False))).report
    found = {row.ceiling: row for row in report.readings if row.subject == HIDDEN_PROCESSES}
    assert set(found) == OF_PROCESSES
    assert {row.severity for row in found.values()} == {"unknown"}
    assert {row.evidence for row in found.values()} == {(HIDING,)}
    limitless = [
        row for row in report.readings if row.ceiling in ("cgroup-pids", "cgroup-memory", "user-processes")
    ]
    assert {row.subject for row in limitless} == {HIDDEN_PROCESSES}


ASKS = f"""
import os
from sockmon.errors import ReadError
from sockmon.kernel.processes import descriptors, proc_files, rlimits
from sockmon.kernel.netlink import run
os.setgroups([]); os.setresgid({NOBODY}, {NOBODY}, {NOBODY}); os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
proc = proc_files.open_proc()
links = lambda: run(descriptors.read_descriptors(1, proc))
for ask in (lambda: rlimits.read(1), links, lambda: rlimits.read(4194000)):
    try:
        ask()
    except ReadError as refused:
        print(refused.message)
"""


@pytest.mark.fault("Q11")
@pytest.mark.usefixtures("root_only")
def test_a_process_that_is_hidden_has_not_ended() -> None:
    done = _run(["unshare", "-m", "-pf"], "mount -t proc -o hidepid=2 proc /proc", [sys.executable, "-c", ASKS])
    hidden = "is hidden: /proc is mounted with hidepid"
    assert done.stdout.decode().splitlines() == [hidden, hidden, "the process has ended"], done.stderr.decode()
