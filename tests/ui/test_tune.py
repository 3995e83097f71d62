"""The tuning panel: what is advised comes first, what is staged is a plan, and nothing bad gets into it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from textual import events

from sockmon.model.change import Outlook
from sockmon.model.desk import Apply, Look
from sockmon.model.report import Reading, Remedy
from sockmon.tuning.here import Here
from sockmon.tuning.plan import plan
from sockmon.ui.app import SockmonApp
from sockmon.ui.screens.ceiling import CeilingScreen
from sockmon.ui.screens.edit import EditScreen, Value
from sockmon.ui.screens.preview import PreviewScreen
from sockmon.ui.screens.prove import ProveScreen
from sockmon.ui.screens.tune import TuneScreen
from sockmon.ui.staged import Staged, make, suggested
from sockmon.ui.widgets.table import Table
from tests.ui import stage
from tests.ui.desk import (
    BOOT,
    FIXED,
    RANGE,
    RESERVED,
    SOMAXCONN,
    VALUES,
    FakeDesk,
    flat,
    seen,
    sitting,
    typing,
    until,
)

SIZES = [(160, 50), (80, 24)]
REUSE = "net.ipv4.tcp_tw_reuse"
CONNTRACK = "net.netfilter.nf_conntrack_max"
HIT: Reading = stage.readings("busy", 60)[0]
WIDER = (Remedy("sysctl", RANGE, "1024 65535", "28,232 → 64,511 ports"),)


def lines(app: SockmonApp) -> list[Any]:
    return list(app.screen.query_one("#knobs", Table).rows)


async def panel(app: SockmonApp, pilot: Any, reading: Reading | None = None) -> TuneScreen:
    """The panel, when the desk has answered."""
    app.tune(reading)
    screen = app.screen
    assert isinstance(screen, TuneScreen)
    await until(pilot, lambda: bool(lines(app)))
    await pilot.pause()
    return screen


async def go(app: SockmonApp, pilot: Any, key: str) -> None:
    """The cursor to a key's line."""
    table = app.screen.query_one("#knobs", Table)
    table.move([line.key for line in lines(app)].index(key))
    await pilot.pause()


# What it shows


@pytest.mark.parametrize("size", SIZES)
async def test_shows_what_is_and_what_should_be(size: tuple[int, int]) -> None:
    desk = FakeDesk()
    desk.outlooks[RANGE] = Outlook("10240 60999", ("systemd-sysctl: /etc/sysctl.d/99-x.conf:3 sets 10240 60999",))
    async with sitting(desk, size) as (app, pilot):
        await panel(app, pilot)
        keys = [line.key for line in lines(app)]
        assert keys[:2] == [RANGE, REUSE], "what alarms ask for comes first"
        assert keys.index(CONNTRACK) > keys.index(SOMAXCONN), "what cannot be changed comes last"
        said = seen(app)
        row = next(line for line in said.splitlines() if f"{RANGE} " in line)
        assert "32768 60999" in row
        assert "1024 65535" in row
        head = next(line for line in said.splitlines() if "KEY" in line)
        if size[0] == 160:
            assert all(title in head for title in ("NOW", "ADVISED", "DEFAULT", "AT BOOT", "SCOPE"))
            assert "10240 60999" in row
            assert row.rstrip(" │").endswith("netns")
        else:
            assert "+3" in head
        assert "nothing yet" in said
        assert "The ports from which the kernel takes" in said


async def test_what_cannot_be_changed_says_why() -> None:
    async with sitting(FakeDesk()) as (app, pilot):
        await panel(app, pilot)
        await go(app, pilot, CONNTRACK)
        assert "262144 (fixed)" in seen(app)
        await pilot.press("enter")
        await pilot.pause()
        assert f"cannot be changed here: {FIXED}" in seen(app)
        assert isinstance(app.screen, TuneScreen)
        await pilot.press("a")
        await pilot.pause()
        assert "nothing yet" not in seen(app)
        assert make({CONNTRACK: "500000"}, app.here()).error


async def test_a_filter_narrows_and_escape_ends_it() -> None:
    async with sitting(FakeDesk()) as (app, pilot):
        await panel(app, pilot)
        every = len(lines(app))
        await pilot.press("slash")
        await typing(app, pilot, "somaxconn")
        assert [line.key for line in lines(app)] == [SOMAXCONN]
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, TuneScreen)
        assert len(lines(app)) == every


