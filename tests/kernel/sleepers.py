"""Real processes for tests to read: started with some Python code, killed and reaped at the end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from sockmon.kernel.netlink import run
from sockmon.kernel.processes import descriptors as fds
from sockmon.kernel.processes import proc_files

NOBODY = 65534
NAME = "import ctypes; libc = ctypes.CDLL(None); name = lambda raw: libc.prctl(15, raw, 0, 0, 0)\n"
"""Defines `name(bytes)`: PR_SET_NAME."""
NESTED = f"""{NAME}
def become_root_inside():
    maps = {{'uid_map': f'0 {{os.geteuid()}} 1', 'setgroups': 'deny', 'gid_map': f'0 {{os.getegid()}} 1'}}
    if libc.unshare(0x10000000): raise SystemExit('refused')
    for name, text in maps.items(): open('/proc/self/' + name, 'w').write(text)
"""
"""Defines `become_root_inside()`, of a new user namespace."""


def environment() -> dict[str, str]:
    """Return the environment for a child that imports what this process can import."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), *sys.path]))}


def descriptors(pid: int) -> fds.Descriptors:
    """Return what a process has open, read in one go."""
    proc = proc_files.open_proc()
    try:
        return run(fds.read_descriptors(pid, proc))
    finally:
        os.close(proc)


@contextmanager
def sleeper(setup: str = "", user: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that ran `setup` and now waits for a line on stdin."""
    code = f"import os, sys\n{setup}\nos.write(1, b'ready\\n')\nos.read(0, 1)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, user=user
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n", f"a sleeper failed: {setup}"
            yield process
        finally:
            process.kill()


def as_nobody(code: str) -> str:
    """Return what `code` prints if it runs as an ordinary user; only root can call it."""
    # An interpreter below root's home can only be started and import as root: what it needs comes first.
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTS + code],
        env=environment(), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


_IMPORTS = f"""
import ctypes, json, os, psutil
from sockmon.kernel.processes import process_detail
from sockmon.kernel.processes.attribution import Attribution
from sockmon.kernel.netlink import run
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.kernel.processes.process_facts import FactsReader
from sockmon.kernel.processes.process_table import ProcessTable
from sockmon.kernel.processes.passwd import Users
from sockmon.model.detail import ProcessQuery
os.setgroups([])
os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, as after an exec
"""
