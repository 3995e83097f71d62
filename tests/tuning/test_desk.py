"""The process beside the screen that keeps its privilege: what it is asked, what it says unasked, who may die."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from sockmon import privileges
from sockmon.labs.namespaces import enter
from sockmon.model.change import Plan, Setting
from sockmon.model.desk import Apply, Decide, Failed, Look, Looked, Recall, Recalled, Standing, Told
from tests.netns import inside
from tests.tuning.changes import NEW, OLD, SOMAXCONN, past, plan, values, write
from tests.tuning.screens import a_screen, wait_for_ever
from tests.tuning.test_transaction import LONG, dies_in_a_hold, eventually, guard_pid, old_values

pytestmark = pytest.mark.usefixtures("needs_userns")


def from_look_to_history() -> list[object]:
    with old_values() as root, a_screen(root) as screen:
        first = screen.stands(lambda standing: True)
        looked = screen.ask(Look((SOMAXCONN, "../../../etc/shadow", f"nofile@{os.getpid()}", "nproc@0")), Looked)
        assert looked.values[SOMAXCONN] == OLD[SOMAXCONN]
        assert looked.values[f"nofile@{os.getpid()}"].count(":") == 1
        assert looked.starts[f"nofile@{os.getpid()}"] > 0
        assert set(looked.refused) == {"../../../etc/shadow", "nproc@0"}
        assert (looked.cannot, looked.netns) == ("", plan().netns)
        assert SOMAXCONN in looked.outlooks
        # Nothing is made for a look.
        assert os.listdir(root) == []
        held = screen.ask(Apply(plan(), LONG), Told).transaction
        assert values() == NEW
        holding = screen.stands(lambda standing: standing.held is not None)
        assert 0 < holding.left <= LONG
        longer = screen.ask(Decide("extend", held.id, seconds=LONG + 99), Told).transaction
        assert longer.deadline > held.deadline
        states = [held.state, screen.told(Decide("keep", held.id))]
        screen.stands(lambda standing: standing.held is None)
        states += [one.state for one in screen.ask(Recall(), Recalled).transactions]
        write({SOMAXCONN: "7777"})
        return [first, *states, values() == {**NEW, SOMAXCONN: "7777"}]


def test_what_a_screen_asks_for() -> None:
    assert inside(from_look_to_history) == [Standing(None), "holding", "kept", "kept", True]


def screen_dies(close_terminal: bool) -> tuple[str, list[str]]:
    """Of a session with its desk nothing is left either."""
    with old_values() as root:

        @contextmanager
        def held() -> Iterator[None]:
            with a_screen(root) as screen:
                assert screen.told(Apply(plan(), 2.0)) == "holding"
                yield

        dies_in_a_hold(root, held, close_terminal)
        assert eventually(lambda: not _processes(root))
        return past(Path(root))[0].state, _processes(root)


def _processes(root: str) -> list[str]:
    """Command lines of all that work for a root: desks, watchers, guards."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            command = path.read_bytes().replace(b"\0", b" ").decode()
            found += [command] if "sockmon.tuning" in command and root in command else []
    return found


@pytest.mark.parametrize("close_terminal", [False, True], ids=["t4_screen_killed", "t5_terminal_closed"])
def test_it_goes_back_by_itself_and_nobody_stays(close_terminal: bool) -> None:
    assert inside(screen_dies, close_terminal) == ("reverted", [])


def guard_dies() -> list[str]:
    with old_values() as root, a_screen(root) as screen:
        states: list[str] = []
        for _ in range(3):
            states.append(screen.told(Apply(plan(), LONG)))
            screen.stands(lambda standing: standing.held is not None)
            os.kill(guard_pid(root), signal.SIGKILL)
            # That nothing is held any more is said when it is known how it ended.
            screen.stands(lambda standing: standing.held is None)
            states.append(screen.ask(Recall(), Recalled).transactions[0].state)
            assert values() == OLD
        return states


def test_t6_a_killed_guard_is_healed_and_told() -> None:
    assert inside(guard_dies) == ["holding", "reverted"] * 3