async def test_a_look_is_asked_for_again_when_one_comes_back() -> None:
    desk = FakeDesk()
    async with sitting(desk) as (app, pilot):
        await panel(app, pilot)
        before = len(desk.asked_for(Look))
        desk.values[SOMAXCONN] = "777"
        app.prove(SOMAXCONN)
        await until(pilot, lambda: isinstance(app.screen, ProveScreen))
        await pilot.press("escape")
        await until(pilot, lambda: len(desk.asked_for(Look)) > before and "777" in seen(app))


async def test_t_does_not_open_a_second_panel() -> None:
    async with sitting(FakeDesk()) as (app, pilot):
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, TuneScreen))
        depth = len(app.screen_stack)
        await pilot.press("t", "t")
        assert len(app.screen_stack) == depth


# From a ceiling


@pytest.mark.parametrize("size", SIZES)
async def test_a_ceiling_brings_its_knobs_with_the_best_of_them_staged(size: tuple[int, int]) -> None:
    async with sitting(FakeDesk(), size) as (app, pilot):
        app.open(HIT)
        await until(pilot, lambda: isinstance(app.screen, CeilingScreen) and "tune" in seen(app))
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, TuneScreen) and "1 change" in seen(app))
        assert [line.key for line in lines(app)[:2]] == [REUSE, RANGE]
        said = flat(seen(app))
        assert "2 → 1" in said
        assert "Reuse connections: envoy[812] opened 470/s" in said
        assert "10.0.0.5 → 10.0.0.9:5432" in said


async def test_the_ceiling_says_beside_what_can_be_set_where_it_leads() -> None:
    async with sitting(FakeDesk()) as (app, pilot):
        app.open(HIT)
        await until(pilot, lambda: isinstance(app.screen, CeilingScreen) and "What to do" in seen(app))
        rows = seen(app).splitlines()
        assert next(row for row in rows if f"{REUSE} = 1" in row).rstrip().endswith("t tune  P prove")
        assert next(row for row in rows if f"{RANGE} = 1024" in row).rstrip().endswith("t tune")
        assert "tune" not in next(row for row in rows if "1 application" in row)
        await pilot.press("P")
        await until(pilot, lambda: isinstance(app.screen, ProveScreen))


async def test_a_ceiling_without_a_knob_says_so_in_words() -> None:
    leak = replace(
        HIT, subject="elsewhere", remedies=(Remedy("application", None, None, "close what the peer has closed"),)
    )
    async with sitting(FakeDesk()) as (app, pilot):
        await panel(app, pilot, leak)
        assert "No sysctl cures this: close what the peer has closed." in flat(seen(app))
        assert "nothing yet" in seen(app)


# The plan


async def test_the_second_key_of_a_pair_is_one_key_away() -> None:
    async with sitting(FakeDesk()) as (app, pilot):
        await panel(app, pilot, replace(HIT, subject="elsewhere", remedies=WIDER))
        await until(pilot, lambda: "a adds ip_local_reserved_ports = 5432,8080,9000-9005" in seen(app))
        assert [line.key for line in lines(app)[:2]] == [RANGE, RESERVED]
        assert "▲ 1 to think of" in seen(app)
        await pilot.press("a")
        await pilot.pause()
        assert "2 changes" in seen(app)
        assert " adds " not in seen(app)
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, PreviewScreen))
        assert "5432,8080,9000-9005" in seen(app)


async def test_what_is_staged_can_be_dropped() -> None:
    async with sitting(FakeDesk()) as (app, pilot):
        await panel(app, pilot, HIT)
        await until(pilot, lambda: "1 change" in seen(app))
        await pilot.press("x")
        await pilot.pause()
        assert "nothing yet" in seen(app)
        await pilot.press("x")
        await pilot.pause()
        assert f"{REUSE} is not in the plan" in seen(app)
        await pilot.press("v")
        await pilot.pause()
        assert "there is nothing in the plan" in seen(app)


async def test_advice_that_would_do_harm_is_not_planned_and_says_why() -> None:
    low = replace(HIT, subject="elsewhere", remedies=(Remedy("sysctl", RANGE, "80 65535", "more"),))
    async with sitting(FakeDesk()) as (app, pilot):
        await panel(app, pilot, low)
        await until(pilot, lambda: "first port 80 is below" in seen(app))
        await pilot.press("v")
        await pilot.pause()
        assert isinstance(app.screen, TuneScreen)


