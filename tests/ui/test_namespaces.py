"""Pane 5 and what it chooses: several network namespaces on one board, and one at a time in the panes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from rich.text import Text

from sockmon.assess.several import HostAssessor
from sockmon.model.detail import GroupQuery, ListenerQuery, WatchNetns
from sockmon.model.report import Reading, ReadingNetns
from sockmon.model.snapshot import StateCount, States
from sockmon.ui.acting.act_screen import ActScreen
from sockmon.ui.app import SockmonApp
from sockmon.ui.detail.ceiling import CeilingScreen
from sockmon.ui.detail.listener import ListenerScreen
from sockmon.ui.guiding.guide_list import GuideList
from sockmon.ui.guiding.walk_screen import WalkScreen
from sockmon.ui.main.board import Board
from sockmon.ui.main.board_cells import behind_namespace
from sockmon.ui.main.header import StreamStatus, header_line
from sockmon.ui.main.panes.namespaces import NamespaceRow
from sockmon.ui.main.panes.port_use import port_use
from sockmon.ui.main.panes.sockets import SocketsPane
from sockmon.ui.main.panes.sums import sum_of_sockstat, sum_of_states, uncounted
from sockmon.ui.main.screen import MainScreen
from sockmon.ui.tuning.panel import TuningPanel
from sockmon.ui.widgets.table import Table
from tests.snapshots import group, netns, ports
from tests.ui import main_app, many_netns
from tests.ui.fake_helper import until
from tests.ui.many_netns import API, SLOW, container, host, play

LIVE = StreamStatus("live", True, False, False, 0.0, None)
API_INODE, SLOW_INODE = 4_026_532_000 + API, 4_026_532_000 + SLOW


def table(app: SockmonApp, name: str) -> Table[object]:
    return app.screen.query_one(f"#{name}", Table)


def said(app: SockmonApp) -> str:
    return " ".join(each.message for each in app._notifications)


def chosen_rows(app: SockmonApp) -> list[NamespaceRow]:
    return list(table(app, "namespace-table").arranged)  # type: ignore[arg-type]


async def test_a_host_with_one_namespace_looks_as_before() -> None:
    async with main_app.play("busy", (160, 50)) as (app, pilot, _):
        before = main_app.text(app)
        assert "Namespaces" not in before
        await pilot.press("5")
        await until(pilot, lambda: "there is one network namespace" in said(app))
        assert isinstance(app.screen, MainScreen)
        assert not app.screen.has_class("-several")


async def test_the_board_ranks_all_and_names_the_container() -> None:
    async with play() as (app, _pilot, _):
        screen = main_app.text(app)
        lines = [line for line in screen.splitlines() if "HIT" in line or "CRIT" in line]
        named = ("slow-worker", "checkout-api", "edge-proxy")
        assert all(any(name in line for line in lines[:3]) for name in named)
        assert "NAMESPACE" in screen.splitlines()[2]
        assert "13 netns +3 not readable" in screen.splitlines()[0]
        assert "5 Namespaces" in screen
        assert "3 Ports · 13 netns" in screen
        assert "4 Conntrack · edge-proxy, the fullest" in screen
        assert "states of 11 netns not counted" in screen


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
async def test_a_narrow_board_puts_the_namespace_before_the_subject(size: tuple[int, int]) -> None:
    async with play(size=size) as (app, pilot, _):
        screen = main_app.text(app)
        assert "checkout-api " in screen
        assert "slow-worker :8000" in screen or "slow-worker 0.0.0.0:8000" in screen
        assert "5 Namespaces" in screen or size[0] > 80
        await pilot.press("5")
        await until(pilot, lambda: "NEAREST LIMIT" in main_app.text(app))
        assert len(main_app.text(app).splitlines()[0]) <= size[0]


async def test_namespaces_are_listed_by_the_limit_that_is_nearest() -> None:
    async with play() as (app, _, _source):
        rows = chosen_rows(app)
        assert {row.netns.name for row in rows[:2]} == {"checkout-api", "slow-worker"}
        assert rows[2].netns.name == "edge-proxy"
        assert [row.nearest and row.nearest.severity for row in rows[:4]] == ["hit", "hit", "critical", "ok"]
        assert len(rows) == 13


async def test_enter_shows_one_namespace_in_all_panes_and_escape_shows_all() -> None:
    async with play() as (app, pilot, source):
        await pilot.press("5", "/", *"checkout", "enter", "enter")
        await until(pilot, lambda: "netns checkout-api of 13" in main_app.text(app))
        assert source.asked[-1] == WatchNetns(API_INODE)
        await pilot.press("escape")
        screen = main_app.text(app)
        for title in ("1 Sockets", "2 Processes", "3 Ports", "4 Conntrack"):
            assert f"{title} · checkout-api" in screen
        assert "28,100" in screen
        assert [row.process.name for row in table(app, "process-table").rows] == ["java"]  # type: ignore[attr-defined]
        assert [row.group.used for row in table(app, "groups").rows] == [28_232]  # type: ignore[attr-defined]
        assert "checkout-api shown" in screen
        await pilot.press("escape")
        await until(pilot, lambda: "13 netns +3" in main_app.text(app))
        assert source.asked[-1] == WatchNetns(0)
        assert len(table(app, "process-table").rows) == 13


async def test_a_chosen_namespace_that_ends_gives_way_to_all() -> None:
    async with play() as (app, pilot, source):
        screen = app.screen
        assert isinstance(screen, MainScreen)
        screen._choose(4_026_532_000 + 12)
        source.number = 11
        source.step()
        await until(pilot, lambda: "not sampled any more" in said(app))
        assert screen._chosen == 0
        source.number = 0
        source.step()
        await until(pilot, lambda: not screen.has_class("-several"))
        assert "5 Namespaces" not in main_app.text(app)


async def test_a_reading_of_a_container_opens_with_its_own_numbers() -> None:
    async with play() as (app, pilot, _):
        await until(pilot, lambda: app.focused is not None and app.focused.id == "readings")
        readings = table(app, "readings")
        place = next(n for n, row in enumerate(readings.arranged) if "8000" in row.subject)  # type: ignore[attr-defined]
        await pilot.press(*["j"] * place, "enter")
        await until(pilot, lambda: isinstance(app.screen, CeilingScreen) and app.screen._reading is not None)
        screen = app.screen
        assert isinstance(screen, CeilingScreen)
        assert "slow-worker: 0.0.0.0:8000" in main_app.text(app)
        assert screen._subject == ListenerQuery(SLOW_INODE, 70_005)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ListenerScreen))
        assert "129 / 128 wait" in main_app.text(app)
        await pilot.press("escape", "t")
        await until(pilot, lambda: isinstance(app.screen, TuningPanel))
        await until(pilot, lambda: "netns slow-worker" in main_app.text(app).splitlines()[0])


async def test_an_acknowledged_alarm_of_one_namespace_is_not_that_of_another() -> None:
    async with play() as (app, _pilot, _):
        board = app.screen.query_one(Board)
        assert app.newest is not None
        rows = {row.identity: row for row in app.newest.report.readings}
        full = rows["ephemeral-ports", "10.0.0.5 → 10.0.0.9:5432", API_INODE]
        same = rows["ephemeral-ports", "10.0.0.5 → 10.0.0.9:5432", netns().inode]
        assert full.key == same.key
        board.acknowledged.toggle(full, app.newest)
        assert full in board.acknowledged
        assert same not in board.acknowledged


async def test_a_guide_from_the_limit_of_a_container_is_about_that_container() -> None:
    async with play() as (app, pilot, source):
        await until(pilot, lambda: app.focused is not None and app.focused.id == "readings")
        readings = table(app, "readings")
        place = next(n for n, row in enumerate(readings.arranged) if "8000" in row.subject)  # type: ignore[attr-defined]
        await pilot.press(*["j"] * place, "enter")
        await until(pilot, lambda: isinstance(app.screen, CeilingScreen) and app.screen._reading is not None)
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, WalkScreen))
        await until(pilot, lambda: "in slow-worker" in main_app.text(app).splitlines()[0])
        screen = app.screen
        assert isinstance(screen, WalkScreen)
        assert screen.walk.facts.netns.inode == SLOW_INODE
        source.step()
        await pilot.pause()
        assert screen.walk.facts.netns.inode == SLOW_INODE
        # A new sample without the container leaves the walk as it was, and says so.
        source.number = 2
        source.step()
        await until(pilot, lambda: "slow-worker has ended" in main_app.text(app).splitlines()[0])
        assert screen.walk.facts.netns.inode == SLOW_INODE


async def test_the_list_of_guides_is_about_the_chosen_namespace() -> None:
    async with play() as (app, pilot, _):
        main = app.screen
        assert isinstance(main, MainScreen)
        main._choose(API_INODE)
        await pilot.press("w")
        await until(pilot, lambda: isinstance(app.screen, GuideList))
        assert app.newest is not None
        assert app.guided(app.newest).snapshot.netns[0].inode == API_INODE


@pytest.mark.parametrize("term", ["ns:checkout", "ct:checkout", f"ct:{API:064x}"])
async def test_a_filter_by_namespace_or_container(term: str) -> None:
    async with play() as (app, pilot, _):
        await pilot.press("/", *term.replace(":", " ").replace(" ", ":"), "enter")
        await until(pilot, lambda: len(table(app, "groups").arranged) == 1)
        assert {row.netns.inode for row in table(app, "queues").arranged} == {API_INODE}  # type: ignore[attr-defined]
        assert [row.process.pid for row in table(app, "process-table").arranged] == [2000 + API]  # type: ignore[attr-defined]
        assert {row.netns.name for row in table(app, "readings").arranged} == {"checkout-api"}  # type: ignore[attr-defined]
        assert len(chosen_rows(app)) == 1


async def test_rows_of_all_namespaces_open_their_own() -> None:
    async with play() as (app, _, _source):
        groups = table(app, "groups")
        pane = app.screen.query_one("#ports")
        assert {pane.target(row).netns for row in groups.rows} == {netns().inode, API_INODE}  # type: ignore[attr-defined]
        assert isinstance(pane.target(groups.rows[0]), GroupQuery)  # type: ignore[attr-defined]


async def test_a_tick_without_news_draws_nothing_but_the_clock() -> None:
    async with play(200, (160, 50)) as (app, pilot, source):
        source.tick = 70
        source.step()
        await until(pilot, lambda: "15:07:50" in main_app.text(app))
        names = ("readings", "namespace-table", "queues", "groups", "process-table")
        before = {name: list(table(app, name)._lines) for name in names}
        source.step()
        await until(pilot, lambda: "15:07:51" in main_app.text(app))
        after = {name: list(table(app, name)._lines) for name in names}
        moved = {
            name: sum(new is not old for new, old in zip(after[name], before[name], strict=True)) for name in names
        }
        # The counters of the containers in trouble go on; the others are the same lines.
        assert sum(moved.values()) <= 6, moved


def test_the_header_fits_with_a_chosen_namespace() -> None:
    long_name = replace(container(1, 0.0), name="payments/checkout-7f9c6d5b4-x2x9z")
    for width in (71, 80, 100, 150):
        for chosen in (None, long_name):
            line = header_line(host(), LIVE, width, chosen)
            assert line.cell_len == width
            counted = "13 of 16 netns" if width < 100 else "13 netns +3"
            assert ("paymen" if chosen else counted) in line.plain
    assert "25 netns" not in header_line(replace(host(), netns=(netns(),)), LIVE, 80).plain


def test_ports_are_counted_or_bounded() -> None:
    assert port_use(replace(netns(), ports=ports(group(7), group(90)))) == (90, 28_232, True)
    bound = port_use(container(1, 0.0))
    assert (bound.used, bound.limit, bound.exact) == (15, 28_232, False)
    assert port_use(replace(container(1, 0.0), sockstat=None)) == (None, None, False)
    assert port_use(replace(container(1, 0.0), sysctls={"net.ipv4.ip_local_port_range": "x y"})).limit is None


def test_sums_are_of_what_is_known() -> None:
    one, other = container(1, 0.0), container(API, 5.0)
    assert sum_of_states([one]) is None
    assert sum_of_states([one, other]) is other.states
    assert uncounted([one, other]) == 1
    both = sum_of_states([other, replace(other, states=States(2.0, {"ESTABLISHED": StateCount(5, None, 0)}))])
    assert both is not None
    assert (both.at, both.tcp["ESTABLISHED"]) == (2.0, StateCount(28_105, None, 0))
    assert both.tcp["TIME_WAIT"].total == 40
    stat = sum_of_sockstat([one, other, replace(one, sockstat=None)])
    assert stat is not None
    assert (stat.tcp_inuse, stat.time_wait, stat.unix) == (24, 8, 16)
    assert one.sockstat is not None
    unknown = replace(one, sockstat=replace(one.sockstat, unix=None))
    assert (found := sum_of_sockstat([one, unknown])) is not None
    assert found.unix is None


def test_a_name_is_kept_before_the_end_of_a_subject() -> None:
    found = HostAssessor()
    for tick in range(2):
        report = found.add(many_netns.host(60 + tick)).report
    row = next(row for row in report.readings if "gunicorn" in row.subject)
    shown = [behind_namespace("slow-worker", row, Text(row.subject), room).plain for room in (45, 20, 17, 14)]
    assert shown[0] == "slow-worker 0.0.0.0:8000 gunicorn[2005]"
    assert shown[1] == shown[2] == "slow-worker :8000"
    assert shown[3].startswith("slo")
    assert all(len(text) <= room for text, room in zip(shown, (45, 20, 17, 14), strict=True))


def test_a_namespace_that_a_process_names_is_shown_without_its_pid_if_there_is_no_room() -> None:
    subject = "127.0.0.1 → 127.0.0.1:5432"
    row = Reading(
        "ephemeral-ports", subject, "netns", 200, 200, 1.0, None, None, "hit", (), (),
        netns=ReadingNetns(7, "database[14303]", "", ""),
    )  # fmt: skip
    shown = [behind_namespace("database[14303]", row, Text(subject), room).plain for room in (45, 22, 14)]
    assert shown == [f"database[14303] {subject}", "database …7.0.0.1:5432", "database …5432"]


async def test_the_list_of_sockets_begins_with_all_namespaces_or_with_the_chosen_one() -> None:
    async with play() as (app, _pilot, _):
        main = app.screen
        assert isinstance(main, MainScreen)
        pane = app.screen.query_one(SocketsPane)
        assert pane.every_socket.netns == 0
        main._choose(API_INODE)
        assert pane.every_socket.netns == API_INODE


async def test_x_signals_the_process_under_the_cursor_and_says_what_to_open_elsewhere() -> None:
    async with play() as (app, pilot, _):
        await pilot.press("5", "X")
        await until(pilot, lambda: "open a list of sockets" in said(app))
        await pilot.press("2", "X")
        await until(pilot, lambda: isinstance(app.screen, ActScreen))


async def test_a_pane_that_appears_is_drawn_without_another_sample() -> None:
    async with play() as (app, pilot, _):
        screen, pane = app.screen, app.screen.query_one("#ports")
        assert isinstance(screen, MainScreen)
        pane.display = False
        await pilot.pause(0.1)
        screen._choose(API_INODE)
        pane.display = True
        await until(pilot, lambda: "3 Ports · checkout-api" in main_app.text(app))
        assert [row.group.used for row in table(app, "groups").rows] == [28_232]  # type: ignore[attr-defined]
