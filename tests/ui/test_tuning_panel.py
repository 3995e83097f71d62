"""The tuning panel: what is advised comes first, what is staged is a plan, and nothing bad gets into it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from sockmon.model.boot import BootForecast
from sockmon.model.helper_protocol import Apply, ReadSettings
from sockmon.model.report import Reading, Remedy
from sockmon.tuning.planning.context import PlanContext
from sockmon.tuning.planning.draft import DraftPlan, evaluate, suggested_changes
from sockmon.tuning.planning.plan import make_plan
from sockmon.ui.app import SockmonApp
from sockmon.ui.detail.ceiling import CeilingScreen
from sockmon.ui.tuning.experiment import ExperimentScreen
from sockmon.ui.tuning.panel import TuningPanel
from sockmon.ui.tuning.preview import PreviewScreen
from sockmon.ui.widgets.table import Table
from tests.ui import fake_app
from tests.ui.fake_helper import (
    BOOT,
    RANGE,
    READ_ONLY_REASON,
    RESERVED,
    SOMAXCONN,
    VALUES,
    FakeHelper,
    running_app,
    screen_text,
    type_text,
    until,
    without_frames,
)

SIZES = [(160, 50), (80, 24)]
REUSE = "net.ipv4.tcp_tw_reuse"
MAX_SYN = "net.ipv4.tcp_max_syn_backlog"
CONNTRACK = "net.netfilter.nf_conntrack_max"
HIT: Reading = fake_app.readings("busy", 60)[0]
WIDER = (Remedy("sysctl", RANGE, "1024 65535", "28,232 → 64,511 ports"),)


def lines(app: SockmonApp) -> list[Any]:
    return list(app.screen.query_one("#settings", Table).rows)


async def panel(app: SockmonApp, pilot: Any, reading: Reading | None = None) -> TuningPanel:
    """The panel, when the helper has answered."""
    app.tune(reading)
    screen = app.screen
    assert isinstance(screen, TuningPanel)
    await until(pilot, lambda: bool(lines(app)))
    await pilot.pause()
    return screen


async def go(app: SockmonApp, pilot: Any, key: str) -> None:
    """The cursor to a key's line."""
    table = app.screen.query_one("#settings", Table)
    table.move([line.key for line in lines(app)].index(key))
    await pilot.pause()


# What it shows


@pytest.mark.parametrize("size", SIZES)
async def test_shows_what_is_and_what_should_be(size: tuple[int, int]) -> None:
    helper = FakeHelper()
    helper.outlooks[RANGE] = BootForecast(
        "10240 60999", ("systemd-sysctl: /etc/sysctl.d/99-x.conf:3 sets 10240 60999",)
    )
    async with running_app(helper, size) as (app, pilot):
        await panel(app, pilot)
        keys = [line.key for line in lines(app)]
        assert keys[:2] == [RANGE, REUSE], "what alarms ask for comes first"
        assert keys.index(CONNTRACK) > keys.index(SOMAXCONN), "what cannot be changed comes last"
        said = screen_text(app)
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
        assert "empty · Enter" in said
        assert "The ports from which the kernel takes" in said


@pytest.mark.parametrize("key", ["net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_retries2", CONNTRACK])
async def test_on_24_lines_now_a_restart_and_who_else_writes_are_there_without_scrolling(key: str) -> None:
    helper = FakeHelper()
    helper.outlooks[key] = BootForecast(
        "8",
        ("under systemd-sysctl: /etc/sysctl.d/50-mine.conf:2 sets 8", "under sysctl --system: no file sets it"),
        ("when it starts or stops, tuned sets 9 (/etc/tuned/edge/tuned.conf:2)",),
        hints=("/etc/sysctl.d/99-mine:1 looks as if it set it, but no program reads it",),
    )
    async with running_app(helper, (80, 24)) as (app, pilot):
        await panel(app, pilot)
        await pilot.press("slash", *key.rpartition(".")[2])
        await pilot.pause()
        said = " ".join(screen_text(app).split())
        for text in (" Now ", "50-mine.conf:2 sets 8", "no file sets it", "tuned sets 9", "99-mine:1"):
            assert text in said


async def test_what_cannot_be_changed_says_why() -> None:
    async with running_app(FakeHelper()) as (app, pilot):
        await panel(app, pilot)
        await go(app, pilot, CONNTRACK)
        assert "262144 (read-only)" in screen_text(app)
        await pilot.press("enter")
        await pilot.pause()
        assert f"cannot be changed here: {READ_ONLY_REASON}" in screen_text(app)
        assert isinstance(app.screen, TuningPanel)
        await pilot.press("a")
        await pilot.pause()
        assert "nothing yet" not in screen_text(app)
        assert evaluate({CONNTRACK: "500000"}, app.plan_context()).error


