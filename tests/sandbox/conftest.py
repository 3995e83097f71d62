"""What the tests of the sandbox can ask for."""

from __future__ import annotations

import pytest

from sockmon.errors import LabUnavailable
from sockmon.sandbox import cgroups


@pytest.fixture
def needs_cgroup() -> None:
    try:
        cgroups.writable_cgroup("pids")
    except LabUnavailable as error:
        pytest.skip(error.message)
