"""Faults of the host during a transaction, reproduced in private namespaces of the real kernel."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from sockmon.kernel.identity import boot_id, netns_inode
from sockmon.model.plan import Plan
from sockmon.model.transaction import Transaction, inverse_plan
from sockmon.tuning.transaction.client import apply
from sockmon.tuning.transaction.control_socket import serve_until_decided
from sockmon.tuning.transaction.guard import Guard
from sockmon.tuning.transaction.recovery import recover
from tests.netns import inside, inside_as_root
from tests.tuning.sample_change import ACTOR, NEW, OLD, SOMAXCONN, journals, plan, read_history, values, write
from tests.tuning.sysctl_programs import cover, private_mounts, uncover
from tests.tuning.test_crashes import lasting
from tests.tuning.test_transaction import eventually, old_values

pytestmark = pytest.mark.usefixtures("needs_userns")

_NEWTIME, _NEWPID, _NEWNET = 0x80, 0x20000000, 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def _unshare(flags: int) -> None:
    if _libc.unshare(flags):
        raise OSError(ctypes.get_errno(), "unshare")


def _recovered(root: str) -> list[Transaction]:
    """Recover as the next start does, once the lock of the killed guard is free."""
    found: list[Transaction] = []

    def recovered() -> bool:
        found.extend(recover(root))
        return bool(found)

    assert eventually(recovered)
    return found


def session_killed() -> tuple[bool, list[str]]:
    """Kill all processes of a session at once, as cgroup.kill does: here by the first process of their pid
    namespace."""
    with old_values() as root:
        told, tell = os.pipe()
        keeper = os.fork()
        if keeper == 0:
            _unshare(_NEWPID)
            if first := os.fork():
                os.write(tell, b"%d " % first)
                signal.pause()
            apply(plan(), ACTOR, 600.0, root)
            os.write(tell, b"held")
            signal.pause()
        said = b""
        while b"held" not in said:
            said += os.read(told, 100)
        os.kill(int(said.split()[0]), signal.SIGKILL)
        recovered = _recovered(root)
        os.kill(keeper, signal.SIGKILL)
        os.waitpid(keeper, 0)
        return values() == OLD, [one.state for one in recovered]


@pytest.mark.fault("T7")
def test_T7_after_a_killed_session_the_next_start_recovers() -> None:
    assert inside(session_killed) == (True, ["reverted"])


def between_keep_and_file() -> tuple[list[str], bool, dict[str, str]]:
    with old_values() as root:
        Path(root, "etc/sysctl.d").mkdir(parents=True)
        guard = Guard(plan(), ACTOR, 60.0, root)
        guard.apply()
        assert guard._open_journal.keep(persist=True)
        guard._release()
        recovered = recover(root)
        return [one.state for one in recovered], recovered[0].persisted, lasting(Path(root))


@pytest.mark.fault("T9")
def test_T9_the_file_of_a_persisted_change_is_completed() -> None:
    assert inside(between_keep_and_file) == (["kept"], True, NEW)


def etc_read_only_or_full() -> list[tuple[Transaction, dict[str, str]]]:
    """Keep --persist, and undo a persisted change, with /etc in that state; return the file's values
    afterwards."""
    private_mounts()
    found = []
    for full in (False, True):
        with old_values() as root:
            etc = f"{root}/etc"
            os.mkdir(etc)
            cover(etc, "size=16k")
            os.mkdir(f"{etc}/sysctl.d")
            kept = Guard(plan(), ACTOR, 60.0, root)
            kept.apply()
            first = kept.keep(persist=True)
            assert first.persisted
            if full:
                _fill(f"{etc}/ballast")
            else:
                cover(etc, "", read_only=True)
            second = Guard(plan(NEW, {SOMAXCONN: "9000"}), ACTOR, 60.0, root)
            second.apply()
            found.append((second.keep(persist=True), lasting(Path(root))))
            write({SOMAXCONN: NEW[SOMAXCONN]})
            undo = Guard(inverse_plan(first, netns_inode(), boot_id()), ACTOR, 60.0, root)
            undo.apply()
            found.append((undo.keep(), lasting(Path(root))))
            assert values() == OLD
            uncover(etc)
    return found


def _fill(name: str) -> None:
    file = os.open(name, os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while os.write(file, bytes(4096)):
            pass
    os.close(file)


@pytest.mark.fault("T11")
def test_T11_with_etc_read_only_or_full_it_is_kept_and_the_boot_value_is_reported() -> None:
    found = inside(etc_read_only_or_full)
    assert {one.state for one, _ in found} == {"kept"}
    assert not any(one.persisted for one, _ in found)
    # Removing the last of our lines needs no space.
    assert [filed for _, filed in found] == [NEW, NEW, NEW, {}]
    read_only, undone, full, _ = (one.messages for one, _ in found)
    assert "not written to /etc/sysctl.d" in read_only[-1]
    assert "the file system is read-only" in read_only[-1]
    assert "there is no space left on the disk" in full[-1]
    assert undone[0].endswith("it does not survive a reboot")
    assert "the file system is read-only" in undone[0]
    assert f"after a reboot, {SOMAXCONN}: /etc/sysctl.d/90-sockmon.conf:4 sets 8192" in undone


def immutable(root: str) -> Transaction:
    write(OLD)
    guard = Guard(plan(), ACTOR, 60.0, root)
    assert guard.apply().state == "holding", guard.messages
    return guard.keep(persist=True)


@pytest.mark.fault("T11")
@pytest.mark.usefixtures("root_only")
def test_T11_an_immutable_file_stays_and_is_reported(tmp_path: Path) -> None:
    folder = tmp_path / "etc/sysctl.d"
    folder.mkdir(parents=True)
    file = folder / "90-sockmon.conf"
    file.write_text("# by hand\n")
    chattr = shutil.which("chattr", path="/usr/bin:/bin:/usr/sbin:/sbin")
    if not chattr or subprocess.run([chattr, "+i", str(file)], capture_output=True, check=False).returncode:
        pytest.skip("this file system knows no immutable files, or chattr is not installed")
    try:
        kept = inside_as_root(immutable, str(tmp_path))
    finally:
        subprocess.run([chattr, "-i", str(file)], check=True)
    assert (kept.state, kept.persisted) == ("kept", False)
    assert "check with lsattr whether the file or the directory is immutable" in kept.messages[-1]
    assert file.read_text() == "# by hand\n"


def run_full() -> Transaction:
    """R14: no space for the journal."""
    private_mounts()
    with old_values() as root:
        os.mkdir(f"{root}/run")
        cover(f"{root}/run", "size=20k")
        recover(root)
        _fill(f"{root}/run/ballast")
        refused = Guard(plan(), ACTOR, 60.0, root).apply()
        assert values() == OLD
        uncover(f"{root}/run")
        return refused


@pytest.mark.fault("R14")
def test_R14_a_full_run_is_refused_before_anything_is_touched() -> None:
    refused = inside(run_full)
    assert refused.state == "refused"
    assert "No space left" in refused.messages[0]


def suspended() -> tuple[str, bool, str] | None:
    """CLOCK_BOOTTIME jumps by an hour while CLOCK_MONOTONIC does not, as over a suspend: a time namespace."""
    with old_values() as root:
        guard = Guard(plan(), ACTOR, 1800.0, root)
        assert guard.apply().state == "holding"
        try:
            _unshare(_NEWTIME)
            Path("/proc/self/timens_offsets").write_text("boottime 3600 0\n")
        except OSError:
            guard.revert()
            return None
        before = time.monotonic()
        child = os.fork()
        if child == 0:
            os._exit(serve_until_decided(guard).state != "reverted")
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert time.monotonic() - before < 900
        guard._release()
        return f"{code}", values() == OLD, read_history(Path(root))[0].messages[-1]


@pytest.mark.fault("T18")
def test_T18_after_a_suspend_it_is_rolled_back_at_once() -> None:
    found = inside(suspended)
    if found is None:
        pytest.skip("this kernel has no time namespaces, or they are forbidden")
    assert found == ("0", True, "the hold expired")


def netns_deleted() -> tuple[list[str], dict[str, str], str, list[str]]:
    """Guard and watchdog were killed in a network namespace that is gone; here the values are as that guard left
    them."""
    with old_values() as root:
        there = os.fork()
        if there == 0:
            _unshare(_NEWNET)
            write(OLD)
            Path(root, "netns").write_text(str(netns_inode()))
            held = Guard(plan(), ACTOR, 600.0, root).apply().state == "holding"
            os.kill(os.getpid(), signal.SIGKILL if held else signal.SIGTERM)
        assert os.WTERMSIG(os.waitpid(there, 0)[1]) == signal.SIGKILL
        write(NEW)
        left = recover(root)
        stale = Plan(plan(NEW, OLD).settings, int(Path(root, "netns").read_text()), boot_id())
        refused = apply(stale, ACTOR, 60.0, root)
        return [*left[0].messages], values(), refused.messages[0], journals(Path(root))


@pytest.mark.fault("T19")
def test_T19_values_of_a_namespace_that_is_gone_are_written_nowhere_else() -> None:
    words, found, refused, left = inside(netns_deleted)
    assert "run sockmon there to roll it back" in words[0]
    assert found == NEW
    assert "is for network namespace net:[" in refused
    assert len(left) == 1


def brought_back() -> tuple[list[str], dict[str, str], list[str]]:
    """Copy back the journal of a kept change as it was during the hold, as from a restored snapshot of the
    disk."""
    with old_values() as root:
        guard = Guard(plan(), ACTOR, 60.0, root)
        guard.apply()
        name = journals(Path(root))[0]
        file = Path(root, "run/sockmon/txn", name)
        raw = file.read_bytes()
        guard.keep()
        file.write_bytes(raw)
        file.chmod(0o600)
        return [one.state for one in recover(root)], values(), journals(Path(root))


@pytest.mark.fault("T22")
def test_T22_a_restored_journal_undoes_nothing() -> None:
    assert inside(brought_back) == (["kept"], NEW, [])