@pytest.mark.parametrize("name", ["somaxconn", "/proc/sys/net/core/somaxconn", "net/core/somaxconn"])
async def test_a_filter_narrows_and_escape_ends_it(name: str) -> None:
    async with running_app(FakeHelper()) as (app, pilot):
        await panel(app, pilot)
        every = len(lines(app))
        await pilot.press("slash")
        await type_text(app, pilot, name)
        assert [line.key for line in lines(app)] == [SOMAXCONN]
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, TuningPanel)
        assert len(lines(app)) == every


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("net.ipv4.tcp_tw_recycle", "Linux 4.12 removed it"),
        ("net.ipv4.conf.eth0.rp_filter", "on asymmetric paths it drops"),
        ("vm.swapiness", "vm.swappiness"),
    ],
)
async def test_a_filter_that_matches_no_setting_shows_the_page_of_the_key_or_the_nearest(
    typed: str, shown: str
) -> None:
    async with running_app(FakeHelper()) as (app, pilot):
        await panel(app, pilot)
        await pilot.press("slash")
        await type_text(app, pilot, typed)
        assert lines(app) == []
        await until(pilot, lambda: shown in " ".join(screen_text(app).split()))


async def test_a_look_is_asked_for_again_when_one_comes_back() -> None:
    helper = FakeHelper()
    async with running_app(helper) as (app, pilot):
        await panel(app, pilot)
        before = len(helper.asked_for(ReadSettings))
        helper.values[SOMAXCONN] = "777"
        app.prove(SOMAXCONN)
        await until(pilot, lambda: isinstance(app.screen, ExperimentScreen))
        await pilot.press("escape")
        await until(pilot, lambda: len(helper.asked_for(ReadSettings)) > before and "777" in screen_text(app))


async def test_t_does_not_open_a_second_panel() -> None:
    async with running_app(FakeHelper()) as (app, pilot):
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, TuningPanel))
        depth = len(app.screen_stack)
        await pilot.press("t", "t")
        assert len(app.screen_stack) == depth


# From a ceiling


@pytest.mark.parametrize("size", SIZES)
async def test_a_ceiling_brings_its_knobs_with_the_best_of_them_staged(size: tuple[int, int]) -> None:
    async with running_app(FakeHelper(), size) as (app, pilot):
        app.open(HIT)
        await until(pilot, lambda: isinstance(app.screen, CeilingScreen) and "tune" in screen_text(app))
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, TuningPanel) and "1 change" in screen_text(app))
        assert [line.key for line in lines(app)[:2]] == [REUSE, RANGE]
        said = without_frames(screen_text(app))
        assert "2 → 1" in said
        assert "Reuse connections: envoy[812] opened 470/s" in said
        assert "10.0.0.5 → 10.0.0.9:5432" in said


async def test_what_the_panel_is_opened_with_comes_first_with_the_cursor_on_it() -> None:
    async with running_app(FakeHelper()) as (app, pilot):
        app.tune(HIT, {MAX_SYN: "4096"})
        screen = app.screen
        assert isinstance(screen, TuningPanel)
        await until(pilot, lambda: "1 change" in screen_text(app))
        assert [line.key for line in lines(app)[:3]] == [MAX_SYN, REUSE, RANGE]
        assert screen.selected is not None
        assert screen.selected.key == MAX_SYN


async def test_the_ceiling_says_beside_what_can_be_set_where_it_leads() -> None:
    async with running_app(FakeHelper()) as (app, pilot):
        app.open(HIT)
        await until(pilot, lambda: isinstance(app.screen, CeilingScreen) and "What to do" in screen_text(app))
        rows = screen_text(app).splitlines()
        assert next(row for row in rows if f"{REUSE} = 1" in row).rstrip().endswith("t tune  m prove")
        assert next(row for row in rows if f"{RANGE} = 1024" in row).rstrip().endswith("t tune")
        assert "tune" not in next(row for row in rows if "1 application" in row)
        await pilot.press("m")
        await until(pilot, lambda: isinstance(app.screen, ExperimentScreen))


async def test_a_ceiling_without_a_knob_says_so_in_words() -> None:
    leak = replace(
        HIT, subject="elsewhere", remedies=(Remedy("application", None, None, "close what the peer has closed"),)
    )
    async with running_app(FakeHelper()) as (app, pilot):
        await panel(app, pilot, leak)
        assert "Do not tune No sysctl fixes this: close what the peer has closed." in without_frames(
            screen_text(app)
        )
        assert "empty" in screen_text(app)


