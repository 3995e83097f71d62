"""Screens are tested away from the user's own settings and terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from sockmon.ui import header


@pytest.fixture(autouse=True)
def nobodys_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No config, no themes of the user, no NO_COLOR."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture(autouse=True)
def patient_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with other tests is no stream that has fallen silent."""
    monkeypatch.setattr(header, "STALE", 1e6)
