"""A person at the screen of a lab, who follows a guide at 80x24: reads, presses a key, waits for what comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import pytest

from sockmon.document import sentence
from sockmon.guides import GUIDES, Guide
from sockmon.labs import find_lab
from sockmon.sandbox.availability import unavailable_reason
from sockmon.tuning.confirmation import WORD
from tests.terminal import Terminal, on_terminal

PATIENCE = 240.0
"""Seconds for anything to come, on a machine with a load of 20."""
PRESS_AGAIN = 20.0
"""Seconds after which a person presses a key once more."""
READING = 0.7
"""Seconds in which a person reads: an Enter that comes at once was meant for what was there before."""


@contextmanager
def screen_of_lab(lab: str, state: str) -> Iterator[Terminal]:
    """Open the screen on a lab; `state` is a directory for the progress. Skip if it cannot be built here."""
    if reason := unavailable_reason(find_lab(lab)):
        pytest.skip(reason)
    with on_terminal("lab", "run", lab, size=(24, 80), variables={"XDG_STATE_HOME": state}) as terminal:
        terminal.until("w Guides", PATIENCE)
        yield terminal


def read_for(terminal: Terminal, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        terminal.read(left)


def press_until(terminal: Terminal, key: str, there: Callable[[str], bool]) -> None:
    """Read, press a key, and wait until the screen is as expected."""
    end = time.monotonic() + PATIENCE
    while True:
        read_for(terminal, READING)
        terminal.press(key)
        again = time.monotonic() + PRESS_AGAIN
        while time.monotonic() < again:
            terminal.read(0.1)
            if there(terminal.screen()):
                return
        assert time.monotonic() < end, f"{key!r} does nothing:\n{terminal.screen()}"


def shows(words: str) -> Callable[[str], bool]:
    return lambda screen: words in screen


def begin(terminal: Terminal, guide: Guide, number: str = "") -> None:
    """Open the guide whose symptom is known, and give the number that it asks for."""
    press_until(terminal, "w", shows("\n Symptom  "))
    # Its first words: a command or a number with its unit is not broken, so the line may end early.
    symptom = f" Symptom         {sentence(guide.symptom)}"[:32]
    # Down to the end, and up again: the guides that fit come to the top until a person moves in the list.
    for key in ("j",) * len(GUIDES) + ("k",) * len(GUIDES):
        # A frame arrives in pieces.
        read_for(terminal, READING)
        if symptom in terminal.screen():
            break
        terminal.press(key)
    if guide.asks_number:
        press_until(terminal, "\r", shows("Enter: go on"))
        for end, digit in enumerate(number, 1):
            press_until(terminal, digit, shows(f"│  {number[:end]} "))
    press_until(terminal, "\r", shows("─Step 1 · "))


def walk(terminal: Terminal, ways: Mapping[str, str]) -> list[str]:
    """Follow the evidence to the end, or at a step of `ways`, by title, take the choice with that label; return
    the titles of the steps."""
    steps: list[str] = []
    end = time.monotonic() + PATIENCE
    while True:
        screen, step = terminal.screen(), title(terminal.screen())
        if step and step != (steps or [""])[-1]:
            steps.append(step)
            end = time.monotonic() + PATIENCE
        if "\n Result  " in screen:
            return steps
        assert time.monotonic() < end, f"no end after {steps}:\n{screen}"
        _go_on(terminal, screen, ways.get(step, ""))


def _go_on(terminal: Terminal, screen: str, way: str) -> None:
    if "to confirm, Esc" in screen:
        confirm(terminal)
    elif screen.startswith(" Tuning · "):
        terminal.until("v preview", PATIENCE)
        press_until(terminal, "v", shows("to confirm, Esc"))
    elif "\n   wait: " in screen or not title(screen):
        terminal.read(0.5)
    else:
        choose(terminal, way)


def title(screen: str) -> str:
    """Return the title of the step that is shown; empty if none is."""
    head = screen.splitlines()[1]
    return head.partition(" · ")[2].rstrip("─") if head.startswith("─Step ") else ""


def choose(terminal: Terminal, label: str) -> None:
    """Take the choice with this label, or without one the first."""
    before = title(terminal.until(f" {label}", PATIENCE))
    lines = terminal.screen().partition("\n─Next")[2].splitlines()[1:]
    place = next((at for at, line in enumerate(lines) if label in line), 0)
    for _ in range(place):
        terminal.press("j")
        read_for(terminal, 0.2)
    press_until(terminal, "\r", lambda now: title(now) != before)


def confirm(terminal: Terminal) -> None:
    """Type the word, each letter after the echo of the one before; again if a letter was not taken."""
    for place, letter in enumerate(WORD[:-1], 1):
        press_until(terminal, letter, shows(f"Esc to leave: {WORD[:place]}{'_' * (len(WORD) - place)}"))
    press_until(terminal, WORD[-1], lambda screen: "to confirm, Esc" not in screen)
