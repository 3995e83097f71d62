"""A guide on the screen at 80x24, on the real kernel of its lab: through the real tuning path to "verified"."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from sockmon.guides import BY_NAME
from sockmon.tuning.confirmation import WORD
from tests.terminal import Terminal, on_terminal

GUIDE = BY_NAME["cannot-assign-address"]


def enter_until(terminal: Terminal, words: str) -> None:
    """Follow the evidence, a step for each Enter, until the screen shows `words`."""
    end = time.monotonic() + 120
    while words not in terminal.screen():
        assert time.monotonic() < end, f"{words!r} never came:\n{terminal.screen()}"
        terminal.press("\r")
        terminal.settle()


@pytest.mark.usefixtures("needs_userns")
def test_cannot_assign_address_is_verified_at_80x24(tmp_path: Path) -> None:
    variables = {"XDG_STATE_HOME": str(tmp_path)}
    with on_terminal("lab", "run", GUIDE.lab, size=(24, 80), variables=variables) as terminal:
        terminal.until("ephemeral ports", patience=120)
        terminal.settle_until_quiet(2.0)
        terminal.press("w")
        terminal.until(GUIDE.title)
        enter_until(terminal, "make the change")
        assert "Step 5 · Widen the range of local ports" in terminal.screen()
        enter_until(terminal, "2 changes")
        terminal.press("v")
        terminal.until(f"Type {WORD} to confirm")
        terminal.settle_until_quiet(1.0)
        for letter in WORD:
            terminal.press(letter)
            terminal.settle()
        terminal.until("Step 6 · Free ports")
        terminal.until("✔ Met, after")
        enter_until(terminal, "Result")
        assert "✔ Verified: it helped" in terminal.screen()
        assert "PENDING" in terminal.screen()
        terminal.press("K")
        terminal.until("● kept")
        terminal.press("\x1b")
        terminal.settle()
        terminal.press("\x1bq")
        terminal.settle()
