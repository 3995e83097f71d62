"""T15: what was kept is compared with what is there now, and with what a restart would make of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from sockmon.errors import NotTuned
from sockmon.model.change import Drift, Plan, Setting, Transaction, standing
from sockmon.tuning.guard import Guard
from sockmon.tuning.persist import FILE
from sockmon.tuning.recover import boot_id, netns
from sockmon.tuning.transaction import history, undoing
from sockmon.tuning.verify import verify
from tests.netns import child_environment, inside
from tests.tuning.changes import ME, NEW, OLD, RANGE, SOMAXCONN, plan, values, write
from tests.tuning.test_transaction import old_values

inside_only = pytest.mark.usefixtures("needs_userns")


def keep(made: Plan, root: str, persist: bool = False) -> Transaction:
    guard = Guard(made, ME, 60.0, root)
    guard.begin()
    return guard.keep(persist)


def said(root: str) -> list[str]:
    return [f"{drift.key}: {drift.words}" for drift in verify(root)]


def rewritten(root: str, **new: str) -> None:
    """The history as if its plans had been made elsewhere, or in another boot."""
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
        (drift,) = verify(root)
        assert drift == Drift(SOMAXCONN, NEW[SOMAXCONN], "512", one.id, 0, drift.words)
        drifted = said(root)
        write({SOMAXCONN: NEW[SOMAXCONN]})
        keep(plan(NEW, {SOMAXCONN: "16384"}), root)
        newer = said(root)
        write({SOMAXCONN: NEW[SOMAXCONN]})
        return before, kept, drifted, newer, said(root)


@inside_only
def test_T15_a_kept_value_that_somebody_changed_is_told_with_who_kept_it_and_when() -> None:
    before, kept, drifted, newer, older = inside(drifting)
    assert before == kept == newer == []
    (words,) = drifted
    assert f"{SOMAXCONN} was kept as 8192 by ops" in words
    assert words.endswith("and is 512 now")
    assert "\n" not in words
    assert "was kept as 16384" in older[0], "the newest that was kept counts"


def undone() -> tuple[list[str], ...]:
    with old_values() as root:
        keep(plan(), root)
        second = keep(plan(NEW, {SOMAXCONN: "16384"}), root)
        keep(undoing(second), root)
        # What the first one kept stands again.
        there = said(root)
        write({SOMAXCONN: "512"})
        first = said(root)
        write({SOMAXCONN: NEW[SOMAXCONN]})
        keep(undoing(history(root)[-1]), root)
        write({SOMAXCONN: "512", RANGE: "5000 6000"})
        return there, first, said(root)


@inside_only
def test_T15_what_was_undone_is_no_claim_any_more() -> None:
    there, first, nothing = inside(undone)
    assert there == nothing == []
    assert "was kept as 8192" in first[0]


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


@inside_only
def test_T15_a_file_that_lost_the_line_or_does_not_win_is_drift_too() -> None:
    sound, overruled, lost, after_a_restart = inside(persisted)
    assert sound == []
    (words,) = overruled
    assert "is so now, but would not be after a restart" in words
    assert "/etc/sysctl.d/99-site.conf:2 wins at boot under systemd-sysctl" in words
    assert len(lost) == len(NEW) - 1
    assert all(f"{FILE} has no line for it any more" in words for words in lost)
    # Inside a namespace of its own the first process's is another, or cannot be seen: nothing is claimed there.
    assert after_a_restart == []


def after_a_restart() -> tuple[list[str], list[str]]:
    with old_values() as root:
        keep(plan(), root)
        shutil.rmtree(Path(root, "run"))
        return said(root), os.listdir(root)


@inside_only
def test_looking_makes_no_directory() -> None:
    drift, there = inside(after_a_restart)
    assert drift == []
    assert "run" not in there


def elsewhere() -> tuple[list[str], list[str]]:
    with old_values() as root:
        keep(plan(), root)
        write(OLD)
        rewritten(root, netns=1)  # type: ignore[arg-type]
        other_namespace = said(root)
        rewritten(root, netns=netns(), boot_id="another")  # type: ignore[arg-type]
        return other_namespace, said(root)


@inside_only
def test_T15_another_namespace_and_another_boot_are_no_drift() -> None:
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


@inside_only
def test_T15_S1_a_key_that_is_gone_says_so() -> None:
    (words,) = inside(_in_a_mount_namespace)
    assert "cannot be read any more: this kernel does not have it" in words


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


@inside_only
def test_T15_the_verb_ends_with_1_where_something_differs() -> None:
    sound, zero, drift, one = inside(as_a_program)
    assert (json.loads(sound), zero, one) == ({"schema": 1, "drift": []}, 0, 1)
    (found,) = json.loads(drift)["drift"]
    assert (found["key"], found["kept"], found["now"]) == (SOMAXCONN, "8192", "512")


def test_where_nothing_was_ever_done_nothing_is_made(tmp_path: Path) -> None:
    assert verify(str(tmp_path)) == ()
    assert list(tmp_path.iterdir()) == []


def test_without_the_right_to_read_the_history_it_says_what_it_takes(tmp_path: Path) -> None:
    library = tmp_path / "var/lib/sockmon"
    library.mkdir(parents=True)
    library.chmod(0)
    try:
        if os.geteuid() == 0:
            pytest.skip("root reads everything")
        with pytest.raises(NotTuned, match="cannot be read") as caught:
            verify(str(tmp_path))
    finally:
        library.chmod(0o700)
    assert "root" in caught.value.hint


def _kept(id: str, new: str, undoes: str = "", state: str = "kept") -> Transaction:
    made = Plan((Setting(SOMAXCONN, "1", new),), 1, boot_id(), undoes)
    return Transaction(id, made, ME, 0.0, 60.0, 0.0, state)  # type: ignore[arg-type]


def test_T15_an_undo_that_was_undone_leaves_what_it_took_back() -> None:
    first, undo = _kept("a", "2"), _kept("b", "1", "a")
    again = _kept("c", "2", "b")
    assert list(standing([first])) == [first]
    assert list(standing([undo, first])) == []
    assert list(standing([again, undo, first])) == [first]
    assert list(standing([_kept("b", "1", "a", "reverted"), first])) == [first]
