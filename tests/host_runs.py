"""What only a setting of the whole host can show, brought about for real and recorded: sockmon/labs/recordings/.

    SOCKMON_HOST_RUNS=1 python -m tests.host_runs tcp-memory -o tcp-memory.jsonl

For a machine of its own: a sysctl of the host is lowered for seconds, and everybody on it feels that. A watcher
sets it back, also when this is killed. The load is in a private network and pid namespace, so that a recording
holds nobody else's processes and sockets; the recorder stays in the initial network namespace, which alone shows
these limits.
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
from sockmon.labs.crew import Crew, call_yourself
from sockmon.labs.namespaces import die_with_parent, enter, mount_proc, raise_descriptor_limit
from sockmon.record import Recording, record
from tests.host_loads import RUNS, Run

CONSENT = "SOCKMON_HOST_RUNS"
INITIAL = {"user": 0xEFFFFFFD, "pid": 0xEFFFFFFC, "uts": 0xEFFFFFFE}
"""Inodes of the initial namespaces, include/linux/proc_ns.h; that of the network is not fixed."""
NETNS = Path("/run/netns/lab")
"""How the recorder calls the network namespace of the load, in a mount namespace of its own."""

_CLONE_NEWNS, _CLONE_NEWUTS, _CLONE_NEWPID = 0x00020000, 0x04000000, 0x20000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_libc = ctypes.CDLL(None, use_errno=True)


def refusal() -> str | None:
    """Why no host-wide setting may be changed here; None: it may."""
    if os.environ.get(CONSENT) != "1":
        return f"changes settings of the whole host: {CONSENT}=1 says that the machine is there for that"
    if os.geteuid() != 0:
        return "only root can change settings of the host"
    inside = [kind for kind, inode in INITIAL.items() if os.stat(f"/proc/self/ns/{kind}").st_ino != inode]
    if not Path("/proc/sys/net/ipv4/tcp_mem").exists():
        inside.append("net")
    return f"not in the initial namespaces: {', '.join(inside)}" if inside else None


@contextmanager
def settings(values: dict[str, str]) -> Iterator[None]:
    """Sysctls of the host while the block lasts; another process sets them back as soon as this one is gone."""
    before = {key: _sysctl(key).read_text().strip() for key in values}
    reader, writer = os.pipe()
    watcher = os.fork()
    if watcher == 0:
        os.close(writer)
        _restore_at_end(reader, before)
    os.close(reader)
    try:
        _write(values)
        yield
    finally:
        os.close(writer)
        os.waitpid(watcher, 0)


def _restore_at_end(reader: int, before: dict[str, str]) -> None:
    """The watcher's whole life: of a session of its own, so that ^C is not for it."""
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
    """Record the run `name` to `path`, which must not exist; RuntimeError where its load could not be built."""
    wanted = RUNS[name]
    with settings(wanted.settings()):
        child = os.fork()
        if child == 0:
            _apart(wanted, path)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            raise RuntimeError(f"{name} failed; what it said is above")


def _apart(wanted: Run, path: str) -> None:
    """Leave the host's pid, mount and uts namespaces, and let the first process of the new ones do the rest."""
    code = 1
    try:
        # The watcher must see the end of the one that changed the settings, not ours.
        os.closerange(3, 256)
        die_with_parent(signal.SIGKILL)
        _call("unshare", _CLONE_NEWNS | _CLONE_NEWUTS | _CLONE_NEWPID)
        first = os.fork()
        if first == 0:
            die_with_parent(signal.SIGKILL)
            _look_neutral()
            _record(wanted, path)
            code = 0
        else:
            code = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    except BaseException as failed:
        sys.stderr.write(f"{type(failed).__name__}: {failed}\n")
    finally:
        os._exit(code)


def _look_neutral() -> None:
    """A recording is for everybody: it shows no name and no boot of this machine, and no process of others."""
    _call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    mount_proc()
    socket.sethostname("lab")
    with tempfile.NamedTemporaryFile() as empty:
        _call("mount", empty.name.encode(), b"/proc/sys/kernel/random/boot_id", None, _MS_BIND, None)
    _call("mount", b"none", b"/run", b"tmpfs", 0, None)
    NETNS.parent.mkdir()
    NETNS.touch()
    call_yourself("sockmon")


def _record(wanted: Run, path: str) -> None:
    """Build the load in a process of its own, and record from here."""
    told, tell = os.pipe()
    held, hold = os.pipe()
    stage = os.fork()
    if stage == 0:
        os.close(hold)
        # The crew takes the end of its stdin for the end of whoever asked for it.
        os.dup2(held, 0)
        _build(wanted, tell)
    os.close(tell)
    os.close(held)
    if (said := os.read(told, 4096).decode()) != "stands":
        raise RuntimeError(said or "the load died")
    _call("mount", f"/proc/{stage}/ns/net".encode(), str(NETNS).encode(), None, _MS_BIND, None)
    with open_sampler(NETNS.name, wanted.interval) as sampler, Recording(path) as out:
        record(sampler, out, wanted.seconds)
    os.close(hold)
    os.waitpid(stage, 0)


def _build(wanted: Run, tell: int) -> None:
    """The load's whole life, in a network namespace of its own."""
    crew = Crew()
    try:
        die_with_parent(signal.SIGKILL)
        call_yourself("lab")
        enter(user_namespace=False)
        raise_descriptor_limit()
        wanted.build(crew)
        crew.wait()
        os.write(tell, b"stands")
        os.read(0, 1)
        crew.end()
    except BaseException as failed:
        os.write(tell, f"{type(failed).__name__}: {failed}".encode()[:4096])
    finally:
        os._exit(0)


def _call(name: str, *argv: object) -> None:
    if getattr(_libc, name)(*argv) == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def main() -> int:
    """Record one run, or say why not."""
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
