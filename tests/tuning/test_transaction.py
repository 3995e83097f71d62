"""A change from its plan to its end, with real processes on a real kernel: kills, second operators, foreign
writes."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path

import msgspec
import pytest

from sockmon.errors import TuningError
from sockmon.model.plan import Plan, Setting
from sockmon.model.transaction import Transaction
from sockmon.tuning.transaction.actor import current_actor
from sockmon.tuning.transaction.client import apply, decide
from sockmon.tuning.transaction.control_socket import Reply
from sockmon.tuning.transaction.guard import Guard
from sockmon.tuning.transaction.lock import LockOwner
from sockmon.tuning.transaction.recovery import recover
from tests.netns import inside
from tests.tuning.sample_change import (
    ACTOR,
    NEW,
    OLD,
    RANGE,
    SOMAXCONN,
    journals,
    plan,
    read_history,
    values,
    write,
)

pytestmark = pytest.mark.usefixtures("needs_userns")

LONG_HOLD = 600.0
PATIENCE = 30.0


@contextmanager
def old_values() -> Iterator[str]:
    """Write the old values and yield a root directory; no guard may be left at the end."""
    write(OLD)
    with tempfile.TemporaryDirectory() as root:
        try:
            yield root
        finally:
            with suppress(TuningError):
                decide("revert", root)
            assert eventually(lambda: not guard_processes(root))


PAIR = (b"sockmon-watch", b"sockmon-guard")


def guard_processes(root: str) -> list[int]:
    """Return the pids of the watchdogs and guards of `root`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            argv = path.read_bytes().split(b"\0")
            found += [int(path.parent.name)] if argv[0] in PAIR and root.encode() in argv else []
    return found


