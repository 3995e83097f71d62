"""A leak is the application's own: nothing that a sysctl could set is offered against it."""

from __future__ import annotations

import pytest

from sockmon.labs import find
from sockmon.labs.running import running


@pytest.mark.usefixtures("needs_userns")
def test_no_sysctl_is_offered_against_close_wait() -> None:
    lab = find("close-wait-leak")
    with running(lab) as world:
        leak = world.check().readings[0]
    assert any("CLOSE_WAIT" in sentence for sentence in leak.evidence)
    assert [remedy.kind for remedy in leak.remedies] == ["application", "rlimit"]
    assert "no sysctl and no higher limit cures a leak" in leak.remedies[0].text
