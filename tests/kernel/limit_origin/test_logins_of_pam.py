"""What pam_limits gives a login, compared with pam_limits itself: `su` with generated files of /etc/security."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sockmon.kernel.limit_origin.config_files import ConfigFiles
from sockmon.kernel.limit_origin.limits_conf import Login, limits_of_user
from sockmon.kernel.limit_origin.pam_stacks import PamLimits, pam_limits, service_of
from tests.netns import ROOT

CASES = os.environ.get("SOCKMON_PAM_CASES", "25")
ADA = Login("ada", 1000, 1000, frozenset(("ada", "staff")), frozenset((1000, 50)))
SUPERUSER = Login("root", 0, 0, frozenset(("root",)), frozenset((0,)))


def test_a_session_of_su_has_the_limits_that_its_files_give() -> None:
    if os.geteuid() != 0 or not shutil.which("su") or not pam_limits(ConfigFiles(), "su").runs:
        pytest.skip("needs root, and su with pam_limits")
    command = ["unshare", "--mount", sys.executable, "-m", "tests.kernel.limit_origin.pam_rig", CASES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    if "mount" in done.stderr and done.returncode:
        pytest.skip(f"no private mounts here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def _limits(tmp_path: Path, login: Login, *lines: str, debian: bool = False) -> tuple[int | None, int | None]:
    (tmp_path / "etc/security").mkdir(parents=True, exist_ok=True)
    (tmp_path / "etc/security/limits.conf").write_text("\n".join(lines) + "\n")
    if debian:
        (tmp_path / "etc/debian_version").write_text("12\n")
    found = limits_of_user(ConfigFiles(tmp_path), login, "nofile", 1048576)
    return found.soft and found.soft[1], found.hard and found.hard[1]


def test_a_user_beats_a_group_and_a_group_beats_all(tmp_path: Path) -> None:
    lines = ("ada - nofile 1", "@staff - nofile 2", "* - nofile 3")
    assert _limits(tmp_path, ADA, *lines) == (1, 1)
    assert _limits(tmp_path, ADA, *lines[1:]) == (2, 2)
    assert _limits(tmp_path, ADA, "ada soft nofile 1", "ada soft nofile 4", "* hard nofile 9") == (4, 9)


def test_a_dash_that_is_beaten_for_the_soft_limit_sets_no_hard_one(tmp_path: Path) -> None:
    assert _limits(tmp_path, ADA, "ada soft nofile 1", "* - nofile 5") == (1, None)


def test_unlimited_is_fs_nr_open(tmp_path: Path) -> None:
    assert _limits(tmp_path, ADA, "ada - nofile unlimited") == (1048576, 1048576)


def test_root_is_not_matched_by_all_on_debian_alone(tmp_path: Path) -> None:
    lines = ("* - nofile 5", "@root - nofile 6")
    assert _limits(tmp_path, SUPERUSER, *lines) == (6, 6)
    assert _limits(tmp_path, SUPERUSER, *lines, debian=True) == (None, None)
    assert _limits(tmp_path, SUPERUSER, "root - nofile 7", debian=True) == (7, 7)


def test_a_line_without_an_item_leaves_all_as_it_is(tmp_path: Path) -> None:
    assert _limits(tmp_path, ADA, "ada - nofile 5", "@staff -") == (None, None)


def test_which_services_run_pam_limits(tmp_path: Path) -> None:
    folder = tmp_path / "etc/pam.d"
    folder.mkdir(parents=True)
    for name, text in {
        "sshd": "@include common-session\n",
        "common-session": "session [success=1 default=ignore] pam_unix.so\n# session required pam_limits.so\n",
        "sudo": "session include system-auth\n",
        "system-auth": "auth required pam_limits.so\n-session required pam_limits.so conf=/etc/x.conf set_all\n",
        "other": "session required pam_limits.so\n",
        "loop": "session include loop\n",
    }.items():
        (folder / name).write_text(text)
    files = ConfigFiles(tmp_path)
    assert pam_limits(files, "sshd") == PamLimits(False)
    assert pam_limits(files, "sudo") == PamLimits(True, "/etc/x.conf", True)
    assert pam_limits(files, "absent") == PamLimits(True)
    assert pam_limits(files, "loop") == PamLimits(False)


@pytest.mark.parametrize(
    ("name", "arguments", "service"),
    [
        ("sshd-session", ["sshd-session: ada"], "sshd"),
        ("su", ["su", "-", "ada"], "su-l"),
        ("su", ["su", "ada"], "su"),
        ("runuser", ["runuser", "-l", "ada"], "runuser-l"),
        ("CRON", ["/usr/sbin/CRON", "-f"], "cron"),
        ("sudo", ["sudo", "-i"], "sudo-i"),
        ("sudo", ["sudo", "nginx"], "sudo"),
        ("nginx", ["nginx"], ""),
    ],
)
def test_the_service_of_a_login_program(name: str, arguments: list[str], service: str) -> None:
    assert service_of(name, arguments) == service
