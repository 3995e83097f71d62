"""The screen of a fleet: how it looks, what its keys do, and what it says of a source that does not answer."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import NamedTuple, cast

import pytest
from msgspec.structs import replace
from rich.text import Text
from textual.pilot import Pilot
from textual.widgets._footer import FooterKey

from screenshots import fleet as made_up
from screenshots.fleet import MadeUpFeed
from sockmon.errors import SockmonError
from sockmon.fleet.feed import FleetState
from sockmon.fleet.hosts import Fleet, FleetHost, HostLimit
from sockmon.ui.filtering.filter import RowValues
from sockmon.ui.fleet import cells, host_tables, lines
from sockmon.ui.fleet.app import FleetApp, Opening
from sockmon.ui.fleet.cells import HostRow, trend_cell
from sockmon.ui.fleet.filter_values import host_values
from sockmon.ui.fleet.host_page import HostPage
from sockmon.ui.fleet.screen import FleetScreen, Kept
from sockmon.ui.help import HelpScreen
from sockmon.ui.widgets.filter_line import FilterLine
from sockmon.ui.widgets.table import Table
from tests.ui.fake_helper import until


@pytest.fixture(autouse=True)
def fixed_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "clock", lambda: Text("12:00:00"))


class Stage(NamedTuple):
    app: FleetApp
    pilot: Pilot[None]
    feed: MadeUpFeed

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause(0.05)

    async def post(self, state: FleetState) -> None:
        assert self.feed.post
        self.feed.post(state)
        await self.pilot.pause(0.05)

    @property
    def text(self) -> str:
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in strips[: self.app.size.height])

    @property
    def names(self) -> list[str]:
        table = cast("Table[HostRow]", self.app.fleet_screen.query_one("#host-table", Table))
        return [row.host.name for row in table.arranged]


@asynccontextmanager
async def play(
    hosts: int = 50, size: tuple[int, int] = (120, 40), kept: Kept | None = None
) -> AsyncIterator[Stage]:
    app = made_up.app(hosts)
    if kept:
        app.fleet_screen = FleetScreen(kept, "1 h", 3600.0)
    async with app.run_test(size=size) as pilot:
        await until(
            pilot, lambda: isinstance(app.screen, FleetScreen) and bool(app.fleet_screen.row_of("proxy-2:9768"))
        )
        await pilot.pause(0.1)
        yield Stage(app, pilot, cast(MadeUpFeed, app._reader.feed))


@pytest.mark.parametrize(
    ("hosts", "size", "keys"),
    [
        (3, (160, 50), ()),
        (50, (160, 50), ()),
        (2000, (120, 40), ("L",)),
        (50, (80, 24), ()),
        (50, (80, 24), ("d",)),
    ],
    ids=lambda value: "x".join(map(str, value)) if isinstance(value, tuple) else str(value),
)
def test_picture(
    hosts: int, size: tuple[int, int], keys: tuple[str, ...], snap_compare: Callable[..., bool]
) -> None:
    async def run(pilot: Pilot[None]) -> None:
        app = cast(FleetApp, pilot.app)
        await until(pilot, lambda: bool(app.fleet_screen.row_of("proxy-2:9768")))
        await pilot.press(*keys)
        await until(pilot, lambda: bool(app.screen.query(FooterKey)))
        await until(pilot, lambda: not isinstance(app.screen, HostPage) or app.screen.answered)
        await pilot.pause(0.1)

    assert snap_compare(made_up.app(hosts), terminal_size=size, run_before=run)


async def test_the_nearest_limit_is_at_the_top_and_lost_hosts_are_above_healthy_ones() -> None:
    async with play() as stage:
        assert stage.names[:5] == ["web-7:9768", "proxy-2:9768", "db-1:9768", "web-3:9768", "queue-4:9768"] or (
            stage.names[:5] == ["proxy-2:9768", "web-7:9768", "db-1:9768", "web-3:9768", "queue-4:9768"]
        )
        assert set(stage.names[5:7]) == {"db-3:9768", "cache-9:9768"}
        assert "its newest sample is 15 min old" in stage.text
        assert "it had metrics within the last hour, and has none now" in stage.text
        assert "✖ 2 hit  ◆ 1 critical  ▲ 2 warning  ? 2 unknown  ● 43 ok" in stage.text


async def test_enter_gives_the_terminal_to_the_host() -> None:
    async with play() as stage:
        await stage.pilot.press("j", "j", "enter")
        await until(stage.pilot, lambda: stage.app.opening is not None)
        assert stage.app.opening == Opening("db-1:9768", "ssh://db-1")
        assert stage.app.kept.host == "db-1:9768"


async def test_what_was_kept_is_there_again() -> None:
    async with play(kept=Kept("web-3:9768", "severity:warning,hit", "role", "web")) as stage:
        await until(stage.pilot, lambda: stage.names == ["web-7:9768", "web-3:9768"])
        assert stage.app.fleet_screen.about
        assert stage.app.fleet_screen.about.host.name == "web-3:9768"
        for expected in (5, 5, 50):
            await stage.press("escape")
            assert len(stage.names) >= min(expected, len(stage.names))
        assert len(stage.names) == 50


async def test_s_sorts_by_each_column_in_turn() -> None:
    async with play() as stage:
        usual, table = stage.names, stage.app.fleet_screen.query_one("#host-table", Table)
        seen: list[str] = []
        while not seen or table.order:
            await stage.press("s")
            seen.append(table.order.split(" ")[0])
        assert seen == ["HOST", "LIMIT", "USAGE", "FULL", "LEFT", "ALSO", "AGE", ""]
        assert stage.names == usual


async def test_the_order_is_kept() -> None:
    async with play() as stage:
        await stage.press("s", "S", "j")
        names, table = stage.names, stage.app.fleet_screen.query_one("#host-table", Table)
        assert table.order == "HOST ▾"
        kept = stage.app.fleet_screen.keep()
    async with play(kept=kept) as stage:
        assert stage.names == names
        assert stage.app.fleet_screen.about
        assert stage.app.fleet_screen.about.host.name == names[1]


async def test_a_group_that_became_empty_says_so() -> None:
    async with play(kept=Kept(label="role", value="none such")) as stage:
        assert "no host is in this group any more" in stage.text


async def test_a_host_that_did_not_open_has_a_page_with_the_reason() -> None:
    app = made_up.app(50)
    app.kept, app._not_opened, app._pushed = Kept("web-7:9768"), "connection refused", True
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, HostPage) and bool(app.screen.query("Footer")))
        stage = Stage(app, pilot, cast(MadeUpFeed, app._reader.feed))
        await until(pilot, lambda: "connection refused" in stage.text)
        assert "sockmon --from ssh://web-7 --push" in stage.text
        assert "accept queue" in stage.text
        await stage.press("escape")
        assert isinstance(app.screen, FleetScreen)


async def test_the_page_of_a_host_lists_every_limit_and_says_if_the_server_fails() -> None:
    async with play() as stage:
        await stage.press("d")
        page = stage.app.screen
        assert isinstance(page, HostPage)
        await until(stage.pilot, lambda: page.answered)
        assert "locked memory" in stage.text
        assert "process ids" in stage.text
        stage.feed.failure = SockmonError("http://prometheus:9090 does not answer")
        await stage.post(stage.app._reader.state)
        await until(stage.pilot, lambda: "these are of an older answer" in stage.text)
        stage.feed.failure, stage.feed.vanished = None, True
        await stage.post(stage.app._reader.state)
        await until(stage.pilot, lambda: "the host has no metrics now" in stage.text)
        assert "process ids" in stage.text


async def test_a_host_without_an_address_has_a_page_with_the_reason() -> None:
    async with play() as stage:
        host = FleetHost("-oProxyCommand=x", "live", "hit", (HostLimit("accept-queue", "hit", 1.0),))
        await stage.post(FleetState(Fleet(1, "x", "", "hit", (host,)), time.monotonic()))
        await stage.press("enter")
        await until(stage.pilot, lambda: isinstance(stage.app.screen, HostPage))
        await until(stage.pilot, lambda: "is not the name of a host" in stage.text)
        await stage.press("enter", "enter")
        assert stage.app.opening is None
        await stage.press("escape")
        assert isinstance(stage.app.screen, FleetScreen)


async def test_enter_on_the_page_of_a_host_gives_it_the_terminal() -> None:
    async with play() as stage:
        await stage.press("d")
        await until(stage.pilot, lambda: isinstance(stage.app.screen, HostPage))
        await stage.pilot.press("enter")
        await until(stage.pilot, lambda: stage.app.opening is not None)
    assert stage.app.failure is None


async def test_a_filter_by_label_and_words_and_esc_clears_it() -> None:
    async with play() as stage:
        stage.app.fleet_screen.query_one(FilterLine).set_text("label:rack=a1 severity:hit")
        await until(stage.pilot, lambda: stage.names == ["web-7:9768"])
        assert "1 of 50 match" in stage.text
        await stage.press("escape")
        assert len(stage.names) == 50
        await stage.press("slash", *"postg", "enter")
        assert set(stage.names) == {"db-1:9768", "db-3:9768"}


async def test_a_field_that_is_unknown_gets_those_of_this_screen() -> None:
    async with play() as stage:
        await stage.press("slash", *"rack:a1")
        await until(stage.pilot, lambda: "rack: no such field" in stage.text)
        assert "fields: state host label ceiling severity used limit full left\n" in stage.text


LONG_NAME = "web-frontend-production-eu-central-1a-{}.example.internal:9768"


def with_long_names(age: float) -> FleetState:
    """The hosts of a fleet with names that do not fit, whose samples have this age."""
    fleet = made_up.fleet(12)
    hosts = [
        replace(each, name=LONG_NAME.format(at), age=age) if each.state == "live" else each
        for at, each in enumerate(fleet.hosts)
    ]
    return FleetState(replace(fleet, hosts=tuple(hosts)), time.monotonic())


@pytest.mark.parametrize("columns", [80, 112, 120, 160])
async def test_the_age_of_an_old_sample_is_in_the_first_view(columns: int) -> None:
    async with play(size=(columns, 40)) as stage:
        await stage.post(with_long_names(3.0))
        assert ("<1 min" in stage.text) is (columns >= 120)
        await stage.post(with_long_names(600.0))
        await until(stage.pilot, lambda: "AGE" in stage.text)
        assert "10 min" in stage.text
        # Names are shortened in the middle.
        (line,) = [line for line in stage.text.splitlines() if "HIT" in line and "│" in line][:1]
        assert "…" in line
        assert "LEFT" in stage.text


@pytest.mark.parametrize(("hosts", "size"), [(2, (80, 24)), (9, (80, 24)), (2, (80, 40)), (3, (160, 50))])
async def test_a_short_list_leaves_room_for_the_selected_host(hosts: int, size: tuple[int, int]) -> None:
    async with play(hosts, size) as stage:
        assert "Selected host" in stage.text
        assert "rack=a2" in stage.text or "rack=a1" in stage.text
        assert ("Fullest limit" in stage.text) is (size != (80, 24))
        lines = stage.text.splitlines()
        assert all("web-" in line or "proxy" in line for line in lines[4:6])


async def test_a_trend_with_few_points_has_the_whole_span() -> None:
    """Two samples of an hour are two minutes of it, and not the whole plot."""
    async with play(size=(160, 50)) as stage:
        fleet = made_up.fleet(2)
        known = (*[None] * 28, 0.5, 0.5)
        hosts = tuple(replace(each, trend=known) for each in fleet.hosts)
        await stage.post(FleetState(replace(fleet, hosts=hosts), time.monotonic()))
        await until(stage.pilot, lambda: "−60 min" in stage.text)
        braille = sum("\u2800" < character < "\u2900" for character in stage.text)
        bottom = next(
            line for line in stage.text.splitlines()[::-1] if any("\u2800" < char < "\u2900" for char in line)
        )
        assert sum("\u2800" < character < "\u2900" for character in bottom) in (1, 2, 3)
        assert braille


async def test_groups_open_and_esc_goes_back_step_by_step() -> None:
    async with play() as stage:
        await stage.press("L", "L")
        assert "Groups by role" in stage.text
        assert "lists the 1" in stage.text
        await stage.press("enter")
        assert "Hosts · role = " in stage.text
        assert len({name.split("-")[0] for name in stage.names}) == 1
        await stage.press("escape")
        assert "Groups by role" in stage.text
        await stage.press("escape")
        assert len(stage.names) == 50
        await stage.press("L", "L", "L")
        assert "Groups by nearest limit" in stage.text


async def test_a_server_that_does_not_answer_is_said_with_the_age_of_the_data() -> None:
    async with play() as stage:
        now = time.monotonic()
        fleet = stage.app._reader.state.fleet
        await stage.post(FleetState(fleet, now - 300, "http://p:9090 does not answer: timed out", "", now + 1000))
        assert "does not answer: timed out. Asking again in" in stage.text
        assert "The data shown is 5 min old." in stage.text
        assert "stale 5 min" in stage.text
        assert stage.names
        await stage.post(FleetState(fleet, now - 300, asked_at=now - 40))
        await until(stage.pilot, lambda: re.search(r"has not answered for [45]\d s", stage.text) is not None)
        await stage.post(FleetState(fleet, time.monotonic()))
        assert "has not answered" not in stage.text
        assert "live" in stage.text


async def test_a_second_changes_ages_and_filters_no_host(monkeypatch: pytest.MonkeyPatch) -> None:
    filtered: list[str] = []

    def values(row: HostRow) -> RowValues:
        filtered.append(row.host.name)
        return host_values(row)

    monkeypatch.setattr(host_tables, "host_values", values)
    async with play() as stage:
        stage.app.fleet_screen.query_one(FilterLine).set_text("full:>80")
        await until(stage.pilot, lambda: len(stage.names) < 50)
        assert filtered
        assert "11 min" not in stage.text
        filtered.clear()
        monkeypatch.setattr(cells, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + 660))
        stage.app.fleet_screen.tick()
        await until(stage.pilot, lambda: stage.text.count("11 min") >= len(stage.names))
        assert not filtered
        await stage.post(FleetState(stage.app._reader.state.fleet, time.monotonic()))
        await until(stage.pilot, lambda: bool(filtered))


async def test_before_the_first_answer_and_without_hosts() -> None:
    async with play() as stage:
        now = time.monotonic()
        await stage.post(FleetState(asked_at=now))
        assert stage.text.count("asking …") == 2
        await stage.post(FleetState(error="refused", next_at=now + 1000))
        assert "no answer yet" in stage.text
        await stage.press("enter")
        assert isinstance(stage.app.screen, FleetScreen)
        await stage.post(FleetState(Fleet(1, "x", "", "unknown", ()), now))
        assert "no host has metrics of sockmon here" in stage.text


async def test_hostile_names_labels_and_numbers_are_text() -> None:
    evil = "[bold]x[/] [link=http://x]y[/link] ‮" + "w" * 500
    limits = (
        HostLimit(evil, "hit", float("inf"), 1e300, evil, 1e300, -1, evil),
        HostLimit("accept-queue", "warning", 1e-9, -5.0, "", None, None),
    )
    hosts = tuple(
        FleetHost(
            f"{number}{evil}",
            "live",
            "hit",
            limits,
            1e300,
            age=1e12,
            labels={evil: evil},
            trend=(None, 1e300, 0.0),
        )
        for number in range(3)
    )
    for size in ((160, 50), (80, 24), (50, 12)):
        async with play(size=size) as stage:
            await stage.post(FleetState(Fleet(1, "x", "", "hit", hosts), time.monotonic()))
            assert "[bold]x[/]" in stage.text
            assert len(stage.names) == 3
            await stage.press("L", "s", "right", "d")
            assert stage.app.failure is None
            assert stage.app.return_code is None


async def test_keys_of_the_fleet_alone_are_in_the_help() -> None:
    async with play() as stage:
        await stage.press("question_mark")
        await until(stage.pilot, lambda: isinstance(stage.app.screen, HelpScreen))
        await until(stage.pilot, lambda: "HOW TO READ THE SCREEN" in stage.text)
        assert "Group" in stage.text
        assert "Conntrack" not in stage.text


async def test_r_asks_now_and_the_cursor_stays_on_its_host() -> None:
    async with play() as stage:
        await stage.press("r")
        assert stage.feed.asked == 1
        await stage.press("j", "j", "j")
        fleet = stage.app._reader.state.fleet
        assert fleet
        about = stage.app.fleet_screen.about
        assert about
        await stage.post(FleetState(replace(fleet, hosts=tuple(reversed(fleet.hosts))), time.monotonic()))
        assert stage.app.fleet_screen.about
        assert stage.app.fleet_screen.about.host.name == about.host.name


def test_a_trend_has_gaps_where_nothing_was_sampled() -> None:
    host = FleetHost("x", "live", "ok", trend=(None,) * 10 + (0.1,) * 10 + (None,) * 5 + (0.1, 0.2, 0.3, 0.4, 0.5))
    cell = trend_cell(host, 15).plain
    assert cell[:5].isspace()
    assert not cell[5:10].strip(cell[5])
    assert cell[11].isspace()
    assert cell[-1] == "▇"
