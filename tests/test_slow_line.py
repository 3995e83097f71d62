"""What a slow line gets: few bytes, and the newest of what there is (V8, R26), on a real pseudo-terminal."""

from __future__ import annotations

import os
import random
import re
import select
import time
from pathlib import Path

import msgspec
import pytest

from sockmon.sources.wire import encode, hello
from tests.snapshots import process, snapshot
from tests.terminal import Terminal, on_terminal

BAUD_9600 = 960
"""Bytes per second."""
SIZES = [(24, 80), (50, 160)]


def recording(path: Path, seconds: int, busy: bool) -> Path:
    """A recording with a sample a second; `busy`: every number of every process changes."""
    draw = random.Random(8)
    lines = [hello()]
    for second in range(seconds):
        rows = [
            process(pid=1000 + number, fds=draw.randrange(10, 900) if busy else 20 + number)
            for number in range(40)
        ]
        taken = snapshot(100.0 + second, *rows)
        lines.append(encode(msgspec.structs.replace(taken, wall=1_700_000_000.0 + second)))
    path.write_bytes(b"".join(lines))
    return path


def clock(terminal: Terminal) -> int:
    """Seconds of the clock that is shown, within its hour."""
    found = re.search(r"\d\d:(\d\d):(\d\d)", terminal.screen())
    return int(found[1]) * 60 + int(found[2]) if found else -1


@pytest.mark.fault("V8")
@pytest.mark.parametrize("size", SIZES)
def test_a_quiet_host_sends_little(size: tuple[int, int], tmp_path: Path) -> None:
    """V8: where only the clock moves, a sample sends less than 300 bytes."""
    with on_terminal("--from", str(recording(tmp_path / "quiet.jsonl", 40, False)), size=size) as terminal:
        terminal.until("Processes")
        terminal.settle_until_quiet()
        first, before = clock(terminal), len(terminal.sent)
        while clock(terminal) < first + 10:
            terminal.read(0.5)
        assert (len(terminal.sent) - before) / 10 < 300


@pytest.mark.fault("V8")
@pytest.mark.parametrize("size", SIZES)
def test_on_a_slow_line_what_is_drawn_is_nearly_the_newest(size: tuple[int, int], tmp_path: Path) -> None:
    """V8: at 9600 baud, with every number changing, old frames are dropped instead of queued."""
    with on_terminal("--from", str(recording(tmp_path / "busy.jsonl", 200, True)), size=size) as terminal:
        begun = None
        end = time.monotonic() + 75
        while time.monotonic() < end:
            slowly(terminal, BAUD_9600)
            if begun is None and clock(terminal) >= 0:
                begun = time.monotonic() - clock(terminal)
        assert begun is not None
        assert time.monotonic() - begun - clock(terminal) < 20


@pytest.mark.fault("R26")
def test_a_terminal_that_is_read_again_shows_the_newest(tmp_path: Path) -> None:
    """R26: what could not be drawn while nothing read the terminal is not drawn afterwards."""
    with on_terminal("--from", str(recording(tmp_path / "busy.jsonl", 200, True)), size=(50, 160)) as terminal:
        terminal.until("Processes")
        before = clock(terminal)
        time.sleep(40)
        queued = len(terminal.sent)
        terminal.settle_until_quiet(0.3)
        assert clock(terminal) >= before + 38
        assert len(terminal.sent) - queued < 80_000


def slowly(terminal: Terminal, rate: int) -> None:
    """Read for a tenth of a second what a line of so many bytes a second would have taken."""
    if select.select([terminal.controller], [], [], 0.1)[0]:
        terminal.take(os.read(terminal.controller, rate // 10))
    time.sleep(0.1)
