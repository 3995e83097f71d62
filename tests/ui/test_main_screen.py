"""The main screen over fake hosts: what it shows, its keys, and input that must not break it."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest
from rich.text import Text
from textual.color import Color
from textual.geometry import Region
from textual.widget import Widget

from sockmon.errors import SourceLost
from sockmon.model.detail import ProcessQuery
from sockmon.model.report import Reading
from sockmon.settings import Settings
from sockmon.ui.app import SockmonApp
from sockmon.ui.filtering.filter import Filter
from sockmon.ui.main.panes import View
from sockmon.ui.main.panes.processes import _process_rows
from sockmon.ui.messages import Sampled
from sockmon.ui.widgets.frame import Frame
from sockmon.ui.widgets.table import Table
from sockmon.ui.widgets.trend import Trend
from tests.snapshots import process
from tests.ui import fake_app
from tests.ui.fake_helper import until
from tests.ui.main_app import play, text

HOSTS = ("busy", "calm", "unprivileged")


async def test_the_worst_is_at_the_top_with_its_numbers() -> None:
    async with play() as (app, _pilot, _):
        lines = text(app).splitlines()
        first = next(line for line in lines if "HIT" in line)
        for word in ("✖", "10.0.0.5 → 10.0.0.9:5432", "28,232/28,232", "100 %", "now", "+470/s"):
            assert word in first
        assert lines.index(first) == 3


async def test_every_pane_shows_its_numbers() -> None:
    async with play() as (app, _pilot, _):
        said = text(app)
        for word in (
            "ESTABLISHED", "nginx: worker", "32768–60999", "usable 28,232", "61,264 / 262,144",
            "insert_failed", "0.0.0.0:8080", "unreplied", "web-1", "6.18.44", "live 1 s", "cost 1.4 %",
        ):  # fmt: skip
            assert word in said, word


async def test_unknown_has_a_reason_and_is_never_zero() -> None:
    async with play("unprivileged") as (app, _pilot, _):
        said = text(app)
        assert "nf_conntrack is not loaded" in said
        assert "239 processes not read" in said
        assert "0 / 0" not in said


@pytest.mark.parametrize("size", [(160, 50), (120, 40), (80, 24)])
@pytest.mark.parametrize("kind", HOSTS)
async def test_no_line_is_wider_than_the_terminal(kind: str, size: tuple[int, int]) -> None:
    async with play(kind, size) as (app, _pilot, _):
        lines = text(app).splitlines()
        assert all(len(line) <= size[0] for line in lines)
        assert ("Limits" in lines[1]) == (size[0] > 80)
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
        busy = fake_app.assess(fake_app.busy(70))
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


@pytest.mark.fault("V4")
async def test_many_sizes_in_a_row() -> None:
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
        assert "Limits" in text(app)


@pytest.mark.fault("U1")
@pytest.mark.parametrize("size", [(160, 50), (80, 24)])
async def test_hostile_names_are_plain_text(size: tuple[int, int]) -> None:
    async with play(size=size) as (app, pilot, _):
        snapshot = fake_app.busy(70)
        app.post_message(Sampled(fake_app.hostile(fake_app.assess(snapshot))))
        for key in ("1", "2", "3", "4", "b"):
            await pilot.press(key)
            await pilot.pause()
        assert ("[@click=app.quit]x[/]" if size[0] > 80 else "]x[/]") in text(app)
        await pilot.press("b", "2", "s", "s", "s", "z")
        await pilot.pause()
        table = app.screen.query_one("#process-table", Table)
        for _ in range(320 // 10):
            await pilot.press("pagedown")
        await pilot.click(table, offset=(20, 3))
        await pilot.pause()
        assert app.is_running
        assert app.return_code is None


async def test_a_lost_source_is_a_banner() -> None:
    async with play() as (app, pilot, source):
        source.emit(SourceLost("the agent [/red] ended with signal 9"))
        await until(pilot, lambda: "agent [/red] ended with signal 9" in text(app))
        assert "28,232/28,232" in text(app)


async def test_a_bug_in_the_assessor_is_a_banner() -> None:
    async with play() as (app, pilot, source):
        source.emit(ZeroDivisionError("division by zero"))
        await until(pilot, lambda: "ZeroDivisionError" in text(app))


async def test_wrong_keys_and_themes_in_the_settings_are_reported_and_not_fatal() -> None:
    settings = Settings(theme="nosuch[/]", keys={"no.such[/]": "x"})
    async with play(settings=settings) as (app, _pilot, _):
        told = [notification.message for notification in app._notifications]
        assert any("no.such" in message for message in told)
        assert any("nosuch" in message for message in told)


async def test_every_theme_draws() -> None:
    async with play() as (app, pilot, _source):
        for name in sorted(app.available_themes):
            app.theme = name
            await pilot.pause()
        assert "28,232/28,232" in text(app)


@pytest.mark.fault("V6")
@pytest.mark.parametrize("no_colour", [False, True])
async def test_console_and_no_color(monkeypatch: pytest.MonkeyPatch, no_colour: bool) -> None:
    if no_colour:
        monkeypatch.setenv("NO_COLOR", "")
    else:
        monkeypatch.delenv("NO_COLOR", raising=False)
    # Without colours, as rich finds out when the app is made.
    monkeypatch.setenv("TERM", "dumb")
    source = fake_app.FakeSource()
    app = SockmonApp(source, Settings(), assessor=fake_app.FakeAssessor())
    assert app.console.color_system is None
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


@pytest.mark.fault("V8")
async def test_an_idle_second_draws_only_changed_lines(monkeypatch: pytest.MonkeyPatch) -> None:
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
        assert {name for name, lines in sent if not lines} <= {"TextLine"}


@pytest.mark.fault("V10")
async def test_ascii_terminals_get_ascii() -> None:
    async with play(size=(120, 40)) as (app, pilot, _):
        app._ascii_filter.enabled = True
        app.theme = "console"
        await pilot.press("1", "2")
        await pilot.pause()
        strips = [
            strip.apply_filter(app._ascii_filter, Color(0, 0, 0))
            for strip in app.screen._compositor.render_strips()
        ]
        said = "\n".join(strip.text for strip in strips)
        assert "X HIT" in said
        assert "====" in said
        assert said.isascii()


async def test_a_process_at_80x24_shows_its_descriptors_first() -> None:
    async with play(size=(80, 24)) as (app, pilot, source):
        await pilot.press("2", "enter")
        await until(pilot, lambda: ProcessQuery(1044, 7) in source.asked)
        await until(pilot, lambda: "902 / 1,024" in text(app))
        lines = text(app).splitlines()
        assert next(index for index, line in enumerate(lines) if "902 of 1,024 descriptors" in line) < 9
        assert {each.id for each in app.screen.query(".panel") if each.size.height} == {
            "files", "kinds", "states", "remotes", "limits", "listeners", "sockets",
        }  # fmt: skip
        assert "Esc Back" in lines[-1]


@pytest.mark.parametrize("size", [(160, 50), (120, 40), (80, 24)])
async def test_the_board_shows_the_destination_at_every_width(size: tuple[int, int]) -> None:
    async with play(size=size) as (app, pilot, _):
        await pilot.press("b")
        await pilot.pause()
        said = text(app)
        assert "10.0.0.9:5432" in said
        assert "nginx[1044]" in next(line for line in said.splitlines() if "accept queue" in line)
        assert "open files of the host" in said
        assert ("10.0.0.9:5432 envoy[812]" in said) == (size[0] == 160)


async def test_time_left_is_hidden_below_half_full_without_an_alarm() -> None:
    async with play() as (app, _pilot, _):
        calm = next(line for line in text(app).splitlines() if "10.0.0.7:6379" in line)
        assert "min" not in calm
        assert "~4 min" in next(line for line in text(app).splitlines() if "WARN" in line)


async def test_the_same_message_replaces_the_first() -> None:
    async with play() as (app, pilot, _):
        for words in ("one thing", "another", "one thing", "one thing"):
            app.show_message(words)
            await pilot.pause()
        assert [shown.message for shown in app._notifications] == ["another", "one thing"]


async def test_a_pane_names_its_order() -> None:
    async with play() as (app, pilot, _):
        assert "Processes by headroom ▾" in text(app)
        app.screen.query_one("#process-table", Table).sort_by("USAGE")
        await pilot.pause()
        assert "Processes by USAGE ▾" in text(app)


async def test_estimates_are_marked() -> None:
    async with play() as (app, pilot, _):
        assessment = fake_app.assess(fake_app.busy(70))
        assert assessment.snapshot.processes
        first, *others = assessment.snapshot.processes.rows
        rows = (msgspec.structs.replace(first, sampled=True), *others)
        processes = msgspec.structs.replace(assessment.snapshot.processes, rows=rows)
        snapshot = msgspec.structs.replace(assessment.snapshot, processes=processes)
        app.post_message(Sampled(dataclasses.replace(assessment, snapshot=snapshot)))
        await pilot.press("2", "z")
        await until(pilot, lambda: "~790" in text(app))


async def test_a_source_that_ends_before_its_first_sample_exits_the_app() -> None:
    source = fake_app.FakeSource()
    source._lines.get()
    source.emit(SourceLost("the agent did not start"))
    app = SockmonApp(source, Settings(theme="sockmon"), assessor=fake_app.FakeAssessor())
    async with app.run_test() as pilot:
        await until(pilot, lambda: app.failure is not None)
    assert app.return_code == 1
    assert app.failure is not None
    assert app.failure.message == "the agent did not start"


async def test_the_conntrack_pane_draws_its_entries_if_there_is_room() -> None:
    async with play() as (app, pilot, source):
        plot = app.screen.query_one("#entries-trend", Trend)
        assert plot.display
        await until(pilot, lambda: plot.size.height >= 4)
        assert "entries over time" in text(app)
        await pilot.resize_terminal(120, 40)
        source.step()
        await until(pilot, lambda: not plot.display)
        assert "entries over time" not in text(app)


async def test_a_wide_pane_of_states_has_longer_trends() -> None:
    async with play(size=(100, 40)) as (app, pilot, _):
        table: Table[Any] = app.screen.query_one("#states", Table)
        await pilot.press("1")
        await until(pilot, lambda: table.size.width > 90)
        trend = next(column for column in table.columns if column.title == "trend")
        assert trend.width > 50


async def test_the_board_marks_what_is_getting_worse() -> None:
    async with play() as (app, _pilot, _):
        line = next(line for line in text(app).splitlines() if "nginx[1044]" in line and "WARN" in line)
        assert "▲ worse" in line


@pytest.mark.parametrize(
    ("width", "shown"), [(80, "first · second · third"), (17, "first · second"), (5, "first"), (0, "first")]
)
async def test_next_to_the_tabs_whole_notes_are_left_out_instead_of_cut(width: int, shown: str) -> None:
    async with play() as (app, _pilot, _):
        frame = app.screen.query_one("#processes", Frame)
        frame.set_note(Text("first"), Text(), Text("second"), Text("third"))
        assert frame.note_within(width).plain == shown


async def test_the_line_below_a_folded_board_counts_what_matches() -> None:
    async with play(size=(80, 24)) as (app, pilot, _):
        await pilot.press("slash", *"ceiling:accept", "enter")
        await until(pilot, lambda: "1 of 10 match" in text(app))
        assert "all shown" not in text(app)
        assert "b all 10" in text(app)


async def test_processes_of_sockmon_without_an_alarm_come_last() -> None:
    async with play() as (app, _pilot, _):
        assessment = app.newest
        assert assessment is not None
        own = [process(pid=pid, name=name, fds=900) for pid, name in ((2, "sockmon"), (3, "sockmon-helper"))]
        view = View(assessment, None, Filter(), assessment)
        rows = _process_rows(view, [*own, process(pid=9, name="sockmonitor", fds=1)])
        assert [row.process.name for row in rows] == ["sockmonitor", "sockmon", "sockmon-helper"]