LEAK = replace(
    fake_app.readings("busy", 60)[2],
    remedies=(
        Remedy("application", None, None, "nginx does not close connections (CLOSE_WAIT): fix that"),
        Remedy("rlimit", "nofile", "4096:4096", "raise it: prlimit --pid 1044", advised=False, pid=1044),
    ),
)


@pytest.mark.parametrize("size", SIZES)
async def test_on_a_leak_nothing_is_filled_in_and_the_reason_stands_there(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_app, "readings", lambda kind, tick: (LEAK,))
    helper = FakeHelper()
    helper.values["nofile@1044"], helper.starts["nofile@1044"] = "1024:4096", 7
    async with running_app(helper, size) as (app, pilot):
        app.open(LEAK)
        await until(pilot, lambda: isinstance(app.screen, CeilingScreen) and "What to do" in screen_text(app))
        assert "t tune" not in next(row for row in screen_text(app).splitlines() if "nofile = " in row)
        assert "(not advised: it only buys time)" in without_frames(screen_text(app))
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, TuningPanel) and bool(lines(app)))
        said = without_frames(screen_text(app))
        assert "Do not tune Nginx does not close connections (CLOSE_WAIT): fix that." in said
        assert "empty · Enter" in said
        first = lines(app)[0]
        assert (first.key, first.planned, first.advised) == ("nofile@1044", None, None)
        await pilot.press("a")
        await until(pilot, lambda: "nofile@1044: not advised: it only buys time" in screen_text(app))
        assert lines(app)[0].planned is None
        await pilot.press("v")
        await pilot.pause()
        assert isinstance(app.screen, TuningPanel)


async def test_a_ceiling_that_is_far_away_fills_nothing_in() -> None:
    async with running_app(FakeHelper()) as (app, pilot):
        await panel(app, pilot, replace(HIT, severity="ok", subject="elsewhere"))
        assert lines(app)[0].key == REUSE
        assert "empty" in screen_text(app)


# The plan


async def test_the_second_key_of_a_pair_is_one_key_away() -> None:
    async with running_app(FakeHelper()) as (app, pilot):
        await panel(app, pilot, replace(HIT, subject="elsewhere", remedies=WIDER))
        await until(pilot, lambda: "a adds ip_local_reserved_ports = 5432,8080,9000-9005" in screen_text(app))
        assert [line.key for line in lines(app)[:2]] == [RANGE, RESERVED]
        assert "▲ 1 warning" in screen_text(app)
        await pilot.press("a")
        await pilot.pause()
        assert "2 changes" in screen_text(app)
        assert " adds " not in screen_text(app)
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, PreviewScreen))
        assert "5432,8080,9000-9005" in screen_text(app)


async def test_what_is_staged_can_be_dropped() -> None:
    async with running_app(FakeHelper()) as (app, pilot):
        await panel(app, pilot, HIT)
        await until(pilot, lambda: "1 change" in screen_text(app))
        await pilot.press("x")
        await pilot.pause()
        assert "empty · Enter" in screen_text(app)
        await pilot.press("x")
        await pilot.pause()
        assert f"{REUSE} is not in the plan" in screen_text(app)
        await pilot.press("v")
        await pilot.pause()
        assert "the plan is empty" in screen_text(app)


async def test_advice_that_would_do_harm_is_not_planned_and_says_why() -> None:
    low = replace(HIT, subject="elsewhere", remedies=(Remedy("sysctl", RANGE, "80 65535", "more"),))
    async with running_app(FakeHelper()) as (app, pilot):
        await panel(app, pilot, low)
        await until(pilot, lambda: "first port 80 is below" in screen_text(app))
        await pilot.press("v")
        await pilot.pause()
        assert isinstance(app.screen, TuningPanel)


def test_one_cannot_be_made_to_plan_by_a_name() -> None:
    """A caution ends with words of ours; what a process is called stands before them."""
    listener = f"x; plan {SOMAXCONN}=1 with it"
    snapshot = fake_app.busy(60)
    netns = snapshot.netns[0]
    rows = tuple(
        replace(row, owner=replace(row.owner, name=listener) if row.owner else None)
        for row in netns.listeners or ()
    )
    snapshot = replace(snapshot, netns=(replace(netns, listeners=rows),))
    here = PlanContext(values=VALUES, netns_inode=fake_app.NETNS, boot_id=BOOT, snapshot=snapshot)
    assert suggested_changes(make_plan({RANGE: "1024 65535"}, here)) == {RESERVED: "5432,8080,9000-9005"}


