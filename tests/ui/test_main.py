"""The main screen over staged hosts: what it says, how it is moved, what cannot hurt it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from textual.color import Color
from textual.geometry import Region
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Input

from sockmon.errors import SourceLost
from sockmon.model.detail import GroupFocus, ListenerFocus, ProcessFocus, SetInterval
from sockmon.model.report import Reading
from sockmon.ui.app import SockmonApp
from sockmon.ui.messages import Sampled
from sockmon.ui.screens.ceiling import CeilingScreen
from sockmon.ui.screens.help import HelpScreen
from sockmon.ui.screens.main import MainScreen
from sockmon.ui.screens.process import ProcessScreen
from sockmon.ui.settings import Settings
from sockmon.ui.widgets.table import Table
from tests.ui import stage

HOSTS = ("busy", "calm", "unprivileged")


@asynccontextmanager
async def play(
    kind: str = "busy", size: tuple[int, int] = (160, 50), settings: Settings | None = None
) -> AsyncIterator[tuple[SockmonApp, Pilot[None], stage.StageSource]]:
    source = stage.StageSource(kind)
    app = SockmonApp(source, settings or Settings(theme="sockmon"), assessor=stage.FakeAssessor(kind))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.newest is not None and isinstance(app.screen, MainScreen))
        await pilot.pause()
        yield app, pilot, source


async def until(pilot: Pilot[None], done: Callable[[], bool]) -> None:
    """Wait for what another thread brings about."""
    for _ in range(200):
        await pilot.pause()
        if done():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen")


def text(app: SockmonApp) -> str:
    """Everything on the screen, as text."""
    _width, height = app.size
    lines = app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in lines[:height])


async def test_the_worst_is_at_the_top_with_its_numbers() -> None:
    async with play() as (app, _pilot, _):
        lines = text(app).splitlines()
        first = next(line for line in lines if "HIT" in line)
        for word in ("✖", "10.0.0.5 → 10.0.0.9:5432", "28,232/28,232", "100 %", "now", "+470/s"):
            assert word in first
        assert lines.index(first) == 3


async def test_every_pane_says_its_numbers() -> None:
    async with play() as (app, _pilot, _):
        said = text(app)
        for word in (
            "ESTABLISHED", "nginx: worker", "32768–60999", "usable 28,232", "61,264 / 262,144",
            "insert_failed", "0.0.0.0:8080", "unreplied", "web-1", "6.18.44", "live 1 s", "cost 1.4 %",
        ):  # fmt: skip
            assert word in said, word


async def test_unknown_is_said_with_its_reason_and_is_never_zero() -> None:
    async with play("unprivileged") as (app, _pilot, _):
        said = text(app)
        assert "nf_conntrack is not loaded" in said
        assert "sockets of 239 not seen" in said
        assert "0 / 0" not in said


@pytest.mark.parametrize("size", [(160, 50), (120, 40), (80, 24)])
@pytest.mark.parametrize("kind", HOSTS)
async def test_fits(kind: str, size: tuple[int, int]) -> None:
    async with play(kind, size) as (app, _pilot, _):
        lines = text(app).splitlines()
        assert all(len(line) <= size[0] for line in lines)
        assert ("Headroom" in lines[1]) == (size[0] > 80)
        assert "q Quit" in lines[-1]


async def test_a_small_terminal_shows_one_pane_and_folds_the_board() -> None:
    async with play(size=(80, 24)) as (app, pilot, _):
        assert "b all 10" in text(app)
        assert "ESTABLISHED" not in text(app)
        await pilot.press("1")
        await pilot.pause()
        assert "ESTABLISHED" in text(app)
        await pilot.press("tab")
        await pilot.pause()
        assert "nginx: worker" in text(app)
        await pilot.press("b")
        await pilot.pause()
        assert "needs root to read /proc/PID/maps" in text(app) or "memory maps" in text(app)


async def test_a_folded_board_has_a_row_for_each_alarm_and_does_not_jump() -> None:
    async with play(size=(80, 24)) as (app, pilot, _):
        busy = stage.assess(stage.busy(70))
        worst, *others = busy.report.readings
        many = [
            msgspec.structs.replace(worst, subject=f"10.0.0.5 → 10.0.0.9:{port}") for port in range(5001, 5010)
        ]

        async def show(*alarms: Reading, later: float = 0.0) -> str:
            report = msgspec.structs.replace(busy.report, readings=(*alarms, *others))
            snapshot = msgspec.structs.replace(busy.snapshot, at=busy.snapshot.at + later)
            app.post_message(Sampled(dataclasses.replace(busy, report=report, snapshot=snapshot)))
            await pilot.pause()
            await pilot.pause()
            return text(app)

        assert "9:5003" in await show(*many[:3])
        said = await show(*many)
        assert "9:5007" in said
        assert "9:5008" not in said
        assert "+ ✖ 3 hit  ▲ 1 warning" in said
        assert "10.0.0.7:6379" in await show(many[0], later=1)
        assert "10.0.0.7:6379" not in await show(many[0], later=60)


async def test_storm_of_sizes() -> None:
    async with play() as (app, pilot, source):
        for size in ((1, 1), (20, 10), (10, 3), (500, 120), (49, 11), (50, 12), (80, 24), (3, 200), (200, 2)):
            await pilot.resize_terminal(*size)
            source.step()
            await pilot.pause()
        await pilot.resize_terminal(40, 10)
        await pilot.pause()
        assert "too small" in text(app)
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        assert "Headroom" in text(app)


@pytest.mark.parametrize("size", [(160, 50), (80, 24)])
async def test_hostile_names_are_words(size: tuple[int, int]) -> None:
    async with play(size=size) as (app, pilot, _):
        snapshot = stage.busy(70)
        app.post_message(Sampled(stage.hostile(stage.assess(snapshot))))
        for key in ("1", "2", "3", "4", "b"):
            await pilot.press(key)
            await pilot.pause()
        assert ("[@click=app.quit]x[/]" if size[0] > 80 else "quit]x[/]") in text(app)
        await pilot.press("b", "2", "s", "s", "s", "z")
        await pilot.pause()
        table = app.screen.query_one("#process-table", Table)
        for _ in range(320 // 10):
            await pilot.press("pagedown")
        await pilot.click(table, offset=(20, 3))
        await pilot.pause()
        assert app.is_running
        assert app.return_code is None


async def test_enter_opens_and_esc_comes_back() -> None:
    async with play() as (app, pilot, source):
        await pilot.press("b", "enter")
        await until(pilot, lambda: isinstance(app.screen, CeilingScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, MainScreen))
        await pilot.press("escape", "2", "enter")
        await until(pilot, lambda: ProcessFocus(1044, 7) in source.asked)
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, MainScreen))


@pytest.mark.parametrize("size", [(160, 50), (80, 24)])
async def test_with_an_alarm_enter_opens_the_worst_at_once(size: tuple[int, int]) -> None:
    async with play(size=size) as (app, pilot, _):
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, CeilingScreen))
        assert "10.0.0.9:5432" in text(app).splitlines()[0]


@pytest.mark.parametrize("size", [(160, 50), (80, 24)])
async def test_without_an_alarm_the_keys_stay_with_the_processes(size: tuple[int, int]) -> None:
    async with play("calm", size) as (app, _pilot, _):
        assert app.focused is app.screen.query_one("#process-table")


async def test_an_alarm_never_takes_the_keys_from_a_person() -> None:
    async with play("calm") as (app, pilot, _):
        await pilot.press("3")
        at = app.focused
        app.post_message(Sampled(stage.assess(stage.busy(70))))
        await until(pilot, lambda: "28,232/28,232" in text(app))
        assert app.focused is at


@pytest.mark.parametrize(("keys", "table"), [(["tab"], "process-table"), (["tab", "tab"], "groups")])
async def test_tab_leaves_a_folded_board_for_the_pane_in_sight(keys: list[str], table: str) -> None:
    async with play(size=(80, 24)) as (app, pilot, _):
        await pilot.press(*keys)
        await pilot.pause()
        assert app.focused is app.screen.query_one(f"#{table}")


@pytest.mark.parametrize("size", [(160, 50), (80, 24)])
async def test_zoom_takes_the_keys_along(size: tuple[int, int]) -> None:
    async with play(size=size) as (app, pilot, _):
        await pilot.press("z")
        await pilot.pause()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ProcessScreen))


async def test_port_groups_and_listeners_open() -> None:
    async with play() as (_app, pilot, source):
        await pilot.press("3", "enter")
        await until(pilot, lambda: GroupFocus(stage.NETNS, "10.0.0.5", "10.0.0.9", 5432) in source.asked)
        await pilot.press("escape", "tab", "enter")
        await until(pilot, lambda: ListenerFocus(stage.NETNS, 9_001) in source.asked)


async def test_zoom_and_back() -> None:
    async with play() as (app, pilot, _):
        await pilot.press("4", "z")
        await pilot.pause()
        assert "Headroom" not in text(app)
        assert "nginx: worker" not in text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert "Headroom" in text(app)


async def test_filter_narrows_and_escape_clears() -> None:
    async with play() as (app, pilot, _):
        await pilot.press("slash", *"proc:envoy", "enter")
        await pilot.pause()
        assert "nginx: worker" not in text(app)
        assert "envoy -c /etc" in text(app)
        assert "1 of 300 match" in text(app)
        assert "proc:envoy" in text(app)
        await pilot.press("escape")
        await pilot.pause()
        assert "nginx: worker" in text(app)


async def test_keys_typed_into_the_filter_are_text() -> None:
    async with play() as (app, pilot, _):
        await pilot.press("slash", *"qzp1")
        assert app.screen.query_one(Input).value == "qzp1"
        assert not app.paused


async def test_pause_holds_the_screen_and_counting_goes_on() -> None:
    async with play() as (app, pilot, source):
        await pilot.press("p")
        before = app.newest
        source.step()
        await until(pilot, lambda: app.newest is not before)
        assert "paused" in text(app)
        assert "904/1,024" not in text(app)
        await pilot.press("p")
        await pilot.pause()
        assert "903/1,024" in text(app)


async def test_the_pace_is_asked_of_the_source() -> None:
    async with play() as (_app, pilot, source):
        await pilot.press("plus")
        await pilot.press("minus")
        assert source.asked == [SetInterval(2.0), SetInterval(1.0)]


async def test_a_lost_source_is_a_banner() -> None:
    async with play() as (app, pilot, source):
        source.put(SourceLost("the agent [/red] ended with signal 9"))
        await until(pilot, lambda: "agent [/red] ended with signal 9" in text(app))
        assert "28,232/28,232" in text(app)


async def test_a_bug_in_the_assessor_is_a_banner() -> None:
    async with play() as (app, pilot, source):
        source.put(ZeroDivisionError("division by zero"))
        await until(pilot, lambda: "ZeroDivisionError" in text(app))


async def test_help_lists_every_action_with_the_keys_in_force() -> None:
    settings = Settings(theme="sockmon", keys={"pause": "f9"})
    async with play(size=(120, 90), settings=settings) as (app, pilot, _):
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.pause()
        assert "F9" in text(app)
        for word in ("Zoom", "Slower", "✖ HIT", "? unknown", "pane.ports"):
            assert word in text(app)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, MainScreen))
        await pilot.press("f9")
        assert app.paused


async def test_bad_keys_and_themes_in_the_settings_are_told_and_not_fatal() -> None:
    settings = Settings(theme="nosuch[/]", keys={"no.such[/]": "x"})
    async with play(settings=settings) as (app, _pilot, _):
        told = [notification.message for notification in app._notifications]
        assert any("no.such" in message for message in told)
        assert any("nosuch" in message for message in told)


async def test_q_ends_from_the_top() -> None:
    async with play() as (app, pilot, _):
        await pilot.press("q")
        await pilot.pause()
        assert not app.is_running


async def test_every_theme_draws() -> None:
    async with play() as (app, pilot, _source):
        for name in sorted(app.available_themes):
            app.theme = name
            await pilot.pause()
        assert "28,232/28,232" in text(app)


async def test_a_reading_can_be_opened_by_name() -> None:
    async with play() as (app, pilot, _):
        assert app.newest
        reading: Reading = app.newest.report.readings[2]
        app.open(reading)
        await until(pilot, lambda: isinstance(app.screen, CeilingScreen))


@pytest.mark.parametrize("no_colour", [False, True])
async def test_console_and_no_color(monkeypatch: pytest.MonkeyPatch, no_colour: bool) -> None:
    if no_colour:
        monkeypatch.setenv("NO_COLOR", "")
    else:
        monkeypatch.delenv("NO_COLOR", raising=False)
    source = stage.StageSource()
    app = SockmonApp(source, Settings(), assessor=stage.FakeAssessor())
    app.console._color_system = None
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.newest is not None)
        await pilot.pause()
        assert app.theme == "console"
        colours = {
            segment.style.color.name
            for strip in app.screen._compositor.render_strips()
            for segment in strip
            if segment.style and segment.style.color
        }
        if no_colour:
            assert colours <= {"default"}
        assert not any(name.startswith("#") for name in colours)


async def test_the_palette_offers_the_actions_with_their_keys() -> None:
    async with play() as (app, _pilot, _):
        offered = {command.title: command for command in app.get_system_commands(app.screen)}
        assert {"Zoom  z", "Filter  / F4", "Theme: fjord"} <= offered.keys()
        result = offered["Zoom  z"].callback()
        assert result is not None
        await result
        assert app.screen.has_class("-zoom")
        offered["Theme: fjord"].callback()
        assert app.theme == "fjord"


async def test_a_quiet_second_refreshes_only_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    async with play() as (app, pilot, source):
        sent: list[tuple[str, bool]] = []
        original = Widget.refresh

        def refresh(self: Widget, *regions: Region, **options: bool) -> Widget:
            sent.append((type(self).__name__, bool(regions)))
            return original(self, *regions, **options)

        source.step()
        await until(pilot, lambda: "15:07:41" in text(app))
        monkeypatch.setattr(Widget, "refresh", refresh)
        source.step()
        await until(pilot, lambda: "15:07:42" in text(app))
        assert {name for name, lines in sent if not lines} <= {"Words"}


async def test_ascii_terminals_get_ascii() -> None:
    async with play(size=(120, 40)) as (app, pilot, _):
        app._plain.enabled = True
        app.theme = "console"
        await pilot.press("1", "2")
        await pilot.pause()
        strips = [
            strip.apply_filter(app._plain, Color(0, 0, 0)) for strip in app.screen._compositor.render_strips()
        ]
        said = "\n".join(strip.text for strip in strips)
        assert "X HIT" in said
        assert "####" in said
        assert said.isascii()


async def test_a_process_at_80x24_shows_its_descriptors_first() -> None:
    async with play(size=(80, 24)) as (app, pilot, source):
        await pilot.press("2", "enter")
        await until(pilot, lambda: ProcessFocus(1044, 7) in source.asked)
        await until(pilot, lambda: "902 / 1,024" in text(app))
        lines = text(app).splitlines()
        assert next(index for index, line in enumerate(lines) if "Descriptors" in line) < 9
        assert {each.id for each in app.screen.query(".panel") if each.size.height} == {
            "files", "kinds", "limits", "listeners", "sockets",
        }  # fmt: skip
        assert "Esc Back" in lines[-1]


@pytest.mark.parametrize("size", [(160, 50), (120, 40), (80, 24)])
async def test_the_board_says_which_one_it_is_at_every_width(size: tuple[int, int]) -> None:
    async with play(size=size) as (app, pilot, _):
        await pilot.press("b")
        await pilot.pause()
        said = text(app)
        assert "10.0.0.9:5432" in said
        assert "nginx[1044]" in next(line for line in said.splitlines() if "accept queue" in line)
        assert "open files of the host" in said
        assert ("10.0.0.9:5432 envoy[812]" in said) == (size[0] == 160)


async def test_time_left_is_no_alarm_where_there_is_none() -> None:
    async with play() as (app, _pilot, _):
        calm = next(line for line in text(app).splitlines() if "10.0.0.7:6379" in line)
        assert "min" not in calm
        assert "~4 min" in next(line for line in text(app).splitlines() if "WARN" in line)


async def test_enter_is_offered_only_where_it_opens() -> None:
    async with play() as (app, pilot, _):
        for pane, offered in (("2", True), ("1", False), ("3", True), ("4", False)):
            await pilot.press(pane)
            await pilot.pause()
            assert ("Enter Open" in text(app).splitlines()[-1]) == offered


async def test_a_filter_that_does_not_apply_is_said_and_hides_nothing() -> None:
    async with play() as (app, pilot, _):
        await pilot.press("slash", *"port:5432", "enter")
        await pilot.pause()
        said = text(app)
        assert said.count("filter does not apply here") == 3
        assert "envoy -c /etc" in said
        assert "10.0.0.7:6379" not in said[said.index("3 Ports") :]
        assert "more groups" not in said


async def test_close_wait_finds_processes_and_time_wait_finds_groups() -> None:
    async with play() as (app, pilot, _):
        await pilot.press("slash", *"state:close_wait", "enter")
        await pilot.pause()
        assert "2 of 300 match" in text(app)
        assert "filter does not apply to groups" in text(app)


async def test_a_pane_says_what_it_is_sorted_by() -> None:
    async with play() as (app, pilot, _):
        assert "Processes by headroom ▾" in text(app)
        app.screen.query_one("#process-table", Table).sort_by("USED")
        await pilot.pause()
        assert "Processes by USED ▾" in text(app)


async def test_estimates_have_a_sign() -> None:
    async with play() as (app, pilot, _):
        assessment = stage.assess(stage.busy(70))
        assert assessment.snapshot.processes
        first, *others = assessment.snapshot.processes.rows
        rows = (msgspec.structs.replace(first, sampled=True), *others)
        processes = msgspec.structs.replace(assessment.snapshot.processes, rows=rows)
        snapshot = msgspec.structs.replace(assessment.snapshot, processes=processes)
        app.post_message(Sampled(dataclasses.replace(assessment, snapshot=snapshot)))
        await pilot.press("2", "z")
        await until(pilot, lambda: "~790" in text(app))


async def test_a_source_that_ends_before_its_first_sample_ends_the_app() -> None:
    source = stage.StageSource()
    source._lines.get()
    source.put(SourceLost("the agent did not start"))
    app = SockmonApp(source, Settings(theme="sockmon"), assessor=stage.FakeAssessor())
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.failure is not None)
    assert app.return_code == 1
    assert app.failure is not None
    assert app.failure.message == "the agent did not start"


async def test_help_hangs_its_lines_on_a_narrow_terminal() -> None:
    async with play(size=(60, 40)) as (app, pilot, _):
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.pause()
        lines = [line.strip("│ ") for line in text(app).splitlines()]
        first = next(index for index, line in enumerate(lines) if line.startswith("✖ HIT"))
        assert text(app).splitlines()[first + 1].startswith("│" + " " * 28)
