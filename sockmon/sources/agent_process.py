"""A stream from an agent that runs as a child process: on this machine, or on another one over ssh."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

import msgspec

from sockmon.errors import BadRecording, SourceLost
from sockmon.model.detail import Request, SetCpuPercent, SetInterval, WatchNetns
from sockmon.model.snapshot import Snapshot
from sockmon.own_process import start_forked
from sockmon.sources import Event, Interruption, agent_launcher, push, ssh
from sockmon.sources.agent_end import AgentEnded, end_of_agent, end_of_ssh
from sockmon.sources.agent_launcher import MAX_ANSWER_BYTES, PIPES, START, STATUS, LoadAgent, StartOthers
from sockmon.sources.lines import Descriptor
from sockmon.sources.recording_damage import Damage
from sockmon.sources.ssh import Address
from sockmon.sources.wire import Hello, encode, read_stream

log = logging.getLogger(__name__)

MIN_RETRY_SECONDS, MAX_RETRY_SECONDS = 1.0, 30.0
"""Seconds until an agent that ended is started again; the pause doubles with each attempt."""
STABLE_SECONDS = 30.0
"""Seconds of samples after which the next pause is the shortest again."""
PIPE_BYTES = 256 << 10
"""The pipe of the stream holds the line of a host with 700 processes; the kernel allows a user 64 MB of pipes."""
_EXHAUSTED = {
    errno.EAGAIN: "no free process id",
    errno.ENOMEM: "not enough memory",
    errno.EMFILE: "no free descriptor",
    errno.ENFILE: "no free file handle",
}


class Others(NamedTuple):
    """The other processes that the launcher starts."""

    start: StartOthers
    descriptors: Sequence[int]
    """What `start` needs; they stay open in this process."""


NO_OTHERS = Others(lambda: None, ())


class AgentProcess:
    """An agent with its three pipes. It is started again when it ends, and it ends when this process ends."""

    live = True

    def __init__(
        self,
        agent: LoadAgent | Sequence[str],
        title: str,
        address: Address | None = None,
        others: Others = NO_OTHERS,
        parcel: bytes = b"",
        patient: bool = False,
        threaded: bool = False,
    ) -> None:
        """Start the launcher of `agent`, which starts `others` too.

        `address`: the host on which ssh starts it; `parcel` goes to its stdin before any request. `patient`: it is
        started again also if it ended before its first sample. `threaded`: this process has threads already, so
        the launcher of a command is a new interpreter."""
        self.title = title
        self.remote = address is not None
        self._address = address
        self._name = "ssh" if address else "agent"
        self._parcel = parcel
        self._patient = patient
        self._closed = threading.Event()
        self._wake = threading.Event()
        """Set to start an agent that has ended at once."""
        self._lock = threading.Lock()
        """Held while `_stdin` or `_stream` changes: `ask` and `close` come from another thread."""
        self._stdin = -1
        self._takes_requests = False
        """False while the parcel is sent."""
        self._stream: Descriptor | None = None
        self._kept: dict[type[Request], Request] = {}
        """What an agent that is started again is asked for too: its interval, its share of a processor."""
        self._watched = WatchNetns(0)
        self._first_sample: float | None = None
        self._reading = False
        self.pid = 0
        """The process id of the launcher, which ends after its agent."""
        self._launcher, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs, open(os.devnull, "r+b", buffering=0) as nothing:
                launch = partial(agent_launcher.serve, os.getpid(), theirs, agent, others.start)
                keep = [theirs.fileno(), *others.descriptors]
                if threaded and isinstance(agent, Sequence):
                    self.pid = agent_launcher.start_new(theirs, agent)
                else:
                    self.pid = start_forked(launch, [nothing.fileno()] * 3, keep)
            self._launcher.send(START)
        except OSError as error:
            self._launcher.close()
            raise SourceLost(f"the {self._name} could not be started: {error.strerror}") from error

    def lines(self) -> Iterator[Event]:
        """Yield what the agent sends, and an Interruption whenever it ended or could not be started again.

        Raises SourceLost, with the error that it reported, if it ended before its first sample, or if it cannot be
        started again because the launcher has ended."""
        self._reading = True
        try:
            yield from self._runs()
        finally:
            # Not in `close`: a blocked read could continue on another descriptor with the same number.
            self._launcher.close()

    def _runs(self) -> Iterator[Event]:
        pause, sampled = MIN_RETRY_SECONDS, False
        while not self._closed.is_set():
            self._first_sample = None
            try:
                yield from self._run()
            except AgentEnded as failed:
                lost = failed
            sampled = sampled or self._first_sample is not None
            if self._closed.is_set():
                return
            if not (sampled or self._patient):
                raise SourceLost(lost.at_start, lost.hint)
            if lost.permanent:
                raise SourceLost(lost.message, lost.hint)
            if self._first_sample is not None and time.monotonic() - self._first_sample > STABLE_SECONDS:
                pause = MIN_RETRY_SECONDS
            log.warning("%s: starting again in %g s", lost.message, pause)
            yield Interruption(lost.message, time.monotonic() + pause, lost.hint)
            pause = MIN_RETRY_SECONDS if self._wake.wait(pause) else min(2 * pause, MAX_RETRY_SECONDS)
            self._wake.clear()
            self._command(START)

    def _run(self) -> Iterator[Event]:
        """Yield the stream of one agent; raise AgentEnded at its end, unless this source was closed."""
        stream = self._started()
        unusable: BadRecording | None = None
        name, shell = "the output of the agent", ""
        if self._address is not None:
            name, shell = "what it printed", self._address.login
        try:
            for line in read_stream(stream.read, name, shell):
                if isinstance(line, Snapshot) and self._first_sample is None:
                    self._first_sample = time.monotonic()
                # An agent that is killed leaves an incomplete last line.
                if not isinstance(line, Hello) and not (isinstance(line, Damage) and line.incomplete):
                    yield line
        except BadRecording as error:
            unusable = error
        finally:
            stderr_tail = stream.stderr_tail()
            self._close_stream(stream)
        if self._closed.is_set():
            return
        self._command(STATUS)
        code = self._answer()[0].get("code")
        if unusable and (not stream.ended or not code):
            where = f"{self._address.name}: " if self._address else ""
            raise AgentEnded(unusable.message, unusable.hint, where + unusable.message)
        # nologin(8) and commands that authorized_keys prescribes say on stdout why there is no agent.
        words = stderr_tail if stderr_tail.strip() or unusable is None else unusable.foreign.encode()
        raise self._end(code, words)

    def _end(self, code: int | None, words: bytes) -> AgentEnded:
        """Return why the agent ended, by its exit code and its last words."""
        if self._address is None or code is None:
            return end_of_agent(self._name, code, words)
        hint = push.NOT_FOUND_HINT if self._parcel else ssh.NOT_FOUND_HINT
        return end_of_ssh(self._address, code, words, hint)

    def _started(self) -> Descriptor:
        """Return the output of the agent that was just started."""
        answer, pipes = self._answer()
        if "errno" in answer or len(pipes) < PIPES:
            for pipe in pipes:
                os.close(pipe)
            number = int(answer.get("errno", errno.EMFILE))
            raise AgentEnded(f"{self._name} could not be started ({_EXHAUSTED.get(number, os.strerror(number))})")
        stdin, stdout, stderr = pipes
        os.set_blocking(stdin, False)
        with suppress(OSError):
            # A line that fits into the pipe wakes each process once.
            fcntl.fcntl(stdout, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        try:
            stream = Descriptor(stdout, stderr)
        except OSError as error:
            for pipe in pipes:
                os.close(pipe)
            raise AgentEnded(f"{self._name} could not be started ({error.strerror})") from error
        with self._lock:
            self._stdin, self._stream = stdin, stream
        if self._closed.is_set():
            stream.stop()
        if self._parcel:
            stream.send(stdin, self._parcel, self._take_requests)
        else:
            self._take_requests()
        return stream

    def _take_requests(self) -> None:
        """Let requests through from now on, those first that hold for each agent."""
        with self._lock:
            self._takes_requests = True
        for request in [*self._kept.values()]:
            self.ask(request)
        if self._watched.netns:
            self.ask(self._watched)

    def _close_stream(self, stream: Descriptor) -> None:
        with self._lock:
            os.close(self._stdin)
            self._stdin, self._stream, self._takes_requests = -1, None, False
        stream.close()

    def _command(self, command: bytes) -> None:
        with suppress(OSError):
            # If the launcher has ended, there is no answer.
            self._launcher.send(command)

    def _answer(self) -> tuple[dict[str, Any], list[int]]:
        """Return the launcher's answer with its descriptors; raise AgentEnded if the launcher has ended."""
        try:
            text, pipes, _, _ = socket.recv_fds(self._launcher, MAX_ANSWER_BYTES, PIPES)
        except OSError:
            text, pipes = b"", []
        if not text:
            raise AgentEnded(
                f"the process that starts the {self._name} has ended", "restart sockmon", permanent=True
            )
        answer: dict[str, Any] = msgspec.json.decode(text)
        return answer, pipes

    def ask(self, request: Request) -> bool:
        """Send `request` to the agent; return False if no agent runs now, or if it does not read. Never blocks."""
        is_kept = isinstance(request, SetInterval | SetCpuPercent)
        if is_kept:
            self._kept[type(request)] = request
        if isinstance(request, WatchNetns):
            self._watched = request
        with self._lock, suppress(OSError):
            if self._takes_requests:
                # Shorter than PIPE_BUF, so it is written completely or not at all.
                os.write(self._stdin, encode(request))
                return True
        return is_kept

    def retry(self) -> None:
        """Start an agent that has ended now, and not only after its pause."""
        self._wake.set()

    def close(self) -> None:
        """End the agent and the launcher by closing our side of the pipes: they may have more privileges than this
        process, which then cannot send them a signal."""
        self._closed.set()
        self._wake.set()
        with suppress(OSError):
            self._launcher.shutdown(socket.SHUT_RDWR)
        with self._lock:
            if self._stream is not None:
                self._stream.stop()
        if not self._reading:
            self._launcher.close()


def local_agent(load: LoadAgent, others: Others = NO_OTHERS) -> AgentProcess:
    """Start the agent of this machine."""
    return AgentProcess(load, "live", others=others)


def ssh_agent(
    spec: str,
    interval: float,
    others: Others = NO_OTHERS,
    pushed: bool = False,
    patient: bool = False,
    threaded: bool = False,
) -> AgentProcess:
    """Start the agent of another machine; raise Misuse if `spec` is not a valid `ssh://` address.

    `pushed`: send the agent there, instead of starting the one that is installed. `patient` and `threaded`: as
    AgentProcess."""
    address = ssh.parse(spec)
    command = push.command(address) if pushed else ssh.command(address, interval)
    parcel = push.parcel([str(interval)]) if pushed else b""
    return AgentProcess(command, address.title, address, others, parcel, patient, threaded)
