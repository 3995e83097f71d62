"""User names without a name service."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sockmon.kernel.processes.passwd import Users, parse
from tests.kernel.sleepers import environment, sleeper

NAMELESS = 61_234


@pytest.mark.fault("R24")
def test_our_own_name_is_that_of_getpwuid() -> None:
    uid = os.getuid()
    assert Users().name(uid) in (str(uid), *(entry.pw_name for entry in pwd.getpwall() if entry.pw_uid == uid))


@pytest.mark.fault("R24")
def test_a_user_without_a_name_is_shown_as_a_number(tmp_path: Path) -> None:
    assert Users(str(tmp_path / "none")).name(4711) == "4711"


def test_malformed_lines_are_skipped_and_names_are_sanitized() -> None:
    text = b"root:x:0:0::/:\ntoor:x:0:0::/:\n\n# words\n+::::::\nno:x:minus:0:\nev\x1b[2Jil:x:7:7::/:\n"
    assert parse(text) == {0: "root", 7: "ev�[2Jil"}


def _settled(users: Users, uid: int) -> str:
    users.name(uid)
    users.wait_for_names(60)
    return users.name(uid)


@pytest.mark.fault("R24")
def test_a_name_service_answers_later_and_the_number_is_shown_until_then() -> None:
    release = threading.Event()

    def slow(uid: int) -> str:
        release.wait()
        return f"user{uid}"

    users = Users("/nonexistent", slow)
    assert [users.name(7), users.name(8), users.name(7)] == ["7", "8", "7"]
    assert not users.wait_for_names(0.05)
    assert users.name(7) == "7"
    release.set()
    deadline = time.monotonic() + 60
    while users.name(8) == "8":
        assert time.monotonic() < deadline
    assert (users.name(7), users.version) == ("user7", 2)


@pytest.mark.fault("R24")
def test_a_name_service_that_hangs_is_waited_for_once() -> None:
    users = Users("/nonexistent", lambda uid: str(threading.Event().wait()))
    users.name(7)
    waited: list[float] = []
    for _ in range(5):
        begin = time.monotonic()
        users.wait_for_names(0.2)
        waited.append(time.monotonic() - begin)
    assert max(waited[1:]) < waited[0]


@pytest.mark.fault("R24", "U1")
def test_an_error_of_the_name_service_costs_the_name_only() -> None:
    def broken(uid: int) -> str:
        if uid == 1:
            raise OSError(5, "Input/output error")
        if uid == 2:
            raise MemoryError
        return "ev\x1b[2Jil" if uid == 3 else ""

    users = Users("/nonexistent", broken)
    assert [_settled(users, uid) for uid in (1, 2, 3, 4)] == ["1", "2", "ev�[2Jil", "4"]


def test_without_a_free_process_id_users_stay_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        users = Users("/nonexistent", str)
        assert users.name(7) == "7"
        assert not users.wait_for_names(60)
    assert _settled(users, 8) == "8"


HANGS = """
import os, sys, threading, time
from sockmon.kernel.processes import passwd as users
users.look_up_name = lambda uid: threading.Event().wait()
from sockmon.agent import sampler
sampler.look_up_name = users.look_up_name
sys.argv = ["sockmon", {argv}]
from sockmon.cli.main import main
main()
"""


@pytest.mark.fault("R24")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to start a process of a user without a name")
def test_a_check_with_a_name_service_that_hangs_shows_the_number_and_ends() -> None:
    with sleeper(f"os.setuid({NAMELESS})"):
        done = subprocess.run(
            [sys.executable, "-c", HANGS.format(argv="'check', '--json'")],
            capture_output=True, env=environment(), check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode in (0, 1, 2, 3), done.stderr.decode()
    assert json.loads(done.stdout)["schema"] == 1


HUNG_SERVICE = """
#include <errno.h>
#include <nss.h>
#include <pwd.h>
#include <unistd.h>
enum nss_status _nss_hung_getpwuid_r(uid_t u, struct passwd *p, char *b, size_t n, int *e) { for (;;) pause(); }
"""


@pytest.mark.fault("R24")
@pytest.mark.usefixtures("needs_userns")
@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler, to make a name service that hangs")
def test_a_real_name_service_that_hangs_costs_the_name_only(tmp_path: Path) -> None:
    """Our own user has no name in /etc/passwd, and nsswitch.conf names a service that never answers."""
    (tmp_path / "hung.c").write_text(HUNG_SERVICE)
    (tmp_path / "nsswitch.conf").write_text("passwd: hung\n")
    (tmp_path / "passwd").write_text("")
    library = tmp_path / "libnss_hung.so.2"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "hung.c"], check=True, timeout=60)
    code = (
        "import json, os, sys\nfrom sockmon.agent.sampler import open_sampler\n"
        "with open_sampler(None, 1.0) as kernel:\n"
        "    seen = kernel.sample(complete=True)\n"
        "    again = kernel.sample()\n"
        "print(json.dumps([seen.host.user, again.host.user, len(seen.processes.rows)]))\n"
    )
    mounts = "".join(f"mount --bind {tmp_path}/{name} /etc/{name}\n" for name in ("nsswitch.conf", "passwd"))
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-ec", mounts + 'exec "$@"', "sh", sys.executable, "-c", code],
        capture_output=True, check=False, timeout=60,
        env={**environment(), "LD_LIBRARY_PATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    first, second, processes = json.loads(done.stdout)
    assert (first, second) == ("0", "0")
    assert processes
