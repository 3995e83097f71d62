"""The kernel is asked for a port without a packet, and gives it back."""

from __future__ import annotations

import os
import re
import signal
import socket
from contextlib import closing
from pathlib import Path

import pytest

from sockmon.kernel.netns import open_current, open_netns
from sockmon.kernel.sockets.port_probe import DISABLED
from tests.netns import enter, inside, set_sysctl

PORTS = 40


def _counters() -> list[str]:
    text = Path("/proc/self/net/snmp").read_text() + Path("/proc/self/net/netstat").read_text()
    return re.findall(r"^(?:Tcp|TcpExt|Ip): [0-9].*", text, re.MULTILINE)


def _bind_all() -> list[socket.socket]:
    held = [socket.socket() for _ in range(PORTS)]
    for number, one in enumerate(held):
        one.bind(("127.0.0.9", 40000 + number))
    return held


def _ask() -> tuple[list[bool | None], bool, int]:
    """Answers before and after every port is bound; whether a counter moved; sockets that are left."""
    set_sysctl("net.ipv4.ip_local_port_range", f"40000 {40000 + PORTS - 1}")
    before = _counters()
    with closing(open_current()) as handle:
        answers = [handle.probes.finds_port() for _ in range(2 * PORTS)]
        held = _bind_all()
        answers.append(handle.probes.finds_port())
        held.pop().close()
        answers.append(handle.probes.finds_port())
        set_sysctl("net.ipv4.tcp_fastopen", "0")
        answers.append(handle.probes.finds_port())
    rows = Path("/proc/self/net/tcp").read_text().splitlines()
    return answers, _counters() == before, len(rows) - 1


@pytest.mark.usefixtures("needs_userns")
def test_it_is_asked_without_a_packet_and_leaves_nothing_behind() -> None:
    answers, same, left = inside(_ask)
    assert answers == [True] * 2 * PORTS + [False, True, None]
    assert same
    assert left == 0


def _ask_disabled() -> bool | None:
    os.environ[DISABLED] = "1"
    with closing(open_current()) as handle:
        return handle.probes.finds_port()


@pytest.mark.usefixtures("needs_userns")
def test_it_can_be_switched_off() -> None:
    assert inside(_ask_disabled) is None


def _ask_elsewhere() -> list[bool | None]:
    """Ask in another namespace, several times with the one socket that was opened there."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        enter(user_namespace=False)
        set_sysctl("net.ipv4.ip_local_port_range", f"40000 {40000 + PORTS - 1}")
        held = _bind_all()
        os.write(writer, b"x")
        signal.pause()
        os._exit(len(held))
    try:
        os.read(reader, 1)
        with closing(open_netns(str(pid))) as there, closing(open_current()) as here:
            return [there.probes.finds_port(), here.probes.finds_port(), there.probes.finds_port()]
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.usefixtures("needs_userns")
def test_it_is_asked_in_the_namespace_that_is_read() -> None:
    assert inside(_ask_elsewhere) == [False, True, False]
