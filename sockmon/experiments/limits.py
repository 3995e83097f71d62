"""Limits of a running process: changed from outside with prlimit(2), while the process is at its limit."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import socket
import subprocess
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sockmon.errors import LabUnavailable
from sockmon.experiments.experiment import Experiment
from sockmon.model.experiment import Result, Step
from sockmon.sandbox import sockets
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.child_process import ChildProcess, start_sleeper
from sockmon.sandbox.namespaces import become_service_user
from sockmon.sandbox.parallel import measure_in_namespaces

_LOW, _HIGH, _HARD = 40, 60, 80
_LIMITS_CONF = 33
"""The limit in a limits.conf that a service does not read."""
_SECURITY_DIR = Path("/etc/security")
_TASKS, _MORE = 40, 8
_CLAIM = "it takes effect at once for that process, and for the children that it starts later"


class _Server:
    """Accepts until the kernel refuses; answers with the error and the number of its descriptors."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.held = ExitStack()
        self.started = False

    def __call__(self, what: str) -> Any:
        if not self.started:
            self.started = True
            resource.setrlimit(resource.RLIMIT_NOFILE, (_LOW, _HARD))
            self.listener.setblocking(False)
        return {"accept": self.accept, "child": start_sleeper}[what]()

    def accept(self) -> tuple[str, int]:
        while True:
            try:
                self.held.enter_context(self.listener.accept()[0])
            except OSError as error:
                return errno.errorcode[error.errno or 0], _open_descriptors()


def _open_descriptors() -> int:
    return sum(_is_open(number) for number in range(4 * _HARD))


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _soft(pid: int) -> int:
    return resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]


def _change_nofile() -> dict[str, Any]:
    with sockets.listen() as listener, ExitStack() as held:
        server = ChildProcess(_Server(listener))
        for _ in range(3 * _HARD):
            held.enter_context(sockets.start_connect())
        time.sleep(0.2)
        found: dict[str, Any] = {"low": server.call("accept")}
        before = server.call("child")
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (_HIGH, _HARD))
        found["high"] = server.call("accept")
        found["children"] = [_soft(before), _soft(server.call("child"))]
        found["above"] = _raise_hard(server.pid)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (_LOW, _HARD))
        found["lowered"] = server.call("accept")
        server.kill()
        return found


def _raise_hard(pid: int) -> str:
    try:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (_HIGH, _HARD + 1))
    except PermissionError as error:
        return errno.errorcode[error.errno or 0]
    return ""


def _start_with_limits_conf() -> int | None:
    """Return the soft limit of a new program if limits.conf has another; None if that could not be mounted."""
    if ctypes.CDLL(None).mount(b"none", os.fsencode(_SECURITY_DIR), b"tmpfs", 0, None):
        return None
    (_SECURITY_DIR / "limits.conf").write_text(f"* - nofile {_LIMITS_CONF}\nroot - nofile {_LIMITS_CONF}\n")
    resource.setrlimit(resource.RLIMIT_NOFILE, (_LOW, _HARD))
    return int(subprocess.run(["/bin/sh", "-c", "ulimit -n"], capture_output=True, check=True).stdout)


