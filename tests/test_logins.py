"""sockmon started from a terminal by the real sudo, su, doas, runuser and sshd."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.logins import COMMAND, PASSWORD, SSH, START_SSHD, USERS, Installation, Login, at, install, needs

SOMAXCONN = "net.core.somaxconn"
ALICE, BOB = USERS["alice"], USERS["bob"]
OTHERS = {"XDG_CONFIG_HOME": "/home/alice/.config", "XDG_STATE_HOME": "/home/alice/.local/state"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    needs()
    return install(tmp_path_factory.mktemp("installed"))


def status(login: Login, user: int) -> dict[str, str]:
    """/proc/PID/status of the screen."""
    lines = (login.process("sockmon", user) / "status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def assert_unprivileged(login: Login, user: int) -> None:
    found = status(login, user)
    assert set(found["Uid"].split()) == {str(user)}
    assert {int(found[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")} == {0}
    assert found["NoNewPrivs"] == "1"


LOGINS = {
    "sudo": (("sudo", COMMAND), {}, "alice"),
    "sudo -H": (("sudo", "-H", COMMAND), {}, "alice"),
    "sudo -E": (("sudo", "-E", COMMAND), OTHERS, "alice"),
    "sudo -u bob": (("sudo", "-u", "bob", COMMAND), {}, "bob"),
    "sudo -E -u bob": (("sudo", "-E", "-u", "bob", COMMAND), OTHERS, "bob"),
    "sudo su -": (("sudo", "su", "-", "-P", "-c", COMMAND), {}, "root"),
    "doas": (("doas", COMMAND), OTHERS, "alice"),
    "doas -u bob": (("doas", "-u", "bob", COMMAND), OTHERS, "bob"),
}
"""What alice types, what is in her environment, and whose screen it is."""


@pytest.mark.parametrize("name", LOGINS)
def test_the_screen_runs_as_the_user_who_typed_the_command(name: str, installed: Installation) -> None:
    command, variables, user = LOGINS[name]
    needs(command[0])
    with at("alice", command, installed, variables) as login:
        login.terminal.until("Limits")
        # A theme that does not exist is reported: that names the settings that were read.
        login.terminal.until(f"settings-of-{user}")
        assert_unprivileged(login, USERS.get(user, 0))


def logs_in(login: Login, *answers: str) -> None:
    """Answer prompts: each of `answers` is typed when what comes before `|` is shown."""
    for answer in answers:
        prompt, _, words = answer.partition("|")
        login.terminal.until(prompt)
        login.terminal.settle()
        login.terminal.press(f"{words}\r")


@pytest.mark.parametrize("login_shell", [True, False], ids=["su -", "su"])
def test_root_by_su_reads_its_own_settings(login_shell: bool, installed: Installation) -> None:
    """Plain `su` keeps XDG_CONFIG_HOME and the current directory of the user who typed it."""
    needs("su")
    with at("alice", ["su", *(["-"] if login_shell else [])], installed, OTHERS) as login:
        logs_in(login, f"assword|{PASSWORD}", f"#|{COMMAND}")
        login.terminal.until("settings-of-root")
        assert_unprivileged(login, 0)


@pytest.mark.parametrize("program", ["runuser", "su", "setpriv"])
def test_another_user_by_root_reads_their_own_settings(program: str, installed: Installation) -> None:
    """HOME stays /root for setpriv, XDG_CONFIG_HOME for all; nor can bob enter the directory that root is in."""
    needs(program)
    command = ["setpriv", "--reuid=bob", "--regid=bob", "--init-groups", COMMAND]
    if program != "setpriv":
        command = [program, "-m", "bob", "-c", f"exec {COMMAND}", *(["-P"] if program == "su" else [])]
    with at("root", command, installed, {"XDG_CONFIG_HOME": "/root/.config"}) as login:
        login.terminal.until("settings-of-bob")
        assert_unprivileged(login, BOB)


@pytest.mark.parametrize(
    ("user", "command", "settings"),
    [("alice", COMMAND, "alice"), ("alice", f"sudo {COMMAND}", "alice"), ("root", COMMAND, "root")],
    ids=["alice", "alice, sudo", "root"],
)
def test_a_login_over_ssh(user: str, command: str, settings: str, installed: Installation) -> None:
    needs("sshd", "ssh", "ssh-keygen", *(["sudo"] if "sudo" in command else []))
    argv = [*SSH, f"{user}@127.0.0.1", command]
    with at("alice", argv, installed, prepare=START_SSHD) as login:
        login.terminal.until("Limits")
        login.terminal.until(f"settings-of-{settings}")
        assert_unprivileged(login, USERS.get(settings, 0))


@pytest.mark.parametrize("closed", [".config/sockmon/config.toml", ".config/sockmon", ".config"])
def test_settings_that_cannot_be_read_are_reported_on_the_screen(closed: str, installed: Installation) -> None:
    needs("sudo")
    prepare = f"chown root:root /home/alice/{closed} && chmod 0600 /home/alice/{closed}"
    with at("alice", ["sudo", COMMAND], installed, prepare=prepare) as login:
        login.terminal.until("Limits")
        login.terminal.until("Permission")
        login.terminal.press("q")
        assert login.terminal.end() == 0


def test_an_installation_that_only_root_can_read_is_an_error(installed: Installation) -> None:
    needs("sudo")
    prepare = "cp -a /srv/sockmon /root/ && chmod 0700 /root/sockmon"
    with at("alice", ["sudo", "/root/sockmon/bin/sockmon"], installed, prepare=prepare) as login:
        assert login.terminal.end() == 1
        shown = login.terminal.screen()
    assert "cannot read" in shown
    assert "install sockmon where they can read it" in shown


def press(login: Login, key: str, words: str, pause: float = 0.5) -> None:
    """Press a key `pause` seconds after the screen shows `words`, so that it has drawn all of it.

    Two keys that arrive in one piece would count as pasted, and one that comes before a person can have read the
    page does not count. What is pending is redrawn several times a second: there the screen is never quiet."""
    login.terminal.until(words)
    end = time.monotonic() + pause
    while time.monotonic() < end:
        login.terminal.read(0.1)
    login.terminal.press(key)


def becomes(login: Login, value: str) -> bool:
    """Whether the sysctl gets that value in time."""
    end = time.monotonic() + 60
    while login.sysctl(SOMAXCONN) != value:
        login.terminal.read(0.2)
        if time.monotonic() > end:
            return False
    return True


def apply(login: Login, value: str) -> None:
    """From the panel: plan it, read it, confirm it."""
    press(login, "/", "Settings")
    press(login, "somaxconn", "filter words")
    press(login, "\r", "filter somaxconn")
    press(login, "\r", "Preview")
    press(login, value, "Allowed   1 to")
    press(login, "\r", f"→ {int(value):,}")
    press(login, "v", f"→ {value}")
    login.terminal.until(": _____")
    for number, letter in enumerate("apply"):
        press(login, letter, f": {'apply'[:number]:_<5}", 0.5 if number == 0 else 0.15)
    assert becomes(login, value), login.terminal.screen()


def decide(login: Login, key: str, words: str) -> None:
    """Press a key until the screen says what became of it: one that comes too early does not count."""
    login.terminal.until("[K]")
    end = time.monotonic() + 60
    while words not in (shown := login.terminal.screen()):
        assert time.monotonic() < end, shown
        press(login, key, "")


def past(login: Login) -> list[dict[str, Any]]:
    """The history, oldest first."""
    folder = login.root("/var/lib/sockmon/history")
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


@pytest.mark.parametrize("size", [(24, 80), (50, 160)], ids=["80x24", "160x50"])
def test_a_change_is_applied_kept_and_rolled_back_by_who_called_sudo(
    size: tuple[int, int], installed: Installation
) -> None:
    needs("sudo", "nsenter")
    host = Path("/proc/sys/net/core/somaxconn").read_text()
    with at("alice", ["sudo", COMMAND], installed, size=size) as login:
        login.terminal.until("Quit")
        assert_unprivileged(login, ALICE)
        assert login.sysctl(SOMAXCONN) == "4096"
        press(login, "t", "Tune")
        apply(login, "8192")
        decide(login, "K", "KEPT")
        assert login.sysctl(SOMAXCONN) == "8192"
        press(login, "t", "Tune")
        apply(login, "16384")
        decide(login, "U", "ROLLED")
        assert login.sysctl(SOMAXCONN) == "8192"
        kept, reverted = past(login)
        assert (kept["state"], reverted["state"]) == ("kept", "reverted")
        assert {one["who"]["login"] for one in (kept, reverted)} == {"alice"}
        assert_unprivileged(login, ALICE)
    assert Path("/proc/sys/net/core/somaxconn").read_text() == host
