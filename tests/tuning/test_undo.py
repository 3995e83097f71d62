"""P14: undoing a kept change, together with its lines in /etc/sysctl.d."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest

from sockmon.kernel.identity import boot_id, netns_inode
from sockmon.model.plan import Plan, Setting
from sockmon.model.transaction import State, Transaction, inverse_plan, kept_not_undone
from sockmon.tuning.transaction.client import apply
from sockmon.tuning.transaction.guard import Guard
from tests.netns import inside
from tests.tuning.sample_change import (
    ACTOR,
    BUCKETS,
    NEW,
    OLD,
    SOMAXCONN,
    plan,
    read_history,
    sleeper,
    values,
    write,
)
from tests.tuning.test_crashes import lasting
from tests.tuning.test_transaction import old_values
from tests.tuning.test_tune_verbs import tune

pytestmark = pytest.mark.usefixtures("needs_userns")

FILE = "/etc/sysctl.d/90-sockmon.conf"


def _kept(made: Plan, root: str, persist: bool = False) -> Transaction:
    guard = Guard(made, ACTOR, 60.0, root)
    assert guard.apply().state == "holding", guard.messages
    return guard.keep(persist)


def _room(root: str) -> Path:
    folder = Path(root, "etc/sysctl.d")
    folder.mkdir(parents=True)
    return folder


def there_and_back() -> tuple[list[dict[str, str]], tuple[str, ...]]:
    """Persist two changes of one key and undo both, the second with another file that sets the key too."""
    first, second = {SOMAXCONN: "9000"}, {SOMAXCONN: "10000", BUCKETS: NEW[BUCKETS]}
    with old_values() as root:
        folder, filed = _room(root), []
        for new in (first, second):
            assert _kept(plan(values(), new), root, persist=True).persisted
            filed.append(lasting(Path(root)))
        (folder / "10-site.conf").write_text(f"{SOMAXCONN} = 511\n")
        words: tuple[str, ...] = ()
        for _ in range(2):
            newest = next(kept_not_undone(read_history(Path(root))))
            undone = _kept(inverse_plan(newest, netns_inode(), boot_id()), root)
            assert not undone.persisted
            filed.append(lasting(Path(root)))
            words += undone.messages
        assert values() == OLD
        assert list(kept_not_undone(read_history(Path(root)))) == []
        return filed, words


def test_P14_undo_restores_the_lines_of_the_file_and_reports_the_boot_value() -> None:
    filed, words = inside(there_and_back)
    assert filed == [{SOMAXCONN: "9000"}, {SOMAXCONN: "10000", BUCKETS: NEW[BUCKETS]}, {SOMAXCONN: "9000"}, {}]
    assert words == (
        f"after a reboot, {SOMAXCONN}: {FILE}:4 sets 9000",
        f"after a reboot, {BUCKETS}: no file sets it",
        f"after a reboot, {SOMAXCONN}: /etc/sysctl.d/10-site.conf:1 sets 511",
    )


def only_held() -> list[dict[str, str]]:
    """An undo that is rolled back leaves the file alone, and so does one of a change that was not persisted."""
    with old_values() as root:
        _room(root)
        kept = _kept(plan(), root, persist=True)
        guard = Guard(inverse_plan(kept, netns_inode(), boot_id()), ACTOR, 60.0, root)
        guard.apply()
        found = [lasting(Path(root))]
        guard.revert()
        found.append(lasting(Path(root)))
        unfiled = _kept(plan(NEW, {SOMAXCONN: "77"}), root)
        assert _kept(inverse_plan(unfiled, netns_inode(), boot_id()), root).messages == ()
        return [*found, lasting(Path(root))]


def test_P14_the_file_is_touched_when_the_undo_is_kept_and_never_by_another_undo() -> None:
    assert inside(only_held) == [NEW, NEW, NEW]


def changed_by_hand() -> tuple[Transaction, str]:
    with old_values() as root:
        folder = _room(root)
        kept = _kept(plan(OLD, {SOMAXCONN: "9000"}), root, persist=True)
        file = folder / "90-sockmon.conf"
        file.write_text(file.read_text().replace("= 9000", "= 12345"))
        return _kept(inverse_plan(kept, netns_inode(), boot_id()), root), file.read_text()


@pytest.mark.fault("T14", "T24")
def test_T14_T24_an_edited_line_stays_and_is_reported() -> None:
    undone, text = inside(changed_by_hand)
    assert (undone.state, "= 12345\n" in text) == ("kept", True)
    assert undone.messages == (
        f"the line for {SOMAXCONN} in {FILE} was changed since: it was left alone; to remove it: sockmon tune"
        f" forget {SOMAXCONN}",
        f"after a reboot, {SOMAXCONN}: {FILE}:4 sets 12345",
    )


def set_since() -> tuple[Transaction, str]:
    with old_values() as root:
        _room(root)
        kept = _kept(plan(OLD, {SOMAXCONN: "9000"}), root)
        write({SOMAXCONN: "7777"})
        return apply(inverse_plan(kept, netns_inode(), boot_id()), ACTOR, 60.0, root), kept.id


@pytest.mark.fault("T14", "T16")
def test_T14_T16_a_value_that_was_changed_since_is_not_undone() -> None:
    refused, id = inside(set_since)
    assert refused.state == "refused"
    assert f"{SOMAXCONN}: it is 7777 now, but change {id} set 9000" in refused.messages[0]
    assert "tune apply" in refused.messages[0]


def unknown() -> tuple[str, tuple[str, ...]]:
    """Undo a change that the history does not have (any more)."""
    with old_values() as root:
        _room(root)
        write(NEW)
        made = msgspec.structs.replace(plan(NEW, OLD), undoes="20260101T000000-00000000")
        kept = _kept(made, root)
        return kept.state, kept.messages


def test_P14_an_undo_of_an_unknown_change_reports_that_the_file_stays() -> None:
    state, words = inside(unknown)
    assert state == "kept"
    assert words[0].startswith(f"{FILE} was not changed: the history has no 20260101T000000-00000000")


@pytest.mark.fault("T19")
def test_T19_an_undo_is_for_the_namespace_of_the_change_unless_that_is_of_another_boot() -> None:
    kept = Transaction("a", Plan((Setting("k", "1", "2"),), 5, "boot"), ACTOR, 0.0, 60.0, 0.0, "kept")
    assert inverse_plan(kept, 6, "boot") == Plan((Setting("k", "2", "1"),), 5, "boot", "a")
    assert inverse_plan(kept, 6, "later") == Plan((Setting("k", "2", "1"),), 6, "later", "a")


def _one(id: str, undoes: str = "", state: State = "kept") -> Transaction:
    return Transaction(id, Plan((), 1, "boot", undoes), ACTOR, 0.0, 60.0, 0.0, state)


def test_P14_kept_changes_without_those_that_were_undone() -> None:
    def standing_of(*newest_first: Transaction) -> list[str]:
        return [one.id for one in kept_not_undone(newest_first)]

    assert standing_of(_one("b"), _one("a")) == ["b", "a"]
    assert standing_of(_one("u", "b"), _one("b"), _one("a")) == ["a"]
    assert standing_of(_one("u", "b", "reverted"), _one("b"), _one("a")) == ["b", "a"]
    # An undo that was undone itself does not count.
    assert standing_of(_one("r", "u"), _one("u", "b"), _one("b"), _one("a")) == ["b", "a"]


def mixed() -> tuple[list[str], dict[str, str], list[str]]:
    """Persist a sysctl and a process limit; undo them after the process has ended."""
    with old_values() as root:
        _room(root)
        with sleeper() as (_, limit):
            made = Plan((Setting(SOMAXCONN, "4096", "9000"), limit), netns_inode(), boot_id())
            kept = _kept(made, root, persist=True)
        said = [*kept.messages]
        filed = lasting(Path(root))
        code, out, err = tune(root, "undo", "--yes", "--json")
        assert code == 0, err
        undone = msgspec.json.decode(out, type=Transaction)
        assert [setting.key for setting in undone.plan.settings] == [SOMAXCONN]
        return said, filed, err.splitlines()


def test_a_mixed_plan_persists_its_sysctls_and_names_how_to_persist_limits() -> None:
    said, filed, err = inside(mixed)
    assert filed == {SOMAXCONN: "9000"}
    assert any(word.startswith("nofile@") and "ends with the process" in word for word in said)
    assert any("has ended, so its limit needs no undo" in line for line in err)
    assert any("Keeping the undo removes its line from" in line for line in err)


def limits_alone() -> tuple[Transaction, bool]:
    with old_values() as root, sleeper() as (_, limit):
        folder = _room(root)
        kept = _kept(Plan((limit,), netns_inode(), boot_id()), root, persist=True)
        return kept, (folder / "90-sockmon.conf").exists()


def test_limits_alone_write_no_file() -> None:
    kept, exists = inside(limits_alone)
    assert (kept.state, kept.persisted, exists) == ("kept", False, False)
    assert "ends with the process" in kept.messages[0]


def verbs() -> list[object]:
    """Apply, keep --persist, undo, keep, undo: each by its JSON."""
    with old_values() as root:
        _room(root)
        found: list[object] = []
        for argv in (
            ["apply", f"{SOMAXCONN}=9000", "--yes"], ["keep", "--persist"], ["undo", "--yes"], ["keep"],
            ["apply", f"{SOMAXCONN}=4096", "--yes"],
        ):  # fmt: skip
            code, out, err = tune(root, *argv, "--json")
            assert code == 0, err
            one = json.loads(out)
            found.append(
                one and (one["state"], one["persisted"], values()[SOMAXCONN], os.listdir(root + "/etc/sysctl.d"))
            )
        code, out, err = tune(root, "undo", "--yes", "--json")
        assert (code, out) == (1, "")
        assert "there is no kept change to undo" in err
        return found


def unfiled() -> tuple[int, str, str]:
    """Undo a change whose line was edited since: the line stays."""
    with old_values() as root:
        file = _room(root) / "90-sockmon.conf"
        _kept(plan(OLD, {SOMAXCONN: "9000"}), root, persist=True)
        file.write_text(file.read_text().replace("= 9000", "= 12345"))
        assert tune(root, "undo", "--yes")[0] == 0
        return tune(root, "keep")


@pytest.mark.fault("T11")
def test_T11_keep_exits_with_1_if_the_file_could_not_be_written() -> None:
    code, out, err = inside(unfiled)
    assert (code, out.split()[1:]) == (1, ["kept"])
    assert "it was left alone" in err


def test_every_verb_as_json() -> None:
    assert inside(verbs) == [
        ("holding", False, "9000", []),
        ("kept", True, "9000", ["90-sockmon.conf"]),
        ("holding", False, "4096", ["90-sockmon.conf"]),
        ("kept", False, "4096", []),
        None,
    ]
