"""A stopped guard (SIGSTOP, a frozen cgroup): the change is still reported as pending, and a request that timed
out is not carried out later."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from sockmon.errors import TuningError
from sockmon.tuning.transaction import client
from sockmon.tuning.transaction.client import apply, decide
from tests.netns import inside
from tests.tuning.sample_change import ACTOR, NEW, OLD, plan, read_history, values
from tests.tuning.test_transaction import LONG_HOLD, eventually, guard_pid, old_values

pytestmark = pytest.mark.usefixtures("needs_userns")


def asked_in_vain() -> tuple[list[str], str]:
    client._DECIDE_TIMEOUT = 0.5
    with old_values() as root:
        held = apply(plan(), ACTOR, LONG_HOLD, root)
        guard = guard_pid(root)
        os.kill(guard, signal.SIGSTOP)
        said = []
        for verb, id in (("keep", held.id), ("keep", ""), ("revert", ""), ("status", "")):
            with pytest.raises(TuningError) as refused:
                decide(verb, root, id=id)  # type: ignore[arg-type]
            assert f"kill -CONT {guard}" in refused.value.hint
            said.append(refused.value.message)
        client._DECIDE_TIMEOUT = 30.0
        os.kill(guard, signal.SIGCONT)
        assert decide("status", root).state == "holding"
        assert values() == NEW
        os.kill(guard, signal.SIGSTOP)
        os.kill(guard, signal.SIGKILL)
        assert eventually(lambda: values() == OLD and bool(read_history(Path(root))))
        return said, read_history(Path(root))[0].state


@pytest.mark.fault("T6")
def test_p8_a_stopped_guard_counts_as_pending_and_does_nothing_late() -> None:
    said, state = inside(asked_in_vain)
    assert said == ["a change is pending, but its guard does not answer"] * 4
    assert state == "reverted"
