"""The recordings in sockmon/labs/recordings/ can be reproduced, and every setting is restored."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sockmon.labs import find_lab
from sockmon.observe import report_of_recording
from tests.expectations import unmet_expectations
from tests.host_loads import RUNS
from tests.host_runs import refusal, run
from tests.netns import ROOT, child_environment

pytestmark = pytest.mark.skipif(refusal() is not None, reason=refusal() or "")


def _settings() -> dict[str, str]:
    keys = {key for each in RUNS.values() for key in each.settings()}
    return {key: Path("/proc/sys", key.replace(".", "/")).read_text() for key in sorted(keys)}


@pytest.mark.parametrize("name", RUNS)
def test_run(name: str, tmp_path: Path) -> None:
    before = _settings()
    run(name, str(tmp_path / "run.jsonl"))
    assert _settings() == before
    assert unmet_expectations(find_lab(name), report_of_recording(str(tmp_path / "run.jsonl"))) == []


def test_settings_are_restored_when_the_run_is_killed(tmp_path: Path) -> None:
    before = _settings()
    argv = [sys.executable, "-m", "tests.host_runs", "epoll-watches", "-o", str(tmp_path / "run.jsonl")]
    # The restorer holds stdout too, so the pipe ends when it has ended.
    with subprocess.Popen(argv, cwd=ROOT, env=child_environment(), stdout=subprocess.PIPE) as process:
        while _settings() == before:
            assert process.poll() is None
        os.kill(process.pid, signal.SIGKILL)
        assert process.communicate()[0] == b""
    assert _settings() == before
