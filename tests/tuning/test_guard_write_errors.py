"""S1 S2 S16 S17 S19 S20 in the guard: keys that vanish, are mounted over, rounded, read-only or forbidden."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from sockmon.kernel.identity import boot_id, netns_inode
from sockmon.model.plan import Plan, Setting
from sockmon.tunables import BY_KEY
from sockmon.tuning.transaction.guard import Guard
from tests.netns import inside
from tests.tuning.sample_change import ACTOR, OLD, RANGE, SOMAXCONN, plan, values
from tests.tuning.sysctl_programs import bind, private_mounts, rename_loopback, uncover
from tests.tuning.test_transaction import old_values

pytestmark = pytest.mark.usefixtures("needs_userns")

MILLISECONDS = "net.ipv4.neigh.lo.retrans_time_ms"


def gone_while_held() -> tuple[str, str]:
    """Rename the interface of a key, which renames the key."""
    _allow(MILLISECONDS)
    with old_values() as root:
        old = {MILLISECONDS: "1000"}
        guard = Guard(plan(old, {MILLISECONDS: "2000"}), ACTOR, 60.0, root)
        assert guard.apply().state == "holding"
        rename_loopback()
        ended = guard.revert()
        return ended.state, ended.messages[-1]


def _allow(key: str) -> None:
    """Make the guard accept another key."""
    BY_KEY[key] = BY_KEY[SOMAXCONN]


@pytest.mark.fault("S1")
def test_S1_a_key_that_vanishes_during_the_hold_is_not_a_failure() -> None:
    state, words = inside(gone_while_held)
    assert state == "reverted"
    assert "it does not exist any more" in words


def unreadable() -> list[str]:
    keys = ("net.ipv4.route.flush", "net.ipv6.conf.all.stable_secret", "net.core.rmem_max", "net.nf_conntrack_max")
    said = []
    with old_values() as root:
        for key in keys:
            _allow(key)
            made = Plan((Setting(SOMAXCONN, "4096", "9000"), Setting(key, "1", "2")), netns_inode(), boot_id())
            ended = Guard(made, ACTOR, 60.0, root).apply()
            assert (ended.state, values()) == ("refused", OLD)
            said.append(ended.messages[0])
    return said


@pytest.mark.fault("S1", "S2", "S16")
def test_S1_S2_S16_what_cannot_be_read_or_written_is_refused_by_name() -> None:
    flush, secret, read_only, absent = inside(unreadable)
    assert flush.startswith("net.ipv4.route.flush")
    assert "cannot be read" in flush or "denied" in flush
    assert secret.startswith("net.ipv6.conf.all.stable_secret")
    assert read_only.startswith("net.core.rmem_max: ")
    assert "net.nf_conntrack_max: No such file or directory" in absent


def rounded() -> tuple[list[str], str, str] | None:
    """Milliseconds become ticks of the kernel's clock, which are 4 ms at 250 Hz."""
    _allow(MILLISECONDS)
    with old_values() as root:
        guard = Guard(plan({MILLISECONDS: "1000"}, {MILLISECONDS: "1"}), ACTOR, 60.0, root)
        if guard.apply().state != "holding":
            return None
        found = values({MILLISECONDS: ""})[MILLISECONDS]
        words = guard.messages
        guard.revert()
        return words, found, values({MILLISECONDS: ""})[MILLISECONDS]


@pytest.mark.fault("S17")
def test_S17_a_rounded_value_is_reported_and_rolled_back() -> None:
    made = inside(rounded)
    assert made
    words, found, back = made
    if found == "1":
        pytest.skip("the clock of this kernel has ticks of a millisecond")
    assert words == [f"{MILLISECONDS}: wrote 1, which the kernel rounded to {found}"]
    assert back == "1000"


def covered() -> tuple[str, str, str]:
    """S19: a file mounted over the kernel's, and /proc/sys read-only, before and during the hold."""
    private_mounts()
    with old_values() as root:
        fake = Path(root, "fake")
        fake.write_text("4096\n")
        held = Guard(plan(OLD, {RANGE: "1024 65000"}), ACTOR, 60.0, root)
        assert held.apply().state == "holding"
        held.revert()
        bind(str(fake), "/proc/sys/net/core/somaxconn")
        masked = Guard(plan(), ACTOR, 60.0, root).apply()
        assert fake.read_text() == "4096\n"
        uncover("/proc/sys/net/core/somaxconn")
        bind("/proc/sys", "/proc/sys", read_only=True)
        read_only = Guard(plan(), ACTOR, 60.0, root).apply()
        return masked.messages[0], read_only.messages[0], masked.state + read_only.state


@pytest.mark.fault("S19")
def test_S19_read_only_and_masked_files_are_refused_with_the_reason() -> None:
    masked, read_only, states = inside(covered)
    assert masked == f"{SOMAXCONN}: another file is mounted over /proc/sys/net/core/somaxconn"
    assert "read-only" in read_only.lower()
    assert states == "refusedrefused"


def forbidden() -> tuple[str, dict[str, str], str]:
    """S20: a process that may read and not write, as under an LSM: another user in this namespace."""
    with old_values() as root:
        made = plan()
        os.chmod(root, 0o777)
        child = os.fork()
        if child == 0:
            os.setresgid(1000, 1000, 1000)
            os.setresuid(1000, 1000, 1000)
            mine = tempfile.mkdtemp(dir=root)
            refused = Guard(made, ACTOR, 60.0, mine).apply()
            Path(mine, "words").write_text(f"{refused.state}\n{refused.messages[0]}")
            os._exit(0)
        os.waitpid(child, 0)
        (said,) = Path(root).glob("*/words")
        state, words = said.read_text().split("\n", 1)
        return state, values(), words


@pytest.mark.fault("S20")
@pytest.mark.usefixtures("root_only")
def test_S20_a_forbidden_write_is_named_and_nothing_is_touched() -> None:
    state, found, words = inside(forbidden)
    assert (state, found) == ("refused", OLD)
    assert words == f"{SOMAXCONN}: Permission denied; changes need root"
