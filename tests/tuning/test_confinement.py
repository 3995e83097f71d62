"""In a lab only the lab's values, journal and files are changed: nothing of the host is touched or read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sockmon.errors import TuningError
from sockmon.kernel.identity import boot_id, netns_inode
from sockmon.labs import find_lab
from sockmon.model.plan import Plan, Setting
from sockmon.sandbox.namespaces import STATE_ROOT_VARIABLE
from sockmon.sandbox.session import RunningLab, python_command, run_lab
from sockmon.tuning.transaction import confinement as lab
from sockmon.tuning.transaction.guard import Guard
from sockmon.tuning.transaction.journal import Begin, Journal, Write
from sockmon.tuning.transaction.state_dirs import StateDirs
from tests.netns import child_environment, inside
from tests.tuning.sample_change import ACTOR, NEW, OLD, SOMAXCONN, plan, values, write

pytestmark = pytest.mark.usefixtures("needs_userns")

RANGE = "net.ipv4.ip_local_port_range"
WIDE = "1024 65535"
HOST = ("/run/sockmon", "/var/lib/sockmon", "/var/log/sockmon", "/etc/sysctl.d/90-sockmon.conf")


def _of_the_host() -> list[tuple[str, int | None]]:
    return [(path, os.stat(path).st_mtime_ns if os.path.exists(path) else None) for path in HOST]


@contextmanager
def ports_lab() -> Iterator[RunningLab]:
    with run_lab(find_lab("ephemeral-ports")) as running:
        if not running.isolated:
            pytest.skip("this kernel does not allow mounting a /proc here")
        yield running


def tune(running: RunningLab, *argv: str) -> subprocess.CompletedProcess[str]:
    return running.run([*python_command("sockmon"), "tune", *argv])


def test_a_limit_changes_in_the_lab_and_not_on_the_host() -> None:
    before = _of_the_host()
    with ports_lab() as running:
        first = running.check(2).readings[0]
        assert (first.ceiling, first.severity, first.limit) == ("ephemeral-ports", "hit", 200)
        held = tune(running, "apply", f"{RANGE}={WIDE}", "--yes")
        assert (held.returncode, held.stdout.split()[-1]) == (0, "holding"), held.stderr
        moved = next(one for one in running.check(2).readings if one.ceiling == "ephemeral-ports")
        assert moved.limit is not None
        assert moved.limit > 60_000
        assert moved.severity == "ok"
        kept = tune(running, "keep", "--persist")
        assert kept.stdout.split()[-2:] == ["kept,", "persisted"], kept.stderr
        assert tune(running, "undo", "--yes").stdout.split()[-1] == "holding"
        assert tune(running, "revert").stdout.split()[-1] == "reverted"
        assert running.run(["cat", f"/proc/sys/{RANGE.replace('.', '/')}"]).stdout.split() == WIDE.split()
        history = [json.loads(line) for line in tune(running, "history", "--json").stdout.splitlines()]
        assert [one["state"] for one in history] == ["reverted", "kept"]
        # The lab ends together with the pending change.
        write_back = tune(running, "apply", f"{RANGE}=40000 40399", "--yes")
        assert write_back.stdout.split()[-1] == "holding", write_back.stderr
    assert _of_the_host() == before


@pytest.mark.fault("X4")
def test_a_key_of_the_whole_host_is_refused() -> None:
    with ports_lab() as running:
        done = tune(running, "apply", "vm.max_map_count=70000", "--yes")
        assert done.returncode == 1
        assert "it applies to the whole host" in done.stderr


def host_key() -> str:
    now = Path("/proc/sys/vm/max_map_count").read_text().strip()
    made = Plan((Setting("vm.max_map_count", now, now),), netns_inode(), boot_id())
    with tempfile.TemporaryDirectory() as root:
        refused = Guard(made, ACTOR, 60.0, root).apply()
        return f"{refused.state}: {refused.messages[0]}"


@pytest.mark.fault("S18", "X4")
def test_s18_from_a_private_user_namespace_the_guard_writes_no_key_of_the_host() -> None:
    assert inside(host_key).startswith("refused: vm.max_map_count: it applies to the whole host")


def test_outside_of_a_lab_the_environment_variable_has_no_effect(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if lab.in_user_namespace():
        pytest.skip("this is a private user namespace itself")
    monkeypatch.setenv(STATE_ROOT_VARIABLE, str(tmp_path))
    assert STATE_ROOT_VARIABLE == lab.ROOT_VARIABLE
    with pytest.raises(TuningError, match="no state directory"):
        lab.state_root()
    assert lab.state_root("/elsewhere") == "/elsewhere"


def roots() -> list[str]:
    said = []
    for name in ("/somewhere", ""):
        os.environ[STATE_ROOT_VARIABLE] = name
        try:
            said.append(lab.state_root())
        except TuningError as error:
            said.append(error.message)
    return said


def test_a_lab_without_a_state_directory_refuses_changes() -> None:
    assert inside(roots) == ["/somewhere", "this lab cannot change settings: it has no state directory"]


def _sockmon(root: str, *argv: str) -> subprocess.CompletedProcess[str]:
    environment = {**child_environment(), STATE_ROOT_VARIABLE: root}
    return subprocess.run(
        [sys.executable, "-m", "sockmon", *argv], capture_output=True, text=True, env=environment, check=False
    )


def starts() -> list[str]:
    """Return what `check` and `tune` print on standard error: without a journal, and after guard and watchdog were
    killed."""
    said = []
    with tempfile.TemporaryDirectory() as root:
        said.append(_sockmon(root, "check").stderr)
        assert os.listdir(root) == []
        for number, verb in enumerate(("check", "tune")):
            write(OLD)
            identity = _leave_behind(root, number)
            write({SOMAXCONN: NEW[SOMAXCONN]})
            words = _sockmon(root, verb, *(["list"] if verb == "tune" else [])).stderr
            said.append(words.replace(identity, "ID"))
            assert values() == OLD
        assert "interrupted" not in _sockmon(root, "check").stderr
        Path(root, "run/sockmon").chmod(0o777)
        _leave_unread(root)
        said.append(_sockmon(root, "check", "--json").stderr)
    return said


def _leave_behind(root: str, number: int) -> str:
    """The journal of a guard that died before its second write; its id."""
    begin = Begin(f"20261122T203120-c7daf1e{number}", plan(), ACTOR, 0.0, 60.0, 0.0)
    dirs = StateDirs(root)
    journal = Journal(f"{begin.id}.wal", dirs.txn, new=True)
    journal.append(begin)
    journal.append(Write(0, SOMAXCONN))
    journal.close()
    dirs.close()
    return begin.id


def _leave_unread(root: str) -> None:
    Path(root, "run/sockmon/txn/20261122T203120-c7daf1e2.wal").touch()


@pytest.mark.fault("T7")
def test_t7_every_start_recovers_and_reports_it_in_a_line() -> None:
    nothing, check, tune_list, unread = inside(starts)
    assert "sockmon:" not in nothing
    for said in (check, tune_list):
        line = next(line for line in said.splitlines() if line.startswith("sockmon: change ID"))
        assert SOMAXCONN in line
        assert "was interrupted; it was rolled back" in line
    assert "could not be recovered" in unread
