"""Cells that did not change are not sent, and the terminal still shows what it would have been sent whole."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pyte
import pytest
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import LayoutUpdate
from textual.geometry import Region, Size
from textual.strip import Strip

from sockmon.ui.painter import Painter
from tests.terminal import Terminal, on_terminal
from tests.test_slow_line import recording

SIZE = Size(12, 1)
WALK = ("b", "\r", "\x1b", "b", "2", "j", "\r", "\x1b", "z", "?", "\x1b", "/12", "\x1b")
CONSOLE = Console(force_terminal=True, color_system="truecolor")
RED, BOLD, BLUE = Style(color="red"), Style(color="red", bold=True), Style(color="red", bgcolor="blue")


def painted(painter: Painter, screen: pyte.Screen, *parts: tuple[str, Style | None]) -> str:
    """Paint one line, draw it on `screen`, and return what was sent."""
    strip = Strip([Segment(text, style) for text, style in parts])
    sent = painter.paint(LayoutUpdate([[strip]], Region(0, 0, *SIZE)), CONSOLE, SIZE)
    pyte.Stream(screen).feed(sent)
    return sent


def test_only_what_changed_is_sent() -> None:
    painter, screen = Painter(), pyte.Screen(*SIZE)
    painted(painter, screen, ("used 12 of 9", RED))
    sent = painted(painter, screen, ("used 13 of 9", RED))
    assert sent.count("3") >= 1
    assert "used" not in sent
    assert screen.display == ["used 13 of 9"]
    assert painted(painter, screen, ("used 13 of 9", RED)) == ""


def test_looks_are_kept_apart() -> None:
    """Bold ends where it ends, and a background goes when the next text has none."""
    painter, screen = Painter(), pyte.Screen(*SIZE)
    painted(painter, screen, ("aa", BOLD), ("bb", RED), ("cc", BLUE), ("dd", RED), ("ee", None))
    cells = screen.buffer[0]
    assert [cells[at].bold for at in (0, 2, 4)] == [True, False, False]
    assert [cells[at].bg for at in (2, 4, 6, 8)] == ["default", "blue", "default", "default"]
    assert [cells[at].fg for at in (0, 6, 8)] == ["red", "red", "default"]


@pytest.mark.parametrize("text", ["日本 12 of 90", "e\u0301t\u0301 12 of 9", "a日b日c日d日"])
def test_a_row_with_wide_or_combining_characters_is_sent_whole(text: str) -> None:
    """Terminals do not agree about their width: what comes behind them must not be left where it was."""
    painter, screen = Painter(), pyte.Screen(*SIZE)
    painted(painter, screen, (text[:-1] + "x", RED))
    sent = painted(painter, screen, (text, RED))
    assert text in sent
    plain = painted(painter, screen, ("abcdefghijkl", RED))
    assert "abcdefghijkl" in plain
    assert screen.display == ["abcdefghijkl"]


def test_after_a_resize_everything_is_sent() -> None:
    painter, screen = Painter(), pyte.Screen(*SIZE)
    painted(painter, screen, ("abcdefghijkl", RED))
    strip = Strip([Segment("abcdefghijkl", RED)])
    sent = painter.paint(LayoutUpdate([[strip]], Region(0, 0, *SIZE)), CONSOLE, Size(13, 1))
    assert "abcdefghijkl" in sent


def looks_the_same_drawn_whole(terminal: Terminal, size: tuple[int, int]) -> bool:
    terminal.settle_until_quiet(2.5)
    shown, sent = terminal.screen(), len(terminal.sent)
    terminal.process.send_signal(signal.SIGCONT)
    end = time.monotonic() + 60
    while len(terminal.sent) - sent <= size[0] * size[1]:
        assert time.monotonic() < end
        terminal.read(0.2)
    terminal.settle()
    return terminal.screen() == shown


@pytest.mark.parametrize("size", [(24, 80), (50, 160)])
def test_the_screen_is_what_a_whole_frame_would_be(size: tuple[int, int], tmp_path: Path) -> None:
    """After each step through the screens SIGCONT sends every cell again, and nothing looks other than before."""
    with on_terminal("--from", str(recording(tmp_path / "busy.jsonl", 4, True)), size=size) as terminal:
        terminal.until("ended")
        terminal.settle()
        for keys in WALK:
            terminal.press(keys)
            # On a busy machine the last change may come after the screen was quiet for a while.
            assert any(looks_the_same_drawn_whole(terminal, size) for _ in range(3)), keys
