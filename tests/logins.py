"""A private machine for real logins: sudo, su, doas, runuser and sshd with private copies of what they read.

`at(USER, COMMAND, installation)` is a terminal of a user of that machine. It has mount, pid and network namespaces
of its own: /etc is a copy, /run, /home, /root, /srv and parts of /var are empty; nothing outlives the terminal.
"""

from __future__ import annotations

import compileall
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

import pytest

from sockmon.sandbox.namespaces import raise_loopback
from tests.netns import ROOT, TOOL_PATH
from tests.terminal import SIZE, Terminal, on_terminal

COMMAND = "/srv/sockmon/bin/sockmon"
PASSWORD = "sockmon"
"""Of root, for su."""
UNSHARE = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--")
USERS = {"alice": 1501, "bob": 1502}
_SHADOW = "$6$sockmon$zrd7xMLYGhJlOZ5RAeIa8qIY.5O9Td0OJ7wd2CXO5XWp1l1LlQmi1mhpevVCj0zx.Gtg1Dyj7S3wDOsrqRyvq1"
_PYTHON = "/srv/python"
_EMPTY = {"/run": "0755", "/home": "0755", "/root": "0700", "/var/lib": "0755", "/var/log": "0755"}
_SSHD = """\
Port 22
ListenAddress 127.0.0.1
HostKey /run/sshd_key
PermitRootLogin prohibit-password
UsePAM no
PidFile none
"""


class Installation(NamedTuple):
    """Copies of this sockmon and of what it needs, and the Python below them."""

    folder: str
    python: str


def needs(*programs: str) -> None:
    """Skip if this is not root, or if one of these is not installed."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    for program in ("unshare", *programs):
        if not shutil.which(program, path=TOOL_PATH):
            pytest.skip(f"needs {program}")
    if reason := _refusal():
        pytest.skip(f"no private namespaces here: {reason}")


@cache
def _refusal() -> str:
    """Return why root may not have such a machine, as in most containers; empty if it may."""
    done = subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "none", "/srv"], capture_output=True, text=True)
    return done.stderr.strip()


def install(folder: Path) -> Installation:
    """Copy sockmon and its dependencies into `folder`, as pip would install them in a virtual environment."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site = folder / "lib" / version / "site-packages"
    shutil.copytree(ROOT / "sockmon", site / "sockmon", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "themes", site / "sockmon" / "themes")
    for name in _requirements("sockmon"):
        for file in distribution(name).files or ():
            if ".." not in file.parts:
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                # With its time: to an older or newer source its bytecode would not belong.
                shutil.copy2(str(file.locate()), site / file)
    # As pip does. The users may not write it: each start would compile all of it again.
    compileall.compile_dir(site, quiet=2)
    base = _PYTHON if _is_closed(sys.base_prefix) else sys.base_prefix
    folder.chmod(0o755)
    (folder / "bin").mkdir()
    (folder / "bin/python3").symlink_to(f"{base}/bin/{version}")
    shutil.copy(ROOT / "bin/sockmon", folder / "bin/sockmon")
    (folder / "pyvenv.cfg").write_text(f"home = {base}/bin\ninclude-system-site-packages = false\n")
    return Installation(str(folder), sys.base_prefix if base == _PYTHON else "")


def _requirements(name: str) -> set[str]:
    """Names of the installed distributions that `name` needs, directly or not, without extras."""
    found: set[str] = set()
    left = [name]
    while left:
        for line in distribution(left.pop()).requires or ():
            need = re.split(r"[^A-Za-z0-9._-]", line)[0]
            if "extra ==" in line or need in found:
                continue
            with suppress(PackageNotFoundError):
                distribution(need)
                found.add(need)
                left.append(need)
    return found


def _is_closed(path: str) -> bool:
    """Return whether only root can reach `path`."""
    return not all(each.stat().st_mode & 0o001 for each in (Path(path), *Path(path).parents))


class Login(NamedTuple):
    """A terminal of that machine, and what can be seen of its processes from outside."""

    terminal: Terminal

    def process(self, name: str, user: int) -> Path:
        """Return /proc/PID of the process of that name and user id, as soon as it is there."""
        end = time.monotonic() + 60
        while True:
            for pid in _below(self.terminal.process.pid):
                with suppress(OSError):
                    status = Path(f"/proc/{pid}/status").read_text()
                    if re.search(rf"^Name:\t{name}$", status, re.M) and re.search(
                        rf"^Uid:\t{user}\t", status, re.M
                    ):
                        return Path(f"/proc/{pid}")
            assert time.monotonic() < end, f"no process {name} of user {user}:\n{self.terminal.screen()}"
            self.terminal.read(0.1)

    def sysctl(self, key: str) -> str:
        """Return a sysctl of that machine's network namespace."""
        inside = max(_below(self.terminal.process.pid))
        argv = ["nsenter", f"--net=/proc/{inside}/ns/net", "cat", f"/proc/sys/{key.replace('.', '/')}"]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()

    def root(self, path: str) -> Path:
        """Return a path of that machine, as it is reached from here."""
        return Path(f"/proc/{max(_below(self.terminal.process.pid))}/root{path}")


def _below(pid: int) -> list[int]:
    """Return all descendants of a process."""
    found = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *_below(int(child))]
    return found


