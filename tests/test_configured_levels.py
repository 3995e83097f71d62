"""Levels in the config file: `check`, recordings and `explain` judge by them, and report what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from sockmon.ceilings import BY_ID
from sockmon.explain.explanation import build_explanation
from sockmon.explain.observation import Observation
from sockmon.observe import SETTINGS, configured_levels, current_report, report_of_recording

RECORDING = str(Path(__file__).parent / "older_files" / "recording.jsonl")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a config file that is used, and does not exist yet."""
    (tmp_path / "sockmon").mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "sockmon" / "config.toml"


def test_a_recording_and_explain_have_the_levels_of_the_config_file(config: Path) -> None:
    before = report_of_recording(RECORDING)
    config.write_text("[levels.memory-maps]\nwarning = 0.01\n[levels.pid-max]\nwarning = 0\n")
    report = report_of_recording(RECORDING)
    maps = [row for row in report.readings if row.ceiling == "memory-maps"]
    assert (before.verdict, report.verdict) == ("ok", "warning")
    assert {row.warning for row in maps} == {0.0001}
    assert [each.reader for each in report.missing if each not in before.missing] == [SETTINGS]
    page = build_explanation(BY_ID["memory-maps"], Observation(report, None, {}), {})
    assert len(next(each for each in page.sections if each.name == "Levels").paragraphs) == 2


def test_this_machine_is_judged_by_them(config: Path) -> None:
    config.write_text("[levels.process-fds]\nwarning = 0.001\ncritical = 100\n")
    report = current_report()
    known = [row for row in report.readings if row.ceiling == "process-fds" and row.used]
    assert known
    assert all(row.severity != "ok" for row in known)


@pytest.mark.parametrize("text", ["levels = 5", "not toml", "[levels.x]\nwarning = 5"])
def test_what_is_refused_is_in_the_report(config: Path, text: str) -> None:
    config.write_text(text)
    levels, refused = configured_levels()
    assert [each.reader for each in refused] == [SETTINGS]
    assert not any(map(levels.has, BY_ID))
