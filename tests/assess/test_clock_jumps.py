"""A wall clock that jumps, and a host that was suspended: rates come from the clock that counts since boot."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.assess.test_assessor import assess, reading
from tests.snapshots import process, snapshot

DAY = 86_400.0


@pytest.mark.fault("R25")
@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_a_wall_clock_that_jumps_moves_no_rate(jump: float) -> None:
    steady = [snapshot(float(at), process(fds=520 + at)) for at in range(60)]
    jumped = [replace(each, wall=each.wall + jump) if at > 30 else each for at, each in enumerate(steady)]
    before, after = reading(assess(*steady), "process-fds"), reading(assess(*jumped), "process-fds")
    assert (after.rate, after.eta_seconds, after.severity) == (before.rate, before.eta_seconds, before.severity)


@pytest.mark.fault("R25")
def test_what_grew_over_a_suspend_is_a_slow_growth_and_no_leap() -> None:
    """An hour passes between two samples, in which a server opened 40 descriptors."""
    before = [snapshot(float(at), process(fds=520)) for at in range(5)]
    after = [snapshot(3600.0 + at, process(fds=560)) for at in range(5)]
    found = reading(assess(*before, *after), "process-fds")
    assert (found.severity, found.eta_seconds) == ("ok", None)
