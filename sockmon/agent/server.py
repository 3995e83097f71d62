"""The agent's loop: a Snapshot to stdout each tick, requests from stdin, and budgeted work in between."""

from __future__ import annotations

import os
import select
import time

from sockmon.agent.pending import Pending
from sockmon.agent.sampler import SLICE_SECONDS, Sampler, boottime
from sockmon.errors import BadRecording
from sockmon.model.detail import SetCpuPercent, SetInterval, WatchNetns
from sockmon.model.socket_list import StopSocketList
from sockmon.sources.wire import decode_request, encode, hello
from sockmon.sources.wire_netns import SnapshotWriter

REST_SECONDS = 0.015
"""Pause between two slices of budgeted work, which so takes a quarter of a processor at most."""
MAX_REQUEST_BYTES = 65536
MIN_INTERVAL, MAX_INTERVAL = 0.2, 60.0
MIN_CPU_PERCENT, MAX_CPU_PERCENT = 0.5, 50.0


class StreamServer:
    """Writes the stream to `out` until it is closed or, when `attached`, until `requests` ends."""

    def __init__(self, sampler: Sampler, out: int = 1, requests: int = 0, attached: bool = False) -> None:
        self._sampler = sampler
        self._out = out
        self._requests: int | None = requests
        self._attached = attached
        self._buffer = b""
        self._pending = Pending(sampler)
        self._snapshots = SnapshotWriter()
        self._tick = time.monotonic()
        self._poll = select.poll()
        self._poll.register(out, 0)
        self._poll.register(requests, select.POLLIN)

    def run(self) -> None:
        """Serve until the reader closes the stream."""
        try:
            self._write(hello())
            while True:
                self._write(encode(self._snapshots.line(self._sampler.sample())))
                self._tick = max(self._tick + self._sampler.interval, time.monotonic())
                if not self._until_tick():
                    return
        except BrokenPipeError:
            return

    def _until_tick(self) -> bool:
        """Answer requests and do budgeted work until the next tick; return False if the other side has ended."""
        while (left := self._tick - time.monotonic()) > 0:
            worked = self._answer_slice() or self._sampler.step()
            pause = 0.0 if self._pending else REST_SECONDS if worked else self._idle_seconds()
            for descriptor, event in self._poll.poll(1000 * min(pause, left)):
                if descriptor == self._requests and not self._read_requests() and self._attached:
                    return False
                if descriptor == self._out and event & (select.POLLERR | select.POLLHUP):
                    return False
        return True

    def _idle_seconds(self) -> float:
        """Return how long to sleep at most: the queues that no counter shows are sampled between two ticks."""
        now = boottime()
        return max(min(each.idle_seconds(now) for each in self._sampler.listeners), REST_SECONDS)

    def _answer_slice(self) -> bool:
        """Work on the oldest request for one slice. A person waits for the answer, so this work has no budget."""
        if not self._pending:
            return False
        for answer in self._pending.work(SLICE_SECONDS):
            self._write(encode(answer))
        return True

    def _read_requests(self) -> bool:
        """Read requests; return False at the end of standard input."""
        assert self._requests is not None
        data = os.read(self._requests, MAX_REQUEST_BYTES)
        if not data:
            self._poll.unregister(self._requests)
            self._requests = None
            return False
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > MAX_REQUEST_BYTES:
            self._buffer = b""
        for line in lines:
            self._handle_request(line)
        return True

    def _handle_request(self, line: bytes) -> None:
        try:
            request = decode_request(line)
        except BadRecording:
            # An invalid request does not say what to answer to.
            return
        if isinstance(request, SetInterval):
            self._sampler.interval = min(max(request.seconds, MIN_INTERVAL), MAX_INTERVAL)
            self._sampler.refresh()
            self._tick = time.monotonic()
        elif isinstance(request, SetCpuPercent):
            self._sampler.percent = min(max(request.percent, MIN_CPU_PERCENT), MAX_CPU_PERCENT)
        elif isinstance(request, StopSocketList):
            self._pending.stop_socket_list()
        elif isinstance(request, WatchNetns):
            self._sampler.watch.choose(request.netns)
        else:
            self._pending.add(request)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._out, view) :]
