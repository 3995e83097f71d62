"""A change from its plan to its end, with real processes on a real kernel: who may die, and who may come."""

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

from sockmon.errors import NotTuned
from sockmon.model.change import Plan, Setting, Transaction
from sockmon.tuning.guard import Guard, Holder
from sockmon.tuning.hold import Reply
from sockmon.tuning.recover import recover
from sockmon.tuning.transaction import apply, ask, whoami
from tests.netns import inside
from tests.tuning.changes import ME, NEW, OLD, RANGE, SOMAXCONN, journals, past, plan, values, write

pytestmark = pytest.mark.usefixtures("needs_userns")

LONG = 600.0
PATIENCE = 30.0


@contextmanager
def old_values() -> Iterator[str]:
    """A root directory, the old values, and no guard left behind."""
    write(OLD)
    with tempfile.TemporaryDirectory() as root:
        try:
            yield root
        finally:
            with suppress(NotTuned):
                ask("revert", root)
            assert eventually(lambda: not working(root))


def working(root: str) -> list[int]:
    """Pids of the watchers and guards below `root`, waiting or holding."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            argv = path.read_bytes().split(b"\0")
            found += [int(path.parent.name)] if b"sockmon.tuning.watcher" in argv and root.encode() in argv else []
    return found


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it comes true."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.01)
    return False


def guard_pid(root: str) -> int:
    """The pid of the guard that holds."""
    return msgspec.json.decode(Path(root, "run/sockmon/lock").read_bytes(), type=Holder).pid


def kept() -> tuple[list[str], list[str]]:
    with old_values() as root:
        held = apply(plan(), whoami(), LONG, root)
        states: list[str] = [held.state, ask("status", root).state]
        assert values() == NEW
        states += [ask("keep", root).state, ask("status", root, id=held.id).state]
        assert values() == NEW
        with pytest.raises(NotTuned, match=f"the last one, {held.id}, is kept"):
            ask("revert", root)
        return states, journals(Path(root))


def test_applied_held_and_kept() -> None:
    assert inside(kept) == (["holding", "holding", "kept", "kept"], [])


def reverted() -> list[str]:
    with old_values() as root:
        apply(plan(), ME, LONG, root)
        asked = ask("revert", root)
        assert values() == OLD
        apply(plan(), ME, 0.3, root)
        assert eventually(lambda: len(past(Path(root))) == 2)
        assert values() == OLD
        return [asked.state, *(one.state for one in past(Path(root))), past(Path(root))[0].words[-1]]


def test_reverted_when_asked_and_when_the_time_is_up() -> None:
    assert inside(reverted) == ["reverted"] * 3 + ["the time was up"]


def dies_in_a_hold(root: str, holding: Callable[[], AbstractContextManager[None]], close_terminal: bool) -> None:
    """A person's session in which something is held dies: killed, or with its terminal; and all goes back."""
    person, terminal = pty.fork()
    if person == 0:
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
    assert ask("status", root).state == "holding"
    assert eventually(lambda: values() == OLD)
    assert eventually(lambda: bool(past(Path(root))))


def ui_killed(close_terminal: bool) -> str:
    with old_values() as root:

        @contextmanager
        def applied() -> Iterator[None]:
            apply(plan(), ME, 1.5, root)
            yield

        dies_in_a_hold(root, applied, close_terminal)
        return past(Path(root))[0].state


@pytest.mark.parametrize("close_terminal", [False, True], ids=["t4_ui_killed", "t5_terminal_closed"])
def test_it_goes_back_by_itself(close_terminal: bool) -> None:
    assert inside(ui_killed, close_terminal) == "reverted"


def _has_ended(root: str, count: int) -> bool:
    return len(past(Path(root))) == count


def guard_killed(times: int) -> list[str]:
    with old_values() as root:
        for number in range(times):
            apply(plan(), ME, LONG, root)
            os.kill(guard_pid(root), signal.SIGKILL)
            assert eventually(partial(_has_ended, root, number + 1))
            assert values() == OLD
        return sorted({one.state for one in past(Path(root))})


def test_t6_the_watcher_heals_after_a_killed_guard() -> None:
    assert inside(guard_killed, 5) == ["reverted"]


