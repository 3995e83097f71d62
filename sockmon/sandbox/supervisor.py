"""The process that holds a lab: `python -m sockmon.sandbox.supervisor`; a pickled Lab on stdin, messages out.

    sockmon lab run NAME                 starts the supervisor; closing its stdin ends the lab
    └─ sockmon-lab      supervisor       outside; makes the cgroups, and removes everything at the end
       └─ sockmon-lab   intermediate     enters the namespaces; its children are in the pid namespace
          └─ sockmon-lab   init          pid 1 inside; mounts /proc, builds the lab, waits
             ├─ api-server, clients, …   the lab's workers
             └─ …
    sockmon.sandbox.nsenter              a command that joins the namespaces of pid 1: the screen, check, a shell

The supervisor stays outside the namespaces. It ends the lab when its stdin ends, at the deadline, on a signal, and
when the intermediate has ended. When pid 1 dies, the kernel kills every process of the pid namespace.

If the kernel does not let pid 1 mount a /proc, as in most containers, the intermediate is started again without a
pid namespace, and builds the lab itself. Then PR_SET_PDEATHSIG alone ends the workers.

The pickle on stdin comes from our own parent process; nothing else can write to that pipe.
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
from sockmon.kernel.processes.rlimits import raise_descriptor_limit
from sockmon.own_process import end_with_parent
from sockmon.sandbox import namespaces
from sockmon.sandbox.builder import MAX_MESSAGE_BYTES, LabBuilder
from sockmon.sandbox.cgroups import LabCgroups
from sockmon.sandbox.scenario import Lab
from sockmon.sandbox.workers import set_process_title

SendMessage = Callable[[dict[str, Any]], None]
_PR_SET_CHILD_SUBREAPER = 36
_NO_PROC_EXIT = 77
"""Exit code of an intermediate whose pid namespace could not have its own /proc."""
_END_TIMEOUT = 5.0
_SPARE_TASKS = 64
_MAX_DATA_BYTES = 8 << 30
"""Private memory that one process may map (RLIMIT_DATA); thread stacks count in full."""
_END_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM)


def main() -> None:
    """Hold the lab that stdin names until stdin ends."""
    lab: Lab = pickle.load(open(0, "rb", buffering=0, closefd=False))  # noqa: SIM115
    set_process_title("sockmon-lab")
    # Orphaned descendants become our children, not those of the host's init.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in _END_SIGNALS:
        signal.signal(number, _exit_on_signal)
    signal.alarm(math.ceil(lab.deadline))
    # Takes its descriptors now, before the lab has any.
    send_message = _message_writer()
    cgroups = LabCgroups()
    try:
        if _run_lab(lab, cgroups, send_message, isolated=True) == _NO_PROC_EXIT:
            _run_lab(lab, cgroups, send_message, isolated=False)
    except OSError as error:
        send_message({"error": str(error.strerror)})
    finally:
        for number in _END_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        _kill_descendants()
        cgroups.remove()


def _exit_on_signal(number: int, frame: object) -> NoReturn:
    sys.exit(128 + number)


def _message_writer() -> SendMessage:
    """Return a function that writes one message to our parent; everything else on stdout goes to /dev/null."""
    out = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    def send_message(message: dict[str, Any]) -> None:
        with suppress(BrokenPipeError):
            os.write(out, json.dumps(message).encode() + b"\n")

    return send_message


def _run_lab(lab: Lab, cgroups: LabCgroups, send_message: SendMessage, isolated: bool) -> int:
    """Start the lab and serve it until our stdin or the lab ends; return the exit code of the intermediate."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        ours.close()
        _run_intermediate(lab, LabBuilder(send_message, theirs, isolated, lab.size), parent)
    theirs.close()
    with ours:
        while True:
            ready, _, _ = select.select([0, ours.fileno()], [], [])
            if 0 in ready or not (request := ours.recv(MAX_MESSAGE_BYTES)):
                break
            _create_cgroup(ours, json.loads(request), cgroups)
    deadline = time.monotonic() + _END_TIMEOUT
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    return 0