def eventually(holds: Callable[[], bool]) -> bool:
    """Return whether it becomes true in time."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.01)
    return False


def guard_pid(root: str) -> int:
    """Return the pid of the guard of the pending change."""
    return msgspec.json.decode(Path(root, "run/sockmon/lock").read_bytes(), type=LockOwner).pid


def kept() -> tuple[list[str], list[str]]:
    with old_values() as root:
        held = apply(plan(), current_actor(), LONG_HOLD, root)
        states: list[str] = [held.state, decide("status", root).state]
        assert values() == NEW
        states += [decide("keep", root).state, decide("status", root, id=held.id).state]
        assert values() == NEW
        with pytest.raises(TuningError, match=f"the last one is {held.id}: it is kept"):
            decide("revert", root)
        return states, journals(Path(root))


def test_applied_held_and_kept() -> None:
    assert inside(kept) == (["holding", "holding", "kept", "kept"], [])


def reverted() -> list[str]:
    with old_values() as root:
        apply(plan(), ACTOR, LONG_HOLD, root)
        asked = decide("revert", root)
        assert values() == OLD
        apply(plan(), ACTOR, 0.3, root)
        assert eventually(lambda: len(read_history(Path(root))) == 2)
        assert values() == OLD
        return [
            asked.state,
            *(one.state for one in read_history(Path(root))),
            read_history(Path(root))[0].messages[-1],
        ]


def test_rolled_back_on_request_and_at_the_deadline() -> None:
    assert inside(reverted) == ["reverted"] * 3 + ["the hold expired"]


def end_session_in_hold(
    root: str, holding: Callable[[], AbstractContextManager[None]], close_terminal: bool
) -> None:
    """End the session of a pending change, by a kill or by its terminal; the change must be rolled back."""
    person, terminal = pty.fork()
    if person == 0:
        # Under nohup it would be ignored, and a closed terminal would end no process.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with holding():
            os.write(1, b"held")
            signal.pause()
        os._exit(0)
    assert b"held" in os.read(terminal, 100)
    assert values() == NEW
    if close_terminal:
        os.close(terminal)
    else:
        os.kill(person, signal.SIGKILL)
    os.waitpid(person, 0)
    assert decide("status", root).state == "holding"
    assert eventually(lambda: values() == OLD)
    assert eventually(lambda: bool(read_history(Path(root))))


def ui_killed(close_terminal: bool) -> str:
    with old_values() as root:

        @contextmanager
        def applied() -> Iterator[None]:
            apply(plan(), ACTOR, 1.5, root)
            yield

        end_session_in_hold(root, applied, close_terminal)
        return read_history(Path(root))[0].state


@pytest.mark.fault("T4", "T5")
@pytest.mark.parametrize("close_terminal", [False, True], ids=["t4_ui_killed", "t5_terminal_closed"])
def test_a_change_is_rolled_back_unless_it_is_kept(close_terminal: bool) -> None:
    assert inside(ui_killed, close_terminal) == "reverted"


def _has_ended(root: str, count: int) -> bool:
    return len(read_history(Path(root))) == count


def guard_killed(times: int) -> list[str]:
    with old_values() as root:
        for number in range(times):
            apply(plan(), ACTOR, LONG_HOLD, root)
            os.kill(guard_pid(root), signal.SIGKILL)
            assert eventually(partial(_has_ended, root, number + 1))
            assert values() == OLD
        return sorted({one.state for one in read_history(Path(root))})


@pytest.mark.fault("T6")
def test_t6_the_watchdog_recovers_after_a_killed_guard() -> None:
    assert inside(guard_killed, 5) == ["reverted"]


def both_killed() -> tuple[str, list[str]]:
    """Kill the whole session: the next start recovers, and the lock of the dead guard is free (T13)."""
    with old_values() as root:
        apply(plan(), ACTOR, LONG_HOLD, root)
        guard = guard_pid(root)
        watchdog = int(Path(f"/proc/{guard}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(watchdog, signal.SIGKILL)
        os.kill(guard, signal.SIGKILL)
        assert eventually(lambda: bool(recover(root)))
        assert values() == OLD
        again = apply(plan(), ACTOR, LONG_HOLD, root)
        return again.state, [one.state for one in read_history(Path(root))]


@pytest.mark.fault("T7", "T13")
def test_t7_t13_guard_and_watchdog_killed() -> None:
    assert inside(both_killed) == ("holding", ["reverted"])


def two_operators() -> Transaction:
    with old_values() as root:
        apply(plan(), ACTOR, LONG_HOLD, root)
        assert recover(root) == []
        second = apply(plan(NEW, OLD), ACTOR, LONG_HOLD, root)
        assert values() == NEW
        return second


@pytest.mark.fault("T12")
def test_t12_a_second_operator_is_refused_with_the_name_of_the_first() -> None:
    second = inside(two_operators)
    assert second.state == "refused"
    assert "another change is pending: by ops" in second.messages[0]
    assert " on pts/3, " in second.messages[0]


def conflict() -> tuple[Transaction, dict[str, str]]:
    with old_values() as root:
        held = apply(plan(), ACTOR, LONG_HOLD, root)
        write({SOMAXCONN: "7777"})
        assert eventually(lambda: bool(decide("status", root).messages))
        return decide("revert", root, id=held.id), values()


@pytest.mark.fault("T14")
def test_t14_a_value_of_another_process_is_reported_and_left_alone() -> None:
    ended, found = inside(conflict)
    assert ended.state == "conflict"
    assert ended.messages[0] == f"{SOMAXCONN}: another process changed it to 7777"
    assert found == {**OLD, SOMAXCONN: "7777"}


def stale() -> tuple[Transaction, dict[str, str]]:
    with old_values() as root:
        made = plan()
        write({RANGE: "40000 50000"})
        return apply(made, ACTOR, LONG_HOLD, root), values()


@pytest.mark.fault("T16")
def test_t16_a_stale_plan_is_refused() -> None:
    refused, found = inside(stale)
    assert refused.state == "refused"
    assert f"{RANGE}: it is 40000 50000 now, but was 32768 60999 when the plan was made" in refused.messages[0]
    assert found == {**OLD, RANGE: "40000 50000"}


def refused_directories() -> list[str]:
    """Prepare each file as another user would; return the guard's messages. It must touch nothing."""
    said = []
    for prepare in (_symlink, _fifo, _hard_link, _open_directory, _linked_directory):
        with old_values() as root:
            run = Path(root, "run/sockmon")
            run.mkdir(parents=True, mode=0o700)
            prepare(run)
            refused = Guard(plan(), ACTOR, LONG_HOLD, root).apply()
            assert (refused.state, values()) == ("refused", OLD)
            said.append(refused.messages[0])
            for name in ("lock", "txn"):
                with suppress(OSError):
                    (run / name).unlink()
            run.chmod(0o700)
    return said


