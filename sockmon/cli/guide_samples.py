"""The stream of Assessments that a guide is walked on: this host, a recording, or another host over ssh."""

from __future__ import annotations

import os
import queue
import select
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Protocol

from sockmon import privileges
from sockmon.agent.queue_samples import sample_first
from sockmon.agent.sampler import Sampler, open_sampler
from sockmon.assess import Assessment, Assessor
from sockmon.cli import console
from sockmon.errors import SourceLost, TuningError
from sockmon.guides.facts import Place
from sockmon.model.snapshot import Snapshot
from sockmon.observe import INTERVAL, assess_recording, configured_levels, with_missing
from sockmon.own_command import command
from sockmon.sources import Event, Interruption, Source, open_source
from sockmon.sources.ssh import SCHEME

FIRST_SAMPLE_SECONDS = 30.0
"""Seconds that another host has for its first sample."""


class Samples(Protocol):
    """A stream of Assessments."""

    place: Place
    first: Assessment

    def poll(self, keyboard: int | None = None) -> Assessment | None:
        """Return the next Assessment; None if a key of the descriptor `keyboard` came first, or none will come."""

    def refresh(self) -> None:
        """Read everything again at once: something was changed."""


@contextmanager
def open_samples(spec: str | None, netns: str | None, pushed: bool = False) -> Iterator[Samples]:
    """Open the stream that `--from` names; without it that of this host and of the namespace `netns`.

    `pushed`: send the agent to the other host."""
    if spec is None:
        with open_sampler(netns, INTERVAL, complete=True, others=False) as sampler:
            yield HostSamples(sampler, _here(netns, sampler.netns[0].handle.entry))
    elif spec.startswith(SCHEME):
        privileges.become_invoker()
        with closing(open_source(spec, INTERVAL, pushed)) as source:
            console.print_notice(f"waiting for the first sample of {source.title}")
            with closing(RemoteSamples(source)) as samples:
                yield samples
    else:
        yield RecordedSamples(spec)


def _here(netns: str | None, entry: str) -> Place:
    from sockmon.tuning.transaction.confinement import state_root

    root = os.geteuid() == 0
    reason = "" if root else "changing the system takes root"
    if netns:
        reason = "this is another network namespace; run sockmon inside it"
    try:
        state_root()
    except TuningError as error:
        reason = error.message
    return Place("live", root, reason, command(), not root, netns or "", entry)


class HostSamples:
    """The samples of this host, taken in this process: nothing has to be started on a host without free tasks."""

    def __init__(self, sampler: Sampler, place: Place) -> None:
        self.place = place
        self._sampler = sampler
        levels, self._refused = configured_levels()
        self._assessor = Assessor(levels=levels)
        sample_first(sampler.listeners)
        self.first = self._assess(complete=True)

    def _assess(self, complete: bool) -> Assessment:
        self._due = time.monotonic() + INTERVAL
        snapshot = self._sampler.sample(complete=complete)
        return with_missing(self._assessor.add(snapshot), self._refused)

    def poll(self, keyboard: int | None = None) -> Assessment | None:
        """Return the next Assessment, or None if a key came first."""
        while not self._sampler.scarce and self._sampler.step() and time.monotonic() < self._due:
            pass
        if is_ready(keyboard, self._due - time.monotonic()):
            return None
        return self._assess(self._sampler.scarce)

    def refresh(self) -> None:
        """Let all parts of the next sample be read again."""
        self._sampler.refresh()


class RecordedSamples:
    """The end of a recording: nothing comes after it."""

    def __init__(self, path: str) -> None:
        self.first = assess_recording(path)
        root = self.first.snapshot.host.uid == 0
        self.place = Place("recording", root, "this is a recording", sudo=True)

    def poll(self, keyboard: int | None = None) -> Assessment | None:
        """Wait for a key."""
        is_ready(keyboard, None)
        return None

    def refresh(self) -> None:
        """Do nothing."""


class RemoteSamples:
    """The samples of another host, which a thread receives."""

    def __init__(self, source: Source) -> None:
        self._source = source
        levels, self._refused = configured_levels()
        self._assessor = Assessor(levels=levels)
        self._events: queue.SimpleQueue[Event | Exception | None] = queue.SimpleQueue()
        self._wake, self._notify = os.pipe()
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()
        end = time.monotonic() + FIRST_SAMPLE_SECONDS
        found = None
        while found is None and time.monotonic() < end:
            found = self.poll()
        if found is None:
            raise SourceLost(f"{source.title} has sent no sample")
        self.first = found
        root = found.snapshot.host.uid == 0
        self.place = Place("remote", root, "this is another host", sudo=True)

    def _receive(self) -> None:
        try:
            for event in self._source.lines():
                self._put(event)
            self._put(None)
        except Exception as error:
            self._put(error)

    def _put(self, event: Event | Exception | None) -> None:
        self._events.put(event)
        os.write(self._notify, b"!")

    def poll(self, keyboard: int | None = None) -> Assessment | None:
        """Return the next Assessment, or None if a key came first; raise SourceLost at the end."""
        watched = [self._wake, *([keyboard] if keyboard is not None else [])]
        while self._wake in select.select(watched, [], [], FIRST_SAMPLE_SECONDS)[0]:
            os.read(self._wake, 1)
            event = self._events.get()
            if isinstance(event, Exception):
                raise event
            if event is None or isinstance(event, Interruption):
                raise SourceLost(event.reason if event else f"{self._source.title} has ended")
            if isinstance(event, Snapshot):
                return with_missing(self._assessor.add(event), self._refused)
        return None

    def refresh(self) -> None:
        """Do nothing: the other host reads by its own budget."""

    def close(self) -> None:
        """End the stream and its thread."""
        self._source.close()
        self._thread.join(5)


def is_ready(keyboard: int | None, seconds: float | None) -> bool:
    """Wait for a key, at most `seconds`; return whether there is one."""
    if keyboard is None:
        if seconds:
            time.sleep(max(seconds, 0.0))
        return False
    return bool(select.select([keyboard], [], [], None if seconds is None else max(seconds, 0.0))[0])
