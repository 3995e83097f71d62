"""The process that holds a lab: `python -m sockmon.labs.supervise`, a pickled Lab on stdin, messages on stdout.

It stays outside the namespaces, makes the cgroups, and removes everything when its stdin ends, at the deadline, or
on a signal. Below it a go-between enters the namespaces, and below that the first process of the pid namespace
builds the lab: when that one dies the kernel kills all the rest.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import pickle
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from sockmon.errors import LabUnavailable, SockmonError
from sockmon.labs import namespaces
from sockmon.labs.cgroups import Cgroups
from sockmon.labs.crew import call_yourself
from sockmon.labs.lab import Lab
from sockmon.labs.stage import LONGEST, Stage

_PR_SET_CHILD_SUBREAPER = 36
_NO_PROC = 77
"""Exit code of a go-between whose pid namespace could not have its own /proc."""
_PATIENCE = 5.0
_SPARE_TASKS = 64
_DATA = 8 << 30
"""Bytes of private memory that one process may map (RLIMIT_DATA); thread stacks count in full."""


def main() -> None:
    """Hold the lab that stdin names until stdin ends."""
    lab: Lab = pickle.load(open(0, "rb", buffering=0, closefd=False))  # noqa: SIM115
    call_yourself("sockmon-lab")
    # Whatever is orphaned below comes to us, and not to the host's init.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, _leave)
    signal.alarm(math.ceil(lab.deadline))
    # Asked before the descriptors of the lab exist: it needs no more than what is open now.
    tell = _teller()
    cgroups = Cgroups()
    try:
        if _hold(lab, cgroups, tell, isolated=True) == _NO_PROC:
            _hold(lab, cgroups, tell, isolated=False)
    except OSError as error:
        tell({"error": str(error.strerror)})
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)
        _end_children()
        cgroups.remove()


def _leave(number: int, frame: object) -> NoReturn:
    sys.exit(128 + number)


def _teller() -> Callable[[dict[str, Any]], None]:
    """Writes one message to whoever asked for the lab; what else is printed goes nowhere."""
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def tell(message: dict[str, Any]) -> None:
        with suppress(BrokenPipeError):
            os.write(out, json.dumps(message).encode() + b"\n")

    return tell


def _hold(lab: Lab, cgroups: Cgroups, tell: Callable[[dict[str, Any]], None], isolated: bool) -> int:
    """Start the lab, and serve it until our stdin or the lab ends; the exit code of the go-between."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        ours.close()
        _go_between(lab, theirs, tell, isolated, parent)
    theirs.close()
    with ours:
        while True:
            ready, _, _ = select.select([0, ours.fileno()], [], [])
            if 0 in ready or not (request := ours.recv(LONGEST)):
                break
            _serve(ours, json.loads(request), cgroups)
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    return 0


def _serve(lab: socket.socket, request: dict[str, Any], cgroups: Cgroups) -> None:
    """Make the cgroup that the lab asks for, and hand its door in."""
    try:
        path = cgroups.make(request["controller"], request["name"], request["limits"])
        door = os.open(path / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
    except (LabUnavailable, OSError) as error:
        words = [error.message, error.hint] if isinstance(error, LabUnavailable) else [str(error)]
        lab.send(json.dumps({"unavailable": words}).encode())
        return
    socket.send_fds(lab, [json.dumps({"path": str(path)}).encode()], [door])
    os.close(door)


def _end_children() -> None:
    """Kill all that is left below us; what it orphans comes to us, and is killed in turn."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        for pid in _children():
            os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            time.sleep(0.01)
            continue
        return


def _children() -> list[int]:
    with suppress(OSError):
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    return []


def _go_between(
    lab: Lab, broker: socket.socket, tell: Callable[[dict[str, Any]], None], isolated: bool, parent: int
) -> NoReturn:
    """Enter the namespaces, start their first process, and end with it."""
    code = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        _bound()
        namespaces.enter(user_namespace="root" not in lab.needs, isolated=isolated)
        namespaces.die_with_parent(signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        if not isolated:
            tell({"inside": os.getpid(), "isolated": False})
            _build(lab, Stage(tell, broker, isolated))
        first = os.fork()
        if first == 0:
            _first(lab, Stage(tell, broker, isolated))
        broker.close()
        tell({"inside": first, "isolated": True})
        code = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    except OSError as error:
        tell({"unavailable": [f"no namespace of its own: {error.strerror}"]})
    finally:
        os._exit(code if code >= 0 else 1)


def _bound() -> None:
    """Whatever goes wrong inside must hurt the lab and not the host: it is the first that is killed for memory."""
    namespaces.raise_descriptor_limit()
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    most = _DATA if hard == resource.RLIM_INFINITY else min(_DATA, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    # user_namespaces(7): what this user's namespaces hold counts for the user too, up to the limit of whoever made
    # them. Some stay free, or nobody could start as much as a shell while the lab stands. Root is exempt.
    tasks, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    if tasks != resource.RLIM_INFINITY and os.geteuid() != 0:
        resource.setrlimit(resource.RLIMIT_NPROC, (tasks - min(_SPARE_TASKS, tasks // 8), hard))


def _first(lab: Lab, stage: Stage) -> NoReturn:
    """The first process of the pid namespace."""
    try:
        namespaces.die_with_parent(signal.SIGKILL)
        namespaces.mount_proc()
    except OSError:
        os._exit(_NO_PROC)
    # Without it nothing can be changed inside, and sockmon says so there.
    with suppress(OSError):
        namespaces.mount_home()
    _build(lab, stage)


def _build(lab: Lab, stage: Stage) -> NoReturn:
    """Build, tell how that went, and live until stdin ends, or one of those that were started: then this is not
    the lab any more."""
    try:
        stage._tell(_built(lab, stage))
        crew = {pid for pids in stage.crew.pids.values() for pid in pids}
        while 0 not in select.select([0], [], [], 0.2)[0] and not crew & set(_reaped()):
            pass
        if not stage.isolated:
            stage.crew.end()
    finally:
        os._exit(0)


def _reaped() -> Iterator[int]:
    """The children that have died."""
    with suppress(ChildProcessError):
        while pid := os.waitpid(-1, os.WNOHANG)[0]:
            yield pid


def _built(lab: Lab, stage: Stage) -> dict[str, Any]:
    assert lab.build is not None
    try:
        lab.build(stage)
        stage.wait()
    except SockmonError as error:
        return {"unavailable": [error.message, error.hint]}
    except Exception as error:
        return {"error": str(error) if isinstance(error, RuntimeError) else f"{type(error).__name__}: {error}"}
    return {"stands": {"facts": stage.facts, "pids": stage.crew.pids}}


if __name__ == "__main__":
    main()
