"""The screen does not start before its privilege is really gone, whatever the system calls return."""

from __future__ import annotations

import ctypes
import os
import pwd
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sockmon import privileges
from tests.netns import child_environment, inside
from tests.terminal import on_terminal

NOBODY = 65534
NUMBERS = {
    "x86_64": {"capset": 126, "prctl": 157, "setresuid": 117, "setgroups": 116},
    "aarch64": {"capset": 91, "prctl": 167, "setresuid": 147, "setgroups": 159},
}
"""System calls by machine (asm/unistd.h)."""
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP, _SECCOMP_FILTER = 22, 2


def without(call: str, error: str, *command: str) -> None:
    """Run `command` where a system call does nothing and returns `error`; 0 claims success (seccomp(2)).

    Of prctl, only PR_SET_NO_NEW_PRIVS is left out."""
    if call == "setgroups":
        # Something to keep.
        os.setgroups([0, 4])
    answer = (_RETURN, 0, 0, _ERRNO | int(error))
    option = [(_LOAD, 0, 0, 16), (_EQUAL, 0, 1, _NO_NEW_PRIVS)] if call == "prctl" else []
    number = NUMBERS[os.uname().machine][call]
    steps = [(_LOAD, 0, 0, 0), (_EQUAL, 0, len(option) + 1, number), *option, answer, (_RETURN, 0, 0, _ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = struct.pack("@HP", len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_PR_SET_SECCOMP, _SECCOMP_FILTER, ctypes.c_char_p(program), 0, 0) == 0, ctypes.get_errno()
    os.execv(command[0], command)


@pytest.fixture
def known_machine() -> None:
    if os.uname().machine not in NUMBERS:
        pytest.skip(f"system call numbers of {os.uname().machine} are not known here")


def refused(call: str, error: int, variables: dict[str, str] | None = None, user_namespace: bool = True) -> str:
    """What sockmon prints instead of its screen."""
    code = f"import sys; from tests.test_privileges import without; without({call!r}, {error!r}, *sys.argv[1:])"
    prefix = ["unshare", "--user", "--map-root-user", "--"] if user_namespace else []
    command = [*prefix, sys.executable, "-c", code, str(Path(sys.executable).parent / "sockmon")]
    with on_terminal(command=command, variables=variables) as terminal:
        ended = terminal.end()
        assert b"\x1b[?1049h" not in terminal.sent
        assert ended == 77 or "cannot read" in terminal.screen()
        return terminal.screen()


@pytest.mark.usefixtures("needs_userns", "known_machine")
@pytest.mark.parametrize("error", [0, 1], ids=["claims success", "EPERM"])
@pytest.mark.parametrize(
    ("call", "words"), [("capset", "effective capabilities 0000"), ("prctl", "no_new_privs is not set")]
)
def test_a_screen_that_keeps_privilege_is_not_shown(call: str, words: str, error: int) -> None:
    shown = refused(call, error)
    assert "could not give up its privilege" in shown
    assert words in shown.replace("\n", " ")
    assert "run `sockmon check`" in shown


@pytest.mark.usefixtures("root_only", "known_machine")
@pytest.mark.parametrize("error", [0, 1], ids=["claims success", "EPERM"])
@pytest.mark.parametrize("call", ["setresuid", "setgroups"])
def test_a_screen_that_stays_root_under_sudo_is_not_shown(call: str, error: int) -> None:
    sudo = {"SUDO_UID": str(NOBODY), "SUDO_GID": str(NOBODY)}
    shown = refused(call, error, sudo, user_namespace=False)
    if "cannot read" in shown:
        pytest.skip("only root can read this installation")
    assert "could not give up its privilege" in shown
    assert ("user ids 0, 0, 0" if call == "setresuid" or error else "groups ") in shown


@pytest.mark.usefixtures("root_only")
def test_the_invoker_is_found_behind_sudo_doas_and_pkexec(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = privileges.Invoker(NOBODY, pwd.getpwuid(NOBODY).pw_gid)
    for variables, found in (
        ({"SUDO_UID": str(NOBODY), "SUDO_GID": str(nobody.gid)}, nobody),
        ({"DOAS_USER": pwd.getpwuid(NOBODY).pw_name}, nobody),
        ({"PKEXEC_UID": str(NOBODY)}, nobody),
        ({"SUDO_UID": "0", "SUDO_GID": "0"}, None),
        ({"DOAS_USER": "root"}, None),
        ({"DOAS_USER": "unknown user"}, None),
        ({"PKEXEC_UID": "9" * 40}, None),
        ({"SUDO_UID": "-1", "SUDO_GID": "x"}, None),
        ({}, None),
    ):
        for name in privileges.INVOKER_VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert privileges.invoker() == found, variables


INVOKER = """
import os
from sockmon import privileges
# It may be installed where only root can read it; nothing is imported after this.
privileges._require_readable = lambda user: None
privileges.become_invoker()
status = open("/proc/self/status").read()
none = "CapEff:\\t" + "0" * 16 in status
print(set(os.getresuid()), set(os.getresgid()), os.environ["HOME"], os.environ["USER"], none)
"""


@pytest.mark.usefixtures("root_only")
def test_ssh_runs_as_the_user_who_called_sudo() -> None:
    nobody = pwd.getpwuid(NOBODY)
    sudo = {"SUDO_UID": str(NOBODY), "SUDO_GID": str(nobody.pw_gid)}
    argv = [sys.executable, "-c", INVOKER]
    done = subprocess.run(argv, env=child_environment() | sudo, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"{{{NOBODY}}} {{{nobody.pw_gid}}} {nobody.pw_dir} {nobody.pw_name} True\n", done.stderr


@pytest.mark.usefixtures("root_only")
@pytest.mark.parametrize(
    "words", [("fleet", "ssh://web-1", "--json"), ("guide", "stuck-at-n", "--from", "ssh://web-1", "--json")]
)
def test_each_verb_that_uses_ssh_is_that_user(words: tuple[str, ...]) -> None:
    sudo = {"SUDO_UID": str(NOBODY), "SUDO_GID": str(pwd.getpwuid(NOBODY).pw_gid)}
    # The folder of a test belongs to root alone.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        ssh = Path(folder, "ssh")
        ssh.write_text("#!/bin/sh\necho I am $(id -u) >&2; exit 3\n")
        ssh.chmod(0o755)
        environment = child_environment() | sudo | {"PATH": f"{folder}:{os.environ['PATH']}"}
        argv = [sys.executable, "-m", "sockmon", *words]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60)
    if "cannot read" in done.stderr:
        pytest.skip("only root can read this installation")
    assert f"exit code 3: I am {NOBODY}" in done.stdout + done.stderr


def unmapped() -> bool:
    os.environ.update(SUDO_UID="54321", SUDO_GID="54321")
    return privileges.invoker() is None


@pytest.mark.usefixtures("needs_userns")
def test_an_invoker_that_a_user_namespace_does_not_know_is_left_alone() -> None:
    assert inside(unmapped)
