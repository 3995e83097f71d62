"""The machine, its files and its tasks."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from sockmon.errors import Unreadable
from sockmon.kernel import host
from sockmon.kernel.netns import open_here


def test_the_machine_is_this_one() -> None:
    machine = host.host()
    assert machine.kernel == os.uname().release
    assert machine.uid == os.geteuid()
    assert machine.user == pwd.getpwuid(os.geteuid()).pw_name
    assert machine.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert machine.cpus == os.cpu_count()


def test_names_are_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((real[0], "web\x1b[2J", *real[2:])))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: pwd.struct_passwd(("ro\u202eot", "", 0, 0, "", "", "")))
    machine = host.host()
    assert (machine.name, machine.user) == ("web�[2J", "ro�ot")


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert host.host().user == str(os.geteuid())


def test_files_and_tasks_of_this_host() -> None:
    door = open_here()
    files, tasks = host.files(door), host.tasks(door)
    assert files.maximum == int(Path("/proc/sys/fs/file-max").read_text())
    assert 0 < files.allocated < files.maximum
    assert tasks.total >= 1
    assert tasks.pid_max == int(Path("/proc/sys/kernel/pid_max").read_text())
    door.close()


@pytest.mark.parametrize("text", [b"", b"0.00 0.01 0.05 1/123", b"0 0 0 1-123 5", b"0 0 0 /123 5", b"0 0 0 1/x 5"])
def test_a_loadavg_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(Unreadable):
        host.parse_loadavg(text)


def test_a_broken_file_nr_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sys/fs").mkdir(parents=True)
    (tmp_path / "sys/fs/file-nr").write_text("12 0\n")
    door = open_here(proc=str(tmp_path))
    with pytest.raises(Unreadable, match="is not 3 numbers"):
        host.files(door)
    door.close()
