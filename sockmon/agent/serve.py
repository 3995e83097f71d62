"""The agent's loop: a Snapshot a tick on stdout, requests on stdin, paced work in between."""

from __future__ import annotations

import os
import select
import time

from sockmon.agent.focus import answer
from sockmon.agent.sampler import SLICE, Sampler
from sockmon.errors import BadRecording
from sockmon.kernel.netlink import Steps
from sockmon.model.detail import Detail, SetInterval
from sockmon.sources.wire import decode_request, encode, hello

REST = 0.015
"""Seconds between two slices of paced work: a quarter of a processor at most, while there is any."""
LONGEST_REQUEST = 65536
MIN_INTERVAL, MAX_INTERVAL = 0.2, 60.0


class Serve:
    """Writes the stream to `out` until it is closed or, when `attached`, until `requests` ends."""

    def __init__(self, sampler: Sampler, out: int = 1, requests: int = 0, attached: bool = False) -> None:
        self._sampler = sampler
        self._out = out
        self._requests: int | None = requests
        self._attached = attached
        self._buffer = b""
        self._asked: list[Steps[Detail]] = []
        self._tick = time.monotonic()
        self._poll = select.poll()
        self._poll.register(out, 0)
        self._poll.register(requests, select.POLLIN)

    def run(self) -> None:
        """Serve until nobody listens any more."""
        try:
            self._write(hello())
            while True:
                self._write(encode(self._sampler.sample()))
                self._tick = max(self._tick + self._sampler.interval, time.monotonic())
                if not self._until_tick():
                    return
        except BrokenPipeError:
            return

    def _until_tick(self) -> bool:
        """Answer and work until the next tick; False when the other side is gone."""
        while (left := self._tick - time.monotonic()) > 0:
            worked = self._answer_some() or self._sampler.step()
            pause = 0.0 if self._asked else REST if worked else left
            for descriptor, event in self._poll.poll(1000 * min(pause, left)):
                if descriptor == self._requests and not self._read_requests() and self._attached:
                    return False
                if descriptor == self._out and event & (select.POLLERR | select.POLLHUP):
                    return False
        return True

    def _answer_some(self) -> bool:
        """Go on with the oldest question for one slice; what the operator waits for is not rationed."""
        if not self._asked:
            return False
        end = time.monotonic() + SLICE
        try:
            while time.monotonic() < end:
                next(self._asked[0])
        except StopIteration as found:
            del self._asked[0]
            self._write(encode(found.value))
        return True

    def _read_requests(self) -> bool:
        """Take in what was asked; False when nobody will ask any more."""
        assert self._requests is not None
        data = os.read(self._requests, LONGEST_REQUEST)
        if not data:
            self._poll.unregister(self._requests)
            self._requests = None
            return False
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > LONGEST_REQUEST:
            self._buffer = b""
        for line in lines:
            self._take(line)
        return True

    def _take(self, line: bytes) -> None:
        try:
            request = decode_request(line)
        except BadRecording:
            # Nothing to answer to: a request that is none has no address.
            return
        if isinstance(request, SetInterval):
            self._sampler.interval = min(max(request.seconds, MIN_INTERVAL), MAX_INTERVAL)
            self._sampler.refresh()
            self._tick = time.monotonic()
        else:
            self._asked.append(answer(self._sampler, request))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._out, view) :]
