"""Descriptors by kind, from real ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sockmon.errors import ReadError
from sockmon.kernel.processes import descriptors as fds
from tests.kernel.sleepers import descriptors, sleeper

MANY = """
import ctypes, select, socket, tempfile
libc = ctypes.CDLL(None)
held = [socket.socket(socket.AF_UNIX) for _ in range(3)] + [select.epoll()]
held += [libc.eventfd(0, 0), libc.inotify_init(), libc.timerfd_create(1, 0), libc.memfd_create(b"socket:[1]", 0)]
held += [os.open("/dev/null", 0), os.open("/proc/self/ns/net", 0), os.pipe()]
os.chdir(sys.argv[1] if len(sys.argv) > 1 else tempfile.gettempdir())
"""


@pytest.mark.fault("Q7")
def test_every_kind_of_a_real_process() -> None:
    with sleeper(MANY) as process:
        found = descriptors(process.pid).kinds
    assert found["socket"] == 3
    for kind in ("eventpoll", "eventfd", "inotify", "timerfd", "memfd", "namespace"):
        assert found[kind] == 1, kind
    assert found["device"] >= 1
    assert found["pipe"] >= 4


@pytest.mark.fault("Q7")
def test_a_file_named_like_a_socket_is_a_file(tmp_path: Path) -> None:
    setup = f"""
held = [os.open({str(tmp_path)!r} + name, os.O_CREAT | os.O_RDWR)
        for name in ("/socket:[1]", "/pipe:[2] (deleted)", "/a\\nb")]
os.unlink({str(tmp_path)!r} + "/socket:[1]")
"""
    with sleeper(setup) as process:
        found = descriptors(process.pid).kinds
        assert found["file"] >= 3
        assert "socket" not in found
        assert list(descriptors(process.pid).inodes) == []


def test_inodes_are_those_of_fstat() -> None:
    setup = "import socket\nheld = [socket.socket() for _ in range(20)]\nheld.append(held[0].dup())\n"
    setup += "os.write(1, (' '.join(str(os.fstat(s.fileno()).st_ino) for s in held) + '\\n').encode())\n"
    code = f"import os, sys\n{setup}\nos.read(0, 1)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            inodes = [int(word) for word in process.stdout.readline().split()]
            assert sorted(descriptors(process.pid).inodes) == sorted(inodes)
            assert len(inodes) == 21
        finally:
            process.kill()


@pytest.mark.fault("Q7")
@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("socket:[4711]", "socket"),
        ("/srv/socket:[4711]", "file"),
        ("(unreachable)/x", "file"),
        ("socket:[x]", "other"),
        ("socket:[", "other"),
        ("pipe:[1]", "pipe"),
        ("anon_inode:[eventpoll]", "eventpoll"),
        ("anon_inode:inotify", "inotify"),
        ("anon_inode:[pidfd]", "pidfd"),
        ("pidfd:[12]", "pidfd"),
        ("anon_inode:bpf-map", "bpf"),
        ("anon_inode:[io_uring]", "io_uring"),
        ("anon_inode:[userfaultfd]", "userfaultfd"),
        ("anon_inode:[signalfd]", "signalfd"),
        ("anon_inode:[new thing]", "other"),
        ("/memfd:x (deleted)", "memfd"),
        ("/dev/null", "device"),
        ("/dev/shm/x", "file"),
        ("net:[4026531840]", "namespace"),
        ("", "other"),
    ],
)
def test_kind_of_a_target(target: str, kind: str) -> None:
    assert fds.kind(target) == kind


@pytest.mark.fault("Q1")
def test_a_process_that_has_ended_is_unreadable() -> None:
    with pytest.raises(ReadError, match="has ended"):
        descriptors(2**22 + 1)


@pytest.mark.usefixtures("sees_everyone")
def test_descriptors_of_another_user_need_root(unprivileged_only: None) -> None:
    with pytest.raises(ReadError, match="needs root"):
        descriptors(1)


def test_nothing_is_left_open() -> None:
    before = os.listdir("/proc/self/fd")
    descriptors(os.getpid())
    assert os.listdir("/proc/self/fd") == before
