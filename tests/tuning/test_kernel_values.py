"""How the kernel treats values, and the guard's reaction: rejections, partial changes, long lists, process
limits."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import msgspec
import pytest

from sockmon.kernel.identity import boot_id, netns_inode
from sockmon.model.plan import Plan, Setting
from sockmon.model.transaction import Transaction
from sockmon.tunables import BY_KEY
from sockmon.tuning.transaction.guard import Guard
from sockmon.tuning.transaction.recovery import recover
from tests.netns import inside
from tests.tuning.sample_change import (
    ACTOR,
    BUCKETS,
    NEW,
    OLD,
    RANGE,
    RESERVED,
    SOMAXCONN,
    plan,
    sleeper,
    values,
    write,
)
from tests.tuning.test_transaction import old_values

pytestmark = pytest.mark.usefixtures("needs_userns")

RMEM, PING = "net.ipv4.tcp_rmem", "net.ipv4.ping_group_range"
START = "net.ipv4.ip_unprivileged_port_start"
EVERY_OTHER = ",".join(str(port) for port in range(1, 65536, 2))


def _begin(made: Plan, root: str) -> Transaction:
    return Guard(made, ACTOR, 60.0, root).apply()


def refused_by_the_kernel() -> tuple[Transaction, dict[str, str]]:
    """The second of two settings is a reversed range."""
    with old_values() as root:
        return _begin(plan(OLD, {SOMAXCONN: "8192", RANGE: "60000 1000"}), root), values()


@pytest.mark.fault("S3")
def test_s3_after_a_rejected_value_the_others_are_rolled_back() -> None:
    ended, found = inside(refused_by_the_kernel)
    assert (ended.state, found) == ("reverted", OLD)
    assert f"{RANGE}: the kernel rejected 60000 1000: Invalid argument" in ended.messages


def refused_and_changed() -> tuple[str, bool, bool]:
    BY_KEY[RMEM] = BY_KEY[SOMAXCONN]
    with old_values() as root:
        old = values({RMEM: ""})
        made = plan(old, {RMEM: "8192 131072 2147483648"})
        guard = Guard(made, ACTOR, 60.0, root)
        guard.revert, revert = lambda: guard.status(), guard.revert  # type: ignore[method-assign]
        guard.apply()
        changed = values(old) != old
        return revert().state, changed, values(old) == old


@pytest.mark.fault("S4")
def test_s4_a_rejected_value_that_was_written_in_part_is_rolled_back() -> None:
    assert inside(refused_and_changed) == ("reverted", True, True)


def long_lists() -> tuple[list[str], list[bool]]:
    with old_values() as root:
        states: list[str] = []
        right = []
        for old, new in (("", EVERY_OTHER), (EVERY_OTHER, "5")):
            write({RESERVED: old})
            guard = Guard(plan({RESERVED: old}, {RESERVED: new}), ACTOR, 60.0, root)
            states.append(guard.apply().state)
            right.append(values({RESERVED: ""})[RESERVED] == new)
            states.append(guard.revert().state)
            right.append(values({RESERVED: ""})[RESERVED] == old)
        return states, right


@pytest.mark.fault("S9", "S10", "S11", "S12")
def test_s9_s10_s11_s12_lists_longer_than_a_page_and_empty_ones_are_rolled_back() -> None:
    assert inside(long_lists) == (["holding", "reverted"] * 2, [True] * 4)


def no_way_back() -> Transaction:
    BY_KEY[PING] = BY_KEY[SOMAXCONN]
    with old_values() as root:
        old = values({PING: ""})
        return _begin(plan(old, {PING: "0 0"}), root)


@pytest.mark.fault("S21")
def test_s21_a_value_that_cannot_be_written_back_is_not_changed() -> None:
    refused = inside(no_way_back)
    assert refused.state == "refused"
    assert "its present value cannot be written back" in refused.messages[0]


def unsound() -> list[str]:
    """Return the messages for plans that sockmon never makes."""
    somaxconn = Setting(SOMAXCONN, "4096", "8192")
    wrong = (
        Setting("kernel.core_pattern", "core", "x"),
        Setting("net/../core.somaxconn", "4096", "8192"),
        Setting(SOMAXCONN, "4096", "1\nkernel.core_pattern=|/x"),
        Setting(SOMAXCONN, "4096", "1\0"),
        Setting("net.ipv4.tcp_tw_recycle", "0", "1"),
        Setting("core", "0:0", "1:1", pid=1),
        Setting("nofile", "0:0", "1", pid=1),
    )
    made = [Plan((somaxconn, setting), netns_inode(), boot_id()) for setting in wrong]
    made += [Plan((), netns_inode(), boot_id()), Plan((somaxconn, somaxconn), netns_inode(), boot_id())]
    made += [msgspec.structs.replace(plan(), netns=1), msgspec.structs.replace(plan(), boot_id="another")]
    with old_values() as root:
        ended = [_begin(one, root) for one in made]
        assert values() == OLD
        assert {one.state for one in ended} == {"refused"}
        return [one.messages[0] for one in ended]


@pytest.mark.fault("S1", "S24", "T19")
def test_s1_s24_t19_an_invalid_plan_is_refused_before_anything_is_touched() -> None:
    said = inside(unsound)
    assert all("\n" not in word and "\0" not in word for word in said)
    assert "not a sysctl that sockmon can change" in said[0]


def not_persisted() -> tuple[Transaction, bool]:
    with old_values() as root:
        guard = Guard(plan(), ACTOR, 60.0, root)
        guard.apply()
        return guard.keep(persist=True), values() == NEW


@pytest.mark.fault("T11")
def test_t11_a_change_that_cannot_be_persisted_is_kept_with_a_message() -> None:
    ended, new = inside(not_persisted)
    assert (ended.state, ended.persisted, new) == ("kept", False, True)
    assert "does not survive a reboot" in ended.messages[-1]


def stuck() -> tuple[Transaction, str]:
    """Another process widens the range meanwhile, so that the kernel rejects the old start of unprivileged
    ports."""
    with old_values() as root:
        write({START: "1024"})
        guard = Guard(plan({START: "1024"}, {START: "500"}), ACTOR, 60.0, root)
        guard.apply()
        write({RANGE: "600 60999"})
        return guard.revert(), values({START: ""})[START]


@pytest.mark.fault("T17")
def test_t17_a_value_that_the_kernel_rejects_again_is_reported_with_the_command() -> None:
    ended, found = inside(stuck)
    assert (ended.state, found) == ("stuck", "500")
    assert f"run: sysctl -w '{START}=1024'" in ended.messages[-1]


def limits() -> tuple[list[str], list[str]]:
    with old_values() as root, sleeper() as (child, limit):
        states, found = [], []
        made = Plan((limit,), netns_inode(), boot_id())
        guard = Guard(made, ACTOR, 60.0, root)
        for act in (guard.apply, guard.revert):
            states.append(act().state)
            lines = Path(f"/proc/{child.pid}/limits").read_text().splitlines()
            found.append(" ".join(next(line for line in lines if "open files" in line).split()[3:5]))
        other = msgspec.structs.replace(limit, start=1)
        states.append(_begin(msgspec.structs.replace(made, settings=(other,)), root).state)
        guard = Guard(made, ACTOR, 60.0, root)
        states.append(guard.apply().state)
        child.kill()
        child.wait()
        ended = guard.revert()
        return [*states, ended.state, ended.messages[0]], found


def test_limits_of_a_process_and_of_one_that_ends_during_the_hold() -> None:
    states, found = inside(limits)
    assert found == ["350 400", "300 400"]
    assert states[:5] == ["holding", "reverted", "refused", "holding", "reverted"]
    assert "has ended" in states[5]


def killed_with_a_limit() -> tuple[str, dict[str, str]]:
    """A sysctl and a dead process in one journal, recovered by another process."""
    with old_values() as root, sleeper() as (child, limit):
        made = Plan((Setting(BUCKETS, OLD[BUCKETS], NEW[BUCKETS]), limit), netns_inode(), boot_id())
        guard = os.fork()
        if guard == 0:
            held = _begin(made, root).state == "holding"
            os.kill(os.getpid(), signal.SIGKILL if held else signal.SIGTERM)
        assert os.WTERMSIG(os.waitpid(guard, 0)[1]) == signal.SIGKILL
        child.kill()
        child.wait()
        return recover(root)[0].state, values()


def test_recovery_after_a_killed_guard_whose_process_has_ended() -> None:
    assert inside(killed_with_a_limit) == ("reverted", OLD)
