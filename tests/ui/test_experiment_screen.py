"""The proof on the screen: a child measures, Esc ends it, and its words are shown."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from textual.pilot import Pilot

from sockmon.settings import Settings
from sockmon.ui.app import SockmonApp
from sockmon.ui.main.screen import MainScreen
from sockmon.ui.tuning import experiment
from sockmon.ui.tuning.experiment import ExperimentScreen
from tests.ui import fake_app
from tests.ui.fake_helper import until
from tests.ui.main_app import text

KEY = "net.ipv4.ip_local_port_range"
LISTED = f'[{{"key": "{KEY}", "title": "what [/red] it shows", "seconds": 9, "unavailable": ""}}]'
STEP = '{"setting": "a = [@click=app.quit]1[/]", "measured": "20 ports", "words": "as it should", "holds": %s}'
FOUND = '{"key": "x", "kernel": "6.18", "holds": %s, "verdict": "20 of 20", "steps": [' + STEP + "]}"


@asynccontextmanager
async def play(key: str, size: tuple[int, int] = (120, 40)) -> AsyncIterator[tuple[SockmonApp, Pilot[None]]]:
    app = SockmonApp(
        fake_app.FakeSource(), Settings(theme="sockmon"), read_only=True, assessor=fake_app.FakeAssessor()
    )
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.newest is not None and isinstance(app.screen, MainScreen))
        app.prove(key)
        await until(pilot, lambda: isinstance(app.screen, ExperimentScreen))
        yield app, pilot


async def ended(app: SockmonApp, pilot: Pilot[None]) -> str:
    """What it says at the end, however busy the machine is."""
    for _ in range(20):
        with suppress(AssertionError):
            await until(pilot, lambda: "measuring" not in text(app) and "prove ·" in text(app))
            await pilot.pause()
            return text(app)
    raise AssertionError("it did not end")


def child(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Another program in place of `sockmon prove`; it lists what can be proved where no key is asked for."""
    head = f"import os, sys, time\nif len(sys.argv) == 2: print({LISTED!r}); sys.exit()\n"
    monkeypatch.setattr(experiment, "COMMAND", (sys.executable, "-c", head + script))


@pytest.mark.usefixtures("needs_userns")
async def test_a_proof_on_this_kernel() -> None:
    async with play(KEY) as (app, pilot):
        said = await ended(app, pilot)
        for word in ("● as documented", KEY, "EADDRNOTAVAIL", "Verdict", f"Linux {os.uname().release}"):
            assert word in said, word


async def test_a_key_without_a_proof_says_so_and_what_shows_it_instead() -> None:
    async with play("fs.file-max") as (app, pilot):
        said = await ended(app, pilot)
        assert "not measured" in said
        assert "fs.file-max cannot be measured without changing the host" in said
        assert "sockmon lab run" in said


async def test_a_kernel_that_behaves_otherwise_is_said_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    child(monkeypatch, f"print({FOUND % ('false', 'false')!r}); sys.exit(2)")
    async with play(KEY) as (app, pilot):
        said = await ended(app, pilot)
        assert "✖ not as documented" in said
        assert "✖ not as documented: as it should" in said
        assert "a = [@click=app.quit]1[/]" in said


async def test_while_it_measures_it_says_how_long_and_esc_ends_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mark = tmp_path / "pid"
    child(monkeypatch, f"open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(600)")
    async with play(KEY) as (app, pilot):
        await until(pilot, lambda: "about 9 s" in text(app))
        assert "what [/red] it shows" in text(app)
        assert "the host is not changed" in text(app)
        await until(pilot, lambda: mark.exists() and mark.read_text() != "")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, MainScreen))
        await until(pilot, lambda: not Path("/proc", mark.read_text()).exists())


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("sys.exit('sockmon: no user namespaces here\\n  ask root')", "no user namespaces here"),
        ("sys.exit(3)", "the experiment exited with status 3 and no message"),
        ("print('junk')", "the experiment could not be started"),
        ("os.kill(os.getpid(), 9)", "and no message"),
    ],
)
async def test_whatever_goes_wrong_is_said(monkeypatch: pytest.MonkeyPatch, script: str, says: str) -> None:
    child(monkeypatch, script)
    async with play(KEY) as (app, pilot):
        assert says in await ended(app, pilot)


async def test_a_program_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "COMMAND", ("/nonexistent/sockmon",))
    async with play(KEY) as (app, pilot):
        assert "the experiment could not be started" in await ended(app, pilot)
