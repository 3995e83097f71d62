"""Where a stream of Snapshots comes from: a child process, a file, a pipe. Above this room nobody asks which."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from sockmon.model.detail import Detail, Request
from sockmon.model.snapshot import Snapshot


class Source(Protocol):
    """A stream of Snapshots, and a way to ask it about one thing."""

    title: str
    """`live`, or the name of the recording: what the header says."""
    live: bool
    """True where now means now: the age of the data is measured against this machine's clock."""

    def lines(self) -> Iterator[Snapshot | Detail]:
        """Snapshots as they come, and answers to `ask`; ends when the stream ends.

        Blocks between lines; raises SourceLost when the stream broke, BadRecording when it is not one."""

    def ask(self, request: Request) -> bool:
        """Send a request; False where this source cannot answer (a recording holds no single sockets)."""

    def close(self) -> None:
        """End the stream; `lines` returns. Safe to call from another thread, and twice."""


def open_source(spec: str | None, interval: float, netns: str | None) -> Source:
    """The source that `--from` names: a file, `-`, `ssh://HOST`; without it this machine, live."""
    from sockmon.sources.child import local_agent, ssh_agent
    from sockmon.sources.replay import Replay

    if spec is None:
        return local_agent(interval, netns)
    if spec.startswith("ssh://"):
        return ssh_agent(spec.removeprefix("ssh://").rstrip("/"), interval)
    return Replay(spec)