@contextmanager
def at(
    user: str,
    command: Sequence[str],
    installed: Installation,
    variables: Mapping[str, str] | None = None,
    prepare: str = "",
    size: tuple[int, int] = SIZE,
) -> Iterator[Login]:
    """A terminal on which `user` has typed `command`, at home and with `variables` in the environment.

    `prepare` is a script that root runs before."""
    what = json.dumps([user, list(command), installed, dict(variables or {}), prepare])
    argv = [*UNSHARE, sys.executable, "-c", "from tests.logins import begin; begin()", what]
    with on_terminal(command=argv, size=size, cwd="/") as terminal:
        yield Login(terminal)


def begin() -> None:
    """Set the machine up, and run the command as its user; the machine ends with this process."""
    user, command, installed, variables, prepare = json.loads(sys.argv[1])
    _lay_out(Installation(*installed))
    _write_accounts()
    raise_loopback()
    subprocess.run(["sh", "-euc", prepare], check=True, stdin=subprocess.DEVNULL)
    entry = pwd.getpwnam(user)
    os.fchown(0, entry.pw_uid, -1)
    environment = {
        **{name: os.environ[name] for name in ("TERM", "TEXTUAL_ANIMATIONS")},
        "HOME": entry.pw_dir, "USER": user, "LOGNAME": user, "SHELL": entry.pw_shell, "LANG": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
    }  # fmt: skip
    child = os.fork()
    if child == 0:
        os.initgroups(user, entry.pw_gid)
        os.setresgid(*[entry.pw_gid] * 3)
        os.setresuid(*[entry.pw_uid] * 3)
        os.chdir(entry.pw_dir)
        os.execvpe(command[0], command, environment | variables)
    # The first process of a pid namespace inherits every orphan; the command may be the last of them.
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _lay_out(installed: Installation) -> None:
    def mount(*argv: str) -> None:
        subprocess.run(["mount", *argv], check=True, stdin=subprocess.DEVNULL)

    held = [os.open(path, os.O_PATH) for path in installed if path]
    mount("-t", "tmpfs", "-o", "mode=0755", "none", "/srv")
    for path in ("/srv/sockmon", _PYTHON, "/srv/etc"):
        os.mkdir(path)
    for door, path in zip(held, ("/srv/sockmon", _PYTHON), strict=False):
        mount("--bind", f"/proc/{os.getpid()}/fd/{door}", path)
    subprocess.run(["cp", "-a", "/etc/.", "/srv/etc/"], check=False, stderr=subprocess.DEVNULL)
    mount("--bind", "/srv/etc", "/etc")
    for path, mode in _EMPTY.items():
        mount("-t", "tmpfs", "-o", f"mode={mode}", "none", path)


def _write_accounts() -> None:
    """Two users with settings of their own, of whom alice may use sudo and doas; root has a password."""
    for name, number in USERS.items():
        _append("/etc/passwd", f"{name}:x:{number}:{number}::/home/{name}:/bin/sh")
        _append("/etc/group", f"{name}:x:{number}:")
        _append("/etc/shadow", f"{name}:*:19000:0:99999:7:::")
    shadow = Path("/etc/shadow")
    shadow.write_text(re.sub(r"^root:[^:]*:", f"root:{_SHADOW}:", shadow.read_text(), flags=re.M))
    for name in ("root", *USERS):
        entry = pwd.getpwnam(name)
        folder = Path(entry.pw_dir, ".config/sockmon")
        folder.mkdir(parents=True)
        (folder / "config.toml").write_text(f'theme = "settings-of-{name}"\n')
        for path in (folder, folder.parent, folder.parent.parent):
            os.chown(path, entry.pw_uid, entry.pw_gid)
            path.chmod(0o700)
    if os.path.exists("/etc/sudoers.d"):
        _append("/etc/sudoers.d/alice", "Defaults use_pty\nalice ALL=(ALL:ALL) NOPASSWD:SETENV: ALL", 0o440)
    _append("/etc/doas.conf", "permit nopass alice", 0o600)


def _append(path: str, line: str, mode: int | None = None) -> None:
    with open(path, "a") as file:
        file.write(line + "\n")
    if mode is not None:
        os.chmod(path, mode)


START_SSHD = f"""\
mkdir -p /run/sshd /root/.ssh /home/alice/.ssh
ssh-keygen -q -t ed25519 -N '' -f /run/sshd_key
ssh-keygen -q -t ed25519 -N '' -f /home/alice/.ssh/id_ed25519
cp /home/alice/.ssh/id_ed25519.pub /home/alice/.ssh/authorized_keys
cp /home/alice/.ssh/id_ed25519.pub /root/.ssh/authorized_keys
chown -R alice:alice /home/alice/.ssh
chmod -R go-rwx /home/alice/.ssh /root/.ssh
echo '{_SSHD}' > /run/sshd_config
"$(command -v sshd || echo /usr/sbin/sshd)" -f /run/sshd_config
"""
"""A script for `prepare`: an sshd on the loopback address, which alice may log in at as alice and as root."""
SSH = (
    "ssh",
    "-q",
    "-tt",
    "-o",
    "ConnectionAttempts=60",
    "-o",
    "StrictHostKeyChecking=no",
    "-o",
    "UserKnownHostsFile=/dev/null",
)
