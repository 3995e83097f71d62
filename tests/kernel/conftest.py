"""Readers that many tests of the kernel start from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sockmon.kernel.processes.process_table import ProcessTable


@pytest.fixture
def table() -> Iterator[ProcessTable]:
    """The processes of this host."""
    held = ProcessTable()
    yield held
    held.close()
