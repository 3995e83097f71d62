"""A change in another network namespace: made there, rolled back there, and over when the namespace ends."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest

from sockmon.errors import TuningError
from sockmon.kernel.identity import netns_inode
from sockmon.model.helper_protocol import Answer, ReadSettings, RequestFailed, SettingsRead
from sockmon.model.plan import NetnsTarget, Plan, Setting
from sockmon.model.transaction import Transaction
from sockmon.tuning.helper.config import HelperConfig
from sockmon.tuning.helper.server import HelperServer
from sockmon.tuning.transaction.client import decide
from sockmon.tuning.transaction.control_socket import serve_until_decided
from sockmon.tuning.transaction.guard import Guard
from sockmon.tuning.transaction.recovery import recover
from tests.netns import child_environment, inside
from tests.tuning.neighbours import Neighbour, with_inode
from tests.tuning.sample_change import ACTOR, MEMORY_DIR, SOMAXCONN, journals, read_history, values

pytestmark = pytest.mark.usefixtures("needs_userns")
ENDED = "network namespace {} has ended: nothing to roll back"
Done = subprocess.CompletedProcess[str]
TUNE = (sys.executable, "-m", "sockmon", "tune")


def _root() -> Path:
    root = Path(tempfile.mkdtemp(dir=MEMORY_DIR))
    for name in ("run", "var/lib", "var/log", "etc/sysctl.d"):
        (root / name).mkdir(parents=True)
    return root


def _guard(plan: Plan, root: Path, hold: float = 60.0) -> Guard:
    return Guard(plan, ACTOR, hold, str(root))


def test_it_is_made_and_rolled_back_there_and_nowhere_else() -> None:
    assert inside(_made_and_rolled_back) == ("holding", "8192", True, "reverted", "4096", [])


def _made_and_rolled_back() -> tuple[object, ...]:
    own, other, root = values({SOMAXCONN: ""}), Neighbour(), _root()
    here = netns_inode()
    guard = _guard(other.plan(), root)
    state, during = guard.apply().state, other.read()
    untouched = values({SOMAXCONN: ""}) == own and netns_inode() == here
    return state, during, untouched, guard.revert().state, other.read(), journals(root)


def test_it_is_kept_without_a_file_of_the_host_and_says_what_lasts() -> None:
    refused, kept, now, files = inside(_kept)
    assert "/etc/sysctl.d, which does not apply to network namespace" in refused
    assert (kept.state, kept.persisted, now, files) == ("kept", False, "8192", [])
    assert kept.plan.target is not None
    assert kept.plan.target.inode == kept.plan.netns


def _kept() -> tuple[str, Transaction, str, list[str]]:
    other, root = Neighbour(), _root()
    guard = _guard(other.plan(), root)
    guard.apply()
    refused = ""
    try:
        guard.keep(persist=True)
    except TuningError as error:
        refused = error.message
    assert other.read() == "8192"
    kept = guard.keep()
    assert read_history(root)[0].plan.target == kept.plan.target
    return refused, kept, other.read(), os.listdir(root / "etc/sysctl.d")


@pytest.mark.fault("T19")
def test_a_namespace_that_ends_during_the_hold_ends_the_change() -> None:
    state, messages, name, reused, value, left, ended = inside(_ends_during_the_hold)
    assert (state, messages, left) == ("reverted", (ENDED.format(name),), [])
    assert ended
    assert not reused or value == "8192"


def _ends_during_the_hold() -> tuple[object, ...]:
    other, root = Neighbour(), _root()
    guard = _guard(other.plan(), root)
    guard.apply()
    other.end()
    again = with_inode(other.inode)
    if again is not None:
        again.write("8192")
    done = serve_until_decided(guard)
    value = again.read() if again else ""
    return done.state, done.messages, str(other.pid), again is not None, value, journals(root), done.netns_ended


@pytest.mark.parametrize("ends", [False, True])
def test_recovery_after_a_killed_guard(ends: bool) -> None:
    found, name, value = inside(_recovered, ends)
    assert [each.state for each in found] == ["reverted"]
    assert (ENDED.format(name) in found[0].messages) == ends
    # Of the old namespace the old value; one that has only its inode keeps what it has.
    assert value in (("8192", "") if ends else ("4096",))


def _recovered(ends: bool) -> tuple[list[Transaction], str, str]:
    other, root = Neighbour(), _root()
    child = os.fork()
    if child == 0:
        _guard(other.plan(), root).apply()
        os._exit(0)
    os.waitpid(child, 0)
    assert other.read() == "8192"
    now: Neighbour | None = other
    if ends:
        other.end()
        now = with_inode(other.inode)
        if now is not None:
            now.write("8192")
    return recover(str(root)), str(other.pid), now.read() if now else ""


@pytest.mark.fault("T19")
def test_what_a_guard_refuses() -> None:
    for why, done, value in inside(_refused):
        assert (done.state, value) == ("refused", "4096")
        assert why in done.messages[0]


def _refused() -> list[tuple[str, Transaction, str]]:
    other, root = Neighbour(), _root()
    plan = other.plan()
    target = plan.target
    assert target is not None
    replace = msgspec.structs.replace
    changed: dict[str, Plan] = {
        "the whole host": replace(plan, settings=(Setting("fs.file-max", "1", "2"),)),
        "not a valid plan": replace(plan, netns=netns_inode()),
        "gone has ended": replace(plan, netns=7, target=NetnsTarget(7, "gone", "gone")),
        "was 5 when the plan was made": replace(plan, settings=(Setting(SOMAXCONN, "5", "8192"),)),
        # The inode of the namespace, but not its cookie.
        "has ended": replace(plan, target=replace(target, cookie=target.cookie + 1)),
    }
    return [(why, _guard(each, root).apply(), other.read()) for why, each in changed.items()]


def test_the_helper_reads_the_settings_of_a_namespace_that_was_seen() -> None:
    found, of_another, after = inside(_read_by_helper)
    assert isinstance(found, SettingsRead)
    settings, target = found.settings, found.settings.target
    assert target is not None
    assert (settings.values[SOMAXCONN], target.name, settings.netns_inode) == ("777", "web", target.inode)
    assert of_another == after == RequestFailed("network namespace web has ended", "plan it again")


def _read_by_helper() -> tuple[Answer, Answer, Answer]:
    other, root = Neighbour(), _root()
    other.write("777")
    server = HelperServer(HelperConfig(str(root), ACTOR, None))
    target = NetnsTarget(other.inode, "web", str(other.pid), kind="container", runtime="docker")

    def ask(target: NetnsTarget) -> Answer:
        return server.answer(msgspec.json.encode(ReadSettings((SOMAXCONN,), target)))

    found, of_another = ask(target), ask(msgspec.structs.replace(target, cookie=1))
    other.end()
    return found, of_another, ask(target)


def test_the_verbs_apply_and_undo_it() -> None:
    held, kept, undone, value = inside(_by_verbs)
    assert held.stdout.endswith("holding\n"), held.stderr
    assert kept.state == "kept"
    assert undone.stdout.endswith("holding\n"), undone.stderr
    assert value == "8192 4096"


def _by_verbs() -> tuple[Done, Transaction, Done, str]:
    other, root = Neighbour(), _root()
    again = ("--root", str(root), "--yes", "--hold", "10")
    held = _run("apply", "--netns", str(other.pid), f"{SOMAXCONN}=8192", *again)
    during = other.read()
    kept = decide("keep", str(root))
    undone = _run("undo", *again)
    after = other.read()
    decide("revert", str(root))
    return held, kept, undone, f"{during} {after}"


def _run(*argv: str) -> Done:
    return subprocess.run(
        [*TUNE, *argv], capture_output=True, env=child_environment(), timeout=60, text=True, check=False
    )
