"""Limits of a process that runs: prlimit(2) from outside, while it stands at its limit."""

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
from sockmon.labs.stage import Stage
from sockmon.labs.user_processes import become_service
from sockmon.proofs import sockets
from sockmon.proofs.apart import apart
from sockmon.proofs.other import Other, sleeper
from sockmon.proofs.proof import Finding, Proof, Step

_LOW, _HIGH, _HARD = 40, 60, 80
_LINE = 33
"""What a limits.conf says that nobody shall read."""
_PAM = Path("/etc/security")
_TASKS, _MORE = 40, 8
_AT_ONCE = "it counts at once for that process, and for children that it starts from then on"


class _Server:
    """Accepts until it is refused, and says with what error and how many descriptors it has then."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.held = ExitStack()
        self.began = False

    def __call__(self, what: str) -> Any:
        if not self.began:
            self.began = True
            resource.setrlimit(resource.RLIMIT_NOFILE, (_LOW, _HARD))
            self.listener.setblocking(False)
        return {"accept": self.accept, "child": sleeper}[what]()

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


def _descriptors() -> dict[str, Any]:
    with sockets.server() as listener, ExitStack() as held:
        server = Other(_Server(listener))
        for _ in range(3 * _HARD):
            held.enter_context(sockets.begin())
        time.sleep(0.2)
        found: dict[str, Any] = {"low": server.ask("accept")}
        before = server.ask("child")
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (_HIGH, _HARD))
        found["high"] = server.ask("accept")
        found["children"] = [_soft(before), _soft(server.ask("child"))]
        found["above"] = _raise_hard(server.pid)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (_LOW, _HARD))
        found["lowered"] = server.ask("accept")
        server.end()
        return found


def _raise_hard(pid: int) -> str:
    try:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (_HIGH, _HARD + 1))
    except PermissionError as error:
        return errno.errorcode[error.errno or 0]
    return ""


def _started_beside_limits_conf() -> int | None:
    """The soft limit of a new program where limits.conf says another; None where that could not be laid there."""
    if ctypes.CDLL(None).mount(b"none", os.fsencode(_PAM), b"tmpfs", 0, None):
        return None
    (_PAM / "limits.conf").write_text(f"* - nofile {_LINE}\nroot - nofile {_LINE}\n")
    resource.setrlimit(resource.RLIMIT_NOFILE, (_LOW, _HARD))
    return int(subprocess.run(["/bin/sh", "-c", "ulimit -n"], capture_output=True, check=True).stdout)


def _nofile(stage: Stage) -> Finding:
    [found] = apart(stage, 1, _descriptors, ())
    # In the mounts of a lab that has its own.
    [started] = apart(stage, 1, _started_beside_limits_conf, ()) if stage.isolated else [None]
    steps = [
        Step(
            f"nofile={_LOW}:{_HARD}",
            f"a server had {found['low'][1]} descriptors, then accept() failed with {found['low'][0]}",
            "the soft limit is the wall",
            found["low"] == ["EMFILE", _LOW],
        ),
        Step(
            f"nofile={_HIGH}:{_HARD}",
            f"set from outside while it ran: it accepted on up to {found['high'][1]} descriptors",
            "it goes on at once, without a restart",
            found["high"] == ["EMFILE", _HIGH],
        ),
        Step(
            f"nofile={_HIGH}:{_HARD}",
            f"a child from before has {found['children'][0]}, one that it started since {found['children'][1]}",
            "children inherit it when they are started",
            found["children"] == [_LOW, _HIGH],
        ),
        Step(
            f"nofile={_HIGH}:{_HARD + 1}",
            f"the call {'failed with EPERM' if found['above'] else 'succeeded'}",
            "the hard limit is raised only with CAP_SYS_RESOURCE",
            found["above"] == "EPERM",
        ),
        Step(
            f"nofile={_LOW}:{_HARD}",
            f"lowered again: {found['lowered'][1]} descriptors stayed open, accept() failed with"
            f" {found['lowered'][0]}",
            "what is open stays open, and nothing new can be opened",
            found["lowered"] == ["EMFILE", _HIGH],
        ),
    ]
    if started is not None:
        steps.append(
            Step(
                f"nofile={_LOW}:{_HARD}",
                f"a program that was started beside a limits.conf that says {_LINE} has {started}",
                "limits.conf is read at login, not for what a service starts",
                started == _LOW,
            )
        )
    numbers = (
        f"a server that had {found['low'][1]} descriptors and got {found['low'][0]} went on to {found['high'][1]}"
        f" when prlimit raised its limit to {_HIGH}"
    )
    return Finding(
        steps, numbers, "it counts at once for that process, and for children that it starts from then on"
    )


class _Parent:
    """Starts children until it is refused."""

    def __init__(self) -> None:
        self.began = False

    def __call__(self, what: str) -> Any:
        if not self.began:
            self.began = True
            resource.setrlimit(resource.RLIMIT_NPROC, (_TASKS, _TASKS + 4 * _MORE))
            become_service()
        return {"fork": self.fork, "thread": _thread}[what]()

    def fork(self) -> list[int]:
        started: list[int] = []
        while len(started) < 2 * _TASKS:
            try:
                started.append(sleeper())
            except BlockingIOError:
                return started
        raise LabUnavailable("root is not bound by it, and no other user can be had here")


def _thread() -> str:
    try:
        threading.Thread(target=time.sleep, args=(0,)).start()
    except RuntimeError:
        return "refused"
    return "started"


def _tasks() -> dict[str, Any]:
    parent = Other(_Parent())
    first = parent.ask("fork")
    found = {"thread": parent.ask("thread"), "first": len(first)}
    limits = resource.prlimit(parent.pid, resource.RLIMIT_NPROC)
    resource.prlimit(parent.pid, resource.RLIMIT_NPROC, (_TASKS + _MORE, limits[1]))
    more = parent.ask("fork")
    inherited = [resource.prlimit(pid, resource.RLIMIT_NPROC)[0] for pid in (first[0], more[0])]
    parent.end()
    return {**found, "more": len(more), "inherited": inherited}


def _nproc(stage: Stage) -> Finding:
    [found] = apart(stage, 1, _tasks, ())
    steps = [
        Step(
            f"nproc={_TASKS}",
            f"a program started {found['first']} children, then fork() failed with EAGAIN; a thread was"
            f" {found['thread']}",
            "all tasks of the user count, threads too",
            0 < found["first"] < _TASKS and found["thread"] == "refused",
        ),
        Step(
            f"nproc={_TASKS + _MORE}",
            f"set from outside while it ran: it started {found['more']} more",
            "it goes on at once, without a restart",
            found["more"] == _MORE,
        ),
        Step(
            f"nproc={_TASKS + _MORE}",
            f"a child from before has {found['inherited'][0]}, one that it started since {found['inherited'][1]}",
            "each process has its own limit, and children inherit it when they are started",
            found["inherited"] == [_TASKS, _TASKS + _MORE],
        ),
    ]
    numbers = (
        f"a program at its limit of {_TASKS} tasks got EAGAIN, and started {found['more']} more when prlimit"
        f" raised it to {_TASKS + _MORE}"
    )
    return Finding(
        steps, numbers, "it counts at once for that process, and for children that it starts from then on"
    )


PROOFS = (
    Proof("nofile", "a server at EMFILE goes on when its limit is raised", _nofile, 1),
    Proof("nproc", "a program at EAGAIN goes on when its limit is raised", _nproc, 1, ("Linux 5.14",)),
)
