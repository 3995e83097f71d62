"""Limits of a cgroup: read from trees of v1 and v2, planned, and changed on a real one with the whole protocol."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from sockmon.errors import InvalidValue, Misuse, NotPresent, PlanRejected, TuningError
from sockmon.kernel.cgroups.limits import cgroup_of_process, find_limit_file, is_path, read_limit
from sockmon.kernel.identity import boot_id, netns_inode
from sockmon.model.cgroup_limit import AncestorLimit, CgroupLimit
from sockmon.model.plan import Plan, Proposal, Setting
from sockmon.model.transaction import ForeignValue, State, Transaction, inverse_plan
from sockmon.tunables import BY_KEY, cgroup_of, process_of, row_of
from sockmon.tunables.limit_origin.cgroup_text import cgroup_lines
from sockmon.tunables.value import parse
from sockmon.tuning.helper.drift import find_drift
from sockmon.tuning.planning.context import PlanContext, from_snapshot
from sockmon.tuning.planning.naming import find_setting
from sockmon.tuning.planning.plan import keys_to_read, make_plan
from sockmon.tuning.transaction.cgroup_target import CgroupTarget
from sockmon.tuning.transaction.client import apply, decide
from sockmon.tuning.transaction.control_socket import serve_until_decided
from sockmon.tuning.transaction.guard import Guard
from sockmon.tuning.transaction.recovery import recover
from sockmon.tuning.transaction.targets import has_ended, open_target, validate_setting
from tests.netns import child_environment, inside
from tests.snapshots import snapshot
from tests.tuning.cgroup_tree import fake_proc, real_cgroup, setting_of
from tests.tuning.sample_change import ACTOR, read_history
from tests.waiting import alive, until

PIDS, MEMORY = "pids.max@/web.slice", "memory.max@/web.slice"
NGINX = "/system.slice/nginx.service"


# Reading: trees of files

V2 = {
    "web/pids.max": "max\n", "web/pids.current": "3\n",
    "web/app/pids.max": "100\n", "web/app/pids.current": "3\n",
    "web/app/memory.max": "1073741824\n", "web/app/memory.high": "max\n", "web/app/memory.current": "4096\n",
    "web/memory.max": "536870912\n",
}  # fmt: skip
V1 = {
    "web/app/pids.max": "100\n", "web/app/pids.current": "3\n", "web/pids.max": "50\n",
    "web/app/memory.limit_in_bytes": "9223372036854771712\n", "web/app/memory.usage_in_bytes": "4096\n",
}  # fmt: skip


def test_limits_of_v2_are_read_with_what_else_applies(tmp_path: Path) -> None:
    proc = fake_proc(tmp_path, unified=True, files=V2)
    tasks, memory, high = (read_limit(key, "/web/app", proc) for key in ("pids.max", "memory.max", "memory.high"))
    assert (tasks.value, tasks.limit.used, tasks.limit.ancestors) == ("100", 3, ())
    assert (memory.value, memory.limit.ancestors) == ("1073741824", (AncestorLimit("/web", 536870912),))
    assert (high.value, high.limit.maximum) == ("max", 1073741824)
    assert tasks.limit.hidden
    assert tasks.inode == os.stat(tmp_path / "cgroup/unified/web/app").st_ino
    assert read_limit("pids.max", "/web", proc).value == "max"


def test_limits_of_v1_are_read_with_what_else_applies(tmp_path: Path) -> None:
    proc = fake_proc(tmp_path, unified=False, files=V1)
    tasks, memory = read_limit("pids.max", "/web/app", proc), read_limit("memory.max", "/web/app", proc)
    assert (tasks.value, tasks.limit.ancestors) == ("100", (AncestorLimit("/web", 50),))
    assert (memory.value, memory.limit.used) == ("max", 4096)
    assert memory.limit.file.endswith("/memory.limit_in_bytes")
    with pytest.raises(NotPresent, match=r"cgroup v1 has no memory\.high"):
        read_limit("memory.high", "/web/app", proc)


def test_a_cgroup_that_is_not_there_is_said(tmp_path: Path) -> None:
    proc = fake_proc(tmp_path, unified=True, files=V2)
    with pytest.raises(NotPresent, match="no such cgroup"):
        read_limit("pids.max", "/gone", proc)
    with pytest.raises(NotPresent, match="its controller is not enabled"):
        read_limit("memory.high", "/web", proc)
    for path in ("/../etc", "/web/../..", "web", "//web", "/web/"):
        assert not is_path(path)
        with pytest.raises(NotPresent):
            find_limit_file("pids.max", path, proc)


@pytest.mark.parametrize("unified", [True, False], ids=["v2", "v1"])
def test_the_root_cgroup_takes_no_limit_but_that_of_a_container_does(
    tmp_path: Path, unified: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "memory.max" if unified else "memory.limit_in_bytes"
    proc = fake_proc(tmp_path, unified=unified, files={name: "1048576\n"})
    assert read_limit("memory.max", "/", proc).value == "1048576"
    monkeypatch.setattr("sockmon.kernel.cgroups.limits.in_initial_namespace", lambda proc: True)
    with pytest.raises(NotPresent, match="the root cgroup takes no limit"):
        read_limit("memory.max", "/", proc)


def test_the_cgroup_of_a_process_is_that_of_its_controller(tmp_path: Path) -> None:
    for pid, text in ((7, "0::/web/app\n"), (8, "2:pids:/old\n0::/new\n")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "cgroup").write_text(text)
    assert [cgroup_of_process("pids.max", pid, str(tmp_path)) for pid in (7, 8)] == ["/web/app", "/old"]


@pytest.mark.parametrize("unified", [True, False], ids=["v2", "v1"])
def test_the_guard_writes_what_each_version_takes(
    tmp_path: Path, unified: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CgroupTarget, "_require_cgroup", lambda self: None)
    files = {"web/memory.max": "1048576\n"} if unified else {"web/memory.limit_in_bytes": "1048576\n"}
    proc = fake_proc(tmp_path, unified=unified, files=files)
    inode = read_limit("memory.max", "/web", proc).inode
    target = CgroupTarget(Setting("memory.max", "1048576", "max", 0, inode, "/web"), proc)
    assert target.read() == "1048576"
    target.write("max")
    target.close()
    (file,) = (tmp_path / "cgroup").rglob("memory.*")
    assert file.read_text().startswith("max\n" if unified else "-1\n")
    with pytest.raises(FileNotFoundError, match="another has its name now"):
        CgroupTarget(Setting("memory.max", "1048576", "max", 0, inode + 1, "/web"), proc)
    with pytest.raises(FileNotFoundError, match=r"no such cgroup|removed"):
        CgroupTarget(Setting("memory.max", "1048576", "max", 0, inode, "/gone"), proc)


def test_a_file_that_is_not_the_kernels_is_not_written(tmp_path: Path) -> None:
    proc = fake_proc(tmp_path, unified=True, files=V2)
    inode = read_limit("pids.max", "/web/app", proc).inode
    with pytest.raises(TuningError, match="not a file of the kernel"):
        CgroupTarget(Setting("pids.max", "100", "200", 0, inode, "/web/app"), proc)
    assert (tmp_path / "cgroup/unified/web/app/pids.max").read_text() == "100\n"


# Names and values


def test_a_cgroup_is_named_by_its_path_or_by_a_process() -> None:
    assert find_setting("pids.max@/Web.slice/A@b.service") == (
        "pids.max@/Web.slice/A@b.service",
        BY_KEY["pids.max"],
    )
    assert find_setting("memory.limit_in_bytes@/web/")[0] == "memory.max@/web"
    assert find_setting("PIDS.MAX@1044")[0] == "pids.max@1044"
    key = "pids.max@/user.slice/user@1000.service"
    assert (cgroup_of(key), process_of(key), row_of(key).key) == ("/user.slice/user@1000.service", 0, "pids.max")
    assert Setting("pids.max", "1", "2", 0, 5, "/web").name == "pids.max@/web"
    with pytest.raises(Misuse, match="is a limit of each cgroup"):
        keys_to_read(["pids.max"])


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("pids.max", "100", "100"),
        ("pids.max", "max", "max"),
        ("pids.max", "infinity", "max"),
        ("memory.max", "2G", "2147483648"),
        ("memory.max", "1048577", "1048576"),
        ("memory.high", "512m", "536870912"),
        ("memory.high", "unlimited", "max"),
    ],
)
def test_values(key: str, text: str, value: str) -> None:
    assert parse(BY_KEY[key], text) == value


@pytest.mark.parametrize(
    ("key", "text"),
    [("pids.max", "1K"), ("pids.max", "0"), ("pids.max", "4194305"), ("memory.max", "4K"), ("memory.max", "-1")],
)
def test_values_that_are_refused(key: str, text: str) -> None:
    with pytest.raises(InvalidValue):
        parse(BY_KEY[key], text)


@pytest.mark.parametrize(
    "setting",
    [
        Setting("pids.max", "1", "2", 0, 5, "/../x"),
        Setting("pids.max", "1", "2", 7, 5, "/x"),
        Setting("pids.max", "1", "-1", 0, 5, "/x"),
        Setting("cgroup.kill", "0", "1", 0, 5, "/x"),
        Setting("pids.max", "1", "2"),
    ],
)
def test_what_is_no_limit_of_a_cgroup_is_refused_by_the_guard(setting: Setting) -> None:
    plan = Plan((setting,), netns_inode(), boot_id())
    with tempfile.TemporaryDirectory() as root:
        assert Guard(plan, ACTOR, 60.0, root).apply().state == "refused"
    with pytest.raises(Exception, match=r"sockmon can change|not allowed"):
        validate_setting(setting)


# Plans


def _here(**changes: Any) -> PlanContext:
    limit = CgroupLimit("/sys/fs/cgroup/web.slice/pids.max", **{"used": 96, **changes})
    now = from_snapshot(snapshot(0.0))
    values = {**now.values, PIDS: "100", MEMORY: "1073741824"}
    return replace(now, values=values, cgroups={PIDS: limit, MEMORY: limit}, start_times={PIDS: 5, MEMORY: 5})


def _texts(found: Proposal) -> str:
    return " ".join(warning.text for preview in found.previews for warning in preview.warnings)


def test_a_plan_says_what_fits_and_how_it_lasts() -> None:
    found = make_plan({PIDS: "200"}, _here())
    assert found.plan.settings == (Setting("pids.max", "100", "200", 0, 5, "/web.slice"),)
    assert found.previews[0].effect == "100 → 200 tasks; it has 96 now, so 104 more fit"
    assert any("systemctl set-property web.slice TasksMax=200" in line for line in found.previews[0].at_boot)
    assert found.commands == ("echo 200 > /sys/fs/cgroup/web.slice/pids.max",)
    assert found.rollback_commands == ("echo 100 > /sys/fs/cgroup/web.slice/pids.max",)


@pytest.mark.parametrize(("key", "value"), [(PIDS, "95"), (MEMORY, "1M")])
def test_less_than_what_is_used_is_refused(key: str, value: str) -> None:
    with pytest.raises(PlanRejected, match="in use now"):
        make_plan({key: value}, _here(used=96 if key == PIDS else 2 << 20))


def test_the_ancestor_that_binds_is_named() -> None:
    text = _texts(make_plan({PIDS: "200"}, _here(ancestors=(AncestorLimit("/", 90),))))
    assert "the cgroup above it, /, has pids.max = 90: raising this one does not help" in text
    text = _texts(make_plan({PIDS: "max"}, _here(ancestors=(AncestorLimit("/a", 150),))))
    assert "pids.max = 150: it binds first; to raise that one: pids.max@/a" in text
    assert "the cgroup above" not in _texts(make_plan({PIDS: "149"}, _here(ancestors=(AncestorLimit("/a", 150),))))


def test_what_cannot_be_seen_and_what_a_rollback_may_do_is_said() -> None:
    assert "not visible in a container" in _texts(make_plan({PIDS: "200"}, _here(hidden=True)))
    assert "kills a process inside" in _texts(make_plan({MEMORY: "2G"}, _here()))


@pytest.mark.parametrize(
    ("key", "path", "line"),
    [
        ("pids.max", NGINX, "systemctl set-property nginx.service TasksMax=200"),
        ("memory.high", NGINX, "MemoryHigh=200"),
        (
            "memory.max",
            "/user.slice/user-5.slice/user@5.service/app.slice/x.service",
            "systemctl --user set-property",
        ),
        ("pids.max", "/user.slice/user-5.slice/session-2.scope", "lasts as long as the scope"),
        ("pids.max", f"{NGINX}/worker", "nginx.service makes this cgroup itself"),
        ("pids.max", f"/system.slice/docker-{'ab' * 32}.scope", "docker update --pids-limit=200 abababababab"),
        ("memory.max", f"/machine.slice/libpod-{'ab' * 32}.scope", "start the container with --memory=200"),
        ("memory.high", f"/docker/{'ab' * 32}", "Docker has no option for memory.high"),
        ("pids.max", f"/kubepods.slice/kubepods-pod1.slice/crio-{'ab' * 32}.scope", "podPidsLimit: 200"),
        ("memory.max", "/lxc.payload.web", "limits.memory"),
        ("pids.max", "/a b/$(id)", "whatever creates the cgroup"),
    ],
)
def test_where_a_limit_lasts(key: str, path: str, line: str) -> None:
    assert line in "\n".join(cgroup_lines(key, path, "200"))


# The real kernel

needs_root = pytest.mark.usefixtures("root_only")
KEYS = ("pids.max", "memory.max")
VALUES = {"pids.max": ("50", "80", "60"), "memory.max": ("max", "104857600", "209715200")}
"""The old value, the new one, and one that another process writes."""


def _value(key: str, path: str) -> str:
    return read_limit(key, path).value


@needs_root
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("end", ["revert", "keep"])
def test_a_real_limit_is_changed_held_and_rolled_back_or_kept(key: str, end: str) -> None:
    old, new, other = VALUES[key]
    with real_cgroup(key, old) as (path, _), tempfile.TemporaryDirectory() as root:
        Path(root, "etc/sysctl.d").mkdir(parents=True)
        plan = Plan((setting_of(key, path, new),), netns_inode(), boot_id())
        guard = Guard(plan, ACTOR, 60.0, root)
        assert guard.apply().state == "holding", guard.messages
        assert _value(key, path) == new
        if end == "revert":
            assert guard.revert().state == "reverted"
            assert _value(key, path) == old
            return
        kept = guard.keep(persist=True)
        assert (kept.state, kept.persisted, kept.not_kept) == ("kept", False, ())
        assert any("To last" in message for message in kept.messages)
        assert find_drift(root) == ()
        undo = Guard(inverse_plan(kept, netns_inode(), boot_id()), ACTOR, 60.0, root)
        assert undo.apply().state == "holding", undo.messages
        assert _value(key, path) == old
        undo.revert()
        Path(find_limit_file(key, path).file).write_text(other)
        (drift,) = find_drift(root)
        assert (drift.key, drift.cgroup, drift.now) == (key, path, other)


@needs_root
@pytest.mark.parametrize("key", KEYS)
def test_a_value_of_another_process_is_left_alone(key: str) -> None:
    old, new, other = VALUES[key]
    with real_cgroup(key, old) as (path, _), tempfile.TemporaryDirectory() as root:
        for end, state in (("revert", "conflict"), ("keep", "kept")):
            guard = Guard(Plan((setting_of(key, path, new),), netns_inode(), boot_id()), ACTOR, 60.0, root)
            assert guard.apply().state == "holding", guard.messages
            Path(find_limit_file(key, path).file).write_text(other)
            ended: Transaction = getattr(guard, end)()
            assert (ended.state, _value(key, path)) == (state, other)
        assert ended.not_kept == (ForeignValue(f"{key}@{path}", other),)


@needs_root
@pytest.mark.parametrize("again", [False, True], ids=["removed", "made again"])
@pytest.mark.parametrize("way", ["held", "keep", "killed"])
def test_a_cgroup_that_ends_during_the_hold_ends_the_change(way: str, again: bool) -> None:
    with real_cgroup("pids.max", "50") as (path, directory), tempfile.TemporaryDirectory() as root:
        setting = setting_of("pids.max", path, "80")
        guard = Guard(Plan((setting,), netns_inode(), boot_id()), ACTOR, 60.0, root)
        assert guard.apply().state == "holding", guard.messages
        directory.rmdir()
        if again:
            directory.mkdir()
            Path(find_limit_file("pids.max", path).file).write_text("70")
        expected: State = "kept" if way == "keep" else "reverted"
        if way == "held":
            ended = serve_until_decided(guard)
            assert "the hold expired" not in ended.messages
        elif way == "keep":
            ended = guard.keep()
            assert [each.now for each in ended.not_kept] == [None]
        else:
            guard._release()
            (ended,) = recover(root)
        assert (ended.state, has_ended(setting)) == (expected, True)
        assert any("does not exist any more" in message for message in ended.messages)
        if again:
            assert _value("pids.max", path) == "70"


@needs_root
def test_a_plan_of_a_limit_that_was_changed_or_removed_is_refused() -> None:
    with real_cgroup("pids.max", "50") as (path, directory), tempfile.TemporaryDirectory() as root:
        setting = setting_of("pids.max", path, "80")
        Path(find_limit_file("pids.max", path).file).write_text("60")
        plan = Plan((setting,), netns_inode(), boot_id())
        assert "it is 60 now" in " ".join(Guard(plan, ACTOR, 60.0, root).apply().messages)
        directory.rmdir()
        assert "the cgroup" in " ".join(Guard(plan, ACTOR, 60.0, root).apply().messages)


@needs_root
def test_after_a_kill_of_the_guard_the_watchdog_restores_the_limit() -> None:
    with real_cgroup("pids.max", "50") as (path, _), tempfile.TemporaryDirectory() as root:
        held = apply(Plan((setting_of("pids.max", path, "80"),), netns_inode(), boot_id()), ACTOR, 600.0, root)
        assert (held.state, _value("pids.max", path)) == ("holding", "80")
        owner = json.loads(Path(root, "run/sockmon/lock").read_text())
        watchdog = psutil.Process(owner["pid"]).ppid()
        os.kill(owner["pid"], signal.SIGKILL)
        until(lambda: not alive(watchdog))
        assert read_history(Path(root))[0].state == "reverted"
        assert _value("pids.max", path) == "50"


@needs_root
def test_the_verbs_take_a_path_and_a_process() -> None:
    with real_cgroup("pids.max", "50") as (path, directory), tempfile.TemporaryDirectory() as root:
        with subprocess.Popen(["sleep", "60"]) as child:
            (directory / "cgroup.procs").write_text(str(child.pid))

            def tune(*argv: str) -> subprocess.CompletedProcess[str]:
                command = [sys.executable, "-m", "sockmon", "tune", *argv]
                return subprocess.run(
                    command, capture_output=True, text=True, check=False, env=child_environment()
                )

            shown = json.loads(tune("show", f"pids.max@{child.pid}", "--json").stdout)
            assert (shown["key"], shown["current"]) == (f"pids.max@{path}", "50")
            done = tune("apply", f"pids.max@{child.pid}=80", "--yes", "--root", root)
            assert done.returncode == 0, done.stderr
            assert "it has 1 now" in " ".join(done.stderr.split())
            assert decide("keep", root).state == "kept"
            assert tune("verify", "--root", root).returncode == 0
            assert tune("undo", "--yes", "--root", root).returncode == 0
            assert decide("revert", root).state == "reverted"
            child.kill()
        time.sleep(0.1)


def _in_a_user_namespace(setting: Setting) -> tuple[str, tuple[str, ...]]:
    with tempfile.TemporaryDirectory() as root:
        refused = Guard(Plan((setting,), netns_inode(), boot_id()), ACTOR, 60.0, root).apply()
        return refused.state, refused.messages


@needs_root
@pytest.mark.usefixtures("needs_userns")
def test_root_of_a_private_user_namespace_does_not_touch_the_cgroups_of_the_host() -> None:
    with real_cgroup("pids.max", "50") as (path, _):
        state, messages = inside(_in_a_user_namespace, setting_of("pids.max", path, "80"))
        assert state == "refused"
        assert "the cgroups are the host's" in messages[0]
        target = open_target(setting_of("pids.max", path, "80"))
        assert target.read() == "50"
        target.close()