def _nofile(builder: LabBuilder) -> Result:
    [found] = measure_in_namespaces(builder, 1, _change_nofile, ())
    # This needs the private mounts of an isolated lab.
    [started] = measure_in_namespaces(builder, 1, _start_with_limits_conf, ()) if builder.isolated else [None]
    steps = [
        Step(
            f"nofile={_LOW}:{_HARD}",
            f"a server had {found['low'][1]} descriptors, then accept() failed with {found['low'][0]}",
            "the soft limit applies",
            found["low"] == ["EMFILE", _LOW],
        ),
        Step(
            f"nofile={_HIGH}:{_HARD}",
            f"set from outside while it ran: it continued to accept, up to {found['high'][1]} descriptors",
            "it continues at once, without a restart",
            found["high"] == ["EMFILE", _HIGH],
        ),
        Step(
            f"nofile={_HIGH}:{_HARD}",
            f"a child from before has {found['children'][0]}, a later child has {found['children'][1]}",
            "a child inherits it when it is started",
            found["children"] == [_LOW, _HIGH],
        ),
        Step(
            f"nofile={_HIGH}:{_HARD + 1}",
            f"the call {'failed with EPERM' if found['above'] else 'succeeded'}",
            "raising the hard limit needs CAP_SYS_RESOURCE",
            found["above"] == "EPERM",
        ),
        Step(
            f"nofile={_LOW}:{_HARD}",
            f"lowered again: {found['lowered'][1]} descriptors stayed open, accept() failed with"
            f" {found['lowered'][0]}",
            "open files stay open, and no new ones can be opened",
            found["lowered"] == ["EMFILE", _HIGH],
        ),
    ]
    if started is not None:
        steps.append(
            Step(
                f"nofile={_LOW}:{_HARD}",
                f"a program that was started while limits.conf has {_LIMITS_CONF} has {started}",
                "limits.conf is read at login, not when a service is started",
                started == _LOW,
            )
        )
    numbers = (
        f"a server that had {found['low'][1]} descriptors and got {found['low'][0]} continued to"
        f" {found['high'][1]} when prlimit raised its limit to {_HIGH}"
    )
    return Result(steps, numbers, _CLAIM)


class _Parent:
    """Starts children until the kernel refuses."""

    def __init__(self) -> None:
        self.started = False

    def __call__(self, what: str) -> Any:
        if not self.started:
            self.started = True
            resource.setrlimit(resource.RLIMIT_NPROC, (_TASKS, _TASKS + 4 * _MORE))
            become_service_user()
        return {"fork": self.fork, "thread": _thread}[what]()

    def fork(self) -> list[int]:
        started: list[int] = []
        while len(started) < 2 * _TASKS:
            try:
                started.append(start_sleeper())
            except BlockingIOError:
                return started
        raise LabUnavailable("it does not apply to root, and no other user is mapped here")


def _thread() -> str:
    try:
        threading.Thread(target=time.sleep, args=(0,)).start()
    except RuntimeError:
        return "refused"
    return "started"


def _change_nproc() -> dict[str, Any]:
    parent = ChildProcess(_Parent())
    first = parent.call("fork")
    found = {"thread": parent.call("thread"), "first": len(first)}
    limits = resource.prlimit(parent.pid, resource.RLIMIT_NPROC)
    resource.prlimit(parent.pid, resource.RLIMIT_NPROC, (_TASKS + _MORE, limits[1]))
    more = parent.call("fork")
    inherited = [resource.prlimit(pid, resource.RLIMIT_NPROC)[0] for pid in (first[0], more[0])]
    parent.kill()
    return {**found, "more": len(more), "inherited": inherited}


def _nproc(builder: LabBuilder) -> Result:
    [found] = measure_in_namespaces(builder, 1, _change_nproc, ())
    steps = [
        Step(
            f"nproc={_TASKS}",
            f"a program started {found['first']} children, then fork() failed with EAGAIN; a thread was"
            f" {found['thread']}",
            "all tasks of the user count, including threads",
            0 < found["first"] < _TASKS and found["thread"] == "refused",
        ),
        Step(
            f"nproc={_TASKS + _MORE}",
            f"set from outside while it ran: it started {found['more']} more",
            "it continues at once, without a restart",
            found["more"] == _MORE,
        ),
        Step(
            f"nproc={_TASKS + _MORE}",
            f"a child from before has {found['inherited'][0]}, a later child has {found['inherited'][1]}",
            "each process has its own limit, and a child inherits it when it is started",
            found["inherited"] == [_TASKS, _TASKS + _MORE],
        ),
    ]
    numbers = (
        f"a program at its limit of {_TASKS} tasks got EAGAIN, and started {found['more']} more when prlimit"
        f" raised it to {_TASKS + _MORE}"
    )
    return Result(steps, numbers, _CLAIM)


EXPERIMENTS = (
    Experiment("nofile", "a server at EMFILE continues when its limit is raised", _nofile, 1),
    Experiment("nproc", "a program at EAGAIN continues when its limit is raised", _nproc, 1, ("Linux 5.14",)),
)
