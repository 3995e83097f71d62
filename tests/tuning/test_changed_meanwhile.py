"""`keep` on values that another process has changed during the hold: they are not called kept, each by itself."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

import pytest

from sockmon.kernel.identity import boot_id, netns_inode
from sockmon.model.plan import Plan
from sockmon.model.transaction import ForeignValue, Transaction
from sockmon.tuning.boot.sysctl_d import SYSTEMD
from sockmon.tuning.transaction.control_socket import serve_until_decided
from sockmon.tuning.transaction.guard import Guard
from sockmon.tuning.transaction.journal import Keep
from sockmon.tuning.transaction.recovery import recover
from tests.netns import child_environment, inside
from tests.tuning.sample_change import ACTOR, BUCKETS, NEW, OLD, SOMAXCONN, plan, read_history, sleeper, write
from tests.tuning.sysctl_programs import COMMANDS
from tests.tuning.test_crashes import lasting
from tests.tuning.test_transaction import old_values
from tests.tuning.test_tune_verbs import tune

pytestmark = pytest.mark.usefixtures("needs_userns")

FILE = "etc/sysctl.d/99-hard.conf"


def _site_file(root: str, line: str) -> Path:
    file = Path(root, FILE)
    file.parent.mkdir(parents=True)
    file.write_text(f"{line}\n")
    return file


def applied_again(*, json_: bool) -> tuple[int, str, str, str, str]:
    """Change a value that a file sets, let the real program apply the file, and keep the change."""
    with old_values() as root:
        file = _site_file(root, f"{SOMAXCONN} = 4096")
        assert tune(root, "apply", f"{SOMAXCONN}=8192", "--yes", "--hold", "600")[0] == 0
        command = COMMANDS[SYSTEMD]
        assert command is not None
        subprocess.run([*command, str(file)], check=True, env=child_environment())
        code, out, err = tune(root, "keep", *(["--json"] if json_ else []))
        return code, out, err, tune(root, "history")[1], tune(root, "verify")[1]


needs_systemd = pytest.mark.skipif(COMMANDS[SYSTEMD] is None, reason="systemd-sysctl is not installed")


@needs_systemd
def test_a_value_that_sysctl_d_has_set_again_is_not_kept() -> None:
    code, out, err, history, verify = inside(applied_again, json_=False)
    assert code == 1
    assert out.split()[1:] == ["not", "kept"]
    assert f"{SOMAXCONN}: another process changed it to 4096" in err
    expected = f"{SOMAXCONN}: not kept: it is 4096 now, as sysctl.d sets it, which may have been applied again"
    assert f"{expected}: /{FILE}:1 sets 4096" in err
    assert " not kept " in history
    assert f"({SOMAXCONN} not kept: it was 4096)" in history
    assert "not kept as 8192 by " in verify
    assert "but is now 4096" in verify


@needs_systemd
def test_the_json_of_keep_names_the_value_that_is_gone() -> None:
    code, out, *_ = inside(applied_again, json_=True)
    assert code == 1
    assert json.loads(out)["not_kept"] == [{"name": SOMAXCONN, "now": "4096"}]


def one_of_several(*, persist: bool) -> tuple[Transaction, dict[str, str]]:
    """Keep a change of several values of which one was changed meanwhile, and no file sets any."""
    write(OLD)
    with tempfile.TemporaryDirectory() as root:
        Path(root, "etc/sysctl.d").mkdir(parents=True)
        guard = Guard(plan(), ACTOR, 60.0, root)
        assert guard.apply().state == "holding"
        write({SOMAXCONN: "7777"})
        kept = guard.keep(persist=persist)
        assert read_history(Path(root)) == [kept]
        return kept, lasting(Path(root))


@pytest.mark.parametrize("persist", [False, True])
def test_of_several_values_each_is_kept_by_itself(persist: bool) -> None:
    kept, filed = inside(one_of_several, persist=persist)
    assert kept.not_kept == (ForeignValue(SOMAXCONN, "7777"),)
    assert {each.key for each in kept.kept_settings} == NEW.keys() - {SOMAXCONN}
    said = f"{SOMAXCONN}: not kept: it is 7777 now, and no file of sysctl.d sets it"
    assert any(message.startswith(said) for message in kept.messages)
    # What is not in effect is not persisted.
    assert filed == ({key: NEW[key] for key in NEW if key != SOMAXCONN} if persist else {})
    assert kept.persisted == persist


def changed_back() -> Transaction:
    """Another process changes a value, and back again, before it is kept."""
    write(OLD)
    with tempfile.TemporaryDirectory() as root:
        guard = Guard(plan(), ACTOR, 60.0, root)
        guard.apply()
        write({SOMAXCONN: "7777"})
        guard.note_foreign_writes()
        write({SOMAXCONN: NEW[SOMAXCONN]})
        return guard.keep()


def test_a_value_that_is_there_again_is_kept() -> None:
    assert inside(changed_back).not_kept == ()


def killed_after_the_commit_point() -> Transaction:
    """The guard dies between the commit point and the file: the recovery persists only what was in effect."""
    write(OLD)
    with tempfile.TemporaryDirectory() as root:
        Path(root, "etc/sysctl.d").mkdir(parents=True)
        guard = Guard(plan(), ACTOR, 60.0, root)
        guard.apply()
        guard._open_journal.append(Keep(True, (ForeignValue(BUCKETS, "9"),)))
        guard._release()
        recover(root)
        assert lasting(Path(root)).keys() == NEW.keys() - {BUCKETS}
        return read_history(Path(root))[0]


def test_a_recovery_keeps_the_same() -> None:
    kept = inside(killed_after_the_commit_point)
    assert (kept.state, kept.not_kept) == ("kept", (ForeignValue(BUCKETS, "9"),))
    assert any(message.startswith(f"{BUCKETS}: not kept: it is 9 now") for message in kept.messages)


def set_by_a_file(*, persist: bool) -> Transaction:
    """Keep a value that a file sets to another one."""
    write(OLD)
    with tempfile.TemporaryDirectory() as root:
        _site_file(root, f"{SOMAXCONN} = 4096")
        guard = Guard(plan(), ACTOR, 60.0, root)
        guard.apply()
        return guard.keep(persist=persist)


def test_a_value_that_a_file_sets_is_kept_until_the_file_is_applied() -> None:
    kept = inside(set_by_a_file, persist=False)
    assert (kept.not_kept, kept.set_by_files) == ((), (SOMAXCONN,))
    assert kept.messages == (f"{SOMAXCONN}: kept until sysctl.d is applied again: /{FILE}:1 sets 4096",)


def ended_process() -> tuple[Transaction, Transaction]:
    """A process ends while its limit is held: without a decision, and at the moment of `keep`."""
    found = []
    for decide in (serve_until_decided, Guard.keep):
        with tempfile.TemporaryDirectory() as root, sleeper() as (child, setting):
            guard = Guard(Plan((setting,), netns_inode(), boot_id()), ACTOR, 60.0, root)
            assert guard.apply().state == "holding", guard.messages
            child.kill()
            child.wait()
            found.append(decide(guard))
    return found[0], found[1]


def test_the_limit_of_a_process_that_has_ended_ends_the_change() -> None:
    left_alone, kept = inside(ended_process)
    assert left_alone.state == "reverted"
    assert "the hold expired" not in left_alone.messages
    assert [each.now for each in kept.not_kept] == [None]
    assert kept.messages[-1].endswith("not kept: it does not exist any more")
