"""A real sshd on the loopback device, which runs as we do."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.terminal import children_of
from tests.waiting import PATIENCE, alive


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class Server(NamedTuple):
    """A real sshd that runs as we do, and accepts us."""

    spec: str
    title: str
    path: str
    """PATH with an `ssh` that has our keys."""
    pid: int

    def agents(self) -> list[int]:
        """The agents that it has started."""
        return [pid for pid in below(self.pid) if _is_agent(pid)]

    def cut(self) -> None:
        """End every connection as if the network had gone: no process says goodbye."""
        for pid in children_of(self.pid):
            for each in (pid, *children_of(pid)):
                if not _is_agent(each):
                    os.kill(each, signal.SIGKILL)


def below(pid: int) -> list[int]:
    return [each for child in children_of(pid) for each in (child, *below(child))]


def _is_agent(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        # One that was sent has only its name there.
        return b"--attached" in words or words[0] == b"sockmon"
    except OSError:
        return False


NOISE_BYTES = 300_000
SOCKMON = """#!/bin/sh
yes "Unauthorized access is forbidden" | head -c {bytes} >&2
exec {python} -m sockmon "$@"
"""
SERVER = """
ListenAddress 127.0.0.1
Port {port}
HostKey {home}/host
AuthorizedKeysFile {home}/user.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
PermitRootLogin prohibit-password
Banner {home}/banner
SetEnv PATH={home}:/usr/local/bin:/usr/bin:/bin HOME={home}/empty TMPDIR={home}/empty
"""
CLIENT = """
IdentityFile {home}/user
IdentitiesOnly yes
UserKnownHostsFile {home}/known
StrictHostKeyChecking accept-new
"""


@contextmanager
def real_sshd(home: Path) -> Iterator[Server]:
    """Start it with its files in `home`, which is where its sessions find their commands first."""
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
    if sshd is None or not shutil.which("ssh"):
        pytest.skip("needs openssh-server and openssh-client")
    port, user = free_port(), getpass.getuser()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / name)], check=True)
    (home / "empty").mkdir()
    (home / "banner").write_text("Unauthorized access is forbidden\n" * 1000)
    files = {"sshd_config": SERVER, "ssh_config": CLIENT, "sockmon": SOCKMON}
    for name, text in files.items():
        text = text.format(port=port, home=home, python=sys.executable, bytes=NOISE_BYTES)
        (home / name).write_text(text)
    (home / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {home}/ssh_config "$@"\n')
    for name in ("sockmon", "ssh"):
        (home / name).chmod(0o700)
    argv = [*_place_for(sshd), "-D", "-e", "-f", str(home / "sshd_config")]
    with (home / "log").open("wb") as log, subprocess.Popen(argv, stderr=log) as process:
        try:
            spec = f"ssh://{user}@127.0.0.1:{port}"
            _require_login(home, user, port)
            path = f"{home}{os.pathsep}{os.environ['PATH']}"
            # As root it is a child of unshare.
            pid = process.pid if argv[0] == sshd else children_of(process.pid)[0]
            yield Server(spec, f"ssh 127.0.0.1:{port}", path, pid)
        finally:
            left = below(process.pid)
            process.terminate()
            for pid in left:
                if alive(pid):
                    os.kill(pid, signal.SIGKILL)


def _place_for(sshd: str) -> list[str]:
    """The command of `sshd`. As root it gets a /proc of its own, so that an agent need not read all processes of a
    busy host, and the folder in /run that it wants."""
    if os.geteuid() != 0:
        return [sshd]
    script = (
        'test -d /run/sshd || { mount -t tmpfs -o mode=755 tmpfs /run && mkdir -m 755 /run/sshd; } && exec "$@"'
    )
    place = ["unshare", "-m", "-p", "-f", "--kill-child", "--mount-proc", "sh", "-c", script, "sh"]
    if subprocess.run([*place, "true"], capture_output=True).returncode:
        pytest.skip("sshd as root needs a private mount namespace")
    return [*place, sshd]


def _require_login(home: Path, user: str, port: int) -> None:
    """Wait for the server; skip with the reason if this user cannot log in anywhere, as without a shell."""
    argv = [str(home / "ssh"), "-o", "BatchMode=yes", "-p", str(port), "-l", user, "127.0.0.1", "true"]
    end = time.monotonic() + PATIENCE
    while (done := subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE)).returncode:
        if "refused" not in done.stderr.rpartition("forbidden\n")[2] or time.monotonic() > end:
            pytest.skip(
                f"{user} cannot log in: {done.stderr.strip().splitlines()[-1:]} {(home / 'log').read_text()}"
            )
        time.sleep(0.1)