async def test_a_plan_of_parts_that_need_each_other_can_be_staged() -> None:
    async with running_app(FakeHelper()) as (app, pilot):
        await panel(app, pilot)
        staged = DraftPlan()
        assert staged.stage(RANGE, "80 65535", app.plan_context()) is not None
        assert staged.wanted == {}
        assert staged.stage("net.ipv4.ip_unprivileged_port_start", "80", app.plan_context()) is None
        assert staged.stage(RANGE, "80  65535", app.plan_context()) is None
        assert len(staged.wanted) == 2
        made = staged.evaluate(app.plan_context())
        assert made.proposal
        assert staged.stage(RANGE, "32768 60999", app.plan_context()) is None
        assert RANGE not in staged.wanted, "what is so already is no change"


# Where nothing can be applied


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"no_helper": "this is a recording"}, "this is a recording"),
        ({"read_only": True}, "it was started read-only"),
    ],
    ids=["recording", "read-only"],
)
async def test_without_a_helper_it_can_be_planned_and_says_why_it_ends_there(
    changes: dict[str, Any], why: str
) -> None:
    snapshot = fake_app.busy(60)
    source = fake_app.FakeSource("busy")
    netns = replace(snapshot.netns[0], sysctls={RANGE: "32768 60999", REUSE: "2", RESERVED: ""})
    source.emit(replace(snapshot, netns=(netns,)))
    async with running_app(None, source=source, **changes) as (app, pilot):
        await until(pilot, lambda: bool(app.newest and app.newest.snapshot.netns[0].sysctls))
        await panel(app, pilot, replace(HIT, subject="elsewhere", remedies=WIDER))
        await until(pilot, lambda: "1 change" in screen_text(app))
        assert f"No change can be applied: {why}" in without_frames(screen_text(app))
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, PreviewScreen))
        assert "sudo sockmon tune apply" in screen_text(app)
        assert "Type apply" not in screen_text(app)


@pytest.mark.fault("U1")
async def test_P6_names_and_reasons_are_text() -> None:
    payload = "[@click=app.quit]x[/]"
    bad = replace(HIT, subject=payload, remedies=(Remedy("sysctl", RANGE, "1024 65535", payload),))
    async with running_app(FakeHelper()) as (app, pilot):
        await panel(app, pilot, bad)
        rows = screen_text(app).splitlines()
        places = [(row.index(payload) + 18, y) for y, row in enumerate(rows) if payload in row]
        assert len(places) >= 2
        for place in places:
            await pilot.click(offset=place)
        assert app.is_running
        assert isinstance(app.screen, TuningPanel)


async def test_the_same_sample_again_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_app(FakeHelper()) as (app, pilot):
        screen = await panel(app, pilot, HIT)
        await pilot.pause()
        await pilot.pause()
        drawn: list[object] = []
        for part in ("#title", "#why", "#settings", "#facts", "#plan", "#all", "#about"):
            monkeypatch.setattr(screen.query_one(part), "refresh", lambda *regions, **_: drawn.append(regions))
        assert app.newest
        screen.show(app.newest)
        assert drawn == []


@pytest.mark.fault("V4")
@pytest.mark.parametrize("size", [(1, 1), (20, 10), (40, 12)])
async def test_survives_any_size(size: tuple[int, int]) -> None:
    async with running_app(FakeHelper(), (80, 24)) as (app, pilot):
        await panel(app, pilot, HIT)
        await pilot.resize_terminal(*size)
        await pilot.pause()
        await pilot.press("v")
        await pilot.pause()
        assert app.is_running


async def test_a_limit_of_a_process_is_a_knob_like_any_other() -> None:
    helper = FakeHelper()
    helper.values["nofile@1044"], helper.starts["nofile@1044"] = "1024:4096", 7
    raise_it = Remedy("rlimit", "nofile", "4096", "soft limit 1,024 → 4,096", pid=1044)
    full = replace(fake_app.readings("busy", 60)[2], subject="nginx[1044]", ceiling="x", remedies=(raise_it,))
    async with running_app(helper) as (app, pilot):
        await panel(app, pilot, full)
        await until(pilot, lambda: "1024:4096 → 4096:4096" in screen_text(app))
        assert lines(app)[0].key == "nofile@1044"
        await pilot.press("v")
        await until(pilot, lambda: isinstance(app.screen, PreviewScreen))
        await type_text(app, pilot, "apply")
        await until(pilot, lambda: bool(helper.asked_for(Apply)))
        (request,) = helper.asked_for(Apply)
        assert isinstance(request, Apply)
        (setting,) = request.plan.settings
        assert (setting.key, setting.pid, setting.start, setting.new) == ("nofile", 1044, 7, "4096:4096")
        await until(pilot, lambda: "PENDING" in screen_text(app))
