"""`ssh://`: which addresses are accepted, and the screen over a real sshd on the loopback device."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from sockmon.errors import Misuse
from sockmon.sources.ssh import Address, command, parse
from tests.netns import child_environment
from tests.sshd import Server, below, free_port
from tests.terminal import on_terminal
from tests.waiting import PATIENCE, alive, until


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


def test_another_host_is_named_and_reached_again_after_the_connection_was_cut(server: Server) -> None:
    """Its banner and its agent write 330 kB to stderr, which a pipe does not hold."""
    with on_terminal("--from", server.spec, variables={"PATH": server.path}) as terminal:
        terminal.until(f"{server.title} 1 s")
        assert "open files" in terminal.until("open files")
        for _ in range(2):
            server.cut()
            shown = terminal.until("the connection was closed")
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
        for pid in below(server.pid):
            os.kill(pid, signal.SIGSTOP)
        terminal.until("No data for")
        terminal.until("it does not answer")
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
