"""What the tests of ssh share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sshd import Server, real_sshd


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A real sshd with its files in `tmp_path`."""
    with real_sshd(tmp_path) as found:
        yield found
