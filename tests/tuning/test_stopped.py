"""A guard that is stopped (SIGSTOP, a frozen cgroup): nobody is told that nothing is held, and what it was asked
in vain it does not do when it goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from sockmon.errors import NotTuned
from sockmon.tuning import transaction
from sockmon.tuning.transaction import apply, ask
from tests.netns import inside
from tests.tuning.changes import ME, NEW, OLD, past, plan, values
from tests.tuning.test_transaction import LONG, eventually, guard_pid, old_values

pytestmark = pytest.mark.usefixtures("needs_userns")


def asked_in_vain() -> tuple[list[str], str]:
    transaction._PATIENCE = 0.5
    with old_values() as root:
        held = apply(plan(), ME, LONG, root)
        guard = guard_pid(root)
        os.kill(guard, signal.SIGSTOP)
        said = []
        for verb, id in (("keep", held.id), ("keep", ""), ("revert", ""), ("status", "")):
            with pytest.raises(NotTuned) as refused:
                ask(verb, root, id=id)  # type: ignore[arg-type]
            assert f"kill -CONT {guard}" in refused.value.hint
            said.append(refused.value.message)
        transaction._PATIENCE = 30.0
        os.kill(guard, signal.SIGCONT)
        assert ask("status", root).state == "holding"
        assert values() == NEW
        os.kill(guard, signal.SIGSTOP)
        os.kill(guard, signal.SIGKILL)
        assert eventually(lambda: values() == OLD and bool(past(Path(root))))
        return said, past(Path(root))[0].state


def test_p8_a_stopped_guard_is_not_taken_for_none_and_does_nothing_late() -> None:
    said, state = inside(asked_in_vain)
    assert said == ["a change is being held, and its guard does not answer"] * 4
    assert state == "reverted"