def test_one_cannot_be_made_to_plan_by_a_name() -> None:
    """A caution ends with words of ours; what a process is called stands before them."""
    listener = f"x; plan {SOMAXCONN}=1 with it"
    snapshot = stage.busy(60)
    netns = snapshot.netns[0]
    rows = tuple(
        replace(row, owner=replace(row.owner, name=listener) if row.owner else None)
        for row in netns.listeners or ()
    )
    snapshot = replace(snapshot, netns=(replace(netns, listeners=rows),))
    here = Here(values=VALUES, netns=stage.NETNS, boot_id=BOOT, snapshot=snapshot)
    assert suggested(plan({RANGE: "1024 65535"}, here)) == {RESERVED: "5432,8080,9000-9005"}


async def test_a_plan_of_parts_that_need_each_other_can_be_staged() -> None:
    async with sitting(FakeDesk()) as (app, pilot):
        await panel(app, pilot)
        staged = Staged()
        assert staged.put(RANGE, "80 65535", app.here()) is not None
        assert staged.wanted == {}
        assert staged.put("net.ipv4.ip_unprivileged_port_start", "80", app.here()) is None
        assert staged.put(RANGE, "80  65535", app.here()) is None
        assert len(staged.wanted) == 2
        made = staged.make(app.here())
        assert made.proposal
        assert staged.put(RANGE, "32768 60999", app.here()) is None
        assert RANGE not in staged.wanted, "what is so already is no change"


# Editing


async def editing(app: SockmonApp, pilot: Any, key: str) -> Value:
    await go(app, pilot, key)
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, EditScreen))
    await pilot.pause()
    return app.screen.query_one(Value)


@pytest.mark.parametrize("size", SIZES)
async def test_a_value_is_checked_as_it_is_typed(size: tuple[int, int]) -> None:
    async with sitting(FakeDesk(), size) as (app, pilot):
        await panel(app, pilot)
        line = await editing(app, pilot, RANGE)
        assert line.value == "1024 65535"
        assert "28,232 → 64,504 ports to each destination" in flat(seen(app))
        line.value = "1024 99999"
        await pilot.pause()
        assert "last port: `99999` is more than 65,535" in flat(seen(app))
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, EditScreen), "what is wrong does not get into the plan"
        line.value = "10240 60999"
        await pilot.pause()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, TuneScreen))
        await pilot.pause()
        assert "32768 60999 → 10240 60999" in seen(app)
        assert "1 change" in seen(app)


async def test_S24_what_is_no_value_is_refused_with_the_reason() -> None:
    async with sitting(FakeDesk()) as (app, pilot):
        await panel(app, pilot)
        line = await editing(app, pilot, SOMAXCONN)
        for text, why in (
            ("", "is empty"),
            ("010", "octal"),
            ("0x10", "hexadecimal"),
            ("-1", "negative"),
            ("1e3", "exponent"),
            ("8,192", "separator"),
            ("1 2", "2 numbers"),
            ("$(reboot)", "not a number"),
            ("[/red]", "not a number"),
        ):
            line.value = text
            await pilot.pause()
            assert why in flat(seen(app))
            await pilot.press("enter")
            await pilot.pause()
            assert isinstance(app.screen, EditScreen)
        await pilot.press("escape")
        await pilot.pause()
        assert "nothing yet" in seen(app)


async def test_S24_a_paste_that_is_not_one_plain_line_brings_nothing() -> None:
    lines = ("8192\nkernel.core_pattern=|/x", "8192\n", "8192\r", "81\u202892", "81\x8592")
    others = ("81\x0092", "\x1b[2J8192", "81\u202e92", "1" * 5000)
    async with sitting(FakeDesk()) as (app, pilot):
        await panel(app, pilot)
        line = await editing(app, pilot, SOMAXCONN)
        line.value = ""
        for text in (*lines, *others):
            app.post_message(events.Paste(text))
            await pilot.pause()
            assert line.value == ""
            assert "pasted text" in flat(seen(app))
        app.post_message(events.Paste(" 8192"))
        await pilot.pause()
        assert line.value.strip() == "8192"


