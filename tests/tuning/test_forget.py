"""`tune forget`: the line that `keep --persist` wrote is removed, whatever became of the value."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from sockmon.kernel.identity import boot_id, netns_inode
from sockmon.model.plan import Plan, Setting
from sockmon.model.transaction import Transaction
from sockmon.tuning.helper.drift import find_drift
from sockmon.tuning.transaction.guard import Guard
from tests.netns import inside
from tests.tuning.sample_change import ACTOR, BUCKETS, NEW, OLD, SOMAXCONN, plan, read_history, values, write
from tests.tuning.test_crashes import lasting
from tests.tuning.test_transaction import old_values
from tests.tuning.test_tune_verbs import tune

pytestmark = pytest.mark.usefixtures("needs_userns")

FILE = "/etc/sysctl.d/90-sockmon.conf"


@dataclass
class Run:
    """What a verb printed, and what our file sets after it."""

    code: int
    out: str
    err: str
    filed: dict[str, str]


def _persist(root: str, *keys: str) -> Transaction:
    Path(root, "etc/sysctl.d").mkdir(parents=True, exist_ok=True)
    guard = Guard(plan(OLD, {key: NEW[key] for key in keys}), ACTOR, 60.0, root)
    assert guard.apply().state == "holding", guard.messages
    return guard.keep(persist=True)


def _run(root: str, *argv: str) -> Run:
    code, out, err = tune(root, *argv)
    return Run(code, out, err, lasting(Path(root)))


def drifted() -> dict[str, Run]:
    """Persist a value, let somebody set another one, and try each way to be rid of the line."""
    with old_values() as root:
        _persist(root, SOMAXCONN)
        Path(root, "etc/sysctl.d/10-site.conf").write_text(f"{SOMAXCONN} = 511\n")
        write({SOMAXCONN: "16384"})
        found = {
            "undo": _run(root, "undo", "--yes"),
            "asks": _run(root, "forget", "somaxconn"),
            "forget": _run(root, "forget", "somaxconn", "--yes"),
            "again": _run(root, "forget", "somaxconn", "--yes"),
            "history": _run(root, "history"),
            "verify": _run(root, "verify"),
        }
        assert values()[SOMAXCONN] == "16384"
        return found


def test_a_line_is_removed_although_the_value_is_another_now() -> None:
    found = inside(drifted)
    undo, forget, again = found["undo"], found["forget"], found["again"]
    assert (undo.code, undo.filed) == (1, {SOMAXCONN: "8192"})
    assert f"sockmon tune forget {SOMAXCONN}" in undo.err
    assert (found["asks"].code, found["asks"].filed) == (1, {SOMAXCONN: "8192"})
    assert "in a script, use --yes" in found["asks"].err
    assert (forget.code, forget.out.split()[1:], forget.filed) == (0, ["forgotten"], {})
    assert "16384: it stays" in " ".join(forget.err.split())
    assert f"after a reboot, {SOMAXCONN}: /etc/sysctl.d/10-site.conf:1 sets 511" in forget.err
    assert again.code == 1
    assert f"{FILE} has no line of sockmon for somaxconn" in again.err
    assert "it has no lines of sockmon at all" in again.err
    newest_line, older = found["history"].out.splitlines()
    assert f"the line of {SOMAXCONN} in {FILE}" in newest_line
    assert newest_line.split()[3] == "forgotten"
    assert older.split()[3] == "kept"
    # What was forgotten is not called drift.
    assert found["verify"].code == 0, found["verify"].out


def as_json() -> tuple[Run, Run, str]:
    with old_values() as root:
        _persist(root, SOMAXCONN, BUCKETS)
        forgot = _run(root, "forget", SOMAXCONN, BUCKETS, "--yes", "--json")
        audit = Path(root, "var/log/sockmon/audit.jsonl").read_text().splitlines()[-1]
        return forgot, _run(root, "undo", json.loads(forgot.out)["id"], "--yes"), audit


def test_several_keys_as_json_and_in_the_audit_log() -> None:
    forgot, undo, audit = inside(as_json)
    one = json.loads(forgot.out)
    assert (forgot.code, one["state"], one["plan"]["settings"]) == (0, "kept", [])
    assert one["plan"]["forgets"] == [SOMAXCONN, BUCKETS]
    assert [(each["key"], each["after"]) for each in one["entries"]] == [(SOMAXCONN, ""), (BUCKETS, "")]
    assert json.loads(audit)["forgets"] == [SOMAXCONN, BUCKETS]
    assert undo.code == 1
    assert "set no value" in undo.err


def other_lines() -> tuple[str, list[Run]]:
    """Our file has lines of somebody else, and one of a key that sockmon no longer knows."""
    with old_values() as root:
        _persist(root, SOMAXCONN, BUCKETS)
        file = Path(root, FILE[1:])
        file.write_text(file.read_text() + "kernel.panic = 5\n# sockmon x\nnet.old.name = 7\n")
        runs = [
            _run(root, "forget", name, "--yes") for name in ("kernel.panic", "net.old.name", SOMAXCONN, "nofile@1")
        ]
        return file.read_text(), runs


def test_lines_of_others_stay() -> None:
    text, (foreign, unknown, known, limit) = inside(other_lines)
    assert (foreign.code, unknown.code, known.code, limit.code) == (1, 0, 0, 1)
    assert "sockmon did not write line 7, which sets it: remove it by hand" in foreign.err
    assert "The value cannot be read" in " ".join(unknown.err.split())
    assert "sockmon writes no file for the limit of a process" in limit.err
    assert "kernel.panic = 5" in text
    assert "net.old.name" not in text
    assert SOMAXCONN not in text
    assert BUCKETS in text


def full_disk() -> Run:
    with old_values() as root:
        _persist(root, SOMAXCONN)
        # No line is written into a link.
        file = Path(root, FILE[1:])
        file.rename(file.with_suffix(".bak"))
        file.symlink_to(file.with_suffix(".bak"))
        return _run(root, "forget", SOMAXCONN, "--yes")


def test_a_file_that_cannot_be_written_is_reported() -> None:
    run = inside(full_disk)
    assert (run.code, run.out.split()[1:]) == (1, ["not", "forgotten"])
    assert f"{FILE} was not changed" in run.err
    assert run.filed == {SOMAXCONN: "8192"}


def persisted_again() -> tuple[int, int]:
    """Persist, forget, persist: the last one counts for drift."""
    with old_values() as root:
        _persist(root, SOMAXCONN)
        assert _run(root, "forget", SOMAXCONN, "--yes").code == 0
        write(OLD)
        before = len(find_drift(root))
        _persist(root, SOMAXCONN)
        write(OLD)
        return before, len(find_drift(root))


def test_a_value_that_is_persisted_again_is_watched_again() -> None:
    assert inside(persisted_again) == (0, 1)


def partly_undone() -> tuple[Run, Run, dict[str, str], list[Transaction]]:
    """One of two values was changed since: the other one is undone."""
    with old_values() as root:
        _persist(root, SOMAXCONN, BUCKETS)
        write({SOMAXCONN: "16384"})
        undone, kept = _run(root, "undo", "--yes"), _run(root, "keep")
        return undone, kept, values(), read_history(Path(root))


def test_undo_does_what_is_possible_and_names_the_rest() -> None:
    undone, kept, now, history = inside(partly_undone)
    assert undone.code == 0
    text = " ".join(undone.err.split())
    assert f"{SOMAXCONN} is 16384 now, but 8192 was kept: it has been changed since." in text
    assert f"sockmon tune forget {SOMAXCONN}" in text
    assert (now[SOMAXCONN], now[BUCKETS]) == ("16384", OLD[BUCKETS])
    assert (kept.code, kept.filed) == (0, {SOMAXCONN: "8192"})
    assert [setting.key for setting in history[0].plan.settings] == [BUCKETS]


@pytest.mark.parametrize(
    "forgets",
    [("../x.y",), ("net..x",), ("a b.c",), ("x",), ("net.x\n",), tuple(f"net.k{n}" for n in range(65))],
)
def test_what_is_no_key_is_refused(forgets: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory() as root:
        made = Plan((), netns_inode(), boot_id(), forgets=forgets)
        assert Guard(made, ACTOR, 60.0, root).apply().state == "refused"


def test_a_plan_that_forgets_sets_nothing() -> None:
    with tempfile.TemporaryDirectory() as root:
        made = Plan((Setting(SOMAXCONN, "1", "2"),), netns_inode(), boot_id(), forgets=(BUCKETS,))
        assert Guard(made, ACTOR, 60.0, root).apply().state == "refused"


def test_a_line_that_needs_the_one_that_is_removed_is_named() -> None:
    ports, start = "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start"
    with tempfile.TemporaryDirectory() as root:
        file = Path(root, "etc/sysctl.d/90-sockmon.conf")
        file.parent.mkdir(parents=True)
        lines = (f"# sockmon 20260101T000000-0\n{ports} = 50000 60000\n", f"# sockmon x\n{start} = 45000\n")
        file.write_text("".join(lines))
        said, other = _run(root, "forget", ports).err, _run(root, "forget", start).err
    assert f"Warning: the kernel refuses {start} = 45000 at boot with EINVAL: {ports} begins at 32768" in said
    assert "Warning" not in other
