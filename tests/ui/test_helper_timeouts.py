"""What is asked of a helper that does not answer, because it is slow or stopped."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.model.current_settings import CurrentSettings
from sockmon.model.helper_protocol import Answer, GetHistory, ReadSettings, Request, SettingsRead
from sockmon.ui.tuning.session import HelperSession


class Stopped:
    """A helper that takes requests and says nothing."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def ask(self, request: Request) -> bool:
        self.asked.append(request)
        return True

    def answers(self) -> Iterator[Answer]:
        yield from ()

    def close(self) -> None:
        """Nothing is there to end."""


def test_the_same_look_is_asked_for_once_until_it_is_answered() -> None:
    """Or its pipe is full after some minutes, and the screen hangs in a write to it."""
    helper, look = Stopped(), ReadSettings(("net.core.somaxconn",))
    tuning = HelperSession(helper)
    assert all(tuning.ask(look) for _ in range(1000))
    assert tuning.ask(GetHistory())
    assert helper.asked == [look, GetHistory()]
    tuning.on_answer(SettingsRead(CurrentSettings(values={}, netns_inode=1, boot_id="b00t"), ""))
    assert tuning.ask(look)
    assert helper.asked == [look, GetHistory(), look]
