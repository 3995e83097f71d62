"""The commands on this machine, with limits.d of its own in a private mount namespace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.netns import ROOT, child_environment

FILE = "/etc/security/limits.d/90-mine.conf"
LINE = "pam_limits(sshd:session): Could not set limit for 'nofile': Operation not permitted"
SOCKMON = (sys.executable, "-m", "sockmon")


def run(namespaces: str, lines: str, *command: str) -> str:
    """Run a command of sockmon with `lines` in FILE; return its standard output."""
    if not os.path.isdir("/etc/security/limits.d") or not shutil.which("unshare"):
        pytest.skip("needs /etc/security/limits.d, and unshare of util-linux")
    cover = f'mount --make-rprivate / && mount -t tmpfs t {os.path.dirname(FILE)} && printf "$1" > {FILE}'
    script = f'{cover} || exit 99; shift; exec "$@"'
    done = subprocess.run(
        ["unshare", namespaces, "sh", "-c", script, "sh", lines, *SOCKMON, *command],
        cwd=ROOT,
        env=child_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode == 99:
        pytest.skip(f"no private mounts here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.usefixtures("root_only")
def test_lowering_nr_open_names_the_line_that_asks_for_more() -> None:
    lines = "root hard nofile 500000\\n* hard nofile 500000\\n"
    (preview,) = json.loads(run("-m", lines, "tune", "plan", "--json", "fs.nr_open=200000"))["previews"]
    assert f"{FILE}:1 (root hard nofile 500000), {FILE}:2 (* hard nofile 500000) ask for more" in "\n".join(
        preview["dangers"]
    )


@pytest.mark.usefixtures("root_only")
def test_a_pid_max_of_350_leaves_some_50_ids() -> None:
    try:
        plan = run("-m", "", "tune", "plan", "--json", "kernel.pid_max=350")
    except AssertionError as error:
        if "in use now" not in str(error):
            raise
        pytest.skip("more than 350 tasks run here: the plan is refused")
    assert "at most 50 ids" in json.loads(plan)["previews"][0]["dangers"][0]


@pytest.mark.usefixtures("needs_userns")
def test_a_line_of_pam_limits_names_the_line_of_limits_conf() -> None:
    text = " ".join(run("-Urm", "* hard nofile 2000000000\\n", "explain", LINE).split())
    assert f"{FILE}:1 (* hard nofile 2000000000) asks for more" in text
    assert "fs.nr_open is" in text
