"""The tables on a real pseudo-terminal, over a recording: the keys as a terminal sends them, and the mouse."""

from __future__ import annotations

import fcntl
import struct
import termios
from pathlib import Path

import pytest

from tests.terminal import Terminal, on_terminal

RECORDING = str(Path(__file__).parents[2] / "screenshots" / "four-plateaus.jsonl")
RIGHT, LEFT = "\x1b[C", "\x1b[D"


def place(terminal: Terminal, words: str) -> tuple[int, int]:
    """Return column and line of the first of `words`, from 1."""
    lines = terminal.screen().splitlines()
    line = next(index for index, each in enumerate(lines) if words in each)
    return lines[line].index(words) + 1, line + 1


def click(terminal: Terminal, words: str) -> None:
    x, y = place(terminal, words)
    terminal.press(f"\x1b[<0;{x};{y}M\x1b[<0;{x};{y}m")
    terminal.settle()


def test_enter_opens_the_row_of_the_whole_board_after_a_filter() -> None:
    with on_terminal("--from", RECORDING) as terminal:
        terminal.until("tasks of a cgroup")
        for keys in ("b", "/", "ceiling:memory-maps severity:hit", "\r"):
            terminal.press(keys)
            terminal.settle()
        terminal.until("1 of ")
        terminal.press("\r")
        terminal.until("memory maps · app-server")
        terminal.press("\x1b")
        terminal.until("ceiling:memory-maps")
        terminal.settle()
        for keys in ("\x1b", "/", "nosuch:1", "\r"):
            terminal.press(keys)
            terminal.settle()
        assert "nosuch: no such field" in terminal.screen()


@pytest.mark.parametrize("size", [(24, 80), (40, 120)], ids=str)
def test_columns_scroll_by_keys_and_headings_and_tabs_are_clicked(size: tuple[int, int]) -> None:
    with on_terminal("--from", RECORDING) as terminal:
        fcntl.ioctl(terminal.terminal, termios.TIOCSWINSZ, struct.pack("4H", *size, 0, 0))
        terminal._shown.resize(*size)
        terminal.until("replay")
        terminal.settle()
        terminal.press("2")
        terminal.settle()
        assert "CLOSE_W " not in terminal.screen()
        terminal.press(RIGHT * 5)
        assert "‹" in terminal.until("CLOSE_W ")
        click(terminal, "CLOSE_W ")
        terminal.until("CLOSE_▾")
        click(terminal, "CLOSE_▾")
        terminal.until("CLOSE_▴")
        terminal.press(LEFT * 9)
        terminal.until("+5›")
        # More keys than columns: the last of them would take the click back.
        terminal.settle()
        click(terminal, "+5›")
        terminal.until("‹1")
        if size == (24, 80):
            click(terminal, "3 Ports")
            terminal.until("SOURCE → DESTINATION")
            click(terminal, "1 Sockets")
            terminal.until("ESTABLISHED")
