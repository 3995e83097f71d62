"""A guard that stands by: killed before its order comes, and needed when no process can be started any more."""

from __future__ import annotations

import os
import signal
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from sockmon.labs import find
from sockmon.labs.namespaces import enter, mount_proc
from sockmon.labs.running import refusal
from sockmon.model.desk import Apply, Decide, Failed, Told
from tests.netns import inside
from tests.tuning.changes import NEW, OLD, plan, values, write
from tests.tuning.screens import a_screen, wait_for_ever
from tests.tuning.test_transaction import LONG, eventually, old_values, working

pytestmark = pytest.mark.usefixtures("needs_userns")

NO_PROC = "this kernel lets nobody mount a /proc here"


def standby_dies() -> list[str]:
    """Whoever waits for an order is killed: nothing was touched, and the next order has another guard."""
    with old_values() as root, a_screen(root) as screen:
        assert eventually(lambda: len(working(root)) == 2)
        assert eventually(lambda: not _kill(working(root)))
        assert os.listdir(root) == []
        return [screen.told(Apply(plan(), LONG)), str(values() == NEW)]


def _kill(pids: list[int]) -> list[int]:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return pids


def test_a_guard_that_was_killed_before_its_order_is_replaced() -> None:
    assert inside(standby_dies) == ["holding", "True"]


def no_free_pids() -> list[str]:
    """All pids of a private pid namespace are taken; its first process tells what happens then."""
    enter(user_namespace=False, isolated=True)
    told, tell = os.pipe()
    first = os.fork()
    if first == 0:
        code = 1
        try:
            os.write(tell, "\n".join(_exhausted()).encode())
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(tell)
    with os.fdopen(told) as words:
        said = words.read().split("\n")
    assert os.waitpid(first, 0)[1] == 0
    return said


def _exhausted() -> Iterator[str]:
    try:
        mount_proc()
    except OSError as error:
        yield f"{NO_PROC}: {error.strerror}"
        return
    Path("/proc/sys/kernel/pid_max").write_text("400")
    write(OLD)
    with tempfile.TemporaryDirectory() as root, a_screen(root) as screen:
        assert eventually(lambda: len(working(root)) == 2)
        taken = _take_all()
        held = screen.ask(Apply(plan(), LONG), Told).transaction
        yield held.state
        yield str(values() == NEW)
        yield screen.ask(Apply(plan(NEW, OLD), LONG), Failed).message
        yield screen.told(Decide("revert", held.id))
        yield str(values() == OLD)
        for pid in taken:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        held = screen.ask(Apply(plan(), LONG), Told).transaction
        yield held.state
        yield screen.told(Decide("revert", held.id))


def _take_all() -> list[int]:
    taken = []
    while True:
        try:
            child = os.fork()
        except OSError:
            # Whoever ends meanwhile must not make room.
            time.sleep(0.1)
            with suppress(OSError):
                child = os.fork()
                if child == 0:
                    wait_for_ever()
                taken.append(child)
                continue
            return taken
        if child == 0:
            wait_for_ever()
        taken.append(child)


def test_p2_r7_a_change_is_made_and_taken_back_without_a_free_pid() -> None:
    if reason := refusal(find("pid-max")):
        pytest.skip(reason)
    said = inside(no_free_pids)
    if said[0].startswith(NO_PROC):
        pytest.skip(said[0])
    applied, there, second, reverted, back, *afterwards = said
    assert (applied, there, reverted, back) == ("holding", "True", "reverted", "True")
    assert "the guard could not be started" in second
    assert afterwards == ["holding", "reverted"]
