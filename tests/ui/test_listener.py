"""The listener screen: the queue, what caps it, and whose fault the cap is."""

from __future__ import annotations

import msgspec
import pytest

from sockmon.ui.screens.listener import ListenerScreen, cap
from tests.ui import drill
from tests.ui.drill import LISTENER, Stand


@pytest.mark.parametrize("size", [(160, 50), (80, 24)])
async def test_says_all(size: tuple[int, int]) -> None:
    screen = ListenerScreen(LISTENER)
    app = Stand(screen, drill.assessment(), drill.listener_detail())
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        assert set(app.asked) == {LISTENER}
        assert "listener · 0.0.0.0:8080 · ✖ HIT" in drill.words(screen, "#title")
        numbers = drill.words(screen, "#numbers")
        assert "129 / 128 wait" in numbers
        assert "ListenOverflows 12/s in the whole namespace" in numbers
        assert "1045 nginx" in drill.words(screen, "#owners")
        assert "CLOSE_WAIT" in drill.words(screen, "#states")
        assert "10.0.1.0" in drill.words(screen, "#remotes")


@pytest.mark.parametrize(
    ("backlog", "somaxconn", "said"),
    [
        (128, "4096", "backlog 128 is the application's own: net.core.somaxconn is 4,096"),
        (4096, "4096", "clamped by net.core.somaxconn 4,096"),
        (4096, "128", "was set when net.core.somaxconn was higher; it is 128 now"),
        (128, None, "could not be read"),
    ],
)
def test_what_caps_the_backlog(backlog: int, somaxconn: str | None, said: str) -> None:
    sysctls = {"net.core.somaxconn": somaxconn} if somaxconn else {}
    netns = msgspec.structs.replace(drill.snapshot().netns[0], sysctls=sysctls)
    assert said in cap(drill.listener(backlog=backlog), netns).plain


async def test_closed_keeps_the_last() -> None:
    screen = ListenerScreen(LISTENER)
    app = Stand(screen, drill.assessment())
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        app.show(drill.assessment(drill.snapshot(drill.AT + 1, listeners=())))
        assert "closed since" in drill.words(screen, "#title")
        assert "129 / 128" in drill.words(screen, "#numbers")
