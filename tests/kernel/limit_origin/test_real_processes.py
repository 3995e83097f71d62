"""Who set a limit, on real processes: ulimit in a script, setrlimit() of the program, prlimit() from outside."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sockmon.agent.limit_origins import LimitOrigins
from sockmon.kernel.limit_origin.origin import OriginFinder
from sockmon.kernel.netlink import run
from sockmon.model.limit_origin import LimitOrigin
from tests.snapshots import process

SLEEP = "import sys; print(1, flush=True); sys.stdin.read()"


@contextmanager
def started(*command: str) -> Iterator[int]:
    """Start a command that prints a line when it is ready; yield the pid in that line, or its own."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        line = int(child.stdout.readline())
        yield child.pid if line == 1 else line
        assert child.stdin is not None
        child.stdin.close()


def origin(pid: int) -> LimitOrigin:
    found = OriginFinder().find(pid, "nofile")
    assert found is not None
    return found


def test_a_script_with_ulimit(tmp_path: Path) -> None:
    script = tmp_path / "start.sh"
    code = SLEEP.replace("print(1", "print(__import__('os').getpid()")
    script.write_text(f'#!/bin/sh\ncd /\nulimit -n 307\n{sys.executable} -c "{code}"\n')
    with started("/bin/sh", str(script)) as pid:
        found = origin(pid)
    assert (found.soft, found.hard) == (307, 307)
    assert (found.soft_source.kind, found.soft_source.at) == ("script", f"{script}:3")
    assert found.soft_source.text == "ulimit -n 307"


def test_a_program_that_lowers_its_own_limit() -> None:
    code = f"import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (311, 411)); {SLEEP}"
    with started(sys.executable, "-c", code) as pid:
        found = origin(pid)
    assert (found.soft, found.hard) == (311, 411)
    assert found.soft_source.kind == found.hard_source.kind == "program"
    assert str(pid) in found.soft_source.name


def test_a_limit_that_is_set_from_outside() -> None:
    with started(sys.executable, "-c", SLEEP) as pid:
        before = origin(pid)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (313, before.hard))
        after = origin(pid)
    assert (after.soft, after.soft_source.kind) == (313, "program")
    assert (after.hard, after.hard_source.kind) == (before.hard, "inherited")
    assert before.soft_source.kind != "program"


def test_a_child_inherits() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    code = f"import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (317, {hard})); import subprocess, sys;"
    child = SLEEP.replace("print(1", "print(__import__('os').getpid()")
    with started(sys.executable, "-c", f'{code} subprocess.run([sys.executable, "-c", "{child}"])') as pid:
        found = origin(pid)
        parent = origin(int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1]))
    assert found.soft_source.kind == "inherited"
    assert parent.soft_source.kind == "program"
    assert found.soft_source.name == parent.soft_source.name
    assert soft != 317


def test_the_origin_of_a_process_near_its_limit_is_in_a_sample() -> None:
    own = origin(os.getpid())
    me = process(os.getpid(), start=own.start, fds=90, soft=100)
    far = process(os.getpid(), start=own.start, fds=10, soft=100)
    other = process(os.getpid(), start=own.start + 1, fds=90, soft=100)
    origins = LimitOrigins()
    for row, number in ((me, 1), (far, 0), (other, 0)):
        assert [each.resource for each in run(origins.steps((row,)))] == ["nofile"] * number
    assert [each.resource for each in origins.of(os.getpid(), own.start)] == ["nofile", "nproc", "memlock"]
