"""Acknowledged alarms: dimmed with a mark and a word, below the others, until they get worse or end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest

from sockmon.assess import Assessment
from sockmon.model.report import Reading
from sockmon.model.severity import Severity
from sockmon.ui.main.acknowledged import MARK, Acknowledged
from sockmon.ui.main.board import Board
from sockmon.ui.widgets.table import Table
from tests.ui import fake_app
from tests.ui.fake_helper import until
from tests.ui.main_app import play, text

BUSY = fake_app.assess(fake_app.busy(70))
WORST, SECOND, WARNING = BUSY.report.readings[:3]


def with_readings(*readings: Reading, since: float | None = None) -> Assessment:
    report = msgspec.structs.replace(BUSY.report, readings=readings)
    return replace(BUSY, report=report, since=BUSY.since if since is None else dict.fromkeys(BUSY.since, since))


def severe(severity: Severity) -> Reading:
    return msgspec.structs.replace(WARNING, severity=severity)


@pytest.mark.parametrize(
    ("later", "kept"),
    [
        ([severe("warning")], True),
        ([severe("critical")], False),
        ([severe("hit")], False),
        ([severe("ok")], False),
        ([severe("unknown")], False),
        ([], False),
    ],
)
def test_an_alarm_that_gets_worse_or_ends_is_shown_again(later: Sequence[Reading], kept: bool) -> None:
    taken = Acknowledged()
    assert taken.toggle(WARNING, BUSY)
    taken.update(with_readings(*later))
    assert (WARNING in taken) == kept


def test_one_that_gets_better_stays_and_one_that_began_again_does_not() -> None:
    taken = Acknowledged()
    taken.toggle(severe("critical"), BUSY)
    taken.update(with_readings(WARNING))
    assert WARNING in taken
    taken.update(with_readings(WARNING, since=fake_app.WALL + 1))
    assert WARNING not in taken


def test_the_others_come_first_and_the_order_is_kept() -> None:
    taken = Acknowledged()
    taken.toggle(WORST, BUSY)
    assert taken.ordered(BUSY.report.readings)[:4] == [SECOND, WARNING, WORST, BUSY.report.readings[3]]
    assert not taken.toggle(WORST, BUSY)
    assert taken.ordered(BUSY.report.readings) == list(BUSY.report.readings)


@pytest.mark.parametrize("size", [(160, 50), (100, 40), (80, 24)])
async def test_the_key_dims_the_alarm_with_a_mark_and_counts_it_apart(size: tuple[int, int]) -> None:
    async with play(size=size) as (app, pilot, _):
        board = app.screen.query_one(Board)
        table: Table[Reading] = app.screen.query_one("#readings", Table)
        await pilot.press("b", "g", "A")
        await until(pilot, lambda: WORST in board.acknowledged)
        await until(pilot, lambda: f"{MARK} HIT" in text(app))
        assert table.arranged[2] == WORST
        assert f"{MARK} 1 acknowledged" in str(board.border_subtitle) + text(app)
        await pilot.press("A")
        await pilot.pause()


async def test_without_an_alarm_under_the_cursor_it_only_says_so() -> None:
    async with play("calm") as (app, pilot, _):
        await pilot.press("b", "A")
        await until(pilot, lambda: len(app._notifications) == 1)
        assert MARK not in text(app)
