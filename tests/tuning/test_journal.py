"""T10 T22: damaged and foreign journals; a recovery never writes a value that was not planned."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import msgspec
import pytest

from sockmon.model.plan import Plan
from sockmon.tuning.transaction.guard import Guard
from sockmon.tuning.transaction.journal import Begin, Keep, Write, Wrote, encode, parse
from sockmon.tuning.transaction.recovery import recover
from tests.netns import inside
from tests.tuning.sample_change import (
    ACTOR,
    BUCKETS,
    NEW,
    OLD,
    SOMAXCONN,
    journals,
    plan,
    read_history,
    values,
    write,
)

pytestmark = pytest.mark.usefixtures("needs_userns")

SMALL = {SOMAXCONN: "4096", BUCKETS: "8192"}
BIGGER = {SOMAXCONN: "8192", BUCKETS: "65536"}
BEGIN = Begin("20260101T000000-00000000", Plan((), 1, "b"), ACTOR, 1.0, 60.0, 2.0)


def _held(root: Path) -> bytes:
    """Return the journal of a guard that was killed while SMALL → BIGGER was pending."""
    write(SMALL)
    guard = Guard(plan(SMALL, BIGGER), ACTOR, 60.0, str(root))
    assert guard.apply().state == "holding"
    raw = (root / "run/sockmon/txn" / journals(root)[0]).read_bytes()
    guard._release()
    return raw


def damage(flips: int) -> tuple[int, list[str]]:
    """Recover from each truncation of a real journal, and from `flips` flipped bits; return the number, and the
    violations."""
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        raw = _held(root)
        file = root / "run/sockmon/txn" / journals(root)[0]
        chance = random.Random(4)
        damaged = [raw[:end] for end in range(len(raw))]
        for _ in range(flips):
            bit = chance.randrange(len(raw) * 8)
            damaged.append(raw[: bit // 8] + bytes([raw[bit // 8] ^ 1 << bit % 8]) + raw[bit // 8 + 1 :])
        for number, bytes_ in enumerate(damaged):
            write(BIGGER)
            file.write_bytes(bytes_)
            recover(name)
            found = values(SMALL)
            # The rest may be too short for a rollback, but never leads to another value.
            if any(found[key] not in (SMALL[key], BIGGER[key]) for key in SMALL):
                wrong.append(f"{number}: {found}")
    return len(damaged), wrong


@pytest.mark.fault("T10")
def test_t10_a_torn_or_corrupted_journal_never_leads_to_an_unplanned_write() -> None:
    tried, wrong = inside(damage, 400)
    assert tried > 800
    assert wrong == []


def foreign() -> list[str]:
    """Recover from foreign journals; the values must stay."""
    write(SMALL)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        recover(name)
        held = plan(SMALL, BIGGER)
        begin = Begin("20260101T000000-00000001", held, ACTOR, 1.0, 60.0, 2.0)
        strange = msgspec.structs.replace(held.settings[0], key="kernel.core_pattern", old="|/x", new="4096")
        for n, made in enumerate(
            (
                msgspec.structs.replace(begin, id="20260101T000000-00000099"),
                msgspec.structs.replace(begin, version=2),
                msgspec.structs.replace(begin, plan=msgspec.structs.replace(held, settings=(strange,))),
                msgspec.structs.replace(begin, plan=msgspec.structs.replace(held, netns=1)),
            )
        ):
            file = root / f"run/sockmon/txn/20260101T000000-0000000{n}.wal"
            made = msgspec.structs.replace(made, id=made.id if n == 0 else file.stem)
            file.write_bytes(encode(made) + encode(Write(0, SOMAXCONN)) + encode(Wrote(0, "4096")))
        (root / "run/sockmon/txn/20260101T000000-00000009.wal").write_bytes(b"what is this\n" * 9)
        recover(name)
        assert values(SMALL) == SMALL
        return journals(root)


@pytest.mark.fault("T10")
def test_t10_foreign_and_newer_journals_and_those_of_another_namespace_are_left_alone() -> None:
    assert len(inside(foreign)) == 5


def rebooted() -> tuple[str, str]:
    """Recover from a journal of another boot, while the values happen to be the new ones."""
    write(NEW)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        recover(name)
        old = msgspec.structs.replace(plan(), boot_id="00000000-0000-0000-0000-000000000000")
        begin = Begin("20260101T000000-00000001", old, ACTOR, 1.0, 60.0, 2.0)
        file = root / f"run/sockmon/txn/{begin.id}.wal"
        file.write_bytes(encode(begin) + b"".join(encode(Write(n, key)) for n, key in enumerate(OLD)))
        recover(name)
        assert values() == NEW
        assert journals(root) == []
        refused = Guard(old, ACTOR, 60.0, name).apply()
        return read_history(root)[0].state, refused.state


@pytest.mark.fault("T8", "T22")
def test_t22_a_journal_and_a_plan_of_another_boot_change_nothing() -> None:
    assert inside(rebooted) == ("rebooted", "refused")


def test_a_record_after_a_torn_line_is_read() -> None:
    story = parse(encode(BEGIN) + encode(Keep())[:-4] + b"\n" + encode(Keep()))
    assert story.kept


def test_a_torn_first_line_is_not_a_transaction() -> None:
    assert parse(encode(BEGIN)[:-1]).empty
    assert not parse(encode(BEGIN)).empty
