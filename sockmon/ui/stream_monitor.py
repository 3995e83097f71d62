"""How the stream of samples is doing: how old the newest one is, and why no more come."""

from __future__ import annotations

import time

from sockmon.errors import SockmonError
from sockmon.sources import Interruption, Source
from sockmon.ui.main.header import StreamStatus


class StreamMonitor:
    """Follows the events of a source; `status` is what header and banner show."""

    def __init__(self, source: Source, interval: float) -> None:
        self.interval = interval
        """Seconds between samples, as asked for last."""
        self.interruption: Interruption | None = None
        """Why there is no agent now, and when the next one starts; None while samples come."""
        self.note = ""
        """What of the stream was left out."""
        self._source = source
        self._sampled_at = time.monotonic()
        self._lost_reason: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come from the source."""
        return self._lost_reason is not None

    def on_sample(self) -> None:
        """Note that a sample has come."""
        self._sampled_at = time.monotonic()
        self.interruption = None

    def on_lost(self, error: SockmonError | None) -> None:
        """Note that the source has ended; without an error a recording came to its end."""
        self._lost_reason = "; ".join(filter(None, (error.message, error.hint))) if error else ""

    @property
    def late(self) -> bool:
        """Whether the age of the newest sample is to be shown, although no sample comes that would draw it."""
        return self.interruption is not None or time.monotonic() - self._sampled_at > self.interval

    def status(self, paused: bool, read_only: bool) -> StreamStatus:
        """Return what the header shows."""
        now = time.monotonic()
        interruption = self.interruption or Interruption("", now)
        return StreamStatus(
            title=self._source.title,
            live=self._source.live,
            remote=self._source.remote,
            paused=paused,
            read_only=read_only,
            sample_age=now - self._sampled_at,
            lost=self._lost_reason,
            interrupted=interruption.reason,
            retry=interruption.retry - now,
            hint=interruption.hint,
            note=self.note,
        )
