"""Sources of a stream of Snapshots: the agent on this machine or over ssh, a recording, a pipe.

The users of a source do not know which kind it is. May import `model`; of other rooms nothing. Tests are in
`tests/sources`, `tests/test_agent_ends.py` and `tests/test_recordings.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from sockmon.model.detail import Detail, Request
from sockmon.model.snapshot import Snapshot
from sockmon.sources.recording_damage import Damage


class Interruption(NamedTuple):
    """The agent ended or could not be started; it will be started again."""

    reason: str
    """What happened, such as `agent exited (signal 9)`; clean text."""
    retry: float
    """CLOCK_MONOTONIC seconds of the next start."""
    hint: str = ""
    """What to do, or the log that has the traceback; clean text."""


Event = Snapshot | Detail | Damage | Interruption
"""What a source yields: samples, answers to requests, damage and interruptions of the stream."""


class Source(Protocol):
    """A stream of Snapshots that can be asked for details."""

    title: str
    """The title in the header: `live`, `ssh HOST` or the name of the recording; clean text."""
    remote: bool
    """True if another machine sends the samples."""
    live: bool
    """True if the samples are of this moment, so that their age is measured with this machine's clock."""

    def lines(self) -> Iterator[Event]:
        """Yield Snapshots as they come, answers to `ask`, and events of the stream; end when the stream ends.

        Blocks between lines. Raises SourceLost if the stream broke and does not come back, BadRecording if it is
        not a stream of Snapshots."""

    def ask(self, request: Request) -> bool:
        """Send a request; return False if this source cannot answer it, as a recording cannot."""

    def retry(self) -> None:
        """Start an agent that has ended now, and not only after its pause; a recording has none."""

    def close(self) -> None:
        """End the stream; `lines` returns. Safe to call from another thread, and twice."""


def open_source(spec: str, interval: float, pushed: bool = False) -> Source:
    """Return the source that `--from` names: a file, `-`, or `ssh://HOST`, to which the agent is sent if `pushed`.

    Raises Misuse if the address is not valid, SourceLost or BadRecording if it cannot be opened."""
    from sockmon.sources.agent_process import ssh_agent
    from sockmon.sources.replay import Replay
    from sockmon.sources.ssh import SCHEME

    return ssh_agent(spec, interval, pushed=pushed) if spec.startswith(SCHEME) else Replay(spec)
