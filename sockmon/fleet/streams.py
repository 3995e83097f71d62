"""The streams of a few hosts side by side, each assessed here: a fleet without a Prometheus."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from msgspec.structs import replace

from sockmon.assess.several import HostAssessor
from sockmon.errors import Misuse, SockmonError
from sockmon.fleet.feed import FleetState
from sockmon.fleet.host_limits import limits_of_report
from sockmon.fleet.hosts import FleetHost, HostLimit, State
from sockmon.fleet.reading import fleet_of, host_addresses, host_of
from sockmon.model.snapshot import Snapshot
from sockmon.sources import Interruption, Source
from sockmon.sources.agent_process import ssh_agent
from sockmon.text import sanitize

log = logging.getLogger(__name__)

MAX_STREAMS = 32
"""Each takes an ssh, its launcher and four descriptors."""
INTERVAL_SECONDS = 2.0
STALE_SECONDS = 15.0
"""Seconds without a sample: that of ssh to find out that the other side does not answer."""
TREND_STEPS = 30
TREND_STEP_SECONDS = 4.0

MIN_REOPEN_SECONDS, MAX_REOPEN_SECONDS = 5.0, 300.0
"""Seconds until a stream that ended is opened again; the pause doubles. A lost connection does not end it."""


class Open(Protocol):
    """Opens the stream of an address; `threaded`: this process has threads already."""

    def __call__(self, spec: str, *, threaded: bool) -> Source: ...


class StreamsFeed:
    """The newest report of each host."""

    title = "ssh"
    trend_title, trend_seconds = "2 min", TREND_STEPS * TREND_STEP_SECONDS

    def __init__(self, specs: Sequence[str], pushed: bool = False, open_stream: Open | None = None) -> None:
        """Start all streams, before there is a thread: their launchers are forks of this process. Raise Misuse for
        an address that is none, or for more than MAX_STREAMS; SourceLost if a process cannot be started.
        `pushed`: send the agents there."""
        addresses = host_addresses(specs)
        if len(addresses) > MAX_STREAMS:
            raise Misuse(f"{len(addresses)} hosts are too many streams: at most {MAX_STREAMS}", "use --prometheus")
        opened: Open = open_stream or partial(ssh_agent, interval=INTERVAL_SECONDS, pushed=pushed, patient=True)
        self.specs = {address.name: spec for address, spec in zip(addresses, specs, strict=True)}
        """The address of each host, by its name."""
        self._streams = [_Stream(name, partial(opened, spec)) for name, spec in self.specs.items()]
        self._closed = threading.Event()

    def run(self, post: Callable[[FleetState], object]) -> None:
        """See Feed."""
        for stream in self._streams:
            threading.Thread(target=stream.run, daemon=True, name=f"stream {stream.name}").start()
        last: tuple[FleetHost, ...] = ()
        while not self._closed.is_set():
            now = time.monotonic()
            hosts = tuple(stream.host(now) for stream in self._streams)
            if hosts != last:
                last = hosts
                post(FleetState(fleet_of(self.title, hosts), now))
            self._closed.wait(1.0)

    def refresh(self) -> None:
        """See Feed: connect again to hosts that are lost; the others send what is new by themselves."""
        for stream in self._streams:
            stream.retry()

    def limits(self, name: str) -> Sequence[HostLimit]:
        """See Feed."""
        return next(stream.limits for stream in self._streams if stream.name == name)

    def close(self) -> None:
        """See Feed."""
        self._closed.set()
        for stream in self._streams:
            stream.close()


class _Stream:
    """One host."""

    def __init__(self, name: str, open_source: Callable[..., Source]) -> None:
        self.name = name
        self._open = open_source
        self._source = open_source(threaded=False)
        self._closed = threading.Event()
        self._wake = threading.Event()
        """Set to open a stream that has ended at once."""
        self._retry_at: float | None = None
        """When it is connected again (CLOCK_MONOTONIC); None while it is connected."""
        self._host = FleetHost(name, "waiting", "unknown", reason="its first sample has not come yet")
        self.limits: Sequence[HostLimit] = ()
        """Every limit of its newest sample."""
        self._at: float | None = None
        """When the newest sample came (CLOCK_MONOTONIC)."""
        self._trend: dict[int, float | None] = {}
        """The ratio of the fullest limit, by the number of the step."""

    def run(self) -> None:
        """Read the stream, and open it again when it has ended, until it is closed."""
        pause = MIN_REOPEN_SECONDS
        while True:
            begun = time.monotonic()
            reason = self._read()
            if self._closed.is_set():
                return
            if self._at is not None and self._at > begun:
                pause = MIN_REOPEN_SECONDS
            self._lose("failed", reason, time.monotonic() + pause)
            pause = MIN_REOPEN_SECONDS if self._wake.wait(pause) else min(2 * pause, MAX_REOPEN_SECONDS)
            self._wake.clear()
            if self._closed.is_set():
                return
            try:
                self._source = self._open(threaded=True)
            except SockmonError as error:
                log.warning("%s: %s", self.name, error.message)
            if self._closed.is_set():
                # The one that was closed is the one before.
                self._source.close()

    def _read(self) -> str:
        """Read the stream until it ends, and return why."""
        assessor = HostAssessor()
        try:
            for event in self._source.lines():
                if isinstance(event, Snapshot):
                    report = assessor.add(event).report
                    self.limits = limits_of_report(report)
                    self._take(host_of(self.name, report))
                elif isinstance(event, Interruption):
                    reasons = "; ".join(filter(None, (event.reason, event.hint)))
                    self._lose("stale" if self._at is not None else "failed", reasons, event.retry)
        except SockmonError as error:
            return "; ".join(filter(None, (error.message, error.hint)))
        except Exception as error:
            log.exception("the stream of %s ended", self.name)
            return f"{type(error).__name__}: {error}"
        return "the stream ended"

    def _lose(self, state: State, reason: str, retry_at: float) -> None:
        self._retry_at = retry_at
        self._host = replace(self._host, state=state, severity="unknown", reason=sanitize(reason, 300))

    def _take(self, host: FleetHost) -> None:
        now = time.monotonic()
        step = int(now / TREND_STEP_SECONDS)
        ratios = [limit.ratio for limit in host.limits if limit.ratio is not None]
        self._trend[step] = max(ratios, default=None)
        for old in [each for each in self._trend if each <= step - TREND_STEPS]:
            del self._trend[old]
        trend = tuple(self._trend.get(each) for each in range(step - TREND_STEPS + 1, step + 1))
        self._host, self._at, self._retry_at = replace(host, trend=trend), now, None

    def host(self, now: float) -> FleetHost:
        """Return what is known of it; it is stale if its samples do not come any more."""
        host, at, retry_at = self._host, self._at, self._retry_at
        if retry_at is not None:
            host = replace(host, reason=f"{host.reason}; {_again(retry_at - now)}")
        if at is None:
            return host
        age = now - at
        if host.state == "live" and age > STALE_SECONDS:
            host = replace(host, state="stale", severity="unknown", reason=f"no sample for {age:.0f} s")
        # A fresh sample has no age that would be drawn again each second.
        return replace(host, age=age // 5 * 5)

    def retry(self) -> None:
        """Connect again now, if the connection is lost or the stream has ended."""
        if self._retry_at is not None:
            self._wake.set()
            self._source.retry()

    def close(self) -> None:
        """End the stream."""
        self._closed.set()
        self._wake.set()
        self._source.close()


def _again(seconds: float) -> str:
    """Return when it is tried again, in steps: each other text is drawn again."""
    return f"again in {max(math.ceil(seconds / 5) * 5, 5)} s" if seconds > 0 else "connecting again"
