"""A forged or damaged history: no terminal executes it, and it hides no other transaction."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from sockmon.model.plan import Plan, Setting
from sockmon.model.transaction import Transaction
from tests.netns import inside
from tests.tuning.sample_change import ACTOR, SOMAXCONN
from tests.tuning.test_tune_verbs import tune

pytestmark = pytest.mark.usefixtures("needs_userns")

EVIL = "\x1b]52;c;QQ==\x07\u009b2J\u202e[@click=app.quit]x[/red]\n"
SOUND = Transaction(
    "20261122T203120-c7daf1e2", Plan((Setting(SOMAXCONN, "1", "2"),), 1, "x"), ACTOR, 1.0, 60.0, 0.0, "kept"
)
LATER = "20261122T203121-c7daf1e2"


def told(forged: Transaction, *flags: str) -> str:
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, "var/lib/sockmon/history")
        folder.mkdir(parents=True, mode=0o700)
        for name, each in ((SOUND.id, SOUND), (LATER, forged)):
            (folder / f"{name}.json").write_bytes(msgspec.json.encode(each))
        code, out, err = tune(root, "history", *flags)
        assert (code, err) == (0, "")
        return out


@pytest.mark.parametrize(
    "forged",
    [
        replace(SOUND, id=LATER, begun=1e300),
        replace(SOUND, id=LATER, begun=-1e300),
        replace(SOUND, id=EVIL),
        replace(SOUND),
    ],
    ids=["far future", "far past", "no id", "another's id"],
)
def test_a_forged_file_hides_no_transaction(forged: Transaction) -> None:
    assert [line.split()[0] for line in inside(told, forged).splitlines()] == [SOUND.id]


@pytest.mark.fault("U1")
@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["words", "json"])
def test_p5_no_control_byte_reaches_the_terminal(flags: tuple[str, ...]) -> None:
    who = replace(ACTOR, user=EVIL, login=EVIL, terminal=EVIL)
    plan = Plan((Setting(SOMAXCONN + EVIL, EVIL, EVIL),), 1, EVIL, EVIL)
    said = inside(told, replace(SOUND, id=LATER, plan=plan, actor=who, messages=(EVIL,)), *flags)
    assert len(said.splitlines()) == 2
    assert said.replace("\n", "").isprintable()
