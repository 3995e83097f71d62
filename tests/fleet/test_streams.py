"""Streams that are lost and opened again, with a launcher and a command that does what ssh does."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sockmon.fleet import streams
from sockmon.fleet.feed import FleetState
from sockmon.fleet.hosts import FleetHost
from sockmon.fleet.streams import StreamsFeed
from sockmon.sources import agent_process
from sockmon.sources.agent_process import AgentProcess
from sockmon.sources.ssh import Address
from sockmon.sources.wire import encode, hello
from tests.snapshots import snapshot
from tests.waiting import until

SCRIPT = (
    'test -e "$2" || { echo "ssh: connect to host web-1 port 22: Connection refused" >&2; exit 255; }; cat "$1"; '
)


class Lab:
    """A fleet of one host that is up while a file is there."""

    def __init__(self, folder: Path, then: str) -> None:
        self.up = folder / "up"
        self.up.touch()
        stream = folder / "stream"
        stream.write_bytes(hello() + encode(snapshot(1.0)))
        self._argv = ["sh", "-c", SCRIPT + then, "sh", str(stream), str(self.up)]
        self.opened: list[AgentProcess] = []
        self.state = FleetState()
        self.feed = StreamsFeed(["ssh://web-1"], open_stream=self._open)

    def _open(self, spec: str, *, threaded: bool) -> AgentProcess:
        assert threaded is bool(self.opened)
        address = Address("", "web-1", None)
        self.opened.append(AgentProcess(self._argv, "ssh web-1", address, patient=True, threaded=threaded))
        return self.opened[-1]

    def take(self, state: FleetState) -> None:
        self.state = state

    @property
    def host(self) -> FleetHost:
        assert self.state.fleet
        return self.state.fleet.hosts[0]

    def until(self, state: str, words: str = "") -> None:
        until(lambda: bool(self.state.fleet) and self.host.state == state and words in self.host.reason)


@contextmanager
def running(folder: Path, then: str = "exec sleep 600") -> Iterator[Lab]:
    lab = Lab(folder, then)
    thread = threading.Thread(target=lab.feed.run, args=(lab.take,))
    thread.start()
    try:
        yield lab
    finally:
        lab.feed.close()
        thread.join()


@pytest.fixture
def long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is tried again within a test but by a key."""
    monkeypatch.setattr(streams, "MIN_REOPEN_SECONDS", 600.0)
    monkeypatch.setattr(agent_process, "MIN_RETRY_SECONDS", 600.0)
    monkeypatch.setattr(agent_process, "MAX_RETRY_SECONDS", 600.0)


@pytest.mark.usefixtures("long_pauses")
def test_a_stream_whose_launcher_was_killed_is_opened_again_by_a_key(tmp_path: Path) -> None:
    with running(tmp_path) as lab:
        for _ in range(2):
            lab.until("live")
            os.kill(lab.opened[-1].pid, signal.SIGKILL)
            lab.until("failed", "the process that starts the ssh has ended")
            assert "again in 600 s" in lab.host.reason or "again in 595 s" in lab.host.reason
            lab.feed.refresh()
        lab.until("live")


def test_it_is_opened_again_without_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MIN_REOPEN_SECONDS", 0.1)
    with running(tmp_path) as lab:
        lab.until("live")
        os.kill(lab.opened[-1].pid, signal.SIGKILL)
        until(lambda: len(lab.opened) == 2)
        lab.until("live")


@pytest.mark.usefixtures("long_pauses")
def test_a_lost_connection_is_tried_again_by_a_key(tmp_path: Path) -> None:
    with running(tmp_path, 'while test -e "$2"; do sleep 0.1; done; exit 255') as lab:
        lab.until("live")
        lab.up.unlink()
        lab.until("stale", "its command was killed, or the connection ended; again in ")
        lab.feed.refresh()
        lab.until("stale", "no connection to port 22 (Connection refused)")
        lab.up.touch()
        lab.feed.refresh()
        lab.until("live")
        assert len(lab.opened) == 1
