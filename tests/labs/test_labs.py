"""Every lab on the real kernel: `check --json` inside it reports what the lab expects."""

from __future__ import annotations

from dataclasses import replace

import pytest
from _pytest.mark import ParameterSet

from sockmon.errors import LabUnavailable
from sockmon.labs import LABS
from sockmon.sandbox.scenario import Lab
from sockmon.sandbox.session import run_lab
from tests.expectations import unmet_expectations
from tests.labs.proved_labs import note

MAX_SIZE = 30
"""Of a lab that can be larger or smaller."""


def _row(lab: Lab) -> ParameterSet:
    return pytest.param(lab, id=lab.name, marks=[] if lab.expect_first else [pytest.mark.slow])


@pytest.mark.parametrize("lab", map(_row, LABS))
def test_lab(lab: Lab, request: pytest.FixtureRequest) -> None:
    try:
        with run_lab(replace(lab, size=min(lab.size, MAX_SIZE))) as running:
            if not running.isolated:
                pytest.skip(
                    "this kernel does not allow mounting a /proc here, so other processes would be visible"
                )
            report = running.check()
    except LabUnavailable as refused:
        pytest.skip(refused.message)
    assert unmet_expectations(lab, report) == []
    if request.config.getoption("--prove") and not running.recording_reason:
        note(lab, report)
