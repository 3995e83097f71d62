"""Recordings of limits that need a host-wide setting, for sockmon/labs/recordings/.

    SOCKMON_HOST_RUNS=1 python -m tests.host_runs tcp-memory -o tcp-memory.jsonl

Only for a dedicated machine: a sysctl of the host is lowered for seconds, which affects every program on it.
Another process restores it, even if this one is killed. The load is in a private network and pid namespace, so
that the recording has no other processes and sockets; the recorder stays in the initial network namespace, because
only that one shows these limits.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sockmon.agent.sampler import open_sampler
from sockmon.cli.record import Recording, record
from sockmon.kernel.processes.rlimits import raise_descriptor_limit
from sockmon.sandbox.namespaces import die_with_parent, enter, mount_proc
from sockmon.sandbox.workers import WorkerGroup, set_process_title
from tests.host_loads import RUNS, Run

CONSENT = "SOCKMON_HOST_RUNS"
INITIAL = {"user": 0xEFFFFFFD, "pid": 0xEFFFFFFC, "uts": 0xEFFFFFFE}
"""Inodes of the initial namespaces, include/linux/proc_ns.h; that of the network is not fixed."""
NETNS = Path("/run/netns/lab")
"""The network namespace of the load, as the recorder finds it in its private mount namespace."""

_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWPID = 0x00020000, 0x04000000, 0x20000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_libc = ctypes.CDLL(None, use_errno=True)


def refusal() -> str | None:
    """Return why no host-wide setting may be changed here; None if it may."""
    if os.environ.get(CONSENT) != "1":
        return f"this changes settings of the whole host: set {CONSENT}=1 on a machine that is meant for it"
    if os.geteuid() != 0:
        return "only root can change settings of the host"
    inside = [kind for kind, inode in INITIAL.items() if os.stat(f"/proc/self/ns/{kind}").st_ino != inode]
    if not Path("/proc/sys/net/ipv4/tcp_mem").exists():
        inside.append("net")
    return f"not in the initial namespaces: {', '.join(inside)}" if inside else None


@contextmanager
def settings(values: dict[str, str]) -> Iterator[None]:
    """Set sysctls of the host while the block lasts; another process restores them when this one has ended."""
    before = {key: _sysctl(key).read_text().strip() for key in values}
    reader, writer = os.pipe()
    restorer = os.fork()
    if restorer == 0:
        os.close(writer)
        _restore_at_end(reader, before)
    os.close(reader)
    try:
        _write(values)
        yield
    finally:
        os.close(writer)
        os.waitpid(restorer, 0)


def _restore_at_end(reader: int, before: dict[str, str]) -> None:
    """Be the process that restores: in a new session, so that ^C does not reach it."""
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        os.read(reader, 1)
        _write(before)
    finally:
        os._exit(0)


def _write(values: dict[str, str]) -> None:
    for key, value in values.items():
        _sysctl(key).write_text(value)


def _sysctl(key: str) -> Path:
    return Path("/proc/sys", key.replace(".", "/"))


def run(name: str, path: str) -> None:
    """Record the run `name` to `path`, which must not exist; raise RuntimeError if its load could not be built."""
    wanted = RUNS[name]
    with settings(wanted.settings()):
        child = os.fork()
        if child == 0:
            _run_in_namespaces(wanted, path)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            raise RuntimeError(f"{name} failed; its message is above")


def _run_in_namespaces(wanted: Run, path: str) -> None:
    """Enter new pid, mount and uts namespaces, and let their first process record."""
    code = 1
    try:
        # The restorer waits for the process that changed the settings, not for this one.
        os.closerange(3, 256)
        die_with_parent(signal.SIGKILL)
        _call("unshare", _CLONE_NEWNS | _CLONE_NEWUTS | _CLONE_NEWPID)
        init = os.fork()
        if init == 0:
            die_with_parent(signal.SIGKILL)
            _hide_this_machine()
            _record(wanted, path)
            code = 0
        else:
            code = os.waitstatus_to_exitcode(os.waitpid(init, 0)[1])
    except BaseException as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
    finally:
        os._exit(code)


def _hide_this_machine() -> None:
    """Hide the name, the boot id and the other processes of this machine: a recording is published."""
    _call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    mount_proc()
    socket.sethostname("lab")
    with tempfile.NamedTemporaryFile() as empty:
        _call("mount", empty.name.encode(), b"/proc/sys/kernel/random/boot_id", None, _MS_BIND, None)
    _call("mount", b"none", b"/run", b"tmpfs", 0, None)
    NETNS.parent.mkdir()
    NETNS.touch()
    set_process_title("sockmon")


def _record(wanted: Run, path: str) -> None:
    """Build the load in another process, and record it from here."""
    reader, writer = os.pipe()
    held, hold = os.pipe()
    lab = os.fork()
    if lab == 0:
        os.close(hold)
        # The load ends when its stdin ends.
        os.dup2(held, 0)
        _build(wanted, writer)
    os.close(writer)
    os.close(held)
    if (message := os.read(reader, 4096).decode()) != "ready":
        raise RuntimeError(message or "the load died")
    _call("mount", f"/proc/{lab}/ns/net".encode(), str(NETNS).encode(), None, _MS_BIND, None)
    with open_sampler(NETNS.name, wanted.interval) as sampler, Recording(path, print) as out:
        record(sampler, out, wanted.seconds)
    os.close(hold)
    os.waitpid(lab, 0)


def _build(wanted: Run, writer: int) -> None:
    """Be the process that holds the load, in a new network namespace."""
    workers = WorkerGroup()
    try:
        die_with_parent(signal.SIGKILL)
        set_process_title("lab")
        enter(user_namespace=False)
        raise_descriptor_limit()
        wanted.build(workers)
        workers.wait()
        os.write(writer, b"ready")
        os.read(0, 1)
        workers.kill_all()
    except BaseException as error:
        os.write(writer, f"{type(error).__name__}: {error}".encode()[:4096])
    finally:
        os._exit(0)


def _call(name: str, *argv: object) -> None:
    if getattr(_libc, name)(*argv) == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def main() -> int:
    """Record one run, or print why it cannot."""
    parser = argparse.ArgumentParser(prog="python -m tests.host_runs", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("name", choices=RUNS)
    parser.add_argument("-o", dest="path", metavar="FILE", help="default: NAME.jsonl")
    wanted = parser.parse_args()
    if reason := refusal():
        sys.stderr.write(f"{reason}\n")
        return 1
    path = wanted.path or f"{wanted.name}.jsonl"
    run(wanted.name, str(Path(path).absolute()))
    sys.stderr.write(json.dumps({"recorded": path, "bytes": Path(path).stat().st_size}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
