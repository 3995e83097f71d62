"""The helper: its answers, the status that it sends without a request, and which process may be killed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from sockmon import own_command, privileges
from sockmon.kernel.identity import boot_id
from sockmon.model.helper_protocol import (
    Apply,
    ChangeResult,
    GetHistory,
    HelperStatus,
    History,
    ReadSettings,
    RequestFailed,
    ResolveHold,
    SettingsRead,
)
from sockmon.model.plan import Plan, Setting
from sockmon.sandbox.namespaces import enter
from sockmon.tuning.helper.client import open_helper
from tests.netns import inside
from tests.tuning.helper_session import helper_session, sleep_forever
from tests.tuning.sample_change import NEW, OLD, SOMAXCONN, plan, read_history, values, write
from tests.tuning.test_transaction import LONG_HOLD, end_session_in_hold, eventually, guard_pid, old_values

pytestmark = pytest.mark.usefixtures("needs_userns")


def from_read_to_history() -> list[object]:
    with old_values() as root, helper_session(root) as screen:
        first = screen.wait_for_status(lambda status: True)
        answer = screen.ask(
            ReadSettings((SOMAXCONN, "../../../etc/shadow", f"nofile@{os.getpid()}", "nproc@0")), SettingsRead
        )
        read = answer.settings
        assert read.values[SOMAXCONN] == OLD[SOMAXCONN]
        assert read.values[f"nofile@{os.getpid()}"].count(":") == 1
        assert read.start_times[f"nofile@{os.getpid()}"] > 0
        assert set(read.refused) == {"../../../etc/shadow", "nproc@0"}
        assert (answer.cannot_apply, read.netns_inode) == ("", plan().netns)
        assert SOMAXCONN in read.forecasts
        # Reading creates nothing.
        assert os.listdir(root) == []
        held = screen.ask(Apply(plan(), LONG_HOLD), ChangeResult).transaction
        assert values() == NEW
        holding = screen.wait_for_status(lambda status: status.pending is not None)
        assert 0 < holding.seconds_left <= LONG_HOLD
        longer = screen.ask(ResolveHold("extend", held.id, seconds=LONG_HOLD + 99), ChangeResult).transaction
        assert longer.deadline > held.deadline
        states = [held.state, screen.state_after(ResolveHold("keep", held.id))]
        screen.wait_for_status(lambda status: status.pending is None)
        states += [one.state for one in screen.ask(GetHistory(), History).transactions]
        write({SOMAXCONN: "7777"})
        return [first, *states, values() == {**NEW, SOMAXCONN: "7777"}]


def test_the_requests_of_a_screen() -> None:
    assert inside(from_read_to_history) == [HelperStatus(None), "holding", "kept", "kept", True]


def process_names() -> list[str]:
    with old_values() as root, helper_session(root) as screen:
        assert screen.state_after(Apply(plan(), LONG_HOLD)) == "holding"
        guard = guard_pid(root)
        watchdog = int(Path(f"/proc/{guard}/stat").read_text().rpartition(")")[2].split()[1])
        names = [
            Path(f"/proc/{pid}/comm").read_text().strip() for pid in (screen.helper.child.pid, watchdog, guard)
        ]
        assert screen.state_after(ResolveHold("revert", "")) == "reverted"
        return names


def test_ps_shows_each_process_by_its_whole_name() -> None:
    assert inside(process_names) == ["sockmon-helper", "sockmon-watch", "sockmon-guard"]


def screen_dies(close_terminal: bool) -> tuple[str, list[str]]:
    """Kill the screen of a pending change; return the result and the processes that are left."""
    with old_values() as root:

        @contextmanager
        def held() -> Iterator[None]:
            with helper_session(root) as screen:
                assert screen.state_after(Apply(plan(), 2.0)) == "holding"
                yield

        end_session_in_hold(root, held, close_terminal)
        assert eventually(lambda: not _tuning_processes(root))
        return read_history(Path(root))[0].state, _tuning_processes(root)


def _tuning_processes(root: str) -> list[str]:
    """Return the command lines of the helpers, watchdogs and guards of a root."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            command = path.read_bytes().replace(b"\0", b" ").decode()
            found += [command] if command.startswith("sockmon-") and root in command else []
    return found


@pytest.mark.fault("T5")
@pytest.mark.parametrize("close_terminal", [False, True], ids=["t4_screen_killed", "t5_terminal_closed"])
def test_the_change_is_rolled_back_and_no_process_stays(close_terminal: bool) -> None:
    assert inside(screen_dies, close_terminal) == ("reverted", [])


