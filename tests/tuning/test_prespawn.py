"""A guard that was started in advance: killed before its order, and used when no process can be started any
more."""

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

from sockmon.kernel.processes.proc_files import start_of_living
from sockmon.labs import find_lab
from sockmon.model.helper_protocol import Apply, ChangeResult, RequestFailed, ResolveHold
from sockmon.sandbox.availability import unavailable_reason
from sockmon.sandbox.namespaces import enter, mount_proc
from tests.netns import inside
from tests.tuning.helper_session import helper_session, sleep_forever
from tests.tuning.sample_change import NEW, OLD, plan, values, write
from tests.tuning.test_transaction import LONG_HOLD, eventually, guard_processes, old_values

pytestmark = pytest.mark.usefixtures("needs_userns")

NO_PROC = "this kernel does not allow mounting a /proc here"


def standby_dies() -> list[str]:
    """Kill the processes that wait for an order: nothing was touched, and the next order gets another guard."""
    with old_values() as root, helper_session(root) as screen:
        assert eventually(lambda: len(guard_processes(root)) == 2)
        pids = guard_processes(root)
        assert eventually(lambda: not _kill(guard_processes(root)))
        # The command line of a killed process goes before its pipes are closed.
        assert eventually(lambda: not any(map(_is_alive, pids)))
        assert os.listdir(root) == []
        return [screen.state_after(Apply(plan(), LONG_HOLD)), str(values() == NEW)]


def _is_alive(pid: int) -> bool:
    with suppress(OSError):
        return start_of_living(Path(f"/proc/{pid}/stat").read_bytes()) is not None
    return False


def _kill(pids: list[int]) -> list[int]:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return pids


@pytest.mark.fault("T6")
def test_a_guard_that_was_killed_before_its_order_is_replaced() -> None:
    assert inside(standby_dies) == ["holding", "True"]


def no_free_pids() -> list[str]:
    """Take all pids of a private pid namespace; its first process reports the result."""
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
    with tempfile.TemporaryDirectory() as root, helper_session(root) as screen:
        assert eventually(lambda: len(guard_processes(root)) == 2)
        taken = _take_all()
        held = screen.ask(Apply(plan(), LONG_HOLD), ChangeResult).transaction
        yield held.state
        yield str(values() == NEW)
        yield screen.ask(Apply(plan(NEW, OLD), LONG_HOLD), RequestFailed).message
        yield screen.state_after(ResolveHold("revert", held.id))
        yield str(values() == OLD)
        for pid in taken:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        held = screen.ask(Apply(plan(), LONG_HOLD), ChangeResult).transaction
        yield held.state
        yield screen.state_after(ResolveHold("revert", held.id))


def _take_all() -> list[int]:
    taken = []
    while True:
        try:
            child = os.fork()
        except OSError:
            # A process that ends meanwhile must not free a pid.
            time.sleep(0.1)
            with suppress(OSError):
                child = os.fork()
                if child == 0:
                    sleep_forever()
                taken.append(child)
                continue
            return taken
        if child == 0:
            sleep_forever()
        taken.append(child)


@pytest.mark.fault("R7")
def test_p2_r7_a_change_is_applied_and_rolled_back_without_a_free_pid() -> None:
    if reason := unavailable_reason(find_lab("pid-max")):
        pytest.skip(reason)
    said = inside(no_free_pids)
    if said[0].startswith(NO_PROC):
        pytest.skip(said[0])
    applied, there, second, reverted, back, *afterwards = said
    assert (applied, there, reverted, back) == ("holding", "True", "reverted", "True")
    assert "the guard could not be started" in second
    assert afterwards == ["holding", "reverted"]
