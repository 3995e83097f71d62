"""Faults of a transaction on a machine in a sorry state, made so in private namespaces on the real kernel."""

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

from sockmon.model.change import Plan, Transaction, undoing
from sockmon.tuning.guard import Guard
from sockmon.tuning.hold import hold
from sockmon.tuning.recover import boot_id, netns, recover
from sockmon.tuning.transaction import apply
from tests.netns import inside, inside_as_root
from tests.tuning.changes import ME, NEW, OLD, SOMAXCONN, journals, past, plan, values, write
from tests.tuning.loaders import cover, private_mounts, uncover
from tests.tuning.test_crashes import lasting
from tests.tuning.test_transaction import eventually, old_values

pytestmark = pytest.mark.usefixtures("needs_userns")

_NEWTIME, _NEWPID, _NEWNET = 0x80, 0x20000000, 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def _unshare(flags: int) -> None:
    if _libc.unshare(flags):
        raise OSError(ctypes.get_errno(), "unshare")


def _healed(root: str) -> list[Transaction]:
    """What the next start does, once the dead have let go of the lock."""
    found: list[Transaction] = []

    def heal() -> bool:
        found.extend(recover(root))
        return bool(found)

    assert eventually(heal)
    return found


def session_killed() -> tuple[bool, list[str]]:
    """All processes of a session at once, as cgroup.kill does: here the first process of their pid namespace."""
    with old_values() as root:
        told, tell = os.pipe()
        keeper = os.fork()
        if keeper == 0:
            _unshare(_NEWPID)
            if first := os.fork():
                os.write(tell, b"%d " % first)
                signal.pause()
            apply(plan(), ME, 600.0, root)
            os.write(tell, b"held")
            signal.pause()
        said = b""
        while b"held" not in said:
            said += os.read(told, 100)
        os.kill(int(said.split()[0]), signal.SIGKILL)
        healed = _healed(root)
        os.kill(keeper, signal.SIGKILL)
        os.waitpid(keeper, 0)
        return values() == OLD, [one.state for one in healed]


def test_T7_a_whole_session_is_killed_and_the_next_start_heals() -> None:
    assert inside(session_killed) == (True, ["reverted"])


def between_keep_and_file() -> tuple[list[str], bool, dict[str, str]]:
    with old_values() as root:
        Path(root, "etc/sysctl.d").mkdir(parents=True)
        guard = Guard(plan(), ME, 60.0, root)
        guard.begin()
        assert guard._journaled.keep(persist=True)
        guard._let_go()
        healed = recover(root)
        return [one.state for one in healed], healed[0].persisted, lasting(Path(root))


def test_T9_what_was_kept_to_last_is_rolled_forward() -> None:
    assert inside(between_keep_and_file) == (["kept"], True, NEW)


def etc_read_only_or_full() -> list[tuple[Transaction, dict[str, str]]]:
    """Keep to last, and undo what was kept to last, with /etc as it is then; and what the file has afterwards."""
    private_mounts()
    found = []
    for full in (False, True):
        with old_values() as root:
            etc = f"{root}/etc"
            os.mkdir(etc)
            cover(etc, "size=16k")
            os.mkdir(f"{etc}/sysctl.d")
            kept = Guard(plan(), ME, 60.0, root)
            kept.begin()
            first = kept.keep(persist=True)
            assert first.persisted
            if full:
                _fill(f"{etc}/ballast")
            else:
                cover(etc, "", read_only=True)
            second = Guard(plan(NEW, {SOMAXCONN: "9000"}), ME, 60.0, root)
            second.begin()
            found.append((second.keep(persist=True), lasting(Path(root))))
            write({SOMAXCONN: NEW[SOMAXCONN]})
            undo = Guard(undoing(first, netns(), boot_id()), ME, 60.0, root)
            undo.begin()
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


def test_T11_etc_read_only_and_full_kept_all_the_same_and_said_what_a_restart_does() -> None:
    found = inside(etc_read_only_or_full)
    assert {one.state for one, _ in found} == {"kept"}
    assert not any(one.persisted for one, _ in found)
    # To take the last of our lines out takes no room.
    assert [filed for _, filed in found] == [NEW, NEW, NEW, {}]
    read_only, undone, full, _ = (one.words for one, _ in found)
    assert "not written to /etc/sysctl.d" in read_only[-1]
    assert read_only[-1].endswith("the file system is read-only")
    assert full[-1].endswith("there is no room left on the disk")
    assert undone[0].startswith("it holds until a restart: ")
    assert undone[0].endswith("the file system is read-only")
    assert f"after a restart, {SOMAXCONN}: /etc/sysctl.d/90-sockmon.conf:4 sets 8192" in undone


