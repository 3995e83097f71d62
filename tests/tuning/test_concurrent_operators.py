"""Several operators in the same second, another user, and a guard without a free descriptor."""

from __future__ import annotations

import os
import resource
import socket
from pathlib import Path

import msgspec
import pytest

from sockmon.tuning.transaction.client import apply, decide
from sockmon.tuning.transaction.control_socket import Reply
from sockmon.tuning.transaction.recovery import recover
from tests.netns import inside, inside_as_root
from tests.tuning.sample_change import ACTOR, OLD, plan, read_history, values
from tests.tuning.test_transaction import LONG_HOLD, eventually, guard_pid, guard_processes, old_values

pytestmark = pytest.mark.usefixtures("needs_userns")

OPERATORS, STRANGER = 6, 1234


def race() -> list[list[str]]:
    """Apply the same plan from several processes at once; return the state and first message of each."""
    with old_values() as root:
        made, (gate, opens) = plan(), os.pipe()
        children = []
        for number in range(OPERATORS):
            child = os.fork()
            if child == 0:
                os.close(opens)
                # Wait until all of them have started.
                os.read(gate, 1)
                ended = apply(made, ACTOR, LONG_HOLD, root)
                Path(root, f"operator-{number}").write_text(f"{ended.state}\n{' '.join(ended.messages)}")
                os._exit(0)
            children.append(child)
        os.close(opens)
        for child in children:
            os.waitpid(child, 0)
        assert decide("status", root).state == "holding"
        return [path.read_text().split("\n") for path in sorted(Path(root).glob("operator-*"))]


@pytest.mark.fault("T12")
def test_of_several_operators_one_applies_and_the_others_get_its_name() -> None:
    ended = inside(race)
    assert sorted(state for state, _ in ended) == ["holding", *["refused"] * (OPERATORS - 1)]
    assert all("another change is pending" in words for state, words in ended if state == "refused"), ended


def another_user() -> list[str]:
    """Send a request as another user: with the usual file modes, and with modes that would admit everyone."""
    with old_values() as root:
        apply(plan(), ACTOR, LONG_HOLD, root)
        place = Path(root, "run/sockmon/guard.sock")
        answers = [_asked_as(STRANGER, place)]
        modes = {path: path.stat().st_mode for path in (place, *place.parents[:3])}
        for path in modes:
            path.chmod(0o777)
        answers.append(_asked_as(STRANGER, place))
        for path, mode in modes.items():
            path.chmod(mode)
        assert decide("status", root).state == "holding"
        return answers


def _asked_as(uid: int, place: Path) -> str:
    """The guard's error, which comes before anything was asked, or that of the system call."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setresuid(uid, uid, uid)
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(place))
                os.write(tell, msgspec.json.decode(connection.recv(4096), type=Reply).error.encode())
        except OSError as error:
            os.write(tell, str(error.strerror).encode())
        os._exit(0)
    os.close(tell)
    with os.fdopen(told) as words:
        said = words.read()
    os.waitpid(child, 0)
    return said


@pytest.mark.fault("X7")
@pytest.mark.usefixtures("root_only")
def test_another_user_is_refused() -> None:
    assert inside_as_root(another_user) == ["Permission denied", f"user {STRANGER} is not allowed to decide"]


def without_descriptors() -> list[str]:
    """Let guard and watchdog open nothing from the hold until its end."""
    with old_values() as root:
        apply(plan(), ACTOR, 1.0, root)
        guard = guard_pid(root)
        for pid in guard_processes(root):
            hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
        assert guard in guard_processes(root)
        assert eventually(lambda: values() == OLD)
        # The history is a file of its own, which could not be opened: the next start writes it.
        assert eventually(lambda: not guard_processes(root))
        recover(root)
        assert values() == OLD
        return [one.state for one in read_history(Path(root))]


@pytest.mark.fault("R3", "T4")
def test_a_guard_without_a_free_descriptor_rolls_back_at_its_deadline() -> None:
    assert inside(without_descriptors) == ["reverted"]
