"""Doors into network namespaces, against real ones."""

from __future__ import annotations

import os
import resource
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sockmon.errors import Absent, NoSuchNamespace, Unreadable
from sockmon.kernel import conntrack, netns, netstat, sockstat, sysctl
from sockmon.kernel.netlink import dump, run
from sockmon.kernel.netns import open_here, open_other
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
    """A process in a namespace of its own, with ten unix sockets and a listener, until its stdin ends."""
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


def test_a_door_of_another_namespace_shows_that_namespace(held: subprocess.Popen[bytes]) -> None:
    door = open_other(str(held.pid))
    assert door.inode == os.stat(f"/proc/{held.pid}/ns/net").st_ino != os.stat("/proc/self/ns/net").st_ino
    assert door.name == str(held.pid)
    assert sysctl.read(door, "net.ipv4.ip_local_port_range") == "20000 20100"
    own, _ = sockstat.read(door)
    assert own.unix == 10
    assert own.tcp_inuse == 1
    assert netstat.counters(door)["Tcp.ActiveOpens"] == 0
    assert {each.family for each in (door.cheap, door.walk, door.focus)} == {socket.AF_NETLINK}
    door.close()


def test_a_door_outlives_the_processes_behind_it(held: subprocess.Popen[bytes]) -> None:
    door = open_other(f"/proc/{held.pid}/ns/net")
    held.communicate()
    assert sockstat.read(door)[0].tcp_inuse == 0
    assert sysctl.read(door, "net.ipv4.ip_local_port_range") == "20000 20100"
    door.close()
    door.close()


def test_another_namespace_has_no_host_wide_files(held: subprocess.Popen[bytes]) -> None:
    door = open_other(str(held.pid))
    with pytest.raises(Absent):
        door.read("sys/net/ipv4/tcp_mem")
    door.close()


def leave() -> tuple[str, str, int, int]:
    door = open_here()
    before = os.stat("/proc/self/ns/net").st_ino
    first = door.read(RANGE).decode()
    sockets = sockstat.read(door)[0].used
    enter(user_namespace=False)
    set_sysctl("net.ipv4.ip_local_port_range", "20000 20100")
    crowd = [socket.socket() for _ in range(50)]
    assert door.inode == before
    after = sockstat.read(door)[0].used
    del crowd
    return first, door.read(RANGE).decode(), sockets, after


@pytest.mark.usefixtures("needs_userns")
def test_an_open_door_stays_in_the_namespace_it_was_opened_in() -> None:
    first, second, sockets, after = inside(leave)
    assert second == first != "20000\t20100\n"
    assert after == sockets


def fill_up() -> list[str]:
    door = open_here()
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, free))
    with pytest.raises(OSError, match="Too many"):
        os.dup(0)
    sockstat.read(door)
    netstat.counters(door)
    sysctl.read_all(door)
    run(dump(door.cheap, "tcp", 20, struct.pack("=BBHI48x", socket.AF_INET, 6, 0, 0xFFF), lambda *_: None, 72))
    with pytest.raises(NoSuchNamespace) as refused:
        open_other(str(os.getpid()))
    with pytest.raises(Unreadable) as unread:
        door.read("net/tcp")
    return [refused.value.message, unread.value.message]


@pytest.mark.usefixtures("needs_userns")
def test_a_door_is_read_with_no_free_descriptor() -> None:
    refused, unread = inside(fill_up)
    assert "Too many open files" in refused
    assert unread == "this process has no free file descriptor"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("no-such-name", "there is no network namespace called no-such-name"),
        ("999999999", "there is no process 999999999"),
        ("/no/such/path", "there is no network namespace called /no/such/path"),
        ("/etc/passwd", "/etc/passwd is not a network namespace"),
        ("/dev/null", "/dev/null is not a network namespace"),
        ("/proc/self/ns/mnt", "another kind"),
        ("a\0b", "there is no network namespace called a�b"),
        ("x" * 5000, "there is no network namespace called xxx"),
        ("", "(no name)"),
        ("²", "there is no network namespace called ²"),
        ("\x1b[2J", "called �[2J"),
    ],
)
def test_what_is_no_namespace_is_named(spec: str, says: str) -> None:
    with pytest.raises(NoSuchNamespace) as refused:
        open_other(spec)
    assert says in refused.value.message
    assert refused.value.hint


def test_nothing_but_a_namespace_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NoSuchNamespace, match="is not a network namespace"):
        open_other(str(tmp_path / "pipe"))


@pytest.mark.usefixtures("root_only")
def test_a_user_is_told_to_be_root() -> None:
    child = hold("root")
    program = (
        "import os\nfrom sockmon.kernel.netns import open_other\nfrom sockmon.errors import NoSuchNamespace\n"
        f"os.setgroups([])\nos.setgid({NOBODY})\nos.setuid({NOBODY})\n"
        f"try: open_other('{child.pid}')\nexcept NoSuchNamespace as error: print(error.message, '|', error.hint)"
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
    door = open_here(proc=str(tmp_path))
    monkeypatch.setattr(netns, "RETRY_SECONDS", 0.0)
    with pytest.raises(Absent) as absent:
        door.read("sys/net/netfilter/nf_conntrack_count")
    assert absent.value.reader == "net.netfilter.nf_conntrack_count"
    with pytest.raises(Absent, match="nf_conntrack is not loaded"):
        conntrack.gauge(door)
    fake(tmp_path, "sys/net/netfilter/nf_conntrack_count", "5\n")
    assert sysctl.read(door, "net.netfilter.nf_conntrack_count") == "5"
    door.close()


def test_a_file_is_not_looked_for_at_every_tick(tmp_path: Path) -> None:
    door = open_here(proc=str(tmp_path))
    with pytest.raises(Absent):
        door.read("net/snmp")
    fake(tmp_path, "net/snmp", "x\n")
    with pytest.raises(Absent):
        door.read("net/snmp")
    door.close()


def test_a_file_of_several_pages_is_read_whole(tmp_path: Path) -> None:
    fake(tmp_path, "net/protocols", "x" * 300_000)
    door = open_here(proc=str(tmp_path))
    assert len(door.read("net/protocols", 4096)) == 300_000
    door.close()


def test_a_file_without_end_is_refused(tmp_path: Path) -> None:
    fake(tmp_path, "net/protocols", "")
    os.truncate(tmp_path / "thread-self/net/protocols", 1 << 30)
    door = open_here(proc=str(tmp_path))
    with pytest.raises(Unreadable, match="too large"):
        door.read("net/protocols")
    door.close()


def test_closing_gives_every_descriptor_back() -> None:
    before = os.listdir("/proc/self/fd")
    door = open_here()
    assert len(os.listdir("/proc/self/fd")) > len(before) + 20
    door.close()
    assert len(os.listdir("/proc/self/fd")) == len(before)
    with pytest.raises(Unreadable):
        door.read("net/sockstat")
