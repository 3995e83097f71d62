"""Handles of network namespaces, against real ones."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sockmon.errors import NoSuchNamespace, NotPresent, ReadError
from sockmon.kernel import conntrack, namespace_handle, netstat, sockstat, sysctl
from sockmon.kernel.netlink import run
from sockmon.kernel.netns import open_current, open_netns
from sockmon.kernel.sockets import sock_diag
from tests.netns import child_environment, enter, inside, set_sysctl

NOBODY = 65534
RANGE = "sys/net/ipv4/ip_local_port_range"
HOLD = """
import socket, sys
from tests.netns import enter, set_sysctl
enter(user_namespace=sys.argv[1] == "user")
set_sysctl("net.ipv4.ip_local_port_range", "20000 20100")
pairs = [socket.socketpair() for _ in range(5)]
listener = socket.create_server(("127.0.0.1", 0))
print("ready", flush=True)
sys.stdin.read()
"""


def hold(kind: str) -> subprocess.Popen[bytes]:
    """A process in its own namespace, with ten unix sockets and a listener, until its stdin ends."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, kind],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=child_environment(),
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    return child


@pytest.fixture
def held(needs_userns: None) -> Iterator[subprocess.Popen[bytes]]:
    child = hold("user")
    yield child
    child.communicate()


def test_a_handle_of_another_namespace_shows_that_namespace(held: subprocess.Popen[bytes]) -> None:
    handle = open_netns(str(held.pid))
    assert handle.inode == os.stat(f"/proc/{held.pid}/ns/net").st_ino != os.stat("/proc/self/ns/net").st_ino
    assert handle.name == str(held.pid)
    assert sysctl.read(handle, "net.ipv4.ip_local_port_range") == "20000 20100"
    own, _ = sockstat.read(handle)
    # One of them asks whether unix datagram sockets have room.
    assert own.unix == 10 + 1
    assert own.tcp_inuse == 1
    assert netstat.read_counters(handle)["Tcp.ActiveOpens"] == 0
    assert {
        getattr(each, "family", None) for each in (handle.tick_socket, handle.scan_socket, handle.query_socket)
    } == {socket.AF_NETLINK}
    handle.close()


def test_a_handle_outlives_the_processes_of_its_namespace(held: subprocess.Popen[bytes]) -> None:
    handle = open_netns(f"/proc/{held.pid}/ns/net")
    held.communicate()
    assert sockstat.read(handle)[0].tcp_inuse == 0
    assert sysctl.read(handle, "net.ipv4.ip_local_port_range") == "20000 20100"
    handle.close()
    handle.close()


def test_another_namespace_has_no_host_wide_files(held: subprocess.Popen[bytes]) -> None:
    handle = open_netns(str(held.pid))
    with pytest.raises(NotPresent):
        handle.read("sys/net/ipv4/tcp_mem")
    handle.close()


def leave() -> tuple[str, str, int, int]:
    handle = open_current()
    before = os.stat("/proc/self/ns/net").st_ino
    first = handle.read(RANGE).decode()
    sockets = sockstat.read(handle)[0].used
    enter(user_namespace=False)
    set_sysctl("net.ipv4.ip_local_port_range", "20000 20100")
    crowd = [socket.socket() for _ in range(50)]
    assert handle.inode == before
    after = sockstat.read(handle)[0].used
    del crowd
    return first, handle.read(RANGE).decode(), sockets, after


@pytest.mark.fault("X6")
@pytest.mark.usefixtures("needs_userns")
def test_an_open_handle_stays_in_the_namespace_in_which_it_was_opened() -> None:
    first, second, sockets, after = inside(leave)
    assert second == first != "20000\t20100\n"
    assert after == sockets


def fill_up() -> list[str]:
    handle = open_current()
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, free))
    with pytest.raises(OSError, match="Too many"):
        os.dup(0)
    sockstat.read(handle)
    netstat.read_counters(handle)
    sysctl.read_all(handle)
    run(sock_diag.tcp(handle.tick_socket, sock_diag.EVERY_STATE, lambda *_: None))
    with pytest.raises(NoSuchNamespace) as refused:
        open_netns(str(os.getpid()))
    with pytest.raises(ReadError) as unread:
        handle.read("net/tcp")
    return [refused.value.message, unread.value.message]


