"""The process screen: asks, shows, ages, and says what it does not know."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest
from textual.widget import Widget

from sockmon.model.detail import Limit, ListenerQuery
from sockmon.model.limit_origin import LimitOrigin, LimitSource, Starter
from sockmon.model.snapshot import Missing
from sockmon.ui.detail.detail_screen import clock_time
from sockmon.ui.detail.process import ProcessScreen
from sockmon.ui.detail.socket_table import SocketTable, cut_address
from sockmon.ui.widgets.table import Table
from tests.ui import detail_app
from tests.ui.detail_app import PROCESS, WALL, DetailApp


@pytest.mark.parametrize("size", [(160, 50), (80, 24)])
async def test_says_all(size: tuple[int, int]) -> None:
    screen = ProcessScreen(PROCESS)
    app = DetailApp(screen, detail_app.assessment(), detail_app.process_detail())
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        assert set(app.asked) == {PROCESS}
        identity = detail_app.text_of(screen, "#identity").replace("\n", " ")
        for word in ("pid 1044", "www (33)", "started 3 h ago", "threads 12", "1,204", "84 M", "nginx.service"):
            assert word in identity
        assert "842 / 1,024  82 %" in detail_app.text_of(screen, "#descriptors")
        assert "soft 1,024 · hard 4,096 · fs.nr_open 1,048,576" in detail_app.text_of(screen, "#descriptors")
        assert "socket" in detail_app.text_of(screen, "#kinds")
        assert "Max open files" in detail_app.text_of(screen, "#limits")
        assert "0.0.0.0:8080" in detail_app.text_of(screen, "#listeners")
        assert screen.query_one(SocketTable).border_title == "Sockets · showing 500 of 12,345"
        assert "old" not in detail_app.text_of(screen, "#corner")
        assert not screen.query_one("#missing").display


@pytest.mark.parametrize("size", [(160, 50), (80, 24)])
async def test_who_set_the_limit_and_what_to_change(size: tuple[int, int]) -> None:
    line = LimitSource("unit", "nginx.service", "/etc/systemd/system/nginx.service", 7, "LimitNOFILE=1024:4096")
    origin = LimitOrigin(1044, 7, "nofile", 1024, 4096, line, line, Starter("unit", "nginx.service"))
    detail = detail_app.process_detail(origins=(origin,))
    screen = ProcessScreen(PROCESS)
    async with DetailApp(screen, detail_app.assessment(), detail).run_test(size=size) as pilot:
        await pilot.pause()
        text = " ".join(detail_app.text_of(screen, "#identity").split())
        assert "1,024 soft, 4,096 hard: nginx.service, LimitNOFILE=1024:4096 in" in text
        assert "To last: change /etc/systemd/system/nginx.service:7" in text
        limits = screen.query_one("#limits", Table)
        files, other = detail.limits[0], Limit("Max cpu time", -1, -1, "seconds")
        assert "To last: " in str(screen.opens(limits, files))
        assert "prlimit --pid 1044" in str(screen.opens(limits, other))


@pytest.mark.parametrize(("size", "layout"), [((160, 50), "-wide"), ((119, 50), "-narrow"), ((80, 24), "-narrow")])
async def test_the_first_frame_has_the_layout_of_the_terminal(size: tuple[int, int], layout: str) -> None:
    class First(ProcessScreen):
        def parts(self) -> Iterable[Widget]:
            self.first = set(self.classes)
            return super().parts()

    screen = First(PROCESS)
    app = DetailApp(screen, detail_app.assessment(), detail_app.process_detail())
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        assert screen.first == set(screen.classes)
        assert layout in screen.first


async def test_asks_only_while_on_top_and_not_paused() -> None:
    screen = ProcessScreen(PROCESS)
    app = DetailApp(screen, detail_app.assessment(), detail_app.process_detail())
    async with app.run_test() as pilot:
        await pilot.pause()
        before = len(app.asked)
        screen._poll()
        assert len(app.asked) > before
        app.paused = True
        before = len(app.asked)
        screen._poll()
        assert len(app.asked) == before
        app.paused = False
        app.push_screen(ProcessScreen(PROCESS))
        await pilot.pause()
        before = len(app.asked)
        screen._poll()
        assert len(app.asked) == before


@pytest.mark.fault("Q2")
async def test_ended_keeps_the_last_and_a_new_owner_of_the_pid_is_not_taken_for_it() -> None:
    screen = ProcessScreen(PROCESS)
    app = DetailApp(screen, detail_app.assessment(), detail_app.process_detail())
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        app.answer(detail_app.process_detail(process=None))
        assert f"process ended since {clock_time(WALL)}" in detail_app.text_of(screen, "#title")
        assert "842 / 1,024" in detail_app.text_of(screen, "#descriptors")


@pytest.mark.fault("Q2")
async def test_a_pid_used_again_is_another_process() -> None:
    screen = ProcessScreen(PROCESS)
    app = DetailApp(screen, detail_app.assessment())
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        other = msgspec.structs.replace(detail_app.process(), start=8_000_001, name="other")
        app.show(detail_app.assessment(detail_app.snapshot(detail_app.AT + 1, rows=(other,))))
        assert "nginx[1044] · www · process ended" in detail_app.text_of(screen, "#title")


async def test_what_is_missing_says_why() -> None:
    screen = ProcessScreen(PROCESS)
    why = Missing("fds", "needs root to list descriptors of other users' processes")
    app = DetailApp(screen, detail_app.assessment(), detail_app.process_detail(missing=(why,), maps=None))
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        assert "fds: needs root to list descriptors" in detail_app.text_of(screen, "#missing")
        assert "maps ?" in detail_app.text_of(screen, "#identity")


async def test_what_an_ordinary_user_cannot_see_is_not_none() -> None:
    screen = ProcessScreen(PROCESS)
    why = Missing("descriptors", "Permission denied")
    detail = detail_app.process_detail(missing=(why,), sockets=(), sockets_total=0, kinds={}, listeners=())
    app = DetailApp(screen, detail_app.assessment(), detail)
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        for part in ("#sockets", "#kinds", "#listeners"):
            assert "? needs root or its user" in detail_app.text_of(screen, part)


async def test_the_limit_on_descriptors_leads() -> None:
    screen = ProcessScreen(PROCESS)
    limits = detail_app.process_detail().limits
    app = DetailApp(screen, detail_app.assessment(), detail_app.process_detail(limits=(*limits[1:], limits[0])))
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        assert detail_app.text_of(screen, "#limits").splitlines()[1].startswith("Max open files")


async def test_a_recording_shows_what_the_snapshot_knows() -> None:
    screen = ProcessScreen(PROCESS)
    app = DetailApp(screen, detail_app.assessment())
    app.answers = False
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        await pilot.pause()
        assert "recordings have no per-socket data" in detail_app.text_of(screen, "#missing")
        assert "842 / 1,024" in detail_app.text_of(screen, "#descriptors")
        assert "not in a recording" in detail_app.text_of(screen, "#sockets")


async def test_unknown_descriptors_are_not_zero() -> None:
    screen = ProcessScreen(PROCESS)
    seen = detail_app.assessment(detail_app.snapshot(rows=(detail_app.process(fds=None),)), readings=())
    app = DetailApp(screen, seen)
    async with app.run_test() as pilot:
        await pilot.pause()
        assert "? / 1,024  ?" in detail_app.text_of(screen, "#descriptors")


@pytest.mark.fault("U1")
async def test_hostile_names_stay_words() -> None:
    screen = ProcessScreen(PROCESS)
    rows = (detail_app.process(name=detail_app.HOSTILE, command=detail_app.HOSTILE),)
    detail = detail_app.process_detail(
        process=rows[0],
        cgroup=detail_app.HOSTILE,
        kinds={detail_app.HOSTILE: 1},
        facts=detail_app.facts(
            wchan=detail_app.HOSTILE, executable=detail_app.HOSTILE, directory=detail_app.HOSTILE
        ),
    )
    app = DetailApp(screen, detail_app.assessment(detail_app.snapshot(rows=rows)), detail)
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        assert detail_app.HOSTILE in detail_app.text_of(screen, "#title")
        assert detail_app.text_of(screen, "#identity").count(detail_app.HOSTILE) == 6
        await pilot.click("#title", offset=(14, 0))
        assert app.is_running


async def test_enter_on_a_listener_opens_it() -> None:
    screen = ProcessScreen(PROCESS)
    app = DetailApp(screen, detail_app.assessment(), detail_app.process_detail())
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        screen.query_one("#listeners").focus()
        await pilot.press("enter")
        await pilot.pause()
        assert app.opened == [ListenerQuery(7, 501)]


async def test_tab_walks_the_parts() -> None:
    screen = ProcessScreen(PROCESS)
    app = DetailApp(screen, detail_app.assessment(), detail_app.process_detail())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        seen = []
        for _ in range(7):
            seen.append(screen.focused.id if screen.focused else None)
            await pilot.press("tab")
        assert seen == ["page", "kinds", "states", "remotes", "limits", "listeners", "sockets"]


def test_an_address_is_cut_in_the_middle() -> None:
    assert cut_address("[2001:db8:85a3::8a2e:370:7334]:5432", 22) == "[2001:db8:8…7334]:5432"
    assert cut_address("10.0.0.5:443", 22) == "10.0.0.5:443"