async def test_S24_lines_that_come_as_keys_change_nothing() -> None:
    """A terminal without bracketed paste: each line ends in Enter."""
    desk = FakeDesk()
    async with sitting(desk) as (app, pilot):
        await panel(app, pilot)
        await editing(app, pilot, SOMAXCONN)
        for name in ("8", "1", "9", "2", "enter", "v", "a", "p", "p", "l", "y", "enter"):
            app.post_message(events.Key(name, name if len(name) == 1 else "\r"))
        await pilot.pause()
        await pilot.pause()
        assert desk.asked_for(Apply) == []


# Where nothing can be applied


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"no_desk": "this is a recording"}, "this is a recording"),
        ({"read_only": True}, "it was started read-only"),
    ],
    ids=["recording", "read-only"],
)
async def test_without_a_desk_it_can_be_planned_and_says_why_it_ends_there(
    changes: dict[str, Any], why: str
) -> None:
    snapshot = stage.busy(60)
    source = stage.StageSource("busy")
    netns = replace(snapshot.netns[0], sysctls={RANGE: "32768 60999", REUSE: "2", RESERVED: ""})
    source.put(replace(snapshot, netns=(netns,)))
    async with sitting(None, source=source, **changes) as (app, pilot):
        await until(pilot, lambda: bool(app.newest and app.newest.snapshot.netns[0].sysctls))
        await panel(app, pilot, replace(HIT, subject="elsewhere", remedies=WIDER))
        await until(pilot, lambda: "1 change" in seen(app))
        assert f"Nothing can be applied from here: {why}" in flat(seen(app))
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, PreviewScreen))
        assert "sudo sockmon tune apply" in seen(app)
        assert "Type apply" not in seen(app)


async def test_P6_names_and_reasons_are_text() -> None:
    payload = "[@click=app.quit]x[/]"
    bad = replace(HIT, subject=payload, remedies=(Remedy("sysctl", RANGE, "1024 65535", payload),))
    async with sitting(FakeDesk()) as (app, pilot):
        await panel(app, pilot, bad)
        rows = seen(app).splitlines()
        places = [(row.index(payload) + 18, y) for y, row in enumerate(rows) if payload in row]
        assert len(places) >= 2
        for place in places:
            await pilot.click(offset=place)
        assert app.is_running
        assert isinstance(app.screen, TuneScreen)


async def test_the_same_sample_again_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with sitting(FakeDesk()) as (app, pilot):
        screen = await panel(app, pilot, HIT)
        await pilot.pause()
        await pilot.pause()
        drawn: list[object] = []
        for part in ("#title", "#why", "#knobs", "#words", "#plan", "#all", "#about"):
            monkeypatch.setattr(screen.query_one(part), "refresh", lambda *regions, **_: drawn.append(regions))
        assert app.newest
        screen.show(app.newest)
        assert drawn == []


@pytest.mark.parametrize("size", [(1, 1), (20, 10), (40, 12)])
async def test_survives_any_size(size: tuple[int, int]) -> None:
    async with sitting(FakeDesk(), (80, 24)) as (app, pilot):
        await panel(app, pilot, HIT)
        await pilot.resize_terminal(*size)
        await pilot.pause()
        await pilot.press("v")
        await pilot.pause()
        assert app.is_running


async def test_a_limit_of_a_process_is_a_knob_like_any_other() -> None:
    desk = FakeDesk()
    desk.values["nofile@1044"], desk.starts["nofile@1044"] = "1024:4096", 7
    raise_it = Remedy("rlimit", "nofile", "4096", "soft limit 1,024 → 4,096: prlimit --pid 1044 --nofile=4096")
    full = replace(stage.readings("busy", 60)[2], subject="nginx[1044]", ceiling="x", remedies=(raise_it,))
    async with sitting(desk) as (app, pilot):
        await panel(app, pilot, full)
        await until(pilot, lambda: "1024:4096 → 4096:4096" in seen(app))
        assert lines(app)[0].key == "nofile@1044"
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, PreviewScreen))
        await typing(app, pilot, "apply")
        await until(pilot, lambda: bool(desk.asked_for(Apply)))
        (request,) = desk.asked_for(Apply)
        assert isinstance(request, Apply)
        (setting,) = request.plan.settings
        assert (setting.key, setting.pid, setting.start, setting.new) == ("nofile", 1044, 7, "4096:4096")
        await until(pilot, lambda: "HOLDING" in seen(app))
