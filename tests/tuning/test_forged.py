"""A history that somebody forged, or a disk has spoilt: no terminal obeys it, and it hides no other."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from sockmon.model.change import Plan, Setting, Transaction
from tests.netns import inside
from tests.tuning.changes import ME, SOMAXCONN
from tests.tuning.test_verbs import tune

pytestmark = pytest.mark.usefixtures("needs_userns")

EVIL = "\x1b]52;c;QQ==\x07\u009b2J\u202e[@click=app.quit]x[/red]\n"
SOUND = Transaction(
    "20261122T203120-c7daf1e2", Plan((Setting(SOMAXCONN, "1", "2"),), 1, "x"), ME, 1.0, 60.0, 0.0, "kept"
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
def test_what_no_guard_has_written_hides_nothing(forged: Transaction) -> None:
    assert [line.split()[0] for line in inside(told, forged).splitlines()] == [SOUND.id]


@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["words", "json"])
def test_p5_no_byte_of_it_is_for_the_terminal(flags: tuple[str, ...]) -> None:
    who = replace(ME, user=EVIL, login=EVIL, terminal=EVIL)
    plan = Plan((Setting(SOMAXCONN + EVIL, EVIL, EVIL),), 1, EVIL, EVIL)
    said = inside(told, replace(SOUND, id=LATER, plan=plan, who=who, words=(EVIL,)), *flags)
    assert len(said.splitlines()) == 2
    assert said.replace("\n", "").isprintable()
