"""T15: kept values are compared with the present ones, and with those after a reboot."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from sockmon.errors import TuningError
from sockmon.kernel.identity import boot_id, netns_inode
from sockmon.model.boot import Drift
from sockmon.model.plan import Plan, Setting
from sockmon.model.transaction import Transaction, inverse_plan, kept_not_undone
from sockmon.tuning.boot.dropin import FILE
from sockmon.tuning.helper.drift import find_drift
from sockmon.tuning.transaction.client import history
from sockmon.tuning.transaction.guard import Guard
from tests.netns import child_environment, inside
from tests.tuning.sample_change import ACTOR, NEW, OLD, RANGE, SOMAXCONN, plan, values, write
from tests.tuning.test_transaction import old_values

inside_only = pytest.mark.usefixtures("needs_userns")


def keep(made: Plan, root: str, persist: bool = False) -> Transaction:
    guard = Guard(made, ACTOR, 60.0, root)
    guard.apply()
    return guard.keep(persist)


def _undo(kept: Transaction) -> Plan:
    return inverse_plan(kept, netns_inode(), boot_id())


def said(root: str) -> list[str]:
    return [f"{drift.key}: {drift.message}" for drift in find_drift(root)]


def rewritten(root: str, **new: str) -> None:
    """Rewrite the history as if its plans were of another namespace, or of another boot."""
    for file in Path(root, "var/lib/sockmon/history").iterdir():
        one = msgspec.json.decode(file.read_bytes(), type=Transaction)
        one = msgspec.structs.replace(one, plan=msgspec.convert(msgspec.to_builtins(one.plan) | new, Plan))
        file.write_bytes(msgspec.json.encode(one))


def drifting() -> tuple[list[str], ...]:
    with old_values() as root:
        before = said(root)
        one = keep(plan(), root)
        kept = said(root)
        write({SOMAXCONN: "512"})
        (drift,) = find_drift(root)
        assert drift == Drift(SOMAXCONN, NEW[SOMAXCONN], "512", one.id, 0, drift.message)
        drifted = said(root)
        write({SOMAXCONN: NEW[SOMAXCONN]})
        keep(plan(NEW, {SOMAXCONN: "16384"}), root)
        newer = said(root)
        write({SOMAXCONN: NEW[SOMAXCONN]})
        return before, kept, drifted, newer, said(root)


@pytest.mark.fault("T15")
@inside_only
def test_T15_drift_names_the_user_and_the_time_of_the_kept_change() -> None:
    before, kept, drifted, newer, older = inside(drifting)
    assert before == kept == newer == []
    (words,) = drifted
    assert f"{SOMAXCONN}: kept as 8192 by ops" in words
    assert words.endswith("but is now 512")
    assert "\n" not in words
    assert "kept as 16384" in older[0], "the newest that was kept counts"


def undone() -> tuple[list[str], ...]:
    with old_values() as root:
        keep(plan(), root)
        second = keep(plan(NEW, {SOMAXCONN: "16384"}), root)
        keep(_undo(second), root)
        # The value that the first change kept applies again.
        there = said(root)
        write({SOMAXCONN: "512"})
        first = said(root)
        write({SOMAXCONN: NEW[SOMAXCONN]})
        keep(_undo(history(root)[-1]), root)
        write({SOMAXCONN: "512", RANGE: "5000 6000"})
        return there, first, said(root)


@pytest.mark.fault("T15")
@inside_only
def test_T15_an_undone_change_does_not_count() -> None:
    there, first, nothing = inside(undone)
    assert there == nothing == []
    assert "kept as 8192" in first[0]


def persisted() -> list[list[str]]:
    with old_values() as root:
        directory = Path(root, "etc/sysctl.d")
        directory.mkdir(parents=True)
        found = []
        assert keep(plan(), root, persist=True).persisted
        found.append(said(root))
        (directory / "99-site.conf").write_text(f"# ours\n{SOMAXCONN} = 128\n")
        found.append(said(root))
        (directory / "99-site.conf").unlink()
        Path(root, FILE.lstrip("/")).write_text(f"{RANGE} = {NEW[RANGE]}\n")
        found.append(said(root))
        # It counts at each boot, and what was not written to the file does not.
        rewritten(root, boot_id="another")
        write({SOMAXCONN: "512"})
        found.append(said(root))
        return found


@pytest.mark.fault("T15")
@inside_only
def test_T15_a_missing_or_overridden_line_in_the_file_is_drift() -> None:
    sound, overruled, lost, after_a_restart = inside(persisted)
    assert sound == []
    (words,) = overruled
    assert "is in effect, but will not be after a reboot" in words
    assert "/etc/sysctl.d/99-site.conf:2 wins at boot: " in words
    assert len(lost) == len(NEW) - 1
    assert all(f"{FILE} has no line for it any more" in words for words in lost)
    # In a private namespace that of process 1 is another, or unreadable: no value is expected there.
    assert after_a_restart == []


def after_a_restart() -> tuple[list[str], list[str]]:
    with old_values() as root:
        keep(plan(), root)
        shutil.rmtree(Path(root, "run"))
        return said(root), os.listdir(root)


@inside_only
def test_reading_creates_no_directory() -> None:
    drift, there = inside(after_a_restart)
    assert drift == []
    assert "run" not in there


def elsewhere() -> tuple[list[str], list[str]]:
    with old_values() as root:
        keep(plan(), root)
        write(OLD)
        rewritten(root, netns=1)  # type: ignore[arg-type]
        other_namespace = said(root)
        rewritten(root, netns=netns_inode(), boot_id="another")  # type: ignore[arg-type]
        return other_namespace, said(root)


@pytest.mark.fault("T15")
@inside_only
def test_T15_another_namespace_and_another_boot_are_not_drift() -> None:
    assert inside(elsewhere) == ([], [])


def cannot_be_read() -> list[str]:
    with old_values() as root:
        keep(plan({SOMAXCONN: OLD[SOMAXCONN]}, {SOMAXCONN: "8192"}), root)
        subprocess.run(["mount", "-t", "tmpfs", "none", "/proc/sys/net/core"], check=True)
        try:
            return said(root)
        finally:
            subprocess.run(["umount", "/proc/sys/net/core"], check=True)


def _in_a_mount_namespace() -> list[str]:
    import ctypes

    # The mount must not be seen outside: mount(2), MS_REC | MS_PRIVATE.
    libc = ctypes.CDLL(None)
    assert libc.unshare(0x00020000) == 0
    assert libc.mount(b"none", b"/", None, 16384 | 262144, None) == 0
    return cannot_be_read()


@pytest.mark.fault("S1", "T15")
@inside_only
def test_T15_S1_a_missing_key_is_reported() -> None:
    (words,) = inside(_in_a_mount_namespace)
    assert "cannot be read any more: not in this kernel" in words


def as_a_program() -> tuple[str, int, str, int]:
    with old_values() as root:
        call = [sys.executable, "-m", "sockmon", "tune", "verify", "--json", "--root", root]
        keep(plan(), root)
        outcomes = []
        for value in (NEW[SOMAXCONN], "512"):
            write({SOMAXCONN: value})
            done = subprocess.run(call, capture_output=True, text=True, check=False, env=child_environment())
            outcomes += [done.stdout, done.returncode]
        assert values()[SOMAXCONN] == "512", "verify changes nothing"
        return tuple(outcomes)  # type: ignore[return-value]


@pytest.mark.fault("T15")
@inside_only
def test_T15_the_verb_exits_with_1_if_there_is_drift() -> None:
    sound, zero, drift, one = inside(as_a_program)
    assert (json.loads(sound), zero, one) == ({"schema": 1, "drift": []}, 0, 1)
    (found,) = json.loads(drift)["drift"]
    assert (found["key"], found["kept"], found["now"]) == (SOMAXCONN, "8192", "512")


def test_without_a_history_no_directory_is_created(tmp_path: Path) -> None:
    assert find_drift(str(tmp_path)) == ()
    assert list(tmp_path.iterdir()) == []


def test_without_permission_to_read_the_history_the_error_names_root(tmp_path: Path) -> None:
    library = tmp_path / "var/lib/sockmon"
    library.mkdir(parents=True)
    library.chmod(0)
    try:
        if os.geteuid() == 0:
            pytest.skip("root reads everything")
        with pytest.raises(TuningError, match="cannot be read") as caught:
            find_drift(str(tmp_path))
    finally:
        library.chmod(0o700)
    assert "root" in caught.value.hint


def _kept(id: str, new: str, undoes: str = "", state: str = "kept") -> Transaction:
    made = Plan((Setting(SOMAXCONN, "1", new),), 1, boot_id(), undoes)
    return Transaction(id, made, ACTOR, 0.0, 60.0, 0.0, state)  # type: ignore[arg-type]


@pytest.mark.fault("T15")
def test_T15_after_an_undo_was_undone_the_first_change_counts_again() -> None:
    first, undo = _kept("a", "2"), _kept("b", "1", "a")
    again = _kept("c", "2", "b")
    assert list(kept_not_undone([first])) == [first]
    assert list(kept_not_undone([undo, first])) == []
    assert list(kept_not_undone([again, undo, first])) == [first]
    assert list(kept_not_undone([_kept("b", "1", "a", "reverted"), first])) == [first]
