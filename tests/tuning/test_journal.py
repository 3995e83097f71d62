"""T10 T22: what a journal can be found as, and that nothing is ever written that was not planned."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import msgspec
import pytest

from sockmon.model.change import Plan
from sockmon.tuning.guard import Guard
from sockmon.tuning.journal import Begin, Keep, Write, Wrote, encode, parse
from sockmon.tuning.recover import recover
from tests.netns import inside
from tests.tuning.changes import BUCKETS, ME, NEW, OLD, SOMAXCONN, journals, past, plan, values, write

pytestmark = pytest.mark.usefixtures("needs_userns")

SMALL = {SOMAXCONN: "4096", BUCKETS: "8192"}
BIGGER = {SOMAXCONN: "8192", BUCKETS: "65536"}
BEGIN = Begin("20260101T000000-00000000", Plan((), 1, "b"), ME, 1.0, 60.0, 2.0)


def _held(root: Path) -> bytes:
    """The journal of a guard that died while it held SMALL → BIGGER."""
    write(SMALL)
    guard = Guard(plan(SMALL, BIGGER), ME, 60.0, str(root))
    assert guard.begin().state == "holding"
    raw = (root / "run/sockmon/txn" / journals(root)[0]).read_bytes()
    guard._let_go()
    return raw


def damage(flips: int) -> tuple[int, list[str]]:
    """Heal each truncation, and `flips` flipped bits, of a real journal: how many, and what was not as planned."""
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
            # What is left of it may not be enough to go back, and never leads anywhere else.
            if any(found[key] not in (SMALL[key], BIGGER[key]) for key in SMALL):
                wrong.append(f"{number}: {found}")
    return len(damaged), wrong


def test_t10_a_torn_or_flipped_journal_never_leads_to_an_unplanned_write() -> None:
    tried, wrong = inside(damage, 400)
    assert tried > 800
    assert wrong == []


def foreign() -> list[str]:
    """What recovery does with journals that are not of our making; the values stay as they are."""
    write(SMALL)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        recover(name)
        held = plan(SMALL, BIGGER)
        begin = Begin("20260101T000000-00000001", held, ME, 1.0, 60.0, 2.0)
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


def test_t10_foreign_and_newer_journals_and_those_of_another_namespace_are_left_alone() -> None:
    assert len(inside(foreign)) == 5


def rebooted() -> tuple[str, str]:
    """A journal of another boot, on values that happen to be the new ones."""
    write(NEW)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        recover(name)
        old = msgspec.structs.replace(plan(), boot_id="00000000-0000-0000-0000-000000000000")
        begin = Begin("20260101T000000-00000001", old, ME, 1.0, 60.0, 2.0)
        file = root / f"run/sockmon/txn/{begin.id}.wal"
        file.write_bytes(encode(begin) + b"".join(encode(Write(n, key)) for n, key in enumerate(OLD)))
        recover(name)
        assert values() == NEW
        assert journals(root) == []
        refused = Guard(old, ME, 60.0, name).begin()
        return past(root)[0].state, refused.state


def test_t22_a_journal_and_a_plan_of_another_boot_change_nothing() -> None:
    assert inside(rebooted) == ("rebooted", "refused")


def test_a_new_writer_is_not_swallowed_by_a_torn_line() -> None:
    story = parse(encode(BEGIN) + encode(Keep())[:-4] + b"\n" + encode(Keep()))
    assert story.kept


def test_a_torn_first_line_is_no_transaction() -> None:
    assert parse(encode(BEGIN)[:-1]).stillborn
    assert not parse(encode(BEGIN)).stillborn
