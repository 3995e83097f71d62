"""Every lab on the real kernel: `check --json` inside it says what the lab states."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from sockmon.errors import LabUnavailable
from sockmon.labs import LABS
from sockmon.labs.lab import Lab, judge
from sockmon.labs.running import running
from tests.labs.proved import note


@pytest.fixture
def turn(request: pytest.FixtureRequest) -> Iterator[None]:
    """Beside a lab that must be alone no other one runs, in whatever worker of pytest."""
    lab: Lab = request.getfixturevalue("lab")
    with Path(__file__).open("rb") as door:
        fcntl.flock(door, fcntl.LOCK_EX if lab.alone else fcntl.LOCK_SH)
        yield


def _row(lab: Lab) -> ParameterSet:
    return pytest.param(lab, id=lab.name, marks=[] if lab.first else [pytest.mark.slow])


@pytest.mark.usefixtures("turn")
@pytest.mark.parametrize("lab", map(_row, LABS))
def test_lab(lab: Lab, request: pytest.FixtureRequest) -> None:
    try:
        with running(lab) as world:
            if not world.isolated:
                pytest.skip("this kernel lets nobody mount a /proc here: other processes would be seen")
            report = world.check()
    except LabUnavailable as refused:
        pytest.skip(refused.message)
    assert judge(lab, report) == []
    if request.config.getoption("--prove") and not world.instead:
        note(lab, report)
