"""Reads that never return."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from sockmon.errors import ReadError
from sockmon.kernel.processes.read_timeout import ReadHung, TimeoutReader


def _raise() -> None:
    raise PermissionError("no")


def test_results_and_errors_come_back() -> None:
    reader = TimeoutReader()
    assert [reader.call(lambda: 1), reader.call(lambda: 2)] == [1, 2]
    with pytest.raises(PermissionError):
        reader.call(_raise)
    reader.close()


@pytest.mark.fault("R22")
def test_a_read_that_hangs_costs_one_thread_and_the_next_goes_on() -> None:
    release = threading.Event()
    hang: Callable[[], object] = release.wait
    reader = TimeoutReader(timeout=0.05, max_hung=2)
    with pytest.raises(ReadHung):
        reader.call(hang)
    other = TimeoutReader()
    assert other.call(lambda: "fine") == "fine"
    assert reader.call(lambda: "fine") == "fine"
    with pytest.raises(ReadHung):
        reader.call(hang)
    with pytest.raises(ReadError, match="too many"):
        reader.call(lambda: "never called")
    release.set()
    other.close()
