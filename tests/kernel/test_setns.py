"""Descriptors from another namespace, and none left open if that fails."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest

from sockmon.kernel import setns
from sockmon.kernel.setns import EntryRefused, OpenedFiles, open_in_netns
from tests.netns import inside


@pytest.fixture
def own() -> Iterator[int]:
    descriptor = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    yield descriptor
    os.close(descriptor)


def many() -> OpenedFiles:
    return OpenedFiles(
        7, {f"file {n}": os.open("/dev/null", os.O_RDONLY) for n in range(600)}, {"gone": errno.ENOENT}
    )


def bring_many() -> tuple[int, int, dict[str, int], bool]:
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    opened = open_in_netns(own, many)
    assert isinstance(opened, OpenedFiles)
    inheritable = any(map(os.get_inheritable, opened.files.values()))
    return opened.inode, len(set(opened.files.values())), opened.errors, inheritable


@pytest.mark.usefixtures("needs_userns")
def test_more_descriptors_than_one_message_holds() -> None:
    assert inside(bring_many) == (7, 600, {"gone": errno.ENOENT}, False)


def broken() -> OpenedFiles:
    raise OSError(errno.ENFILE, "full")


def test_a_child_that_cannot_enter_returns_the_errno(own: int) -> None:
    before = os.listdir("/proc/self/fd")
    refused = open_in_netns(own, broken)
    assert isinstance(refused, EntryRefused)
    # An ordinary user may not even enter the namespace that it is in.
    assert refused.code == (errno.ENFILE if os.geteuid() == 0 else errno.EPERM)
    assert os.listdir("/proc/self/fd") == before


def stray() -> OpenedFiles:
    raise RuntimeError("a bug in the child")


@pytest.mark.fault("X6")
def test_a_child_that_dies_causes_no_hang_and_no_second_parent(own: int) -> None:
    assert isinstance(open_in_netns(own, stray), EntryRefused)


def bring_into_a_full_table() -> tuple[int, bool]:
    import resource

    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 20, 4096))
    before = os.listdir("/proc/self/fd")

    def work() -> OpenedFiles:
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
        return many()

    refused = open_in_netns(own, work)
    assert isinstance(refused, EntryRefused)
    return refused.code, os.listdir("/proc/self/fd") == before


@pytest.mark.usefixtures("needs_userns")
def test_descriptors_that_do_not_fit_are_refused_and_closed() -> None:
    assert inside(bring_into_a_full_table) == (errno.EMFILE, True)


def test_a_process_that_cannot_come_back_ends(own: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(_descriptor: int, _kind: int) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    monkeypatch.setattr(setns, "_RETURN_PAUSE", 0.0)
    with pytest.raises(SystemExit):
        setns.come_back(own, no_memory)
