"""Whole screens over a real recording, compared cell by cell; `pytest --snapshot-update` accepts new ones."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from screenshots.make import PICTURES, RECORDING, Ended, Picture, go
from sockmon.ui.app import SockmonApp
from sockmon.ui.settings import Settings


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_picture(picture: Picture, snap_compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()

    app = SockmonApp(Ended(RECORDING), Settings(theme=picture.theme))
    assert snap_compare(app, terminal_size=picture.size, run_before=lambda pilot: go(pilot, picture))
