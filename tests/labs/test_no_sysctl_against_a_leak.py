"""A CLOSE_WAIT leak is a fault of the application: no sysctl is offered against it."""

from __future__ import annotations

import pytest

from sockmon.labs import find_lab
from sockmon.sandbox.session import run_lab


@pytest.mark.usefixtures("needs_userns")
def test_no_sysctl_is_offered_against_close_wait() -> None:
    with run_lab(find_lab("close-wait-leak")) as running:
        leak = running.check().readings[0]
    assert any("CLOSE_WAIT" in sentence for sentence in leak.evidence)
    assert [remedy.kind for remedy in leak.remedies] == ["application", "rlimit"]
    assert "no sysctl and no higher limit fixes a leak" in leak.remedies[0].text
