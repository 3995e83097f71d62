"""A walk in text goes on where it was left, if the person wants that."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from sockmon.cli.guide_progress import KeptProgress
from sockmon.cli.guide_samples import open_samples
from sockmon.guides import find_guide
from sockmon.guides.progress import decode
from sockmon.kept_walks import KeptWalks, directory
from tests.guides.test_guide_verb import RECORDINGS
from tests.terminal import Terminal, on_terminal

NAME, RECORDING = "cannot-assign-address", str(RECORDINGS / "four-plateaus.jsonl")


def _walk(state: Path, *argv: str) -> AbstractContextManager[Terminal]:
    return on_terminal("guide", *argv, size=(24, 80), variables={"XDG_STATE_HOME": str(state)})


def _leave_at_step_3(state: Path) -> None:
    with _walk(state, NAME, "--from", RECORDING) as terminal:
        for step in ("Ports to one destination", "TIME_WAIT"):
            terminal.until(f"Enter go on to: {step}", 60)
            terminal.press("\n")
        terminal.until("3. TIME_WAIT")
        terminal.press("q\n")
        assert terminal.end() == 0, terminal.screen()


def test_a_walk_goes_on_at_its_step_or_begins_again(tmp_path: Path) -> None:
    _leave_at_step_3(tmp_path)
    with _walk(tmp_path, NAME, "--from", RECORDING) as terminal:
        terminal.until("You were at step 3: TIME_WAIT", 60)
        terminal.press("\n")
        terminal.until("3. TIME_WAIT")
        terminal.press("q\n")
        assert terminal.end() == 0, terminal.screen()
    with _walk(tmp_path, NAME, "--from", RECORDING) as terminal:
        terminal.until("start again: a", 60)
        terminal.press("a\n")
        terminal.until("1. Ports of bound sockets")
        terminal.press("q\n")
        assert terminal.end() == 0, terminal.screen()


def test_without_progress_it_begins_at_its_first_step(tmp_path: Path) -> None:
    _leave_at_step_3(tmp_path)
    for options in (["--keep-no-progress"], []):
        other = str(RECORDINGS / "threads-max.jsonl") if not options else RECORDING
        with _walk(tmp_path, NAME, "--from", other, *options) as terminal:
            terminal.until("1. Ports of bound sockets", 60)
            terminal.press("q\n")
            assert terminal.end() == 0, terminal.screen()
            assert "You were at" not in terminal.screen()


DAMAGED = {"bytes": b'{"guide": "\xff"}', "huge": b"x" * (2 << 20), "folder": None}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_progress_is_a_notice(
    content: bytes | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    path = directory() / f"{NAME}.json"
    if content is None:
        path.mkdir(parents=True)
    else:
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    with open_samples(RECORDING, None) as samples:
        assert KeptProgress(find_guide(NAME)).resume(samples, "") is None
    assert "begins again" in capsys.readouterr().err
    assert KeptWalks(print).load("other", decode) is None
