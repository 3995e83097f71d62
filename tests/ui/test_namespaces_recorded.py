"""Real network namespaces on the screen: recorded by the agent, one of them with a full accept queue."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sockmon.settings import Settings
from sockmon.sources.replay import Replay
from sockmon.ui.app import SockmonApp
from sockmon.ui.main.panes.namespaces import NamespaceRow
from sockmon.ui.widgets.table import Table
from tests.kernel.namespaces.mounted import run_after
from tests.test_check_several import SCRIPT
from tests.ui import main_app
from tests.ui.fake_helper import until


@pytest.mark.usefixtures("needs_userns")
async def test_a_namespace_in_trouble_comes_first_and_opens(tmp_path: Path) -> None:
    recording = tmp_path / "three.jsonl"
    run_after(
        SCRIPT, (sys.executable, "-m", "sockmon", "record", str(recording), "--for", "4", "--interval", "0.5")
    )
    app = SockmonApp(Replay(str(recording), pace=False), Settings(theme="sockmon"))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.newest is not None and app.ended)
        await pilot.press("5", "/", *"sm-", "enter")
        table: Table[NamespaceRow] = app.screen.query_one("#namespace-table", Table)
        await until(pilot, lambda: len(table.arranged) == 3)
        first = table.arranged[0]
        assert first.netns.name == "sm-b"
        assert first.nearest is not None
        assert (first.nearest.ceiling, first.nearest.used, first.nearest.limit) == ("accept-queue", 2, 1)
        assert {row.netns.kind for row in table.arranged} == {"netns"}
        assert {row.processes for row in table.arranged} == {0, 1}
        await pilot.press("enter")
        await until(pilot, lambda: "3 Ports · sm-b" in main_app.text(app))
        assert "127.0.0.1:8080" in main_app.text(app)
