"""P14: taking back what was kept, and with it what was written to /etc/sysctl.d."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest

from sockmon.model.change import Plan, Setting, State, Transaction, standing, undoing
from sockmon.tuning.guard import Guard
from sockmon.tuning.recover import boot_id, netns
from sockmon.tuning.transaction import apply
from tests.netns import inside
from tests.tuning.changes import BUCKETS, ME, NEW, OLD, SOMAXCONN, past, plan, sleeper, values, write
from tests.tuning.test_crashes import lasting
from tests.tuning.test_transaction import old_values
from tests.tuning.test_verbs import tune

pytestmark = pytest.mark.usefixtures("needs_userns")

FILE = "/etc/sysctl.d/90-sockmon.conf"


def _kept(made: Plan, root: str, persist: bool = False) -> Transaction:
    guard = Guard(made, ME, 60.0, root)
    assert guard.begin().state == "holding", guard.words
    return guard.keep(persist)


def _room(root: str) -> Path:
    folder = Path(root, "etc/sysctl.d")
    folder.mkdir(parents=True)
    return folder


def there_and_back() -> tuple[list[dict[str, str]], tuple[str, ...]]:
    """Two persisted changes of one key, and both taken back, the second with another file that sets it too."""
    first, second = {SOMAXCONN: "9000"}, {SOMAXCONN: "10000", BUCKETS: NEW[BUCKETS]}
    with old_values() as root:
        folder, filed = _room(root), []
        for new in (first, second):
            assert _kept(plan(values(), new), root, persist=True).persisted
            filed.append(lasting(Path(root)))
        (folder / "10-site.conf").write_text(f"{SOMAXCONN} = 511\n")
        words: tuple[str, ...] = ()
        for _ in range(2):
            newest = next(standing(past(Path(root))))
            undone = _kept(undoing(newest, netns(), boot_id()), root)
            assert not undone.persisted
            filed.append(lasting(Path(root)))
            words += undone.words
        assert values() == OLD
        assert list(standing(past(Path(root)))) == []
        return filed, words


def test_P14_undo_brings_back_what_the_file_said_before_and_says_what_a_restart_makes_of_it() -> None:
    filed, words = inside(there_and_back)
    assert filed == [{SOMAXCONN: "9000"}, {SOMAXCONN: "10000", BUCKETS: NEW[BUCKETS]}, {SOMAXCONN: "9000"}, {}]
    assert words == (
        f"after a restart, {SOMAXCONN}: {FILE}:4 sets 9000",
        f"after a restart, {BUCKETS}: no file sets it",
        f"after a restart, {SOMAXCONN}: /etc/sysctl.d/10-site.conf:1 sets 511",
    )


def only_held() -> list[dict[str, str]]:
    """An undo that goes back leaves the file, and one of what was not persisted has no part in it."""
    with old_values() as root:
        _room(root)
        kept = _kept(plan(), root, persist=True)
        guard = Guard(undoing(kept, netns(), boot_id()), ME, 60.0, root)
        guard.begin()
        found = [lasting(Path(root))]
        guard.revert()
        found.append(lasting(Path(root)))
        unfiled = _kept(plan(NEW, {SOMAXCONN: "77"}), root)
        assert _kept(undoing(unfiled, netns(), boot_id()), root).words == ()
        return [*found, lasting(Path(root))]


def test_P14_the_file_is_touched_when_the_undo_is_kept_and_never_by_another_undo() -> None:
    assert inside(only_held) == [NEW, NEW, NEW]


def changed_by_hand() -> tuple[Transaction, str]:
    with old_values() as root:
        folder = _room(root)
        kept = _kept(plan(OLD, {SOMAXCONN: "9000"}), root, persist=True)
        file = folder / "90-sockmon.conf"
        file.write_text(file.read_text().replace("= 9000", "= 12345"))
        return _kept(undoing(kept, netns(), boot_id()), root), file.read_text()


def test_T14_T24_a_line_that_somebody_changed_stays_and_it_is_said() -> None:
    undone, text = inside(changed_by_hand)
    assert (undone.state, "= 12345\n" in text) == ("kept", True)
    assert undone.words == (
        f"{FILE} has another line for {SOMAXCONN} by now: it was left alone",
        f"after a restart, {SOMAXCONN}: {FILE}:4 sets 12345",
    )


def set_since() -> tuple[Transaction, str]:
    with old_values() as root:
        _room(root)
        kept = _kept(plan(OLD, {SOMAXCONN: "9000"}), root)
        write({SOMAXCONN: "7777"})
        return apply(undoing(kept, netns(), boot_id()), ME, 60.0, root), kept.id


def test_T14_T16_what_somebody_has_set_since_is_not_undone_and_the_way_out_is_named() -> None:
    refused, id = inside(set_since)
    assert refused.state == "refused"
    assert f"{SOMAXCONN} is 7777 now, and change {id} left 9000" in refused.words[0]
    assert "tune apply" in refused.words[0]


def unknown() -> tuple[str, tuple[str, ...]]:
    """An undo of what the history does not have (any more)."""
    with old_values() as root:
        _room(root)
        write(NEW)
        made = msgspec.structs.replace(plan(NEW, OLD), undoes="20260101T000000-00000000")
        kept = _kept(made, root)
        return kept.state, kept.words


def test_P14_an_undo_of_what_the_history_has_not_says_that_the_file_is_as_it_was() -> None:
    state, words = inside(unknown)
    assert state == "kept"
    assert words[0].startswith("it holds until a restart: the history has no 20260101T000000-00000000")


def test_T19_an_undo_goes_to_the_namespace_of_the_change_and_of_another_boot_to_this_one() -> None:
    kept = Transaction("a", Plan((Setting("k", "1", "2"),), 5, "boot"), ME, 0.0, 60.0, 0.0, "kept")
    assert undoing(kept, 6, "boot") == Plan((Setting("k", "2", "1"),), 5, "boot", "a")
    assert undoing(kept, 6, "later") == Plan((Setting("k", "2", "1"),), 6, "later", "a")


def _one(id: str, undoes: str = "", state: State = "kept") -> Transaction:
    return Transaction(id, Plan((), 1, "boot", undoes), ME, 0.0, 60.0, 0.0, state)


def test_P14_what_stands_is_what_was_kept_and_not_taken_back() -> None:
    def standing_of(*newest_first: Transaction) -> list[str]:
        return [one.id for one in standing(newest_first)]

    assert standing_of(_one("b"), _one("a")) == ["b", "a"]
    assert standing_of(_one("u", "b"), _one("b"), _one("a")) == ["a"]
    assert standing_of(_one("u", "b", "reverted"), _one("b"), _one("a")) == ["b", "a"]
    # An undo that was itself taken back counts for nothing.
    assert standing_of(_one("r", "u"), _one("u", "b"), _one("b"), _one("a")) == ["b", "a"]


def mixed() -> tuple[list[str], dict[str, str], list[str]]:
    """A sysctl and a limit, kept to last; undone after the process has ended."""
    with old_values() as root:
        _room(root)
        with sleeper() as (_, limit):
            made = Plan((Setting(SOMAXCONN, "4096", "9000"), limit), netns(), boot_id())
            kept = _kept(made, root, persist=True)
        said = [*kept.words]
        filed = lasting(Path(root))
        code, out, err = tune(root, "undo", "--yes", "--json")
        assert code == 0, err
        undone = msgspec.json.decode(out, type=Transaction)
        assert [setting.key for setting in undone.plan.settings] == [SOMAXCONN]
        return said, filed, err.splitlines()


def test_a_mixed_plan_persists_its_sysctls_and_says_how_limits_last() -> None:
    said, filed, err = inside(mixed)
    assert filed == {SOMAXCONN: "9000"}
    assert any(word.startswith("nofile@") and "ends with the process" in word for word in said)
    assert any("has ended, and its limit with it" in line for line in err)
    assert any(f"{SOMAXCONN}: once this is kept, its line goes out of" in line for line in err)


def limits_alone() -> tuple[Transaction, bool]:
    with old_values() as root, sleeper() as (_, limit):
        folder = _room(root)
        kept = _kept(Plan((limit,), netns(), boot_id()), root, persist=True)
        return kept, (folder / "90-sockmon.conf").exists()


def test_limits_alone_write_no_file() -> None:
    kept, exists = inside(limits_alone)
    assert (kept.state, kept.persisted, exists) == ("kept", False, False)
    assert "ends with the process" in kept.words[0]


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
        assert "no change is left to take back" in err
        return found


def unfiled() -> tuple[int, str, str]:
    """An undo of which a line stays that somebody has edited."""
    with old_values() as root:
        file = _room(root) / "90-sockmon.conf"
        _kept(plan(OLD, {SOMAXCONN: "9000"}), root, persist=True)
        file.write_text(file.read_text().replace("= 9000", "= 12345"))
        assert tune(root, "undo", "--yes")[0] == 0
        return tune(root, "keep")


def test_T11_keep_ends_with_1_where_the_file_does_not_agree() -> None:
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
