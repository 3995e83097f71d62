"""Screens are tested without the user's settings and terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sockmon import own_command
from sockmon.ui.app import SockmonApp
from sockmon.ui.main import header


@pytest.fixture(autouse=True)
def no_user_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No config, no themes of the user, no NO_COLOR."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture(autouse=True)
def no_stale_banner(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine must not make the stream look stale."""
    monkeypatch.setattr(header, "STALE_INTERVALS", 1e6)


@pytest.fixture(autouse=True)
def fixed_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures must not depend on where sockmon is installed."""
    monkeypatch.setattr(own_command, "command", lambda: "sockmon")


@pytest.fixture(autouse=True)
def no_reader_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """End the threads that read the source and the helper of an app: they would slow down all later tests."""
    apps: list[SockmonApp] = []
    made = SockmonApp.__init__

    def init(app: SockmonApp, source: Any, *args: Any, **kwargs: Any) -> None:
        made(app, source, *args, **kwargs)
        apps.append(app)

    with monkeypatch.context() as patched:
        patched.setattr(SockmonApp, "__init__", init)
        yield
    for app in apps:
        app.source.close()
        if app.helper_session.helper:
            app.helper_session.helper.close()
