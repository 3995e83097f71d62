"""The verbs as a person meets them: planned, confirmed, held, kept, undone."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time

import pytest

from tests.netns import child_environment, inside
from tests.tuning.changes import OLD, SOMAXCONN, values
from tests.tuning.test_transaction import old_values

pytestmark = pytest.mark.usefixtures("needs_userns")

TUNE = [sys.executable, "-m", "sockmon", "tune"]


def tune(root: str, *argv: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [*TUNE, *argv, "--root", root],
        capture_output=True,
        text=True,
        env=child_environment(),
        stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stdout, done.stderr


def whole_way() -> None:
    with old_values() as root:
        code, out, err = tune(root, "apply", f"{SOMAXCONN}=8192")
        assert (code, out, values()) == (1, "", OLD)
        assert "in a script: --yes" in err
        code, out, err = tune(root, "apply", f"{SOMAXCONN}=8192", "--yes", "--hold", "600")
        assert (code, out.split()[1:]) == (0, ["holding"]), err
        assert values() == {**OLD, SOMAXCONN: "8192"}
        code, out, err = tune(root, "keep")
        assert (code, out.split()[1:]) == (0, ["kept"])
        code, out, err = tune(root, "keep")
        assert code == 1
        assert "no change is being held" in err
        code, out, err = tune(root, "undo", "--yes")
        assert (code, out.split()[1:], values()) == (0, ["holding"], OLD), err
        assert f"{SOMAXCONN}: 8192 -> 4096" in err
        assert tune(root, "keep")[0] == 0
        lines = tune(root, "history")[1].splitlines()
        assert [line.split()[3] for line in lines] == ["kept", "kept"]


def test_apply_keep_undo_history() -> None:
    inside(whole_way)


def typed(word: str) -> tuple[str, str]:
    """What the value is after `word` was typed at the prompt, and a paste before it was ignored."""
    with old_values() as root:
        person, terminal = pty.fork()
        if person == 0:
            argv = [*TUNE, "apply", f"{SOMAXCONN}=8192", "--hold", "600", "--root", root]
            os.execve(argv[0], argv, child_environment() | {"TERM": "dumb"})
        os.write(terminal, b"apply\n")
        seen = b""
        while b"Type apply" not in seen:
            seen += os.read(terminal, 4096)
        time.sleep(0.3)
        before = values()[SOMAXCONN]
        os.write(terminal, word.encode() + b"\n")
        try:
            while os.read(terminal, 4096):
                pass
        except OSError:
            pass
        os.waitpid(person, 0)
        return before, values()[SOMAXCONN]


@pytest.mark.parametrize(("word", "after"), [("apply", "8192"), ("yes", "4096")])
def test_t20_only_the_word_typed_after_the_preview_counts(word: str, after: str) -> None:
    assert inside(typed, word) == ("4096", after)
