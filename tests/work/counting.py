"""What the agent and the screen do for a sample, counted: numbers that are the same on a busy machine."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.states import State, built
from sockmon.errors import LabUnavailable
from sockmon.sandbox.namespaces import TOOL_PATH
from tests.netns import ROOT, child_environment
from tests.work import agent_work

FILE = Path(__file__).with_name("counted.json")
HOST = State(sockets=400, processes=40, descriptors=20, hash_entries=4096)
VARYING = re.compile(r"futex|mmap|munmap|mremap|brk|madvise|rt_sig\w+|sched_yield|restart_syscall|clone\w*")
"""System calls of threads and of memory, whose number depends on chance."""
TIMEOUT_SECONDS = 120


class Counted(msgspec.Struct):
    """Numbers by name, each for one sample."""

    python: str
    """The version of Python, as 3.11."""
    counts: dict[str, float]
    system_calls: dict[str, float]
    """Those of the agent by name: not compared, only to say which of them have grown."""


def python_version() -> str:
    """Return the version of this Python, as 3.11."""
    return ".".join(platform.python_version_tuple()[:2])


def accepted() -> Counted:
    """Return the numbers that are in the repository."""
    return msgspec.json.decode(FILE.read_bytes(), type=Counted)


def count_everything() -> Counted:
    """Return the work of agent and screen now; raise LabUnavailable if the fixed host cannot be built here."""
    counts, calls = count_agent()
    return Counted(python_version(), dict(sorted((counts | count_screen()).items())), calls)


def accept(counted: Counted) -> None:
    """Write these numbers in the place of those in the repository."""
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(counted), indent=1) + b"\n")


def count_screen() -> dict[str, float]:
    """Return the work of the screen for a sample of each fixed stream."""
    found = json.loads(_output([sys.executable, "-m", "tests.work.screen_work"]))
    return {
        f"screen, {stream}: {name}": round(number, 1)
        for stream, numbers in found.items()
        for name, number in numbers.items()
    }


def count_agent() -> tuple[dict[str, float], dict[str, float]]:
    """Return the work of the agent for a tick on a fixed host, and its system calls by name; without strace, none.

    Raise LabUnavailable if that host cannot be built here, with processes of its own alone."""
    program = [sys.executable, "-m", "tests.work.agent_work"]
    strace = shutil.which("strace", path=TOOL_PATH)
    with built(HOST, "counted", as_root=False) as lab, tempfile.TemporaryDirectory() as folder:
        if not lab.isolated:
            raise LabUnavailable("the processes of this host cannot be left out: /proc cannot be mounted")
        trace = Path(folder, "trace")
        tracing = [strace, "-f", "-qq", "-e", "signal=none", "-o", str(trace)] if strace else []
        with _stopped(lab.pid):
            counts: dict[str, float] = json.loads(_output(lab.command([*tracing, *program])))
        calls = system_calls(trace.read_text(errors="replace")) if strace else Counter[str]()
    if calls:
        counts["system calls"] = sum(calls.values()) / agent_work.COUNTED
    named = {name: round(total / agent_work.COUNTED, 1) for name, total in sorted(calls.items())}
    return {f"agent: {name}": round(number, 1) for name, number in counts.items()}, named


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    """Stop the first process of the host: it wakes up by real time, and a process that has run is read again."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def system_calls(trace: str) -> Counter[str]:
    """Return the system calls by name between the marks in the output of strace, but those that vary."""
    begin, end = (trace.index(f'"{mark}"') for mark in (agent_work.BEGIN, agent_work.END))
    names = re.findall(r"^\d+ +(\w+)\(", trace[begin:end], re.MULTILINE)
    return Counter(name for name in names[:-1] if not VARYING.fullmatch(name))


def _output(argv: list[str]) -> str:
    # The order of a set of strings must not depend on chance.
    environment = {**child_environment(), "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        argv, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=TIMEOUT_SECONDS, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{argv}: {done.stderr}")
    return done.stdout.splitlines()[-1]
