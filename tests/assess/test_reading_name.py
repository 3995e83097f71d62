"""The name of a subject that stays the same after a restart: no pid in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sockmon.observe import report_of_recording

RECORDINGS = sorted((Path(__file__).parents[2] / "sockmon/labs/recordings").glob("*.jsonl*"))


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_no_name_has_a_pid(path: Path) -> None:
    for reading in report_of_recording(str(path)).readings:
        if re.search(r"\w\[\d+\]", reading.subject):
            assert reading.name, f"{reading.ceiling} {reading.subject}"
        assert not re.search(r"\w\[\d+\]", reading.name)