def _create_cgroup(lab_socket: socket.socket, request: dict[str, Any], cgroups: LabCgroups) -> None:
    """Make the cgroup that the lab asks for, and send it the descriptor of its cgroup.procs."""
    try:
        path = cgroups.create(request["controller"], request["name"], request["limits"])
        procs_fd = os.open(path / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
    except (LabUnavailable, OSError) as error:
        reason = [error.message, error.hint] if isinstance(error, LabUnavailable) else [str(error)]
        lab_socket.send(json.dumps({"unavailable": reason}).encode())
        return
    socket.send_fds(lab_socket, [json.dumps({"path": str(path)}).encode()], [procs_fd])
    os.close(procs_fd)


def _kill_descendants() -> None:
    """Kill our children until there are none; what they orphan becomes our child, and is killed in turn."""
    deadline = time.monotonic() + _END_TIMEOUT
    while time.monotonic() < deadline:
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


def _run_intermediate(lab: Lab, builder: LabBuilder, parent: int) -> NoReturn:
    """Enter the namespaces, start the first process in them, and end with it."""
    code = 1
    try:
        for number in _END_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        _limit_resources()
        namespaces.enter(user_namespace="root" not in lab.needs, isolated=builder.isolated)
        # After the new user namespace, which would undo it.
        end_with_parent(parent)
        if not builder.isolated:
            builder.send_message({"inside": os.getpid(), "isolated": False})
            _build_and_wait(lab, builder)
        init = os.fork()
        if init == 0:
            _run_init(lab, builder)
        # The init process alone keeps its end, so that the supervisor notices when it has ended.
        builder.close()
        builder.send_message({"inside": init, "isolated": True})
        code = os.waitstatus_to_exitcode(os.waitpid(init, 0)[1])
    except OSError as error:
        builder.send_message({"unavailable": [f"the kernel does not allow a private namespace: {error.strerror}"]})
    finally:
        os._exit(code if code >= 0 else 1)


def _limit_resources() -> None:
    """Limit what a faulty lab can take from the host, and make it the first to be killed for memory."""
    raise_descriptor_limit()
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    data = _MAX_DATA_BYTES if hard == resource.RLIM_INFINITY else min(_MAX_DATA_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (data, data))
    # user_namespaces(7): tasks in this user's namespaces count for the user too, up to the limit of their creator.
    # Some stay free, or the user could not even start a shell while the lab runs. Root is exempt.
    tasks, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    if tasks != resource.RLIM_INFINITY and os.geteuid() != 0:
        resource.setrlimit(resource.RLIMIT_NPROC, (tasks - min(_SPARE_TASKS, tasks // 8), hard))


def _run_init(lab: Lab, builder: LabBuilder) -> NoReturn:
    """Be the first process of the pid namespace."""
    try:
        namespaces.die_with_parent(signal.SIGKILL)
        namespaces.mount_proc()
    except OSError:
        os._exit(_NO_PROC_EXIT)
    # Without it nothing can be changed inside, and sockmon reports that there.
    with suppress(OSError):
        namespaces.mount_state_root()
    _build_and_wait(lab, builder)


def _build_and_wait(lab: Lab, builder: LabBuilder) -> NoReturn:
    """Build the lab, report the outcome, and wait until stdin ends or a worker dies: a lab needs all of them."""
    try:
        builder.send_message(_build(lab, builder))
        workers = {pid for pids in builder.workers.pids.values() for pid in pids}
        while 0 not in select.select([0], [], [], 0.2)[0] and not workers & set(_reap()):
            pass
        if not builder.isolated:
            builder.workers.kill_all()
    finally:
        os._exit(0)


def _reap() -> Iterator[int]:
    """Yield the pids of children that have died."""
    with suppress(ChildProcessError):
        while pid := os.waitpid(-1, os.WNOHANG)[0]:
            yield pid


def _build(lab: Lab, builder: LabBuilder) -> dict[str, Any]:
    """Return the message that reports the outcome."""
    assert lab.build is not None
    try:
        lab.build(builder)
        builder.wait()
    except SockmonError as error:
        return {"unavailable": [error.message, error.hint]}
    except Exception as error:
        return {"error": str(error) if isinstance(error, RuntimeError) else f"{type(error).__name__}: {error}"}
    return {"built": {"facts": builder.facts, "pids": builder.workers.pids}}


if __name__ == "__main__":
    main()
