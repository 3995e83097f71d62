"""In the labs of waiting data the first remedy names the process: its pid is a field."""

from __future__ import annotations

import pytest

from sockmon.errors import LabUnavailable
from sockmon.labs import find_lab
from sockmon.sandbox.session import run_lab
from tests.expectations import unmet_expectations


@pytest.mark.usefixtures("needs_userns")
@pytest.mark.parametrize("seconds", [0.0, 3.0])
@pytest.mark.parametrize(
    ("name", "ceiling", "owners"),
    [
        ("unread-data", "tcp-memory", ["archive", "producer"]),
        ("slow-clients", "tcp-memory", ["download"]),
        ("abandoned-downloads", "tcp-orphans", ["download"]),
        ("udp-buffers", "udp-memory", ["collector"]),
    ],
)
def test_the_process_is_named(name: str, ceiling: str, owners: list[str], seconds: float) -> None:
    lab = find_lab(name)
    try:
        with run_lab(lab) as running:
            if not running.isolated:
                pytest.skip("this kernel does not allow mounting a /proc here, so the lab has other pids")
            report = running.check(seconds)
            pids = [running.pids[owner][0] for owner in owners]
    except LabUnavailable as refused:
        pytest.skip(refused.message)
    if lab.expect_first is None:
        assert unmet_expectations(lab, report) == []
    (found,) = [reading for reading in report.readings if reading.ceiling == ceiling]
    named = [remedy.pid for remedy in found.remedies if remedy.pid is not None]
    assert named[: len(pids)] == pids