def both_killed() -> tuple[str, list[str]]:
    """The whole session is killed: the next start heals, and T13: the lock of the dead is free."""
    with old_values() as root:
        apply(plan(), ME, LONG, root)
        guard = guard_pid(root)
        watcher = int(Path(f"/proc/{guard}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(watcher, signal.SIGKILL)
        os.kill(guard, signal.SIGKILL)
        assert eventually(lambda: bool(recover(root)))
        assert values() == OLD
        again = apply(plan(), ME, LONG, root)
        return again.state, [one.state for one in past(Path(root))]


def test_t7_t13_guard_and_watcher_killed() -> None:
    assert inside(both_killed) == ("holding", ["reverted"])


def two_operators() -> Transaction:
    with old_values() as root:
        apply(plan(), ME, LONG, root)
        assert recover(root) == []
        second = apply(plan(NEW, OLD), ME, LONG, root)
        assert values() == NEW
        return second


def test_t12_a_second_operator_is_refused_and_told_who_holds() -> None:
    second = inside(two_operators)
    assert second.state == "refused"
    assert "another change is being held by ops" in second.words[0]
    assert " on pts/3, for " in second.words[0]


def conflict() -> tuple[Transaction, dict[str, str]]:
    with old_values() as root:
        held = apply(plan(), ME, LONG, root)
        write({SOMAXCONN: "7777"})
        assert eventually(lambda: bool(ask("status", root).words))
        return ask("revert", root, id=held.id), values()


def test_t14_anothers_change_is_seen_and_left_alone() -> None:
    ended, found = inside(conflict)
    assert ended.state == "conflict"
    assert ended.words[0] == f"{SOMAXCONN} was changed to 7777 by somebody else"
    assert found == {**OLD, SOMAXCONN: "7777"}


def stale() -> tuple[Transaction, dict[str, str]]:
    with old_values() as root:
        made = plan()
        write({RANGE: "40000 50000"})
        return apply(made, ME, LONG, root), values()


def test_t16_a_stale_plan_is_refused() -> None:
    refused, found = inside(stale)
    assert refused.state == "refused"
    assert f"{RANGE} is 40000 50000, and was 32768 60999 when the plan was made" in refused.words[0]
    assert found == {**OLD, RANGE: "40000 50000"}


def refused_places() -> list[str]:
    """Each place prepared by somebody else; what a guard says, and that it touched nothing."""
    said = []
    for prepare in (_symlink, _fifo, _hard_link, _open_directory, _linked_directory):
        with old_values() as root:
            run = Path(root, "run/sockmon")
            run.mkdir(parents=True, mode=0o700)
            prepare(run)
            refused = Guard(plan(), ME, LONG, root).begin()
            assert (refused.state, values()) == ("refused", OLD)
            said.append(refused.words[0])
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


def test_t23_prepared_places_are_refused() -> None:
    symlink, fifo, hard_link, open_directory, linked = inside(refused_places)
    assert "symbolic links" in symlink
    assert "not a file of its own" in fifo
    assert "not a file of its own" in hard_link
    assert "can be written by others (mode 0777)" in open_directory
    assert "Not a directory" in linked or "symbolic links" in linked


def strangers() -> list[str]:
    """X7: what is no request is answered with words, and the guard goes on holding."""
    answers = []
    with old_values() as root:
        apply(plan(), ME, LONG, root)
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
        assert ask("status", root).state == "holding"
        assert Path(root, "run/sockmon/guard.sock").stat().st_mode & 0o777 == 0o600
    return answers


def test_x7_junk_is_no_request() -> None:
    assert all(inside(strangers))


def audited() -> list[dict[str, object]]:
    with old_values() as root:
        apply(plan(), ME, LONG, root)
        ask("revert", root)
        apply(plan(NEW, OLD), ME, LONG, root)
        bad = Plan((Setting("net.core.somaxconn", "1", "1\nkernel.core_pattern=|/x"),), 0, "")
        apply(bad, ME, LONG, root)
        log = Path(root, "var/log/sockmon/audit.jsonl")
        modes = {
            oct(path.stat().st_mode & 0o777) for path in (Path(root, "run/sockmon"), Path(root, "var/lib/sockmon"))
        }
        assert modes == {"0o700"}
        return [json.loads(line) for line in log.read_text().splitlines()]


def test_p13_u4_every_change_is_a_line_of_its_own_in_the_audit_log() -> None:
    lines = inside(audited)
    assert [line["state"] for line in lines] == ["reverted", "refused", "refused"]
    assert lines[0]["who"] == {"uid": ME.uid, "user": "root", "login": "ops�{forged}", "terminal": "pts/3"}


def extended() -> tuple[bool, str]:
    with old_values() as root:
        held = apply(plan(), ME, 30.0, root)
        longer = ask("extend", root, seconds=500.0)
        with pytest.raises(NotTuned, match="up to 3600 seconds"):
            ask("extend", root, seconds=1e9)
        return longer.deadline > held.deadline + 400, ask("revert", root).state


def test_it_can_be_held_for_longer() -> None:
    assert inside(extended) == (True, "reverted")
