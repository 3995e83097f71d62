"""Small terminals (V4), on a real pseudo-terminal."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.terminal import on_terminal
from tests.test_slow_line import recording

SIZES = [(1, 1), (3, 10), (10, 20), (24, 80)]


@pytest.mark.fault("V4")
@pytest.mark.parametrize("size", SIZES)
def test_it_runs_at_every_size(size: tuple[int, int], tmp_path: Path) -> None:
    """V4: keys work and q ends it, whether or not there is room to show anything."""
    with on_terminal("--from", str(recording(tmp_path / "some.jsonl", 30, True)), size=size) as terminal:
        terminal.settle_until_quiet(2.0)
        for key in ("b", "2", "?", "\x1b", "\r", "\x1b"):
            terminal.press(key)
            terminal.settle()
        assert terminal.process.poll() is None
        terminal.press("q")
        assert terminal.end() == 0


@pytest.mark.fault("V4")
def test_after_a_storm_of_sizes_it_has_the_last_one(tmp_path: Path) -> None:
    """V4: dragging the corner of a window sends hundreds of sizes in a few seconds."""
    with on_terminal("--from", str(recording(tmp_path / "some.jsonl", 30, True)), size=(24, 80)) as terminal:
        terminal.until("Quit")
        for at in range(300):
            terminal.resize(24 + at % 20, 80 + at % 60)
            time.sleep(0.005)
        terminal.resize(24, 80)
        terminal.settle_until_quiet(2.0)
        terminal.press("b")
        terminal.until_last_line_ends("Quit")
        terminal.press("q")
        assert terminal.end() == 0