def immutable(root: str) -> Transaction:
    write(OLD)
    guard = Guard(plan(), ME, 60.0, root)
    assert guard.begin().state == "holding", guard.words
    return guard.keep(persist=True)


@pytest.mark.usefixtures("root_only")
def test_T11_an_immutable_file_is_kept_and_said(tmp_path: Path) -> None:
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
    assert "lsattr shows whether the file or the directory is immutable" in kept.words[-1]
    assert file.read_text() == "# by hand\n"


def run_full() -> Transaction:
    """R14: no room for the journal."""
    private_mounts()
    with old_values() as root:
        os.mkdir(f"{root}/run")
        cover(f"{root}/run", "size=20k")
        recover(root)
        _fill(f"{root}/run/ballast")
        refused = Guard(plan(), ME, 60.0, root).begin()
        assert values() == OLD
        uncover(f"{root}/run")
        return refused


def test_R14_a_full_run_is_refused_before_anything_is_touched() -> None:
    refused = inside(run_full)
    assert refused.state == "refused"
    assert "No space left" in refused.words[0]


def suspended() -> tuple[str, bool, str] | None:
    """CLOCK_BOOTTIME jumps by an hour while CLOCK_MONOTONIC does not, as over a suspend: a time namespace."""
    with old_values() as root:
        guard = Guard(plan(), ME, 1800.0, root)
        assert guard.begin().state == "holding"
        try:
            _unshare(_NEWTIME)
            Path("/proc/self/timens_offsets").write_text("boottime 3600 0\n")
        except OSError:
            guard.revert()
            return None
        before = time.monotonic()
        child = os.fork()
        if child == 0:
            os._exit(hold(guard).state != "reverted")
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert time.monotonic() - before < 900
        guard._let_go()
        return f"{code}", values() == OLD, past(Path(root))[0].words[-1]


def test_T18_after_a_suspend_it_goes_back_at_once() -> None:
    found = inside(suspended)
    if found is None:
        pytest.skip("this kernel has no time namespaces, or they are forbidden")
    assert found == ("0", True, "the time was up")


def netns_deleted() -> tuple[list[str], dict[str, str], str, list[str]]:
    """Guard and watcher died in a network namespace, and that is gone; here the values look as it left them."""
    with old_values() as root:
        there = os.fork()
        if there == 0:
            _unshare(_NEWNET)
            write(OLD)
            Path(root, "netns").write_text(str(netns()))
            held = Guard(plan(), ME, 600.0, root).begin().state == "holding"
            os.kill(os.getpid(), signal.SIGKILL if held else signal.SIGTERM)
        assert os.WTERMSIG(os.waitpid(there, 0)[1]) == signal.SIGKILL
        write(NEW)
        left = recover(root)
        stale = Plan(plan(NEW, OLD).settings, int(Path(root, "netns").read_text()), boot_id())
        refused = apply(stale, ME, 60.0, root)
        return [*left[0].words], values(), refused.words[0], journals(Path(root))


def test_T19_values_of_a_namespace_that_is_gone_are_put_back_nowhere_else() -> None:
    words, found, refused, left = inside(netns_deleted)
    assert "run sockmon there to put it right" in words[0]
    assert found == NEW
    assert "is for the network namespace net:[" in refused
    assert len(left) == 1


def brought_back() -> tuple[list[str], dict[str, str], list[str]]:
    """The journal of a change that was kept is there again, as it was while it was held: a snapshot restored."""
    with old_values() as root:
        guard = Guard(plan(), ME, 60.0, root)
        guard.begin()
        name = journals(Path(root))[0]
        file = Path(root, "run/sockmon/txn", name)
        raw = file.read_bytes()
        guard.keep()
        file.write_bytes(raw)
        file.chmod(0o600)
        return [one.state for one in recover(root)], values(), journals(Path(root))


def test_T22_a_journal_that_was_brought_back_undoes_nothing() -> None:
    assert inside(brought_back) == (["kept"], NEW, [])
