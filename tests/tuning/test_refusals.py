"""S1 S2 S16 S17 S19 S20 as the guard meets them: keys that vanish, are covered, rounded, read-only, forbidden."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from sockmon.model.change import Plan, Setting
from sockmon.tunables import BY_KEY
from sockmon.tuning.guard import Guard
from sockmon.tuning.recover import boot_id, netns
from tests.netns import inside
from tests.tuning.changes import ME, OLD, RANGE, SOMAXCONN, plan, values
from tests.tuning.loaders import bind, private_mounts, rename_loopback, uncover
from tests.tuning.test_transaction import old_values

pytestmark = pytest.mark.usefixtures("needs_userns")

MILLISECONDS = "net.ipv4.neigh.lo.retrans_time_ms"


def gone_while_held() -> tuple[str, str]:
    """The interface of a key gets another name, and with it the key."""
    _allow(MILLISECONDS)
    with old_values() as root:
        old = {MILLISECONDS: "1000"}
        guard = Guard(plan(old, {MILLISECONDS: "2000"}), ME, 60.0, root)
        assert guard.begin().state == "holding"
        rename_loopback()
        ended = guard.revert()
        return ended.state, ended.words[-1]


def _allow(key: str) -> None:
    """Let the guard take a key for one that sockmon sets."""
    BY_KEY[key] = BY_KEY[SOMAXCONN]


def test_S1_a_key_that_vanishes_while_it_is_held_is_no_failure() -> None:
    state, words = inside(gone_while_held)
    assert state == "reverted"
    assert "nothing is left to put back" in words


def unreadable() -> list[str]:
    keys = ("net.ipv4.route.flush", "net.ipv6.conf.all.stable_secret", "net.core.rmem_max", "net.nf_conntrack_max")
    said = []
    with old_values() as root:
        for key in keys:
            _allow(key)
            made = Plan((Setting(SOMAXCONN, "4096", "9000"), Setting(key, "1", "2")), netns(), boot_id())
            ended = Guard(made, ME, 60.0, root).begin()
            assert (ended.state, values()) == ("refused", OLD)
            said.append(ended.words[0])
    return said


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
        guard = Guard(plan({MILLISECONDS: "1000"}, {MILLISECONDS: "1"}), ME, 60.0, root)
        if guard.begin().state != "holding":
            return None
        found = values({MILLISECONDS: ""})[MILLISECONDS]
        words = guard.words
        guard.revert()
        return words, found, values({MILLISECONDS: ""})[MILLISECONDS]


def test_S17_what_the_kernel_made_of_a_value_is_told_and_is_ours_to_put_back() -> None:
    made = inside(rounded)
    assert made
    words, found, back = made
    if found == "1":
        pytest.skip("the clock of this kernel has ticks of a millisecond")
    assert words == [f"{MILLISECONDS}: the kernel made {found} of 1"]
    assert back == "1000"


def covered() -> tuple[str, str, str]:
    """S19: something over the kernel's own file, and /proc/sys read-only, before and while it is held."""
    private_mounts()
    with old_values() as root:
        fake = Path(root, "fake")
        fake.write_text("4096\n")
        held = Guard(plan(OLD, {RANGE: "1024 65000"}), ME, 60.0, root)
        assert held.begin().state == "holding"
        held.revert()
        bind(str(fake), "/proc/sys/net/core/somaxconn")
        masked = Guard(plan(), ME, 60.0, root).begin()
        assert fake.read_text() == "4096\n"
        uncover("/proc/sys/net/core/somaxconn")
        bind("/proc/sys", "/proc/sys", read_only=True)
        read_only = Guard(plan(), ME, 60.0, root).begin()
        return masked.words[0], read_only.words[0], masked.state + read_only.state


def test_S19_read_only_and_masked_files_are_refused_with_the_reason() -> None:
    masked, read_only, states = inside(covered)
    assert masked == f"{SOMAXCONN}: what is at /proc/sys/net/core/somaxconn is not the kernel's"
    assert "read-only" in read_only.lower()
    assert states == "refusedrefused"


def forbidden() -> tuple[str, dict[str, str], str]:
    """S20: somebody who may read and not write, as under an LSM: another user, in the namespace of this one."""
    with old_values() as root:
        made = plan()
        os.chmod(root, 0o777)
        child = os.fork()
        if child == 0:
            os.setresgid(1000, 1000, 1000)
            os.setresuid(1000, 1000, 1000)
            mine = tempfile.mkdtemp(dir=root)
            refused = Guard(made, ME, 60.0, mine).begin()
            Path(mine, "words").write_text(f"{refused.state}\n{refused.words[0]}")
            os._exit(0)
        os.waitpid(child, 0)
        (said,) = Path(root).glob("*/words")
        state, words = said.read_text().split("\n", 1)
        return state, values(), words


@pytest.mark.usefixtures("root_only")
def test_S20_a_write_that_is_forbidden_is_named_and_nothing_is_touched() -> None:
    state, found, words = inside(forbidden)
    assert (state, found) == ("refused", OLD)
    assert words == f"{SOMAXCONN}: Permission denied; changing the system takes root"
