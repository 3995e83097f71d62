"""Time that passes only when a program sleeps: its schedule, and so its work, is the same on every machine."""

from __future__ import annotations

import asyncio
import select
import selectors
import time
from collections.abc import Callable, Sequence


class EndOfRun(Exception):
    """The time that a program had is over."""


class VirtualClock:
    """Replaces the clocks of this process; `sleeps` counts how often the program has waited for time to pass."""

    def __init__(self) -> None:
        self.sleeps = 0
        self.ends: float | None = None
        """When EndOfRun is raised; None: never."""
        self.on_sleep: Callable[[], object] = lambda: None
        """What happens on the host while the program sleeps."""
        self.stopped = False
        """True: time does not pass, and a program that sleeps waits for what other threads do."""
        self._offset = 0.0
        self._monotonic = time.monotonic()
        self._clocks = {clock: time.clock_gettime(clock) for clock in (time.CLOCK_MONOTONIC, time.CLOCK_BOOTTIME)}
        self._wall = time.time()

    def install(self) -> None:
        """Let the functions of `time` tell this time; before the modules are imported that keep them."""
        real: Callable[[int], float] = time.clock_gettime
        time.monotonic = time.perf_counter = self.now
        time.time = lambda: self._wall + self._offset
        # Work costs nothing, so a budget never delays it.
        time.process_time = time.thread_time = lambda: 0.0
        time.clock_gettime = lambda clock: (
            self._clocks[clock] + self._offset if clock in self._clocks else real(clock)
        )
        select.poll = lambda: VirtualPoll(self)  # type: ignore[assignment, misc, return-value]

    def now(self) -> float:
        """Return the seconds of time.monotonic()."""
        return self._monotonic + self._offset

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.sleeps += 1
        self._offset += seconds
        self.on_sleep()
        if self.ends is not None and self.now() >= self.ends:
            raise EndOfRun


class VirtualPoll:
    """select.poll(), of descriptors on which nothing ever happens."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock

    def register(self, descriptor: int, events: int = 0) -> None:
        """Do nothing."""

    def unregister(self, descriptor: int) -> None:
        """Do nothing."""

    def poll(self, milliseconds: float | None = None) -> Sequence[tuple[int, int]]:
        """Let the time pass in which nothing happens."""
        self._clock.sleep((milliseconds or 0.0) / 1000)
        return ()


class VirtualSelector(selectors.SelectSelector):
    """What an event loop waits with."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; if nothing is, let the time pass that the loop would sleep."""
        if self._clock.stopped or timeout is None:
            return super().select(0.001 if timeout is None or timeout > 0 else 0)
        ready = super().select(0)
        if not ready and timeout > 0:
            self._clock.sleep(timeout)
        return ready


def virtual_loop(clock: VirtualClock) -> asyncio.AbstractEventLoop:
    """Return an event loop that lives in this time."""
    return asyncio.SelectorEventLoop(VirtualSelector(clock))
