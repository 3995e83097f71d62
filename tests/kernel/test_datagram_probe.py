"""The kernel is asked whether a unix datagram socket has room; nothing is sent."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from sockmon.agent.datagram_sampler import DatagramSampler
from sockmon.kernel.netlink import run
from sockmon.kernel.netns import open_current
from sockmon.kernel.processes import proc_files
from sockmon.kernel.processes.blocked_senders import find_blocked, read_activity
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.kernel.sockets import datagram_probe
from sockmon.model.snapshot import DatagramQueue, Owner
from tests.kernel.sleepers import sleeper
from tests.netns import inside, set_sysctl

FULL = """
import signal, socket, threading, time
def datagram():
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
"""


def made(stack: ExitStack, name: str = "") -> socket.socket:
    found = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    if name:
        found.bind(name)
    found.setblocking(False)
    return found


def answers_while_it_fills() -> tuple[list[bool | None], int]:
    """Return what is answered before each message and after the last one, and how many fitted, of a socket that
    was made before the limit was raised."""
    with ExitStack() as stack:
        set_sysctl("net.unix.max_dgram_qlen", "3")
        receiver, sender = made(stack, "\0log"), made(stack)
        set_sysctl("net.unix.max_dgram_qlen", "50")
        probe = datagram_probe.open_probe()
        assert probe is not None
        found, sent = [datagram_probe.has_room(probe, b"\0log")], 0
        while sent < 50 and found[-1]:
            sender.sendto(b"x", "\0log")
            sent += 1
            found.append(datagram_probe.has_room(probe, b"\0log"))
        receiver.recv(1)
        found.append(datagram_probe.has_room(probe, b"\0log"))
        probe.close()
        return found, sent


@pytest.mark.usefixtures("needs_userns")
def test_the_answer_is_what_a_sender_finds() -> None:
    assert inside(answers_while_it_fills) == ([True, True, True, True, False, True], 4)


def test_what_cannot_be_asked_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = datagram_probe.open_probe()
    assert probe is not None
    with probe:
        assert datagram_probe.has_room(probe, b"\0nothing has this name") is None
        assert datagram_probe.has_room(probe, b"/" * 300) is None
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with left, right:
            left.bind(f"\0sockmon-test-connected-{os.getpid()}")
            assert datagram_probe.has_room(probe, left.getsockname()) is None
    monkeypatch.setenv(datagram_probe.DISABLED, "1")
    assert datagram_probe.open_probe() is None


@contextmanager
def sampled(*pids: int) -> Iterator[dict[str, DatagramQueue]]:
    """Return the queues of this namespace by path, as the agent reads them; `pids` own their sockets."""
    with closing(open_current()) as handle, closing(ProcessTable()) as table, closing(Owners()) as owners:
        run(owners.refresh([row for row in table.read(0.0).rows if row.pid in pids]))
        sampler = DatagramSampler(handle, owners)
        try:
            while not sampler.task.runs or sampler.task.active:
                sampler.task.run(1.0)
            assert sampler.task.reason is None
            yield {queue.path: queue for queue in sampler.sample() or ()}
        finally:
            sampler.close()


def who_is_blocked(folder: str) -> tuple[bool | None, str, list[int], list[bool | None]]:
    """Return of a full socket with a path, whose reader is stopped: full, state, the blocked processes that are
    known, as indices of those that block; and `full` of a socket whose path is another socket's now."""
    path = f"{folder}/log"
    set_sysctl("net.unix.max_dgram_qlen", "2")
    listening = FULL + f"log = datagram(); log.bind({path!r})\n"
    blocking = FULL + f"threading.Thread(target=datagram().sendto, args=(b'x', {path!r}), daemon=True).start()\n"
    with ExitStack() as stack:
        reader = stack.enter_context(sleeper(listening))
        for _ in range(3):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ended:
                ended.sendto(b"x", path)
        os.kill(reader.pid, 19)
        writers = [stack.enter_context(sleeper(blocking)) for _ in range(2)]
        pids = [reader.pid, *(writer.pid for writer in writers)]
        queue = wait_for_blocked(path, pids)
        Path(path).unlink()
        made(stack, path)
        with sampled(*pids) as found:
            renewed = [found[path].full]
        os.kill(reader.pid, 18)
        blocked = [pids.index(owner.pid) for owner in queue.blocked]
        return queue.full, queue.reader_state, blocked, renewed


def wait_for_blocked(path: str, pids: list[int]) -> DatagramQueue:
    """Sample until both writers are blocked: they may not have called send() yet."""
    for _ in range(1000):
        with sampled(*pids) as found:
            if found[path].blocked_total == 2 and found[path].reader_state == "T":
                break
    return found[path]


@pytest.mark.usefixtures("needs_userns")
def test_the_reader_and_those_who_are_blocked_are_named(tmp_path: Path) -> None:
    assert inside(who_is_blocked, str(tmp_path)) == (True, "T", [1, 2], [None])


def test_of_a_process_that_has_ended_nothing_is_said() -> None:
    gone = Owner(1 << 30, 1, "gone", 1)
    proc = proc_files.open_proc()
    try:
        assert read_activity(gone, proc) == ("", "")
        assert run(find_blocked([gone], proc)) == ()
        assert read_activity(Owner(os.getpid(), 1, "another", 1), proc) == ("", "")
    finally:
        os.close(proc)
