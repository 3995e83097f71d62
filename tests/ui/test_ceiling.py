"""The ceiling screen: everything that one wants to know about an alarm, also when its subject is gone."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec.structs import replace as replace_struct
from textual.widget import Widget

from sockmon import ceilings
from sockmon.assess import Key
from sockmon.ceilings.sections import sections
from sockmon.model.report import Reading
from sockmon.model.severity import Severity
from sockmon.model.snapshot import Missing, PortGroup
from sockmon.ui.detail.ceiling import CeilingScreen
from sockmon.ui.detail.ceiling_text import other_ceilings
from sockmon.ui.detail.detail_screen import Page, clock_time
from tests.ui import detail_app
from tests.ui.detail_app import FDS, PORTS, QUEUE, WALL, DetailApp

SIZES = [(160, 50), (80, 24)]


@pytest.mark.parametrize("size", SIZES)
async def test_says_all(size: tuple[int, int]) -> None:
    screen = CeilingScreen(PORTS)
    app = DetailApp(screen, detail_app.assessment())
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        head = detail_app.text_of(screen, "#title")
        assert "ephemeral ports · 10.0.0.5 → 10.0.0.9:5432 · ✖ HIT" in head
        assert f"since {clock_time(WALL - 90, size[0] > 80)}" in head
        assert "\n" not in head.strip()
        assert "28,232 / 28,232 ports" in detail_app.text_of(screen, "#usage")
        causes = detail_app.text_of(screen, "#causes")
        assert "envoy[812] 28,201" in causes
        assert "[@click=app.quit]x[/red][9921] 31" in causes.replace("\n", " ")
        others = " ".join(detail_app.text_of(screen, "#others").split())
        assert "alarms ▲ open files nginx[1044] 82 % · ✖ accept queue 0.0.0.0:8080 nginx[1044] 100 %" in others
        assert "Ruled out conntrack table 23 %" in others
        assert "Unknown TCP memory" in others
        assert "2 sysctl  net.ipv4.tcp_tw_reuse = 1" in detail_app.text_of(screen, "#actions")
        assert "limit" in detail_app.text_of(screen, "#trend")


@pytest.mark.parametrize("key", [PORTS, QUEUE])
async def test_says_that_the_owner_is_not_known_and_why(key: Key) -> None:
    group = PortGroup("10.0.0.5", "10.0.0.9", 5432, 28_232, 8_752, ())
    mine = replace_struct(detail_app.listener(), owner=None)
    now = detail_app.snapshot(groups=(group,), listeners=(mine,))
    why = Missing("owners", "descriptors of 18 processes of other users need root")
    for missing, said in (
        ((why,), f"Held by ? not known: {why.reason}"),
        ((), "Held by ? not read yet; Enter reads it"),
    ):
        screen = CeilingScreen(key)
        app = DetailApp(screen, detail_app.assessment(replace_struct(now, missing=missing)))
        async with app.run_test(size=(160, 50)) as pilot:
            await pilot.pause()
            assert said in " ".join(detail_app.text_of(screen, "#causes").split())


async def test_what_is_all_in_time_wait_has_no_owner_to_know() -> None:
    group = PortGroup("10.0.0.5", "10.0.0.9", 5432, 28_232, 28_232, ())
    screen = CeilingScreen(PORTS)
    app = DetailApp(screen, detail_app.assessment(detail_app.snapshot(groups=(group,))))
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        assert "not read yet" not in detail_app.text_of(screen, "#causes")


@pytest.mark.parametrize(("began", "before"), [(WALL - 90, True), (WALL - 92, True), (WALL - 93, False)])
async def test_an_alarm_of_the_first_sample_may_be_older(began: float, before: bool) -> None:
    screen = CeilingScreen(PORTS)
    app = DetailApp(screen, replace(detail_app.assessment(), started=began))
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        assert ("since before" in detail_app.text_of(screen, "#title")) == before


async def test_a_long_subject_leaves_the_headline_one_line() -> None:
    key = ("ephemeral-ports", "2001:db8:85a3::8a2e:370:7334 → [2001:db8:85a3::8a2e:370:7334]:5432")
    screen = CeilingScreen(key)
    app = DetailApp(screen, detail_app.assessment(readings=(detail_app.reading(key),)))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        head = detail_app.text_of(screen, "#title")
        assert "✖ HIT" in head
        assert ":5432 ·" in head
        assert "\n" not in head


@pytest.mark.parametrize(("size", "plot_first"), [((160, 50), True), ((80, 24), False)])
async def test_what_to_do_is_above_the_plot_on_a_short_screen(size: tuple[int, int], plot_first: bool) -> None:
    screen = CeilingScreen(PORTS)
    app = DetailApp(screen, detail_app.assessment())
    async with app.run_test(size=size) as pilot:
        await pilot.pause()

        def order() -> bool:
            return screen.query_one("#trend").region.y < screen.query_one("#actions").region.y

        assert order() == plot_first
        await pilot.resize_terminal(size[0], 74 - size[1])
        await pilot.pause()
        app.show(detail_app.assessment())
        await pilot.pause()
        assert order() != plot_first


async def test_a_short_screen_shows_evidence_and_the_first_remedy_at_once() -> None:
    screen = CeilingScreen(PORTS)
    async with DetailApp(screen, detail_app.assessment()).run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        strips = screen._compositor.render_strips()
        seen = "\n".join(strip.text for strip in strips)
        assert "Evidence" in seen
        assert "let envoy[812] reuse its connections" in " ".join(seen.split())


def test_a_ceiling_is_calm_or_unknown_and_what_is_unknown_of_it_is_named() -> None:
    def row(ceiling: str, subject: str, severity: Severity, ratio: float | None) -> Reading:
        return Reading(ceiling, subject, "host", None, None, ratio, None, None, severity, (), ())

    rows = (
        row("ephemeral-ports", "a", "hit", 1.0),
        row("memory-maps", "nginx[1044]", "ok", 0.1),
        row("memory-maps", "12 processes", "unknown", None),
        row("pid-max", "pid:[7]", "ok", 0.2),
        row("pid-max", "web-1", "unknown", None),
        row("conntrack-table", "host", "ok", 0.23),
        row("tcp-memory", "web-1", "unknown", None),
    )
    report = replace_struct(detail_app.assessment().report, readings=rows)
    said = {name: words.plain for name, words in other_ceilings(report, ("ephemeral-ports", "a"))}
    assert said == {
        "Ruled out": "conntrack table 23 %",
        "Unknown": "memory maps of 12 processes · process ids of web-1 · TCP memory",
    }


@pytest.mark.parametrize("size", SIZES)
async def test_explains_itself_below_the_remedies(size: tuple[int, int]) -> None:
    screen = CeilingScreen(FDS)
    app = DetailApp(screen, detail_app.assessment())
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        said = " ".join(detail_app.text_of(screen, "#manual").split())
        for section in sections(ceilings.BY_ID["process-fds"]):
            assert section.name in said
            assert all(" ".join(text.split()) in said for text in section.paragraphs)
        below = screen.query_one("#manual").virtual_region.y
        assert below >= screen.query_one("#others").virtual_region.bottom
        page = screen.query_one(Page)
        await pilot.press("G")
        await pilot.pause()
        assert page.scroll_offset.y == page.max_scroll_y


async def test_the_words_show_the_sysctls_of_this_machine() -> None:
    screen = CeilingScreen(QUEUE)
    snapshot = detail_app.snapshot()
    netns = replace_struct(snapshot.netns[0], sysctls={"net.core.somaxconn": "123"})
    app = DetailApp(screen, detail_app.assessment(replace_struct(snapshot, netns=(netns,))))
    async with app.run_test() as pilot:
        await pilot.pause()
        assert "net.core.somaxconn = 123" in detail_app.text_of(screen, "#manual")


async def test_enter_opens_the_subject() -> None:
    app = DetailApp(CeilingScreen(FDS), detail_app.assessment())
    async with app.run_test() as pilot:
        await pilot.pause()
        await pilot.press("enter")
        assert app.opened == [detail_app.PROCESS]


async def test_enter_is_not_offered_where_nothing_opens_and_says_so() -> None:
    screen = CeilingScreen(("conntrack-table", "host"))
    app = DetailApp(screen, detail_app.assessment())
    async with app.run_test() as pilot:
        await pilot.pause()
        await pilot.press("enter")
        assert app.opened == []
        assert app.told == ["no page for host; press Esc, then 2 to see the processes"]
        assert not any(
            each.binding.show for each in screen.active_bindings.values() if each.binding.key == "enter"
        )


async def test_gone_keeps_the_last() -> None:
    screen = CeilingScreen(PORTS)
    app = DetailApp(screen, detail_app.assessment())
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        app.show(detail_app.assessment(detail_app.snapshot(detail_app.AT + 5), readings=()))
        app.show(detail_app.assessment(detail_app.snapshot(detail_app.AT + 9), readings=()))
        assert f"gone since {clock_time(WALL + 5)}" in detail_app.text_of(screen, "#title")
        assert "28,232 / 28,232" in detail_app.text_of(screen, "#usage")
        app.show(detail_app.assessment())
        assert "gone" not in detail_app.text_of(screen, "#title")


async def test_calm_again_is_not_gone() -> None:
    screen = CeilingScreen(PORTS)
    app = DetailApp(screen, detail_app.assessment())
    async with app.run_test() as pilot:
        await pilot.pause()
        calm = detail_app.assessment(readings=(calm_ports(),))
        app.show(detail_app.unlisted(calm))
        assert "● ok" in detail_app.text_of(screen, "#title")
        assert "9 / 28,232" in detail_app.text_of(screen, "#usage")


def calm_ports() -> Reading:
    return detail_app.reading(used=9, ratio=0.0003, rate=0.0, eta_seconds=None, severity="ok")


async def test_scrolls_by_keys_and_goes_back() -> None:
    screen = CeilingScreen(PORTS)
    app = DetailApp(screen, detail_app.assessment())
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


@pytest.mark.fault("V8")
async def test_an_idle_screen_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = CeilingScreen(PORTS)
    same = detail_app.assessment()
    app = DetailApp(screen, same)
    async with app.run_test() as pilot:
        await pilot.pause()
        await pilot.pause()
        drawn: list[object] = []
        for part in ("#title", "#usage", "#actions", "#causes", "#others", "#manual", "#trend"):
            monkeypatch.setattr(screen.query_one(part), "refresh", lambda *regions, **_: drawn.append(regions))
        app.show(same)
        assert drawn == []


@pytest.mark.fault("V4")
@pytest.mark.parametrize("size", [(1, 1), (20, 10), (40, 12)])
async def test_survives_any_size(size: tuple[int, int]) -> None:
    app = DetailApp(CeilingScreen(PORTS), detail_app.assessment())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.resize_terminal(*size)
        await pilot.pause()
        app.show(detail_app.assessment())
        await pilot.pause()
        assert app.is_running
