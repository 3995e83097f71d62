"""The ceiling screen: everything that one wants to know about an alarm, also when its subject is gone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec.structs import replace as replace_struct
from textual.widget import Widget

from sockmon import ceilings
from sockmon.ceilings.sections import sections
from sockmon.model.report import Reading
from sockmon.ui.screens.ceiling import CeilingScreen
from sockmon.ui.screens.drill import Page, clock
from tests.ui import drill
from tests.ui.drill import FDS, PORTS, QUEUE, WALL, Stand

SIZES = [(160, 50), (80, 24)]


@pytest.mark.parametrize("size", SIZES)
async def test_says_all(size: tuple[int, int]) -> None:
    screen = CeilingScreen(PORTS)
    app = Stand(screen, drill.assessment())
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        head = drill.words(screen, "#title")
        assert "ephemeral ports · 10.0.0.5 → 10.0.0.9:5432 · ✖ HIT" in head
        assert f"since {clock(WALL - 90, size[0] > 80)}" in head
        assert "\n" not in head.strip()
        assert "28,232 / 28,232 ports" in drill.words(screen, "#numbers")
        why = drill.words(screen, "#why")
        assert "envoy[812] 28,201" in why
        assert "[@click=app.quit]x[/red][9921] 31" in why.replace("\n", " ")
        said = " ".join(why.split())
        assert "Also ▲ open files nginx[1044] 82 % · ✖ accept queue 0.0.0.0:8080 nginx[1044] 100 %" in said
        assert "Why not conntrack table 23 %" in said
        assert "Not known TCP memory" in said
        assert "2 sysctl  net.ipv4.tcp_tw_reuse = 1" in why
        assert "limit" in drill.words(screen, "#trend")


@pytest.mark.parametrize(("began", "before"), [(WALL - 90, True), (WALL - 92, True), (WALL - 93, False)])
async def test_an_alarm_of_the_first_sample_may_be_older(began: float, before: bool) -> None:
    screen = CeilingScreen(PORTS)
    app = Stand(screen, replace(drill.assessment(), begun=began))
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        assert ("since before" in drill.words(screen, "#title")) == before


async def test_a_long_subject_leaves_the_headline_one_line() -> None:
    key = ("ephemeral-ports", "2001:db8:85a3::8a2e:370:7334 → [2001:db8:85a3::8a2e:370:7334]:5432")
    screen = CeilingScreen(key)
    app = Stand(screen, drill.assessment(readings=(drill.reading(key),)))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        head = drill.words(screen, "#title")
        assert "✖ HIT" in head
        assert ":5432 ·" in head
        assert "\n" not in head


async def test_a_short_screen_shows_evidence_and_the_first_remedy_at_once() -> None:
    screen = CeilingScreen(PORTS)
    async with Stand(screen, drill.assessment()).run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        strips = screen._compositor.render_strips()
        seen = "\n".join(strip.text for strip in strips)
        assert "Evidence" in seen
        assert "let envoy[812] reuse its connections" in " ".join(seen.split())


@pytest.mark.parametrize("size", SIZES)
async def test_explains_itself_below_the_remedies(size: tuple[int, int]) -> None:
    screen = CeilingScreen(FDS)
    app = Stand(screen, drill.assessment())
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        said = " ".join(drill.words(screen, "#words").split())
        for section in sections(ceilings.BY_ID["process-fds"]):
            assert section.name in said
            assert all(" ".join(text.split()) in said for text in section.paragraphs)
        below = screen.query_one("#words").virtual_region.y
        assert below >= screen.query_one("#why").virtual_region.bottom
        page = screen.query_one(Page)
        await pilot.press("G")
        await pilot.pause()
        assert page.scroll_offset.y == page.max_scroll_y


async def test_the_words_show_the_sysctls_of_this_machine() -> None:
    screen = CeilingScreen(QUEUE)
    snapshot = drill.snapshot()
    netns = replace_struct(snapshot.netns[0], sysctls={"net.core.somaxconn": "123"})
    app = Stand(screen, drill.assessment(replace_struct(snapshot, netns=(netns,))))
    async with app.run_test() as pilot:
        await pilot.pause()
        assert "net.core.somaxconn = 123" in drill.words(screen, "#words")


async def test_enter_opens_the_subject() -> None:
    app = Stand(CeilingScreen(FDS), drill.assessment())
    async with app.run_test() as pilot:
        await pilot.pause()
        await pilot.press("enter")
        assert app.opened == [drill.PROCESS]


async def test_enter_is_not_offered_where_nothing_opens() -> None:
    screen = CeilingScreen(("conntrack-table", "host"))
    app = Stand(screen, drill.assessment())
    async with app.run_test() as pilot:
        await pilot.pause()
        await pilot.press("enter")
        assert app.opened == []
        assert "enter" not in screen.active_bindings


async def test_gone_keeps_the_last() -> None:
    screen = CeilingScreen(PORTS)
    app = Stand(screen, drill.assessment())
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        app.show(drill.assessment(drill.snapshot(drill.AT + 5), readings=()))
        app.show(drill.assessment(drill.snapshot(drill.AT + 9), readings=()))
        assert f"gone since {clock(WALL + 5)}" in drill.words(screen, "#title")
        assert "28,232 / 28,232" in drill.words(screen, "#numbers")
        app.show(drill.assessment())
        assert "gone" not in drill.words(screen, "#title")


async def test_calm_again_is_not_gone() -> None:
    screen = CeilingScreen(PORTS)
    app = Stand(screen, drill.assessment())
    async with app.run_test() as pilot:
        await pilot.pause()
        calm = drill.assessment(readings=(calm_ports(),))
        app.show(drill.unlisted(calm))
        assert "● ok" in drill.words(screen, "#title")
        assert "9 / 28,232" in drill.words(screen, "#numbers")


def calm_ports() -> Reading:
    return drill.reading(used=9, ratio=0.0003, rate=0.0, eta_seconds=None, severity="ok")


async def test_scrolls_by_keys_and_goes_back() -> None:
    screen = CeilingScreen(PORTS)
    app = Stand(screen, drill.assessment())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        page: Widget = screen.query_one(Page)
        await pilot.press("j", "j")
        assert page.scroll_offset.y == 2
        await pilot.press("G")
        await pilot.pause()
        assert page.scroll_offset.y == page.max_scroll_y > 2
        await pilot.press("g")
        await pilot.pause()
        assert page.scroll_offset.y == 0
        await pilot.press("escape")
        assert app.screen is not screen


async def test_an_idle_screen_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = CeilingScreen(PORTS)
    same = drill.assessment()
    app = Stand(screen, same)
    async with app.run_test() as pilot:
        await pilot.pause()
        await pilot.pause()
        drawn: list[object] = []
        for part in ("#title", "#numbers", "#why", "#words", "#trend"):
            monkeypatch.setattr(screen.query_one(part), "refresh", lambda *regions, **_: drawn.append(regions))
        app.show(same)
        assert drawn == []


@pytest.mark.parametrize("size", [(1, 1), (20, 10), (40, 12)])
async def test_survives_any_size(size: tuple[int, int]) -> None:
    app = Stand(CeilingScreen(PORTS), drill.assessment())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.resize_terminal(*size)
        await pilot.pause()
        app.show(drill.assessment())
        await pilot.pause()
        assert app.is_running
