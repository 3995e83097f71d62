"""Whole screens over a real recording, compared cell by cell; `pytest --snapshot-update` accepts new ones."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from screenshots.make import PICTURES, Picture, go


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_picture(picture: Picture, snap_compare: Callable[..., bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()

    assert snap_compare(picture.app(), terminal_size=picture.size, run_before=lambda pilot: go(pilot, picture))
