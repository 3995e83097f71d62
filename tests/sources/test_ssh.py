"""`ssh://`: which addresses are accepted, and the screen over a real sshd on the loopback device."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from sockmon.errors import Misuse
from sockmon.sources.ssh import Address, command, parse
from tests.netns import child_environment
from tests.terminal import children_of, on_terminal

PATIENCE = 60.0


@pytest.mark.parametrize(
    ("spec", "address", "title"),
    [
        ("ssh://web-1", Address("", "web-1", None), "ssh web-1"),
        ("ssh://web-1/", Address("", "web-1", None), "ssh web-1"),
        ("ssh://web_1.example.org", Address("", "web_1.example.org", None), "ssh web_1.example.org"),
        ("ssh://root@web-1:2222", Address("root", "web-1", 2222), "ssh web-1:2222"),
        ("ssh://ann@corp.example@10.0.0.7", Address("ann@corp.example", "10.0.0.7", None), "ssh 10.0.0.7"),
        ("ssh://[fe80::1%eth0]:22", Address("", "fe80::1%eth0", 22), "ssh [fe80::1%eth0]:22"),
        ("ssh://root@[::1]", Address("root", "::1", None), "ssh [::1]"),
    ],
)
def test_an_address_is_user_host_and_port(spec: str, address: Address, title: str) -> None:
    assert parse(spec) == address
    assert address.title == title


@pytest.mark.parametrize(
    "spec",
    [
        "ssh://", "ssh:///", "ssh://:22", "ssh://root@", "ssh://@web-1", "ssh://web-1:", "ssh://web-1:ssh",
        "ssh://web-1:0", "ssh://web-1:65536", "ssh://web-1:-1", "ssh://web-1:22:23", "ssh://::1", "ssh://[::1",
        "ssh://[::1]22", "ssh://[web-1]:22", "ssh://-oProxyCommand=reboot", "ssh://-oProxyCommand=reboot@web-1",
        "ssh://web-1/path", "ssh://web-1?query", "ssh://web-1#part", "ssh://web 1", "ssh://web-1;reboot",
        "ssh://$(reboot)", "ssh://root:secret@web-1", "ssh://web-1\n", "ssh://\x1b[31m", "ssh://wéb", "ssh://web-1:٢٢",
        "ssh://[::1%-oProxyCommand=x]", "ssh://%2d", "ssh://" + "a" * 300,
    ],
)  # fmt: skip
def test_anything_else_is_a_misuse(spec: str) -> None:
    with pytest.raises(Misuse) as caught:
        parse(spec)
    assert "ssh://" in caught.value.message
    assert "secret" not in caught.value.message
    assert caught.value.message.isprintable()
    assert caught.value.hint


def test_nothing_of_an_address_becomes_an_option() -> None:
    argv = command(Address("root", "fe80::1%eth0", 2222), 1.0)
    assert argv[argv.index("--") + 1] == "fe80::1%eth0"
    assert argv[argv.index("-p") + 1] == "2222"
    assert argv[argv.index("-l") + 1] == "root"


def test_the_screen_ends_with_64_before_it_starts_ssh() -> None:
    with on_terminal("--from", "ssh://-oProxyCommand=reboot@web-1") as terminal:
        assert terminal.end() == 64
        assert "is not a valid" in terminal.screen()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Server(NamedTuple):
    """A real sshd that runs as we do, and accepts us."""

    spec: str
    title: str
    path: str
    """PATH with an `ssh` that has our keys."""
    pid: int

    def agents(self) -> list[int]:
        """The agents that it has started."""
        return [pid for pid in _below(self.pid) if _is_agent(pid)]

    def cut(self) -> None:
        """End every connection as if the network had gone: no process says goodbye."""
        for pid in children_of(self.pid):
            for each in (pid, *children_of(pid)):
                if not _is_agent(each):
                    os.kill(each, signal.SIGKILL)


def _below(pid: int) -> list[int]:
    return [each for child in children_of(pid) for each in (child, *_below(child))]


def _is_agent(pid: int) -> bool:
    try:
        return b"--attached" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
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
SetEnv PATH={home}:/usr/local/bin:/usr/bin:/bin
"""
CLIENT = """
IdentityFile {home}/user
IdentitiesOnly yes
UserKnownHostsFile {home}/known
StrictHostKeyChecking accept-new
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
    if sshd is None or not shutil.which("ssh"):
        pytest.skip("needs openssh-server and openssh-client")
    port, user = free_port(), getpass.getuser()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
    (tmp_path / "banner").write_text("Unauthorized access is forbidden\n" * 1000)
    files = {"sshd_config": SERVER, "ssh_config": CLIENT, "sockmon": SOCKMON}
    for name, text in files.items():
        text = text.format(port=port, home=tmp_path, python=sys.executable, bytes=NOISE_BYTES)
        (tmp_path / name).write_text(text)
    (tmp_path / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {tmp_path}/ssh_config "$@"\n')
    for name in ("sockmon", "ssh"):
        (tmp_path / name).chmod(0o700)
    argv = [*_place_for(sshd), "-D", "-e", "-f", str(tmp_path / "sshd_config")]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(argv, stderr=log) as process:
        try:
            spec = f"ssh://{user}@127.0.0.1:{port}"
            _require_login(tmp_path, user, port)
            path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
            yield Server(spec, f"ssh 127.0.0.1:{port}", path, process.pid)
        finally:
            below = _below(process.pid)
            process.terminate()
            for pid in below:
                if alive(pid):
                    os.kill(pid, signal.SIGKILL)


def _place_for(sshd: str) -> list[str]:
    """The command of `sshd`: as root it wants a folder in /run, which the host may not have."""
    if os.geteuid() != 0 or Path("/run/sshd").is_dir():
        return [sshd]
    script = 'mount -t tmpfs -o mode=755 tmpfs /run && mkdir -m 755 /run/sshd && exec "$@"'
    place = ["unshare", "-m", "sh", "-c", script, "sh"]
    if subprocess.run([*place, "true"], capture_output=True).returncode:
        pytest.skip("sshd as root needs /run/sshd, or a private mount namespace")
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


def test_another_host_is_named_and_reached_again_after_the_connection_was_cut(server: Server) -> None:
    """Its banner and its agent write 330 kB to stderr, which a pipe does not hold."""
    with on_terminal("--from", server.spec, variables={"PATH": server.path}) as terminal:
        terminal.until(f"{server.title} 1 s")
        assert "open files" in terminal.until("open files")
        for _ in range(2):
            server.cut()
            shown = terminal.until("ssh exited (status 255)")
            assert f"{server.title} stale" in shown.splitlines()[0]
            assert "open files" in shown
            terminal.until(f"{server.title} 1 s")
        terminal.press("q")
        assert terminal.end() == 0
        until(lambda: not server.agents())


def test_a_host_that_answers_no_more_is_reached_again(server: Server) -> None:
    """The connection stays open and sends nothing, as if packets were dropped."""
    with on_terminal("--from", server.spec, variables={"PATH": server.path}) as terminal:
        terminal.until(f"{server.title} 1 s")
        for pid in _below(server.pid):
            os.kill(pid, signal.SIGSTOP)
        terminal.until("No data for")
        terminal.until("ssh exited (status 255)")
        terminal.until(f"{server.title} 1 s")


def test_a_stopped_agent_on_the_other_host_ends_with_the_connection(server: Server) -> None:
    with on_terminal("--from", server.spec, variables={"PATH": server.path}) as terminal:
        terminal.until(f"{server.title} 1 s")
        agents = server.agents()
        assert len(agents) == 1
        os.kill(agents[0], signal.SIGSTOP)
        terminal.process.kill()
        until(lambda: not alive(agents[0]))


def test_a_host_without_sockmon_is_an_error_that_quotes_the_shell(server: Server, tmp_path: Path) -> None:
    (tmp_path / "sockmon").unlink()
    with on_terminal("--from", server.spec, variables={"PATH": server.path}) as terminal:
        assert terminal.end() == 1
        assert "not found" in terminal.screen()
        assert "install sockmon on that host" in terminal.screen()


def test_a_host_that_refuses_is_an_error(server: Server) -> None:
    with on_terminal("--from", f"ssh://127.0.0.1:{free_port()}", variables={"PATH": server.path}) as terminal:
        assert terminal.end() == 1
        assert "Connection refused" in terminal.screen()


def test_the_agent_over_ssh_needs_no_terminal(server: Server) -> None:
    """As in `ssh HOST sockmon agent | sockmon --from -`."""
    address = parse(server.spec)
    argv = command(address, 1.0)
    environment = child_environment() | {"PATH": server.path}
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as ssh:
        assert ssh.stdout is not None
        assert ssh.stdin is not None
        assert b'"sockmon"' in ssh.stdout.readline()
        assert b'"snapshot"' in ssh.stdout.readline()
        ssh.stdin.close()
        ssh.stdout.read()
        assert ssh.wait(PATIENCE) == 0
