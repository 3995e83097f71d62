"""An audit log that cannot be written is reported with the change, and prevents nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sockmon.model.helper_protocol import Apply, ChangeResult, GetHistory, History, ResolveHold
from sockmon.model.plan import Plan
from sockmon.sandbox import namespaces
from sockmon.tuning.transaction.client import apply, decide
from tests.netns import child_environment, inside
from tests.tuning.helper_session import helper_session
from tests.tuning.sample_change import ACTOR, NEW, OLD, plan, read_history, values
from tests.tuning.test_transaction import LONG_HOLD, eventually, old_values

pytestmark = pytest.mark.usefixtures("needs_userns")

LOG = "var/log/sockmon"
WORDS = "the audit log could not be written: "
_MNT_DETACH = 2


def no_folder(root: str) -> None:
    Path(root, LOG).parent.mkdir(parents=True)
    Path(root, LOG).touch()


def link(root: str) -> None:
    Path(root, LOG).mkdir(parents=True, mode=0o750)
    Path(root, LOG, "audit.jsonl").symlink_to("/dev/null")


def prepared_by_others(root: str) -> None:
    Path(root, LOG).mkdir(parents=True)
    Path(root, LOG).chmod(0o777)


def full(root: str) -> None:
    """A file system of one page, and a line that another program has left without its end."""
    Path(root, LOG).mkdir(parents=True)
    namespaces._call("unshare", namespaces.CLONE_FLAGS["mnt"])
    namespaces._call("mount", b"none", bytes(Path(root, LOG)), b"tmpfs", 0, b"size=4k,mode=0750")
    log = Path(root, LOG, "audit.jsonl")
    log.write_bytes(b"x" * 4090)
    log.chmod(0o640)


def ends(spoil: Callable[[str], None]) -> list[tuple[str, bool, bool]]:
    """The state of a change that is kept, one that is rolled back, one that expires and one that is refused, and
    whether the answer and the history have the words."""
    found: list[tuple[str, bool, bool]] = []
    with old_values() as root:
        spoil(root)
        try:
            for verb in ("keep", "revert"):
                held = apply(plan(values(), NEW if values() == OLD else OLD), ACTOR, LONG_HOLD, root)
                assert held.state == "holding", held.messages
                ended = decide("keep" if verb == "keep" else "revert", root)
                found.append((ended.state, _has(ended.messages), _has(read_history(Path(root))[0].messages)))
            apply(plan(values(), OLD), ACTOR, 0.5, root)
            assert eventually(lambda: len(read_history(Path(root))) == 3)
            found.append((read_history(Path(root))[0].state, True, _has(read_history(Path(root))[0].messages)))
            assert values() == NEW
            refused = apply(Plan((), 0, ""), ACTOR, LONG_HOLD, root)
            found.append((refused.state, _has(refused.messages), True))
        finally:
            if spoil is full:
                namespaces._call("umount2", bytes(Path(root, LOG)), _MNT_DETACH)
    return found


def _has(words: tuple[str, ...]) -> bool:
    return any(word.startswith(WORDS) for word in words)


@pytest.mark.parametrize("spoil", [no_folder, link, prepared_by_others, full])
def test_the_failure_is_reported_and_nothing_else_changes(spoil: Callable[[str], None]) -> None:
    states = ["kept", "reverted", "reverted", "refused"]
    assert inside(ends, spoil) == [(state, True, True) for state in states]


def by_command() -> list[str]:
    said = []
    with old_values() as root:
        no_folder(root)
        apply(plan(), ACTOR, LONG_HOLD, root)
        done = subprocess.run(
            [sys.executable, "-m", "sockmon", "tune", "keep", "--root", root],
            capture_output=True, text=True, check=False, env=child_environment(),
        )  # fmt: skip
        said += [str(done.returncode), done.stdout, done.stderr]
    return said


def test_the_command_prints_the_failure() -> None:
    code, out, err = inside(by_command)
    assert (code, out.split()[-1]) == ("0", "kept")
    assert WORDS in err


def by_screen() -> list[bool]:
    with old_values() as root, helper_session(root) as screen:
        no_folder(root)
        held = screen.ask(Apply(plan(), LONG_HOLD), ChangeResult).transaction
        kept = screen.ask(ResolveHold("keep", held.id), ChangeResult).transaction
        (recalled,) = screen.ask(GetHistory(), History).transactions
        return [_has(kept.messages), _has(recalled.messages)]


def test_the_screen_gets_the_failure() -> None:
    assert inside(by_screen) == [True, True]


def torn() -> list[str]:
    with old_values() as root:
        Path(root, LOG).mkdir(parents=True, mode=0o750)
        Path(root, LOG, "audit.jsonl").write_bytes(b'{"time":"2026')
        os.chmod(Path(root, LOG, "audit.jsonl"), 0o640)
        apply(plan(), ACTOR, LONG_HOLD, root)
        decide("revert", root)
        return Path(root, LOG, "audit.jsonl").read_text().splitlines()


def test_a_cut_line_damages_no_other_line() -> None:
    _, line = inside(torn)
    assert json.loads(line)["state"] == "reverted"
