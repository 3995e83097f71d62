"""Enter opens the row under the cursor, in every pane and mode, filtered or not, or explains why not."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from sockmon.model.detail import ProcessQuery
from sockmon.model.report import Reading
from sockmon.ui.app import SockmonApp
from sockmon.ui.detail.ceiling import CeilingScreen
from sockmon.ui.detail.flows import FlowsScreen
from sockmon.ui.detail.listener import ListenerScreen
from sockmon.ui.detail.port_group import PortGroupScreen
from sockmon.ui.detail.process import ProcessScreen
from sockmon.ui.detail.socket_list import SocketListScreen
from sockmon.ui.help import HelpScreen
from sockmon.ui.main.panes.ports import GroupRow, ListenerRow
from sockmon.ui.main.panes.processes import ProcessRow
from sockmon.ui.main.screen import MainScreen
from sockmon.ui.widgets.filter_line import FilterLine
from sockmon.ui.widgets.table import Table
from tests.ui.fake_helper import until
from tests.ui.main_app import play, text

SIZES = [(160, 50), (120, 40), (80, 24)]
MODES = {
    "whole board": ["b"],
    "board among the panes": [],
    "processes": ["2"],
    "processes zoomed": ["2", "z"],
    "groups": ["3"],
    "groups zoomed": ["3", "z"],
    "processes zoomed, then the board": ["2", "z", "b"],
    "board, then a pane": ["b", "3"],
}
FILTERS = ("", "proc:nginx", "rtt:>1", "nosuchthing")
"""None, one that matches some rows, one for a field that no pane has, one that matches nothing."""


async def put(app: SockmonApp, pilot: Pilot[None], typed: str) -> None:
    """Set a filter."""
    await pilot.press("slash")
    app.screen.query_one(Input).value = typed
    await pilot.press("enter")
    await pilot.pause()


def current(app: SockmonApp) -> Table[Any]:
    """Return the focused table, which must be visible."""
    table = app.focused
    assert isinstance(table, Table), table
    assert table.size.height > 0
    assert table.region.intersection(app.screen.region).area > 0
    return table


async def on_the_main_screen(app: SockmonApp, pilot: Pilot[None]) -> None:
    await pilot.press("escape")
    await until(pilot, lambda: isinstance(app.screen, MainScreen))


def opened(app: SockmonApp, row: object) -> bool:
    """Return whether the top screen is the one of that row."""
    screen = app.screen
    if isinstance(row, Reading):
        return isinstance(screen, CeilingScreen) and screen.key == (row.ceiling, row.subject)
    if isinstance(row, ProcessRow):
        wanted = ProcessQuery(row.process.pid, row.process.start)
        return isinstance(screen, ProcessScreen) and screen.target == wanted
    if isinstance(row, GroupRow):
        group = screen.target if isinstance(screen, PortGroupScreen) else None
        return group is not None and (group.source, group.port) == (row.group.source, row.group.port)
    listener = screen.target if isinstance(screen, ListenerScreen) else None
    return isinstance(row, ListenerRow) and listener is not None and listener.inode == row.listener.inode


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("mode", MODES)
async def test_enter_opens_what_the_cursor_is_on(mode: str, size: tuple[int, int]) -> None:
    async with play(size=size) as (app, pilot, _):
        await pilot.press(*MODES[mode])
        for typed in FILTERS:
            if typed:
                await put(app, pilot, typed)
            table = current(app)
            assert (table.id == "readings") == (mode.endswith("board") or "among" in mode), (table, typed)
            await pilot.press("s")
            # Not by a key: past the end of a short table is the next one of its pane.
            table.move(1)
            row = table.selected
            await pilot.press("enter")
            if row is None:
                await until(pilot, lambda: any("no row to open" in each.message for each in app._notifications))
            else:
                await until(pilot, lambda row=row: opened(app, row))  # type: ignore[misc]
                await on_the_main_screen(app, pilot)
            assert current(app) is table
            if typed:
                await pilot.press("escape")
                assert not app.screen.query_one(FilterLine).shown
                assert current(app) is table


@pytest.mark.parametrize("size", SIZES[1:], ids=str)
async def test_every_row_of_every_pane_opens_or_explains(size: tuple[int, int]) -> None:
    async with play(size=size) as (app, pilot, _):
        for pane, ids in (
            ("1", ["states"]),
            ("2", ["process-table"]),
            ("3", ["groups", "queues"]),
            ("4", ["entries"]),
        ):
            for id in ids:
                await pilot.press(pane)
                table = app.screen.query_one(f"#{id}", Table)
                # Of the others one is like the next.
                for index in range(min(len(table.rows), {"states": 14, "queues": 5}.get(id, 2))):
                    if not table.has_focus:
                        await pilot.press("escape", pane)
                        table.focus()
                        await pilot.pause()
                    await answers(app, pilot, table, index)


async def answers(app: SockmonApp, pilot: Pilot[None], table: Table[Any], index: int) -> None:
    """Assert that Enter on a row opens a page, or shows where what it counts is listed."""
    app.clear_notifications()
    table.move(index)
    row = table.selected
    await pilot.press("enter")
    await until(pilot, lambda: not isinstance(app.screen, MainScreen) or bool(app._notifications))
    said = [each.message for each in app._notifications]
    if not isinstance(app.screen, MainScreen):
        assert table.id in ("entries", "states") or opened(app, row)
        await on_the_main_screen(app, pilot)
        return
    assert len(said) == 1, row
    assert 10 < len(said[0]) <= 250, said
    assert current(app).id in ("process-table", "groups", "queues", "states")


async def test_the_focus_returns_to_a_visible_table() -> None:
    async with play() as (app, pilot, source):
        for keys, table in ((("b",), "readings"), (("b", "4", "z"), "entries")):
            await pilot.press(*keys, "question_mark")
            await until(pilot, lambda: isinstance(app.screen, HelpScreen))
            for size in ((40, 10), (160, 50)):
                await pilot.resize_terminal(*size)
                await pilot.pause()
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, MainScreen))
            source.step()
            await until(pilot, lambda table=table: app.focused is not None and app.focused.id == table)  # type: ignore[misc]
            await pilot.press("enter")
            await until(pilot, lambda: not isinstance(app.screen, (MainScreen, HelpScreen)))
            await on_the_main_screen(app, pilot)


async def test_a_state_opens_the_list_of_its_sockets() -> None:
    async with play(size=(80, 24)) as (app, pilot, _):
        for name, typed in (("CLOSE_WAIT", 'proto:tcp state:"CLOSE_WAIT"'), ("unix", "proto:unix")):
            await pilot.press("1")
            states = app.screen.query_one("#states", Table)
            states.move([row.name for row in states.arranged].index(name))
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, SocketListScreen))
            assert isinstance(app.screen, SocketListScreen)
            assert app.screen.place.filter == typed
            await on_the_main_screen(app, pilot)
        await pilot.press("1", "z")
        await until(pilot, lambda: isinstance(app.screen, SocketListScreen))
        await pilot.press("z")
        await until(pilot, lambda: isinstance(app.screen, MainScreen))


async def test_a_state_of_a_recording_shows_the_owners_of_its_sockets() -> None:
    async with play(size=(80, 24)) as (app, pilot, source):
        source.live = False
        for state, table, first in (
            ("CLOSE_WAIT", "process-table", "java"),
            ("TIME_WAIT", "groups", "10.0.0.5"),
            ("LISTEN", "queues", "8080"),
            ("ESTABLISHED", "process-table", "envoy"),
        ):
            await pilot.press("escape", "1")
            states = app.screen.query_one("#states", Table)
            states.move([row.name for row in states.arranged].index(state))
            await pilot.press("enter")
            await until(pilot, lambda table=table: current(app).id == table)  # type: ignore[misc]
            await pilot.pause()
            assert first in current(app).render_line(1).text
            assert any(each.message.startswith(state) for each in app._notifications)


async def test_a_row_of_the_connection_table_opens_its_flows() -> None:
    async with play() as (app, pilot, _):
        await pilot.press("4", "enter")
        await until(pilot, lambda: isinstance(app.screen, FlowsScreen))
        assert "proto:tcp state:ESTABLISHED" in text(app).splitlines()[0]


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_an_unknown_field_is_an_error_and_hides_nothing(size: tuple[int, int]) -> None:
    async with play(size=size) as (app, pilot, _):
        await pilot.press("slash", *"proc:envoy prt:80")
        await pilot.pause()
        assert "prt: no such field" in text(app)
        assert "fields: port src" in text(app)
        assert "backlog" in text(app)
        assert "1 of 300 match" in text(app)
        await pilot.press("enter")
        assert app.screen.query_one(FilterLine).shown
        assert not isinstance(app.focused, Table)
        await pilot.press("escape")
        assert isinstance(app.focused, Table)
        assert "no such field" not in text(app)


FOUND = {
    "port:5432": 1,
    "port:8000-9000": 1,
    "proc:nginx": 2,
    "pid:1044": 2,
    "user:www": 2,
    "ceiling:ephemeral-ports": 2,
    "ceiling:files": 2,
    "severity:hit": 2,
    "!severity:ok": 4,
    "src:10.0.0.0/8": 2,
    "dst:10.0.0.9": 1,
    "full:>80": 3,
    "left:<10m": 3,
    "used:>60k full:<50%": 2,
    "10.0.0.7": 1,
}
"""Filter → how many of the ten readings match it."""


async def test_the_board_is_filtered_by_the_subjects_of_its_readings() -> None:
    async with play() as (app, pilot, _):
        board = app.screen.query_one("#readings", Table)
        for typed, found in FOUND.items():
            await put(app, pilot, typed)
            await until(pilot, lambda found=found: board.count == found)  # type: ignore[misc]
            assert f"{found} of 10 match" in text(app)
        await put(app, pilot, "rtt:>1")
        await pilot.pause()
        assert text(app).count("not filtered: has no rtt") == 5


@pytest.mark.parametrize("size", [(80, 24), (160, 50)], ids=["80x24", "160x50"])
async def test_down_past_the_end_goes_to_the_next_table_of_a_pane(size: tuple[int, int]) -> None:
    async with play(size=size) as (app, pilot, _):
        await pilot.press("3", "G")
        groups, queues = (app.screen.query_one(f"#{name}", Table) for name in ("groups", "queues"))
        assert groups.has_focus
        assert groups.count
        await pilot.press("j")
        await until(pilot, lambda: queues.has_focus)
        assert queues.cursor == 0
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ListenerScreen))
        await on_the_main_screen(app, pilot)
        await pilot.press("g", "k")
        await until(pilot, lambda: groups.has_focus)
        assert groups.cursor == groups.count - 1