def guard_and_watcher_die() -> list[str]:
    with old_values() as root, a_screen(root) as screen:
        held = screen.ask(Apply(plan(), LONG), Told).transaction
        guard = guard_pid(root)
        watcher = int(Path(f"/proc/{guard}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(watcher, signal.SIGKILL)
        os.kill(guard, signal.SIGKILL)
        healed = screen.stands(lambda standing: bool(standing.healed))
        assert values() == OLD
        assert (healed.healed[0].id, healed.pending) == (held.id, ())
        return [healed.healed[0].state, screen.told(Apply(plan(), LONG))]


def test_t7_t13_the_desk_heals_what_guard_and_watcher_leave() -> None:
    assert inside(guard_and_watcher_die) == ["reverted", "holding"]


def desk_dies() -> list[str]:
    """The guard goes on holding, and the next screen finds it."""
    with old_values() as root:
        with a_screen(root) as first:
            held = first.ask(Apply(plan(), LONG), Told).transaction
            os.kill(first.desk.pid, signal.SIGKILL)
            first.until_it_ends()
            assert eventually(lambda: not first.desk.ask(Recall()))
        assert values() == NEW
        with a_screen(root) as second:
            found = second.stands(lambda standing: standing.held is not None).held
            assert found is not None
            assert found.id == held.id
            return [found.state, second.told(Decide("keep", held.id)), str(values() == NEW)]


def test_t4_a_killed_desk_takes_no_change_along() -> None:
    assert inside(desk_dies) == ["holding", "kept", "True"]


def junk() -> list[str]:
    said = []
    with old_values() as root, a_screen(root) as screen:
        pipe = screen.desk._requests
        for line in (
            b"",
            b"\xff\xfe\0",
            b"[" * 100_000,
            b'{"kind":"drop"}',
            b'{"kind":"apply","plan":7,"hold":60}',
            b'{"kind":"look","keys":"net.core.somaxconn"}',
            b'{"kind":"decide","verb":"status","id":""}',
            b'{"kind":"look","keys":["' + b"x" * (9 << 20) + b'"]}',
            b'{"kind":"look","keys":[' + b'"a",' * 300 + b'"a"]}',
            b'{"kind":"apply","plan":{"settings":[],"netns":1,"boot_id":""},"hold":1e308}',
            b'{"kind":"decide","verb":"keep","id":"../../x"}',
        ):
            pipe.write(line + b"\n")
            pipe.flush()
            answer = next(one for one in iter(screen._next, None) if not isinstance(one, Standing))
            assert isinstance(answer, (Failed, Told))
            said.append(answer.message if isinstance(answer, Failed) else answer.transaction.state)
        bad = Plan((Setting(SOMAXCONN, "4096", "1\nkernel.core_pattern=|/x"),), plan().netns, plan().boot_id)
        said.append(screen.told(Apply(bad, LONG)))
        assert screen.told(Apply(plan(), LONG)) == "holding"
    return said


def test_x7_junk_fails_and_ends_nothing() -> None:
    *said, empty, keep, bad = inside(junk)
    assert all(word in ("this is no request", "301 keys are too many at once") for word in said)
    assert (empty, bad) == ("refused", "refused")
    assert "no change is being held" in keep


def two_desks() -> list[str]:
    with old_values() as root, a_screen(root) as first, a_screen(root) as second:
        held = first.ask(Apply(plan(), LONG), Told).transaction
        seen = second.stands(lambda standing: standing.held is not None)
        assert seen.held is not None
        assert seen.held.id == held.id
        assert 0 < seen.left <= LONG
        refused = second.ask(Apply(plan(NEW, OLD), LONG), Told).transaction
        assert values() == NEW
        return [refused.state, *refused.words, second.told(Decide("revert", held.id)), str(values() == OLD)]


def test_t12_the_second_desk_sees_what_the_first_holds() -> None:
    refused, words, *rest = inside(two_desks)
    assert refused == "refused"
    assert "another change is being held by " in words
    assert " s more" in words
    assert rest == ["reverted", "True"]


def without_privilege() -> list[str]:
    """The screen gives up all it can, and its desk does what it asks."""
    with old_values() as root, a_screen(root) as screen:
        privileges.drop()
        capabilities = Path("/proc/self/status").read_text().partition("CapEff:")[2].split()[0]
        held = screen.ask(Apply(plan(), LONG), Told).transaction
        screen.ask(Look((SOMAXCONN,)), Looked)
        states = [capabilities.strip("0"), held.state, screen.told(Decide("revert", held.id))]
        return [*states, *(one.state for one in screen.ask(Recall(), Recalled).transactions)]


def test_the_screen_needs_no_privilege() -> None:
    assert inside(without_privilege) == ["", "holding", "reverted", "reverted"]


def elsewhere() -> list[str]:
    with old_values() as root:
        other = os.fork()
        if other == 0:
            enter(user_namespace=False)
            wait_for_ever()
        try:
            assert eventually(lambda: _netns(other) not in (0, _netns(os.getpid())))
            with a_screen(root, str(other)) as screen:
                looked = screen.ask(Look((SOMAXCONN,)), Looked)
                assert looked.netns == _netns(other)
                return [looked.cannot, screen.ask(Apply(plan(), LONG), Failed).message, str(values() == OLD)]
        finally:
            os.kill(other, signal.SIGKILL)
            os.waitpid(other, 0)


def _netns(pid: int) -> int:
    with suppress(OSError):
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    return 0


def test_another_namespace_is_shown_and_not_changed() -> None:
    looked, failed, same = inside(elsewhere)
    assert "changes are made in sockmon's own" in looked
    assert (failed, same) == (looked, "True")


def not_ours() -> list[str]:
    said = []
    with old_values() as root:
        run = Path(root, "run/sockmon")
        run.mkdir(parents=True)
        run.chmod(0o777)
        with a_screen(root) as screen:
            said.append(screen.ask(Look((SOMAXCONN,)), Looked).cannot)
        run.rmdir()
        run.touch()
        with a_screen(root) as screen:
            said.append(screen.ask(Look((SOMAXCONN,)), Looked).cannot)
            said.append(screen.ask(Apply(plan(), LONG), Failed).message)
        run.unlink()
        return said


def test_t23_prepared_places_are_told_before_anything_is_planned() -> None:
    written, no_directory, refused = inside(not_ours)
    assert "can be written by others (mode 0777)" in written
    assert "is no directory" in no_directory
    assert refused == no_directory


@pytest.mark.usefixtures("unprivileged_only")
def test_without_root_it_shows_and_says_how() -> None:
    with a_screen("/") as screen:
        looked = screen.ask(Look((SOMAXCONN,)), Looked)
        assert looked.values[SOMAXCONN].isdigit()
        assert "sudo sockmon" in looked.cannot
        assert screen.ask(Apply(plan(), LONG), Failed).message == looked.cannot
