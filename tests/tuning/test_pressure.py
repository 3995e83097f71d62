"""On a host that is short of memory, disk or processor time the guard is not killed, and rolls back in time."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from sockmon.errors import LabUnavailable
from sockmon.sandbox.cgroups import LabCgroups
from sockmon.tuning.transaction.client import apply
from tests.netns import inside, inside_as_root
from tests.strace_faults import injected
from tests.test_scarce_resources import limit_cpu
from tests.tuning.sample_change import ACTOR, OLD, plan, read_history, values
from tests.tuning.test_transaction import LONG_HOLD, eventually, guard_pid, guard_processes, old_values

GUARDED = -900
_CAP_SYS_RESOURCE = 1 << 24


def locked_and_protected() -> list[tuple[bool, int]]:
    """Return for guard and watchdog during a hold whether their memory is locked, and their oom_score_adj."""
    with old_values() as root:
        assert apply(plan(), ACTOR, LONG_HOLD, root).state == "holding"
        pids = guard_processes(root)
        assert guard_pid(root) in pids
        found = []
        for pid in pids:
            status = Path(f"/proc/{pid}/status").read_text()
            locked = int(status.partition("VmLck:")[2].split()[0])
            found.append((locked > 0, int(Path(f"/proc/{pid}/oom_score_adj").read_text())))
        return found


@pytest.mark.fault("R9", "R10", "R11")
@pytest.mark.usefixtures("root_only")
def test_guard_and_watchdog_lock_their_memory_and_are_killed_last() -> None:
    status = Path("/proc/self/status").read_text()
    permitted = int(status.partition("CapEff:")[2].split()[0], 16) & _CAP_SYS_RESOURCE
    # Root without this capability can lock memory, but not lower the score.
    score = GUARDED if permitted else int(Path("/proc/self/oom_score_adj").read_text())
    assert inside_as_root(locked_and_protected) == [(True, score)] * 2


def unprotected() -> str:
    """Return the same for an ordinary user, who may do neither."""
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
    with old_values() as root:
        apply(plan(), ACTOR, 0.3, root)
        assert eventually(lambda: bool(read_history(Path(root))))
        assert values() == OLD
        return read_history(Path(root))[0].state


@pytest.mark.fault("R11")
@pytest.mark.usefixtures("needs_userns")
def test_a_change_is_rolled_back_without_permission_to_lock_memory() -> None:
    assert inside(unprotected) == "reverted"


def slow_reads() -> tuple[str, str]:
    """Every read and write of the guard takes 0.1 s, as on a host that swaps."""
    with old_values() as root:
        apply(plan(), ACTOR, 1.5, root)
        try:
            with injected(guard_pid(root), "read,pread64,write,pwrite64", "delay_enter=100ms"):
                assert eventually(lambda: bool(read_history(Path(root))))
        except pytest.skip.Exception as refused:
            return "skipped", str(refused)
        assert values() == OLD
        ended = read_history(Path(root))[0]
        return ended.state, ended.messages[-1]


@pytest.mark.fault("R11")
@pytest.mark.usefixtures("needs_userns")
def test_with_slow_reads_it_is_rolled_back_at_its_deadline() -> None:
    state, words = inside(slow_reads)
    if state == "skipped":
        pytest.skip(words)
    assert (state, words) == ("reverted", "the hold expired")


def little_time(group: str) -> str:
    """Guard and watchdog are started in a group, which then gets 5 % of one processor."""
    with old_values() as root:
        Path(group, "cgroup.procs").write_text("0")
        apply(plan(), ACTOR, 2.0, root)
        # The test itself needs processor time.
        Path(group).parent.joinpath("cgroup.procs").write_text("0")
        limit_cpu(Path(group))
        assert eventually(lambda: bool(read_history(Path(root))))
        assert values() == OLD
        return read_history(Path(root))[0].state


@pytest.mark.fault("R12")
@pytest.mark.usefixtures("root_only")
def test_with_5_percent_of_a_processor_it_is_rolled_back() -> None:
    cgroups = LabCgroups()
    try:
        group = cgroups.create("cpu", "scarce", {})
    except LabUnavailable as error:
        pytest.skip(error.message)
    try:
        assert inside_as_root(little_time, str(group)) == "reverted"
    finally:
        cgroups.remove()
