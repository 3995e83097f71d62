"""The listener screen: the queue, what caps it, and whose fault the cap is."""

from __future__ import annotations

import msgspec
import pytest

from sockmon.ui.detail.listener import ListenerScreen, backlog_source, queue_bar, queue_usage
from sockmon.ui.detail.share_tables import severity_of
from tests.snapshots import listener
from tests.ui import detail_app
from tests.ui.detail_app import LISTENER, DetailApp


@pytest.mark.parametrize("size", [(160, 50), (80, 24)])
async def test_says_all(size: tuple[int, int]) -> None:
    screen = ListenerScreen(LISTENER)
    app = DetailApp(screen, detail_app.assessment(), detail_app.listener_detail())
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        assert set(app.asked) == {LISTENER}
        assert "listener · 0.0.0.0:8080 · ✖ HIT" in detail_app.text_of(screen, "#title")
        numbers = detail_app.text_of(screen, "#numbers")
        assert "129 / 128 wait" in numbers
        assert "ListenOverflows 12/s in the whole namespace" in numbers
        assert "1045 nginx" in detail_app.text_of(screen, "#owners")
        assert "CLOSE_WAIT" in detail_app.text_of(screen, "#states")
        assert "10.0.1.0" in detail_app.text_of(screen, "#remotes")


@pytest.mark.parametrize(
    ("backlog", "somaxconn", "said"),
    [
        (511, "4096", "backlog 511 was set by the application; net.core.somaxconn is 4,096"),
        (128, "4096", "was set by the application or capped by an older value; net.core.somaxconn is 4,096"),
        (4096, "4096", "backlog 4,096 equals net.core.somaxconn: limited by it, or requested so"),
        (4096, "128", "was set while net.core.somaxconn was higher; it is now 128"),
        (128, None, "could not be read"),
    ],
)
def test_what_caps_the_backlog(backlog: int, somaxconn: str | None, said: str) -> None:
    sysctls = {"net.core.somaxconn": somaxconn} if somaxconn else {}
    netns = msgspec.structs.replace(detail_app.snapshot().netns[0], sysctls=sysctls)
    assert said in backlog_source(detail_app.listener(backlog=backlog), netns).plain


async def test_closed_keeps_the_last() -> None:
    screen = ListenerScreen(LISTENER)
    app = DetailApp(screen, detail_app.assessment())
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        app.show(detail_app.assessment(detail_app.snapshot(detail_app.AT + 1, listeners=())))
        assert "closed since" in detail_app.text_of(screen, "#title")
        assert "129 / 128" in detail_app.text_of(screen, "#numbers")


@pytest.mark.fault("R21")
def test_a_backlog_that_is_not_shown_is_unknown_and_not_0() -> None:
    row = listener(queue=3, backlog=None)
    assert queue_usage(row, "unknown").plain == "3 wait to be accepted; the backlog is not known"
    netns = detail_app.snapshot().netns[0]
    assert "the backlog is not known" in backlog_source(row, netns).plain
    assert not queue_bar(row).plain
    assert severity_of(3, None) == "unknown"
