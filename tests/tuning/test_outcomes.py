"""What has become of the reason of a change: the guard notes it, and the history keeps it in every case."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from sockmon.errors import TuningError
from sockmon.model.transaction import Transaction
from sockmon.tuning.transaction.client import apply, decide, observe
from sockmon.tuning.transaction.control_socket import Request
from sockmon.tuning.transaction.guard import Guard
from sockmon.tuning.transaction.journal import Begin, encode, parse
from sockmon.tuning.transaction.recovery import recover
from tests.netns import inside
from tests.tuning.sample_change import ACTOR, OLD, OUTCOME, REASON, journals, plan, read_history, write

pytestmark = pytest.mark.usefixtures("needs_userns")

LEFT = replace(OUTCOME, kind="left", severity="ok", used=3)


def noted_and_ended() -> list[tuple[Transaction, Transaction]]:
    """Note an outcome on a pending change, then keep one and roll one back; return both results and histories."""
    found = []
    for verb in ("keep", "revert"):
        write(OLD)
        with tempfile.TemporaryDirectory() as root:
            held = apply(plan(), ACTOR, 60.0, root)
            assert (held.state, held.plan.reasons, held.outcomes) == ("holding", (REASON,), ())
            noted = observe(held.id, (LEFT,), root)
            assert noted is not None
            assert (noted.state, noted.outcomes) == ("holding", (LEFT,))
            assert observe(held.id, (OUTCOME,), root) is not None
            ended = decide(verb, root, id=held.id)
            found.append((ended, read_history(Path(root))[0]))
            assert observe(held.id, (LEFT,), root) is None
    return found


def test_the_history_has_what_was_noted_last() -> None:
    for (ended, stored), state in zip(inside(noted_and_ended), ("kept", "reverted"), strict=True):
        assert (ended.state, ended.outcomes) == (state, (OUTCOME,))
        assert stored == ended


def killed(keep: bool) -> Transaction:
    """Note an outcome, and let the guard die before or after the commit point; recover."""
    write(OLD)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        guard = Guard(plan(), ACTOR, 60.0, name)
        assert guard.apply().state == "holding"
        guard.observe((OUTCOME,))
        if keep:
            assert guard._open_journal.keep()
        guard._release()
        recover(name)
        assert journals(root) == []
        return read_history(root)[0]


@pytest.mark.parametrize(("keep", "state"), [(True, "kept"), (False, "reverted")])
def test_a_recovery_keeps_it(keep: bool, state: str) -> None:
    found = inside(killed, keep)
    assert (found.state, found.outcomes) == (state, (OUTCOME,))


def other_reasons() -> None:
    write(OLD)
    with tempfile.TemporaryDirectory() as name:
        guard = Guard(plan(), ACTOR, 60.0, name)
        assert guard.apply().state == "holding"
        with pytest.raises(TuningError):
            guard.observe((replace(OUTCOME, subject="another"),))
        assert guard.revert().outcomes == ()
        many = replace(plan(), reasons=(REASON,) * 9)
        assert Guard(many, ACTOR, 60.0, name).apply().state == "refused"


def test_a_guard_notes_only_the_reasons_of_its_plan() -> None:
    inside(other_reasons)


def the_disk_is_full() -> Transaction:
    write(OLD)
    with tempfile.TemporaryDirectory() as name:
        guard = Guard(plan(), ACTOR, 60.0, name)
        assert guard.apply().state == "holding"
        journal, full = guard._open_journal, os.open("/dev/full", os.O_WRONLY)
        file, journal._file = journal._file, full
        guard.observe((OUTCOME,))
        journal._file = file
        os.close(full)
        return guard.keep()


def test_a_full_disk_loses_no_decision() -> None:
    assert inside(the_disk_is_full).state == "kept"


def test_what_an_older_version_has_written_can_be_read() -> None:
    made = replace(plan(), reasons=())
    begin = Begin("20260101T000000-00000000", made, ACTOR, 1.0, 60.0, 2.0)
    old = msgspec.to_builtins(begin)
    del old["plan"]["reasons"]
    assert parse(encode(msgspec.convert(old, Begin))).begin == begin
    kept = Transaction(begin.id, made, ACTOR, 1.0, 60.0, 2.0, "kept")
    stored = msgspec.to_builtins(kept)
    del stored["outcomes"], stored["plan"]["reasons"]
    assert msgspec.convert(stored, Transaction) == kept


def test_an_older_guard_understands_a_decision() -> None:
    sent = msgspec.json.decode(msgspec.json.encode(Request("keep", "20260101T000000-00000000", persist=True)))
    assert set(sent) <= {"ask", "id", "seconds", "persist"}
    assert "ask" in sent
