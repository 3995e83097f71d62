"""Inside a lab its own values change, with its own journal and files: nothing of the host's is touched or read."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sockmon.errors import NotTuned
from sockmon.labs import find
from sockmon.labs.namespaces import HOME_NAME
from sockmon.labs.running import World, python, running
from sockmon.model.change import Plan, Setting
from sockmon.tuning import inside as lab
from sockmon.tuning.guard import Guard
from sockmon.tuning.journal import Begin, Journal, Write
from sockmon.tuning.places import Places
from sockmon.tuning.recover import boot_id, netns
from tests.netns import child_environment, inside
from tests.tuning.changes import ME, NEW, OLD, SOMAXCONN, plan, values, write

pytestmark = pytest.mark.usefixtures("needs_userns")

RANGE = "net.ipv4.ip_local_port_range"
WIDE = "1024 65535"
HOST = ("/run/sockmon", "/var/lib/sockmon", "/var/log/sockmon", "/etc/sysctl.d/90-sockmon.conf")


def _of_the_host() -> list[tuple[str, int | None]]:
    return [(path, os.stat(path).st_mtime_ns if os.path.exists(path) else None) for path in HOST]


@contextmanager
def ports_lab() -> Iterator[World]:
    with running(find("ephemeral-ports")) as world:
        if not world.isolated:
            pytest.skip("this kernel lets nobody mount a /proc here")
        yield world


def tune(world: World, *argv: str) -> subprocess.CompletedProcess[str]:
    return world.run([*python("sockmon"), "tune", *argv])


def test_the_wall_moves_and_the_host_stays_as_it_is() -> None:
    before = _of_the_host()
    with ports_lab() as world:
        first = world.check(2).readings[0]
        assert (first.ceiling, first.severity, first.limit) == ("ephemeral-ports", "hit", 200)
        held = tune(world, "apply", f"{RANGE}={WIDE}", "--yes")
        assert (held.returncode, held.stdout.split()[-1]) == (0, "holding"), held.stderr
        moved = next(one for one in world.check(2).readings if one.ceiling == "ephemeral-ports")
        assert moved.limit is not None
        assert moved.limit > 60_000
        assert moved.severity == "ok"
        kept = tune(world, "keep", "--persist")
        assert kept.stdout.split()[-2:] == ["kept,", "persisted"], kept.stderr
        assert tune(world, "undo", "--yes").stdout.split()[-1] == "holding"
        assert tune(world, "revert").stdout.split()[-1] == "reverted"
        assert world.run(["cat", f"/proc/sys/{RANGE.replace('.', '/')}"]).stdout.split() == WIDE.split()
        assert len(tune(world, "history").stdout.splitlines()) == 2
        # The lab ends with what is held.
        write_back = tune(world, "apply", f"{RANGE}=40000 40399", "--yes")
        assert write_back.stdout.split()[-1] == "holding", write_back.stderr
    assert _of_the_host() == before


def test_what_is_the_whole_hosts_is_refused() -> None:
    with ports_lab() as world:
        done = tune(world, "apply", "vm.max_map_count=70000", "--yes")
        assert done.returncode == 1
        assert "it is the whole host's" in done.stderr


def host_key() -> str:
    now = Path("/proc/sys/vm/max_map_count").read_text().strip()
    made = Plan((Setting("vm.max_map_count", now, now),), netns(), boot_id())
    with tempfile.TemporaryDirectory() as root:
        refused = Guard(made, ME, 60.0, root).begin()
        return f"{refused.state}: {refused.words[0]}"


def test_s18_the_guard_writes_nothing_of_the_hosts_from_a_private_user_namespace() -> None:
    assert inside(host_key).startswith("refused: vm.max_map_count: it is the whole host's")


def test_outside_of_a_lab_the_environment_leads_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if lab.private():
        pytest.skip("this is a private user namespace itself")
    monkeypatch.setenv(HOME_NAME, str(tmp_path))
    assert HOME_NAME == lab.HOME
    with pytest.raises(NotTuned, match="no directories of its own"):
        lab.home()
    assert lab.home("/elsewhere") == "/elsewhere"


def roots() -> list[str]:
    said = []
    for name in ("/somewhere", ""):
        os.environ[HOME_NAME] = name
        try:
            said.append(lab.home())
        except NotTuned as error:
            said.append(error.message)
    return said


def test_a_lab_without_mounts_of_its_own_refuses() -> None:
    assert inside(roots) == ["/somewhere", "nothing can be changed in this lab: it has no directories of its own"]


def _sockmon(root: str, *argv: str) -> subprocess.CompletedProcess[str]:
    environment = {**child_environment(), HOME_NAME: root}
    return subprocess.run(
        [sys.executable, "-m", "sockmon", *argv], capture_output=True, text=True, env=environment, check=False
    )


def starts() -> list[str]:
    """What `check` and `tune` say on standard error: where nothing is, and where a guard and its watcher died."""
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
        assert "left behind" not in _sockmon(root, "check").stderr
        Path(root, "run/sockmon").chmod(0o777)
        _leave_unread(root)
        said.append(_sockmon(root, "check", "--json").stderr)
    return said


def _leave_behind(root: str, number: int) -> str:
    """The journal of a guard that died before its second write; its id."""
    begin = Begin(f"20261122T203120-c7daf1e{number}", plan(), ME, 0.0, 60.0, 0.0)
    places = Places(root)
    journal = Journal(f"{begin.id}.wal", places.txn, new=True)
    journal.append(begin)
    journal.append(Write(0, SOMAXCONN))
    journal.close()
    places.close()
    return begin.id


def _leave_unread(root: str) -> None:
    Path(root, "run/sockmon/txn/20261122T203120-c7daf1e2.wal").touch()


def test_t7_every_start_heals_and_says_so_in_a_line() -> None:
    nothing, check, tune_list, unread = inside(starts)
    assert "sockmon:" not in nothing
    for said in (check, tune_list):
        line = next(line for line in said.splitlines() if line.startswith("sockmon: change ID"))
        assert SOMAXCONN in line
        assert "which a killed guard had left behind, is reverted now" in line
    assert "could not be looked at" in unread