def guard_dies() -> list[str]:
    with old_values() as root, helper_session(root) as screen:
        states: list[str] = []
        for _ in range(3):
            states.append(screen.state_after(Apply(plan(), LONG_HOLD)))
            screen.wait_for_status(lambda status: status.pending is not None)
            os.kill(guard_pid(root), signal.SIGKILL)
            # The end of the pending change is reported with its result, not before.
            screen.wait_for_status(lambda status: status.pending is None)
            states.append(screen.ask(GetHistory(), History).transactions[0].state)
            assert values() == OLD
        return states


@pytest.mark.fault("T6")
def test_t6_a_change_whose_guard_is_killed_is_recovered_and_reported() -> None:
    assert inside(guard_dies) == ["holding", "reverted"] * 3


def guard_and_watchdog_die() -> list[str]:
    with old_values() as root, helper_session(root) as screen:
        held = screen.ask(Apply(plan(), LONG_HOLD), ChangeResult).transaction
        guard = guard_pid(root)
        watchdog = int(Path(f"/proc/{guard}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(watchdog, signal.SIGKILL)
        os.kill(guard, signal.SIGKILL)
        recovered = screen.wait_for_status(lambda status: bool(status.recovered))
        assert values() == OLD
        assert (recovered.recovered[0].id, recovered.unrecovered) == (held.id, ())
        return [recovered.recovered[0].state, screen.state_after(Apply(plan(), LONG_HOLD))]


@pytest.mark.fault("T7", "T13")
def test_t7_t13_the_helper_recovers_after_guard_and_watchdog_are_killed() -> None:
    assert inside(guard_and_watchdog_die) == ["reverted", "holding"]


def helper_dies() -> list[str]:
    """Kill the helper; the next one finds the pending change."""
    with old_values() as root:
        with helper_session(root) as first:
            held = first.ask(Apply(plan(), LONG_HOLD), ChangeResult).transaction
            os.kill(first.helper.child.pid, signal.SIGKILL)
            first.read_to_end()
            assert eventually(lambda: not first.helper.ask(GetHistory()))
        assert values() == NEW
        with helper_session(root) as second:
            found = second.wait_for_status(lambda status: status.pending is not None).pending
            assert found is not None
            assert found.id == held.id
            return [found.state, second.state_after(ResolveHold("keep", held.id)), str(values() == NEW)]


@pytest.mark.fault("T4")
def test_t4_a_pending_change_outlives_a_killed_helper() -> None:
    assert inside(helper_dies) == ["holding", "kept", "True"]


def junk() -> list[str]:
    said = []
    with old_values() as root, helper_session(root) as screen:
        pipe = screen.helper.child.stdin
        for line in (
            b"",
            b"\xff\xfe\0",
            b"[" * 100_000,
            b'{"kind":"drop"}',
            b'{"kind":"apply","plan":7,"hold":60}',
            b'{"kind":"read","keys":"net.core.somaxconn"}',
            b'{"kind":"resolve","verb":"status","id":""}',
            b'{"kind":"read","keys":["' + b"x" * (9 << 20) + b'"]}',
            b'{"kind":"read","keys":[' + b'"a",' * 300 + b'"a"]}',
            b'{"kind":"apply","plan":{"settings":[],"netns":1,"boot_id":""},"hold":1e308}',
            b'{"kind":"resolve","verb":"keep","id":"../../x"}',
        ):
            os.set_blocking(pipe.fileno(), True)
            pipe.write(line + b"\n")
            pipe.flush()
            answer = next(one for one in iter(screen._next, None) if not isinstance(one, HelperStatus))
            assert isinstance(answer, (RequestFailed, ChangeResult))
            said.append(answer.message if isinstance(answer, RequestFailed) else answer.transaction.state)
        bad = Plan((Setting(SOMAXCONN, "4096", "1\nkernel.core_pattern=|/x"),), plan().netns, plan().boot_id)
        said.append(screen.state_after(Apply(bad, LONG_HOLD)))
        assert screen.state_after(Apply(plan(), LONG_HOLD)) == "holding"
    return said


@pytest.mark.fault("X7")
def test_x7_junk_fails_and_ends_nothing() -> None:
    *said, empty, keep, bad = inside(junk)
    assert all(word in ("not a valid request", "301 keys requested; at most 256 are allowed") for word in said)
    assert (empty, bad) == ("refused", "refused")
    assert "no change is pending" in keep


def two_helpers() -> list[str]:
    with old_values() as root, helper_session(root) as first, helper_session(root) as second:
        held = first.ask(Apply(plan(), LONG_HOLD), ChangeResult).transaction
        seen = second.wait_for_status(lambda status: status.pending is not None)
        assert seen.pending is not None
        assert seen.pending.id == held.id
        assert 0 < seen.seconds_left <= LONG_HOLD
        refused = second.ask(Apply(plan(NEW, OLD), LONG_HOLD), ChangeResult).transaction
        assert values() == NEW
        return [
            refused.state,
            *refused.messages,
            second.state_after(ResolveHold("revert", held.id)),
            str(values() == OLD),
        ]


@pytest.mark.fault("T12")
def test_t12_the_second_helper_reports_the_pending_change_of_the_first() -> None:
    refused, words, *rest = inside(two_helpers)
    assert refused == "refused"
    assert "another change is pending: by " in words
    assert " s left" in words
    assert rest == ["reverted", "True"]


def without_privilege() -> list[str]:
    """Drop the privilege of the screen, and send requests to its helper."""
    with old_values() as root, helper_session(root) as screen:
        privileges.drop()
        capabilities = Path("/proc/self/status").read_text().partition("CapEff:")[2].split()[0]
        held = screen.ask(Apply(plan(), LONG_HOLD), ChangeResult).transaction
        screen.ask(ReadSettings((SOMAXCONN,)), SettingsRead)
        states = [capabilities.strip("0"), held.state, screen.state_after(ResolveHold("revert", held.id))]
        return [*states, *(one.state for one in screen.ask(GetHistory(), History).transactions)]


def test_the_screen_needs_no_privilege() -> None:
    assert inside(without_privilege) == ["", "holding", "reverted", "reverted"]


def other_namespace() -> list[str]:
    with old_values() as root:
        other = os.fork()
        if other == 0:
            enter(user_namespace=False)
            sleep_forever()
        try:
            assert eventually(lambda: _netns(other) not in (0, _netns(os.getpid())))
            with helper_session(root, str(other)) as screen:
                read = screen.ask(ReadSettings((SOMAXCONN,)), SettingsRead)
                assert read.settings.netns_inode == _netns(other)
                setting = Setting(SOMAXCONN, read.settings.values[SOMAXCONN], "9999")
                plan_there = Plan((setting,), _netns(other), boot_id(), target=read.settings.target)
                held = screen.ask(Apply(plan_there, LONG_HOLD), ChangeResult).transaction
                there = screen.ask(ReadSettings((SOMAXCONN,)), SettingsRead).settings.values[SOMAXCONN]
                same = str(values() == OLD)
                return [read.cannot_apply, there, same, screen.state_after(ResolveHold("revert", held.id))]
        finally:
            os.kill(other, signal.SIGKILL)
            os.waitpid(other, 0)


def _netns(pid: int) -> int:
    with suppress(OSError):
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    return 0


@pytest.mark.fault("T19")
def test_the_namespace_that_is_shown_is_changed_and_ours_is_not() -> None:
    assert inside(other_namespace) == ["", "9999", "True", "reverted"]


def refused_directories() -> list[str]:
    said = []
    with old_values() as root:
        run = Path(root, "run/sockmon")
        run.mkdir(parents=True)
        run.chmod(0o777)
        with helper_session(root) as screen:
            said.append(screen.ask(ReadSettings((SOMAXCONN,)), SettingsRead).cannot_apply)
        run.rmdir()
        run.touch()
        with helper_session(root) as screen:
            said.append(screen.ask(ReadSettings((SOMAXCONN,)), SettingsRead).cannot_apply)
            said.append(screen.ask(Apply(plan(), LONG_HOLD), RequestFailed).message)
        run.unlink()
        return said


@pytest.mark.fault("T23")
def test_t23_directories_of_another_user_are_reported_before_a_plan() -> None:
    written, no_directory, refused = inside(refused_directories)
    assert "is writable by other users (mode 0777)" in written
    assert "is not a directory" in no_directory
    assert refused == no_directory


@pytest.mark.usefixtures("unprivileged_only")
def test_without_root_it_reads_and_names_the_command_for_root() -> None:
    with helper_session("/") as screen:
        read = screen.ask(ReadSettings((SOMAXCONN,)), SettingsRead)
        assert read.settings.values[SOMAXCONN].isdigit()
        assert f"sudo {own_command.command()}" in read.cannot_apply
        assert screen.ask(Apply(plan(), LONG_HOLD), RequestFailed).message == read.cannot_apply


def test_the_screen_reads_the_end_of_a_helper_whose_code_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sockmon.tuning.helper.server", None)
    helper = open_helper()
    with pytest.raises(ImportError):
        helper.start()
    assert list(helper.answers()) == []
    helper.close()
