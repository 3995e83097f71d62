"""The tables of a process, a group and a listener: filtered, sorted, scrolled; no row takes Enter in silence."""

from __future__ import annotations

import time
from typing import Any

import pytest
from msgspec.structs import replace
from textual.content import Content
from textual.pilot import Pilot
from textual.widgets import Input

from sockmon.model.detail import GroupQuery, ListenerQuery, ProcessQuery
from sockmon.model.snapshot import Owner
from sockmon.ui.detail.listener import ListenerScreen
from sockmon.ui.detail.polling_screen import PollingScreen
from sockmon.ui.detail.port_group import PortGroupScreen
from sockmon.ui.detail.process import ProcessScreen
from sockmon.ui.detail.socket_table import SocketTable
from sockmon.ui.detail.socket_target import socket_target
from sockmon.ui.widgets.filter_line import FilterLine
from sockmon.ui.widgets.table import Table
from tests.ui import detail_app
from tests.ui.detail_app import GROUP, LISTENER, PROCESS, DetailApp

SCREENS: dict[str, Any] = {
    "process": (lambda: ProcessScreen(PROCESS), detail_app.process_detail),
    "group": (lambda: PortGroupScreen(GROUP), detail_app.group_detail),
    "listener": (lambda: ListenerScreen(LISTENER), detail_app.listener_detail),
}


def stand(name: str) -> tuple[DetailApp, PollingScreen[Any, Any]]:
    screen, detail = SCREENS[name]
    shown = screen()
    return DetailApp(shown, detail_app.assessment(), detail()), shown


async def put(pilot: Pilot[None], screen: PollingScreen[Any, Any], typed: str) -> None:
    await pilot.press("slash")
    screen.query_one(Input).value = typed
    await pilot.press("enter")
    await pilot.pause()


def note(table: Table[Any]) -> str:
    """What the lower border of a table says."""
    return Content.from_markup(str(table.border_subtitle)).plain


@pytest.mark.parametrize("size", [(160, 50), (80, 24)], ids=str)
@pytest.mark.parametrize("name", SCREENS)
async def test_every_row_answers(name: str, size: tuple[int, int]) -> None:
    app, screen = stand(name)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        for table in screen.query(Table):
            for index in range(min(len(table.rows), 3)):
                app.opened.clear()
                app.told.clear()
                table.focus()
                table.move(index)
                await pilot.press("enter")
                await pilot.pause()
                answered = bool(app.opened) + bool(app.told) + (screen.focused is not table)
                assert answered == 1, (table.id, table.selected, app.told)
                assert all(10 < len(line) <= 160 for line in app.told)
                if screen.query_one(FilterLine).shown:
                    await pilot.press("escape")


async def test_a_table_without_rows_says_why() -> None:
    app = DetailApp(
        ProcessScreen(PROCESS), detail_app.assessment(), detail_app.process_detail(sockets=(), sockets_total=0)
    )
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        app._first.query_one(SocketTable).focus()
        await pilot.press("enter")
        await pilot.pause()
        assert [each.message for each in app._notifications] == ["no row to open: no sockets"]


@pytest.mark.parametrize("size", [(160, 50), (80, 24)], ids=str)
async def test_the_filter_narrows_every_table_and_says_which_one_it_cannot(size: tuple[int, int]) -> None:
    app, screen = stand("listener")
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        await put(pilot, screen, "state:ESTABLISHED")
        said = {table.id: note(table) for table in screen.query(Table)}
        assert said == {
            "owners": "not filtered: has no state",
            "states": "1 of 3 match",
            "remotes": "not filtered: has no state",
            "sockets": "90 of 90 match",
        }
        await put(pilot, screen, "dst:10.0.1.3")
        assert screen.query_one("#remotes", Table).matching == "1 of 20 match"
        await put(pilot, screen, "nosuchword")
        assert all(table.matching.startswith("0 of") for table in screen.query(Table))
        await pilot.press("escape")
        assert not screen.query_one(FilterLine).shown
        assert {note(table) for table in screen.query(Table)} == {""}
        assert app.screen is screen
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen is not screen


async def test_a_share_narrows_the_sockets_to_what_it_counts() -> None:
    app, screen = stand("group")
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        states = screen.query_one("#states", Table)
        states.focus()
        states.move([row[0] for row in states.arranged].index("TIME_WAIT"))
        await pilot.press("enter")
        await pilot.pause()
        sockets = screen.query_one(SocketTable)
        assert sockets.has_focus
        assert {row.state for row in sockets.arranged} == {"TIME_WAIT"}
        assert sockets.matching == "167 of 500 match"


@pytest.mark.parametrize("name", SCREENS)
async def test_every_column_can_be_sorted_by_and_comes_into_sight(name: str) -> None:
    app, screen = stand(name)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        for table in screen.query(Table):
            table.focus()
            await pilot.pause()
            reached = []
            await pilot.press("s")
            while table.order:
                title = table.order[:-2]
                reached.append(title)
                assert title[:3] in table.render_line(0).text, (table.id, title)
                await pilot.press("s")
            assert set(reached) == {column.title for column in table.columns if column.title}


@pytest.mark.parametrize("name", SCREENS)
async def test_a_click_anywhere_is_survived_and_on_a_heading_sorts(name: str) -> None:
    app, screen = stand(name)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        table = screen.query_one(SocketTable)
        table.focus()
        await pilot.pause()
        column = table.render_line(0).text.index("STATE")

        async def click_on_state() -> bool:
            # The page scrolls the table into view first; until then the heading may be below the screen.
            heading = table.content_region
            place = heading.x + column, heading.y
            if screen.region.contains(*place):
                await pilot.click(offset=place)
            return table.order.startswith("STATE")

        end = time.monotonic() + 60
        while not await click_on_state():
            assert time.monotonic() < end
            await pilot.pause(0.1)
        for y in range(0, 24, 3):
            for x in range(0, 80, 9):
                await pilot.click(offset=(x, y))
        assert app.is_running


def test_a_socket_leads_to_what_the_snapshot_knows_of_it() -> None:
    snapshot = detail_app.snapshot()
    known = detail_app.socket(0)
    group = replace(known, local="10.0.0.5:40000", remote="10.0.0.9:5432", owner=None, inode=0)
    accepted = replace(known, local="10.0.0.77:8080", remote="10.9.9.9:50000", owner=None, inode=0)
    unknown = replace(known, protocol="unix", local="@x", remote="*", state="ESTABLISHED", owner=None)
    assert socket_target(group, snapshot) == GroupQuery(7, "10.0.0.5", "10.0.0.9", 5432)
    assert socket_target(accepted, snapshot) == ListenerQuery(7, 501)
    assert "no page for one socket" in str(socket_target(unknown, snapshot))
    waiting = replace(known, local="1.1.1.1:1", remote="2.2.2.2:2", state="TIME_WAIT", owner=None)
    assert "closed by the process" in str(socket_target(waiting, snapshot))


async def test_an_owner_opens_its_process() -> None:
    app, screen = stand("group")
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        screen.query_one("#owners").focus()
        await pilot.press("enter")
        await pilot.pause()
        first: Owner = detail_app.owner()
        assert app.opened == [ProcessQuery(first.pid, first.start)]
