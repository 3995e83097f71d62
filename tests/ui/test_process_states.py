"""Pane 2 by TCP state."""

from __future__ import annotations

import pytest

from sockmon.model.detail import ProcessQuery
from sockmon.model.process_states import ProcessStates, ProcessStatesDetail, ProcessStatesQuery
from sockmon.model.snapshot import Missing
from sockmon.ui.main.panes.processes import ProcessesPane
from sockmon.ui.messages import Answered
from sockmon.ui.widgets.table import Table
from tests.ui.main_app import play, text

ROWS = (
    ProcessStates(812, 5_000, "envoy[bold]", {"ESTABLISHED": 28_201, "CLOSE_WAIT": 31}, estimated=True),
    ProcessStates(4711, 7, "gone", {"LISTEN": 1, "SYN_SENT": 2}),
)


def answer(*rows: ProcessStates, **changes: object) -> ProcessStatesDetail:
    total = {"ESTABLISHED": 28_203, "CLOSE_WAIT": 31, "LISTEN": 1, "SYN_SENT": 2, "TIME_WAIT": 9_120}
    fields: dict[str, object] = {
        "kernel": {"TIME_WAIT": 9_120}, "unknown": {"ESTABLISHED": 2}, "total": total, "netns": 1, "missing": (),
    }  # fmt: skip
    return ProcessStatesDetail(0.0, ProcessStatesQuery(), rows, **{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(160, 50), (120, 40), (80, 24)])
async def test_a_key_shows_a_column_for_each_state_that_occurs(size: tuple[int, int]) -> None:
    async with play(size=size) as (app, pilot, source):
        await pilot.press("o", "z")
        assert ProcessStatesQuery() in source.asked
        app.post_message(Answered(answer(*ROWS)))
        await pilot.pause()
        shown = text(app)
        assert "ESTAB" in shown
        assert "FIN_W1" not in shown
        line = next(line for line in shown.splitlines() if "envoy[bold]" in line)
        assert "~28,201" in line
        assert "(kernel)" in shown
        assert "(unknown)" in shown
        table = app.screen.query_one("#process-table", Table)
        titles = [column.title for column in table.columns]
        assert titles[3:] == ["TCP", "ESTAB", "CLOSE_W", "LISTEN", "SYN_SEN", "TIME_W"]
        pane = app.screen.query_one(ProcessesPane)
        assert pane.target(table.rows[0]) == ProcessQuery(812, 5_000)
        assert "TIME_WAIT" in str(pane.target(table.rows[2]))
        app.post_message(Answered(answer(*ROWS, total={"FIN_WAIT1": 1})))
        await pilot.pause()
        assert "ESTAB" in text(app)
        await pilot.press("o")
        await pilot.pause()
        assert "USAGE" in text(app)
        assert "ESTAB " not in next(line for line in text(app).splitlines() if "COMMAND" in line)


async def test_scrolled_columns_stay_with_the_next_answer() -> None:
    async with play(size=(80, 24)) as (app, pilot, _):
        await pilot.press("o")
        app.post_message(Answered(answer(*ROWS)))
        await pilot.pause()
        await pilot.press("right", "right")
        scrolled = next(line for line in text(app).splitlines() if "COMMAND" in line)
        app.post_message(Answered(answer(*ROWS)))
        await pilot.pause()
        assert scrolled == next(line for line in text(app).splitlines() if "COMMAND" in line)
        assert "TIME_W" in scrolled


async def test_what_cannot_be_read_says_why() -> None:
    async with play(size=(120, 40)) as (app, pilot, _):
        await pilot.press("o", "z")
        assert "reading…" in text(app)
        why = (Missing("sockets", "netlink is refused"),)
        app.post_message(Answered(answer(missing=why, kernel={}, unknown={}, total={}, netns=0)))
        await pilot.pause()
        assert "netlink is refused" in text(app)
