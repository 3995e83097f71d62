"""Floods of input (V12): a pasted file, noise on a serial line, a mouse that does not stop."""

from __future__ import annotations

import asyncio
import os
import random
import select
from pathlib import Path

import pytest
from textual import events
from textual.message import Message

from sockmon.ui.driver import MAX_WAITING, InputLimit, SockmonDriver
from tests.terminal import Terminal, on_terminal

MIB = 1 << 20
MAX_RESIDENT_KB = 150_000
"""A screen takes 50 MB; a megabyte of keys that queued up took 2 GB."""
_RANDOM = random.Random(12).randbytes(MIB)
NOISE = {
    "letters": b"abcdefgh" * (MIB // 8),
    "a paste": b"\x1b[200~" + b"x" * MIB + b"\x1b[201~",
    "a paste without an end": b"\x1b[200~" + b"x" * MIB,
    "a mouse": b"\x1b[<35;10;10M\x1b[<35;11;10M" * (MIB // 24),
    "broken sequences": b"\x1b[\x1b]\x1bP\x1b[<1;\x1b[999999999999999999~" * (MIB // 32),
    # Without the keys that leave and that end.
    "noise": bytes(byte for byte in _RANDOM if byte not in b"q\x03\x11\x1a\x1b"),
}


def pour(terminal: Terminal, data: bytes) -> None:
    """Send all of `data`, and read what comes meanwhile."""
    os.set_blocking(terminal.controller, False)
    while data:
        readable, writable, _ = select.select([terminal.controller], [terminal.controller], [], 30)
        assert readable or writable, "it reads no more input"
        if readable:
            terminal.read(0.0)
        if writable:
            try:
                data = data[os.write(terminal.controller, data[:4096]) :]
            except BlockingIOError:
                continue
    os.set_blocking(terminal.controller, True)


def peak(terminal: Terminal) -> int:
    """The most memory that the screen ever took, in kB."""
    status = Path(f"/proc/{terminal.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


@pytest.mark.fault("V12")
@pytest.mark.parametrize("kind", NOISE)
def test_a_flood_in_the_filter_is_dropped(kind: str) -> None:
    """V12: the screen answers keys afterwards, and never held more than a little of the flood."""
    with on_terminal() as terminal:
        terminal.until("Limits")
        terminal.press("/")
        terminal.settle()
        pour(terminal, NOISE[kind])
        terminal.settle()
        # On a busy machine the flood may not be over yet, and a key in it is dropped.
        for _ in range(20):
            terminal.press("\x1b")
            terminal.settle()
            terminal.press("?")
            terminal.settle()
            if "HOW TO READ THE SCREEN" in terminal.screen():
                break
        assert "HOW TO READ THE SCREEN" in terminal.screen()
        assert peak(terminal) < MAX_RESIDENT_KB


@pytest.mark.fault("V12")
def test_a_line_of_text_has_an_end() -> None:
    """V12: a filter takes 200 characters, from keys and from a paste."""
    with on_terminal() as terminal:
        terminal.until("Limits")
        terminal.press("/")
        terminal.settle()
        for _ in range(3):
            terminal.press("\x1b[200~" + "y" * 150 + "\x1b[201~")
            terminal.settle()
        terminal.press("\x1b[D" * 210)
        terminal.settle()
        terminal.press("=")
        terminal.settle()
        assert "=" not in terminal.screen().partition("filter")[2].splitlines()[0]
        terminal.press("\x7f\x1b[3~=")
        terminal.until("=yyyy")


@pytest.mark.fault("V12")
def test_a_long_value_that_is_pasted_is_no_flood() -> None:
    """V12: a value takes 4,000 characters; a flood lasts until it is quiet."""
    limit = InputLimit()
    assert limit.admits(4000)
    assert limit.admits(4000)
    assert not limit.admits(1 << 20)
    assert not limit.admits(1)
    assert limit.end_flood() == (1 << 20) + 1
    assert limit.admits(1)


class Pump:
    """What takes messages from the driver, and has no queue."""

    screen_stack = ()
    keys_waiting = 0

    def __init__(self) -> None:
        self.taken = 0
        self._message_queue: asyncio.Queue[Message] = asyncio.Queue()

    async def _post_message(self, message: Message) -> None:
        self.taken += 1


@pytest.mark.fault("V12")
def test_keys_that_a_busy_loop_has_not_taken_are_waiting_too() -> None:
    """V12: without time of the processor the loop takes nothing, and the queues of the app are empty."""
    loop, pump = asyncio.new_event_loop(), Pump()
    driver = SockmonDriver.__new__(SockmonDriver)
    vars(driver).update(_app=pump, _loop=loop)
    for turn in (1, 2):
        for _ in range(10 * MAX_WAITING):
            driver.send_message(events.Key("a", "a"))
        loop.run_until_complete(asyncio.sleep(0.1))
        assert pump.taken == turn * (MAX_WAITING + 1)
    loop.close()