@pytest.mark.fault("R3")
@pytest.mark.usefixtures("needs_userns")
def test_a_handle_is_read_without_a_free_descriptor() -> None:
    refused, unread = inside(fill_up)
    assert "Too many open files" in refused
    assert unread == "this process has no free file descriptor"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("no-such-name", "there is no network namespace called no-such-name"),
        ("999999999", "there is no process 999999999"),
        ("/no/such/path", "there is no network namespace called /no/such/path"),
        ("/etc/passwd", "/etc/passwd is not a network namespace"),
        ("/dev/null", "/dev/null is not a network namespace"),
        ("/proc/self/ns/mnt", "not a network namespace"),
        ("a\0b", "there is no network namespace called a�b"),
        ("x" * 5000, "there is no network namespace called xxx"),
        ("", "(no name)"),
        ("²", "there is no network namespace called ²"),
        ("\x1b[2J", "called �[2J"),
    ],
)
def test_what_is_not_a_namespace_is_an_error_with_its_name(spec: str, message: str) -> None:
    with pytest.raises(NoSuchNamespace) as refused:
        open_netns(spec)
    assert message in refused.value.message
    assert refused.value.hint


def test_nothing_but_a_namespace_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NoSuchNamespace, match="is not a network namespace"):
        open_netns(str(tmp_path / "pipe"))


@pytest.mark.usefixtures("root_only")
def test_an_ordinary_user_gets_the_hint_to_use_root() -> None:
    child = hold("root")
    program = (
        "import os\nfrom sockmon.kernel.netns import open_netns\nfrom sockmon.errors import NoSuchNamespace\n"
        f"os.setgroups([])\nos.setgid({NOBODY})\nos.setuid({NOBODY})\n"
        f"try: open_netns('{child.pid}')\nexcept NoSuchNamespace as error: print(error.message, '|', error.hint)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=child_environment(), capture_output=True, text=True, check=False
    )
    child.communicate()
    assert not done.stderr
    assert "this user may not enter it | needs root" in done.stdout


def fake(proc: Path, path: str, text: str) -> None:
    place = "thread-self/" + path if path.startswith("net/") else path
    (proc / place).parent.mkdir(parents=True, exist_ok=True)
    (proc / place).write_text(text)


def test_a_file_that_appears_later_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = open_current(proc=str(tmp_path))
    monkeypatch.setattr(namespace_handle, "RETRY_SECONDS", 0.0)
    with pytest.raises(NotPresent) as absent:
        handle.read("sys/net/netfilter/nf_conntrack_count")
    assert absent.value.reader == "net.netfilter.nf_conntrack_count"
    with pytest.raises(NotPresent, match="nf_conntrack is not loaded"):
        conntrack.read(handle)
    fake(tmp_path, "sys/net/netfilter/nf_conntrack_count", "5\n")
    assert sysctl.read(handle, "net.netfilter.nf_conntrack_count") == "5"
    handle.close()


def test_an_absent_file_is_not_opened_at_every_tick(tmp_path: Path) -> None:
    handle = open_current(proc=str(tmp_path))
    with pytest.raises(NotPresent):
        handle.read("net/snmp")
    fake(tmp_path, "net/snmp", "x\n")
    with pytest.raises(NotPresent):
        handle.read("net/snmp")
    handle.close()


@pytest.mark.fault("S11")
def test_a_file_of_several_pages_is_read_completely(tmp_path: Path) -> None:
    fake(tmp_path, "net/protocols", "x" * 300_000)
    handle = open_current(proc=str(tmp_path))
    assert len(handle.read("net/protocols", 4096)) == 300_000
    handle.close()


@pytest.mark.fault("Q8")
def test_a_file_without_end_is_refused(tmp_path: Path) -> None:
    fake(tmp_path, "net/protocols", "")
    os.truncate(tmp_path / "thread-self/net/protocols", 1 << 30)
    handle = open_current(proc=str(tmp_path))
    with pytest.raises(ReadError, match="too large"):
        handle.read("net/protocols")
    handle.close()


def test_closing_a_handle_closes_every_descriptor() -> None:
    before = os.listdir("/proc/self/fd")
    handle = open_current()
    assert len(os.listdir("/proc/self/fd")) > len(before) + 20
    handle.close()
    assert len(os.listdir("/proc/self/fd")) == len(before)
    with pytest.raises(ReadError):
        handle.read("net/sockstat")
