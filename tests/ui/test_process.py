"""The process screen: asks, shows, ages, and says what it does not know."""

from __future__ import annotations

import msgspec
import pytest

from sockmon.model.detail import ListenerFocus
from sockmon.model.snapshot import Missing
from sockmon.ui.screens.drill import clock
from sockmon.ui.screens.process import ProcessScreen
from sockmon.ui.screens.sockets import Sockets, middle
from tests.ui import drill
from tests.ui.drill import PROCESS, WALL, Stand


@pytest.mark.parametrize("size", [(160, 50), (80, 24)])
async def test_says_all(size: tuple[int, int]) -> None:
    screen = ProcessScreen(PROCESS)
    app = Stand(screen, drill.assessment(), drill.process_detail())
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        assert set(app.asked) == {PROCESS}
        identity = drill.words(screen, "#identity").replace("\n", " ")
        for word in ("pid 1044", "www (33)", "started 3 h ago", "threads 12", "1,204", "84 M", "nginx.service"):
            assert word in identity
        assert "842 / 1,024  82 %" in drill.words(screen, "#descriptors")
        assert "soft 1,024 · hard 4,096 · fs.nr_open 1,048,576" in drill.words(screen, "#descriptors")
        assert "socket" in drill.words(screen, "#kinds")
        assert "Max open files" in drill.words(screen, "#limits")
        assert "0.0.0.0:8080" in drill.words(screen, "#listeners")
        assert screen.query_one(Sockets).border_title == "Sockets · showing 500 of 12,345"
        assert "old" not in drill.words(screen, "#aside")
        assert not screen.query_one("#missing").display


async def test_asks_only_while_on_top_and_not_paused() -> None:
    screen = ProcessScreen(PROCESS)
    app = Stand(screen, drill.assessment(), drill.process_detail())
    async with app.run_test() as pilot:
        await pilot.pause()
        before = len(app.asked)
        screen._ask()
        assert len(app.asked) > before
        app.paused = True
        before = len(app.asked)
        screen._ask()
        assert len(app.asked) == before
        app.paused = False
        app.push_screen(ProcessScreen(PROCESS))
        await pilot.pause()
        before = len(app.asked)
        screen._ask()
        assert len(app.asked) == before


async def test_ended_keeps_the_last_and_a_new_owner_of_the_pid_is_not_taken_for_it() -> None:
    screen = ProcessScreen(PROCESS)
    app = Stand(screen, drill.assessment(), drill.process_detail())
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        app.answer(drill.process_detail(process=None))
        assert f"process ended since {clock(WALL)}" in drill.words(screen, "#title")
        assert "842 / 1,024" in drill.words(screen, "#descriptors")


async def test_a_pid_used_again_is_another_process() -> None:
    screen = ProcessScreen(PROCESS)
    app = Stand(screen, drill.assessment())
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        other = msgspec.structs.replace(drill.process(), start=8_000_001, name="other")
        app.show(drill.assessment(drill.snapshot(drill.AT + 1, rows=(other,))))
        assert "nginx[1044] · www · process ended" in drill.words(screen, "#title")


async def test_what_is_missing_says_why() -> None:
    screen = ProcessScreen(PROCESS)
    why = Missing("fds", "needs root to list descriptors of other users' processes")
    app = Stand(screen, drill.assessment(), drill.process_detail(missing=(why,), maps=None))
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        assert "fds: needs root to list descriptors" in drill.words(screen, "#missing")
        assert "maps ?" in drill.words(screen, "#identity")


async def test_what_an_ordinary_user_cannot_see_is_not_none() -> None:
    screen = ProcessScreen(PROCESS)
    why = Missing("descriptors", "Permission denied")
    detail = drill.process_detail(missing=(why,), sockets=(), sockets_total=0, kinds={}, listeners=())
    app = Stand(screen, drill.assessment(), detail)
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        for part in ("#sockets", "#kinds", "#listeners"):
            assert "? needs root or its user" in drill.words(screen, part)


async def test_the_limit_on_descriptors_leads() -> None:
    screen = ProcessScreen(PROCESS)
    limits = drill.process_detail().limits
    app = Stand(screen, drill.assessment(), drill.process_detail(limits=(*limits[1:], limits[0])))
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        assert drill.words(screen, "#limits").splitlines()[1].startswith("Max open files")


async def test_a_recording_shows_what_the_snapshot_knows() -> None:
    screen = ProcessScreen(PROCESS)
    app = Stand(screen, drill.assessment())
    app.answers = False
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        await pilot.pause()
        assert "a recording holds no single sockets" in drill.words(screen, "#missing")
        assert "842 / 1,024" in drill.words(screen, "#descriptors")
        assert "not in a recording" in drill.words(screen, "#sockets")


async def test_unknown_descriptors_are_not_zero() -> None:
    screen = ProcessScreen(PROCESS)
    seen = drill.assessment(drill.snapshot(rows=(drill.process(fds=None),)), readings=())
    app = Stand(screen, seen)
    async with app.run_test() as pilot:
        await pilot.pause()
        assert "? / 1,024  ?" in drill.words(screen, "#descriptors")


async def test_hostile_names_stay_words() -> None:
    screen = ProcessScreen(PROCESS)
    rows = (drill.process(name=drill.HOSTILE, command=drill.HOSTILE),)
    detail = drill.process_detail(process=rows[0], cgroup=drill.HOSTILE, kinds={drill.HOSTILE: 1})
    app = Stand(screen, drill.assessment(drill.snapshot(rows=rows)), detail)
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        assert drill.HOSTILE in drill.words(screen, "#title")
        assert drill.words(screen, "#identity").count(drill.HOSTILE) == 2
        await pilot.click("#title", offset=(14, 0))
        assert app.is_running


async def test_enter_on_a_listener_opens_it() -> None:
    screen = ProcessScreen(PROCESS)
    app = Stand(screen, drill.assessment(), drill.process_detail())
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        screen.query_one("#listeners").focus()
        await pilot.press("enter")
        await pilot.pause()
        assert app.opened == [ListenerFocus(7, 501)]


async def test_tab_walks_the_parts() -> None:
    screen = ProcessScreen(PROCESS)
    app = Stand(screen, drill.assessment(), drill.process_detail())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        seen = []
        for _ in range(5):
            seen.append(screen.focused.id if screen.focused else None)
            await pilot.press("tab")
        assert seen == ["page", "kinds", "limits", "listeners", "sockets"]


def test_an_address_is_cut_in_the_middle() -> None:
    assert middle("[2001:db8:85a3::8a2e:370:7334]:5432", 22) == "[2001:db8:8…7334]:5432"
    assert middle("10.0.0.5:443", 22) == "10.0.0.5:443"