def _symlink(run: Path) -> None:
    (run / "lock").symlink_to(run / "elsewhere")


def _fifo(run: Path) -> None:
    os.mkfifo(run / "lock", 0o600)


def _hard_link(run: Path) -> None:
    (run / "other").touch(0o600)
    (run / "lock").hardlink_to(run / "other")


def _open_directory(run: Path) -> None:
    run.chmod(0o777)


def _linked_directory(run: Path) -> None:
    (run / "elsewhere").mkdir()
    (run / "txn").symlink_to(run / "elsewhere")


@pytest.mark.fault("T23")
def test_t23_directories_of_another_user_are_refused() -> None:
    symlink, fifo, hard_link, open_directory, linked = inside(refused_directories)
    assert "symbolic links" in symlink
    assert "not a regular file" in fifo
    assert "not a regular file" in hard_link
    assert "is writable by other users (mode 0777)" in open_directory
    assert "Not a directory" in linked or "symbolic links" in linked


def strangers() -> list[str]:
    """X7: an invalid request gets an error, and the change stays pending."""
    answers = []
    with old_values() as root:
        apply(plan(), ACTOR, LONG_HOLD, root)
        for junk in (
            b"\n",
            b"\xff" * 5000,
            b'{"ask":"drop"}\n',
            b'{"ask":"keep","id":"other"}\n',
            b'{"ask":"keep"',
            b"",
        ):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(f"{root}/run/sockmon/guard.sock")
                connection.sendall(junk)
                connection.shutdown(socket.SHUT_WR)
                answers.append(msgspec.json.decode(connection.recv(4096), type=Reply).error)
        assert decide("status", root).state == "holding"
        assert Path(root, "run/sockmon/guard.sock").stat().st_mode & 0o777 == 0o600
    return answers


@pytest.mark.fault("X7")
def test_x7_an_invalid_request_is_refused() -> None:
    assert all(inside(strangers))


def audited() -> list[dict[str, object]]:
    with old_values() as root:
        apply(plan(), ACTOR, LONG_HOLD, root)
        decide("revert", root)
        apply(plan(NEW, OLD), ACTOR, LONG_HOLD, root)
        bad = Plan((Setting("net.core.somaxconn", "1", "1\nkernel.core_pattern=|/x"),), 0, "")
        apply(bad, ACTOR, LONG_HOLD, root)
        log = Path(root, "var/log/sockmon/audit.jsonl")
        modes = {
            oct(path.stat().st_mode & 0o777) for path in (Path(root, "run/sockmon"), Path(root, "var/lib/sockmon"))
        }
        assert modes == {"0o700"}
        return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.fault("U4")
def test_p13_u4_every_change_is_a_line_of_its_own_in_the_audit_log() -> None:
    lines = inside(audited)
    assert [line["state"] for line in lines] == ["reverted", "refused", "refused"]
    assert lines[0]["who"] == {"uid": ACTOR.uid, "user": "root", "login": "ops�{forged}", "terminal": "pts/3"}


def extended() -> tuple[bool, str]:
    with old_values() as root:
        held = apply(plan(), ACTOR, 30.0, root)
        longer = decide("extend", root, seconds=500.0)
        with pytest.raises(TuningError, match="at most 3,600 s"):
            decide("extend", root, seconds=1e9)
        return longer.deadline > held.deadline + 400, decide("revert", root).state


def test_the_hold_can_be_extended() -> None:
    assert inside(extended) == (True, "reverted")
