"""Reads that never come back."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from sockmon.errors import Unreadable
from sockmon.kernel.aside import Aside, Blocked


def _raise() -> None:
    raise PermissionError("no")


def test_results_and_errors_come_back() -> None:
    aside = Aside()
    assert [aside.call(lambda: 1), aside.call(lambda: 2)] == [1, 2]
    with pytest.raises(PermissionError):
        aside.call(_raise)
    aside.close()


def test_a_read_that_hangs_costs_one_thread_and_the_next_goes_on() -> None:
    release = threading.Event()
    hang: Callable[[], object] = release.wait
    aside = Aside(patience=0.05, lanes=2)
    with pytest.raises(Blocked):
        aside.call(hang)
    aside_again = Aside()
    assert aside_again.call(lambda: "fine") == "fine"
    assert aside.call(lambda: "fine") == "fine"
    with pytest.raises(Blocked):
        aside.call(hang)
    with pytest.raises(Unreadable, match="too many"):
        aside.call(lambda: "never called")
    release.set()
    aside_again.close()
