"""The work for one sample does not grow unnoticed: it is counted, so that no quiet machine is needed.

The numbers are in counted.json. `make counts` accepts those of now."""

from __future__ import annotations

from functools import lru_cache

import pytest

from sockmon.errors import LabUnavailable
from tests.work.calls import PYTHON_CALLS
from tests.work.counting import Counted, accepted, count_everything, python_version

TOLERANCE = 0.1
"""Part by which a number may grow, or fall, before it has to be accepted."""
SLACK = 0.5
"""What may be added to any number: a part of 0 is 0."""
ACCEPTED = accepted()

pytestmark = [pytest.mark.usefixtures("needs_userns"), pytest.mark.xdist_group("counted-work")]


@lru_cache
def counted() -> Counted:
    """What is done now; skip where the fixed host cannot be built."""
    try:
        return count_everything()
    except LabUnavailable as refused:
        pytest.skip(refused.message)


@pytest.mark.parametrize("name", ACCEPTED.counts)
def test_the_work_for_a_sample_has_not_grown(name: str) -> None:
    if name.endswith(PYTHON_CALLS) and python_version() != ACCEPTED.python:
        pytest.skip(f"counted with Python {ACCEPTED.python}: other versions call other functions")
    now, before = counted(), ACCEPTED.counts[name]
    if name not in now.counts:
        pytest.skip("strace is not installed")
    number = now.counts[name]
    assert number <= before * (1 + TOLERANCE) + SLACK, (
        f"{name}: {before:,} before, {number:,} now, for each sample. {grown(now)}"
        "If this is meant, `make counts` writes the new numbers to tests/work/counted.json."
    )
    if number < before * (1 - TOLERANCE) - SLACK:
        pytest.skip(f"{name} fell from {before:,} to {number:,}: `make counts` keeps what was won")


def grown(now: Counted) -> str:
    """Return which system calls have become more."""
    before = ACCEPTED.system_calls
    more = {name: calls - before.get(name, 0.0) for name, calls in now.system_calls.items()}
    words = [
        f"{name} +{extra:.1f}" for name, extra in sorted(more.items(), key=lambda each: -each[1]) if extra >= 0.5
    ]
    return f"System calls that have become more: {', '.join(words)}. " if words else ""


def test_every_number_is_accepted() -> None:
    assert set(counted().counts) <= set(ACCEPTED.counts), (
        "`make counts` adds new numbers to tests/work/counted.json"
    )
