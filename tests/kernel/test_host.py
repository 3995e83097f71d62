"""The machine, its files and its tasks."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from sockmon.errors import ReadError
from sockmon.kernel import host
from sockmon.kernel.netns import open_current
from sockmon.kernel.processes.passwd import Users, look_up_name
from sockmon.labs import find_lab
from sockmon.sandbox.availability import unavailable_reason
from tests.kernel.sleepers import environment


def test_the_machine_is_this_one() -> None:
    users = Users(ask=look_up_name)
    host.read_host(users)
    users.wait_for_names(60)
    machine = host.read_host(users)
    assert machine.kernel == os.uname().release
    assert machine.uid == os.geteuid()
    assert machine.user in (pwd.getpwuid(os.geteuid()).pw_name, str(os.geteuid()))
    assert machine.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert machine.cpus == os.cpu_count()


def test_names_are_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((real[0], "web\x1b[2J", *real[2:])))
    users = Users("/nonexistent", lambda uid: "ro\u202eot")
    users.name(os.geteuid())
    assert users.wait_for_names(60)
    machine = host.read_host(users)
    assert (machine.name, machine.user) == ("web�[2J", "ro�ot")


def test_a_user_without_a_name_is_a_number() -> None:
    assert host.read_host(Users("/nonexistent")).user == str(os.geteuid())


def test_files_and_tasks_of_this_host() -> None:
    handle = open_current()
    files, tasks = host.read_files(handle), host.read_tasks(handle)
    assert files.maximum == int(Path("/proc/sys/fs/file-max").read_text())
    assert 0 < files.allocated < files.maximum
    assert tasks.total >= 1
    assert tasks.pid_max == int(Path("/proc/sys/kernel/pid_max").read_text())
    assert (tasks.namespace, tasks.initial) == (os.stat("/proc/self/ns/pid").st_ino, _initial())
    assert tasks.last_pid
    handle.close()


def _initial() -> bool:
    return os.stat("/proc/self/ns/pid").st_ino == host.INITIAL_PID_NAMESPACE


def test_the_ids_of_a_pid_namespace_end_at_the_limit_of_the_kernel(needs_userns: None) -> None:
    # Before Linux 6.14 kernel.pid_max is of the host, and root may write it from any namespace.
    if reason := unavailable_reason(find_lab("pid-max")):
        pytest.skip(reason)
    done = subprocess.run(
        [sys.executable, "-c", FILL_A_PID_NAMESPACE],
        env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if done.stdout.startswith("skip"):
        pytest.skip(done.stdout)
    fresh, first, second = json.loads(done.stdout)
    assert fresh["low"] is None
    assert not first["initial"]
    assert first["pid_max"] == second["pid_max"] == 500
    # All ids but 0 the first time; without those below 300, which are gone, the second time.
    assert first["taken"] + 300 - first["low"] == 500
    assert second["taken"] + 300 - second["low"] == 500
    assert (first["taken"] > 480, second["taken"] < 210) == (True, True)


FILL_A_PID_NAMESPACE = """
import ctypes, json, os, signal, sys
from sockmon.kernel import host
from sockmon.kernel.netns import open_current
from sockmon.kernel.processes.passwd import Users, look_up_name
libc, uid, gid = ctypes.CDLL(None, use_errno=True), os.geteuid(), os.getegid()
assert libc.unshare(0x30020000) == 0, os.strerror(ctypes.get_errno())  # user, pid and mount
open('/proc/self/setgroups', 'w').write('deny')
open('/proc/self/uid_map', 'w').write(f'0 {uid} 1')
open('/proc/self/gid_map', 'w').write(f'0 {gid} 1')
if first := os.fork():
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]))
libc.prctl(1, signal.SIGKILL, 0, 0, 0)
assert libc.mount(b'proc', b'/proc', b'proc', 0, None) == 0, os.strerror(ctypes.get_errno())
try:
    open('/proc/sys/kernel/pid_max', 'w').write('500')
except OSError as error:
    print('skip: kernel.pid_max is not of the namespace:', error.strerror)
    sys.exit()

def tasks_now(children):
    tasks = host.read_tasks(handle, 1 + len(children))
    return {'taken': 1 + len(children), 'low': tasks.low, 'pid_max': tasks.pid_max, 'initial': tasks.initial}

def fill():
    children = []
    try:
        while True:
            if not (child := os.fork()):
                signal.pause()
            children.append(child)
    except BlockingIOError:
        found.append(tasks_now(children))
    for child in children:
        os.kill(child, 9)
        os.waitpid(child, 0)

handle = open_current()
found = [tasks_now([])]
fill()
fill()
print(json.dumps(found))
"""


@pytest.mark.fault("Q8")
@pytest.mark.parametrize("text", [b"", b"0.00 0.01 0.05 1/123", b"0 0 0 1-123 5", b"0 0 0 /123 5", b"0 0 0 1/x 5"])
def test_a_malformed_loadavg_is_an_error(text: bytes) -> None:
    with pytest.raises(ReadError):
        host.parse_loadavg(text)


@pytest.mark.fault("Q8")
def test_a_malformed_file_nr_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "sys/fs").mkdir(parents=True)
    (tmp_path / "sys/fs/file-nr").write_text("12 0\n")
    handle = open_current(proc=str(tmp_path))
    with pytest.raises(ReadError, match="expected 3 numbers"):
        host.read_files(handle)
    handle.close()
