"""A load of real sockets in a private network namespace, for tests, pictures and manual use.

    with Load(time_wait=2000, ports=(180, 200)) as load:
        print(load.run(["ss", "-s"]).stdout, load.facts)

    python -m tests.load --time-wait 2000 --ports 180:200 -- sockmon

It needs no root if user namespaces are allowed. All of it dies with the process that started it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from sockmon.kernel.processes.rlimits import raise_descriptor_limit
from sockmon.sandbox import sockets
from sockmon.sandbox.loads import files, ports, tracking
from sockmon.sandbox.namespaces import enter
from sockmon.sandbox.session import lab_environment, python_command
from sockmon.sandbox.workers import WorkerGroup
from tests import socket_loads
from tests.netns import ROOT, child_environment


def _option(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass
class Load:
    """What to build, by kind; entering it builds it, or raises RuntimeError with the reason."""

    established: int = _option(0, "connections of many clients to one server on port 8080")
    time_wait: int = _option(0, "connections that the client closed first, towards port 8090")
    fds: tuple[int, int] | None = _option(None, "USED:SOFT descriptors of the process leaky-worker")
    leak: float = _option(0.0, "descriptors per second that leaky-worker leaks")
    stuck_listener: int | None = _option(None, "backlog of a full listener on port 8081 that never accepts")
    overflow: int = _option(0, "clients beyond its full queue")
    ports: tuple[int, int] | None = _option(None, "USED:RANGE ports of the process proxy to one database")
    listener_inside: bool = _option(False, "put that database's port inside the range")
    conntrack: int = _option(0, "tracked UDP flows (needs nft)")
    close_wait: int = _option(0, "sockets that the process forgetful never closes")
    fin_wait2: int = _option(0, "sockets whose peers never close")
    syn_recv: int = _option(0, "half-open connections, at most 1000")
    udp: int = _option(0, "UDP sockets on ephemeral ports")
    v6: int = _option(0, "pairs over IPv6")
    v4_mapped: int = _option(0, "pairs of IPv6 sockets over IPv4")
    churn: tuple[int, int] | None = _option(None, "RATE:SECONDS short connections to port 8088")
    user_namespace: bool = _option(True, "real root inside, whose commands can read all of /proc")
    deadline: float = _option(600.0, "seconds after which all of it is killed in any case")

    def __enter__(self) -> Load:
        self._child = subprocess.Popen(
            [sys.executable, "-c", "from tests.load import supervise; supervise()", json.dumps(asdict(self))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=child_environment(), cwd=ROOT,
        )  # fmt: skip
        reply = json.loads(_pipe(self._child.stdout).readline() or '{"error": "the load died"}')
        if "error" in reply:
            self.__exit__(None, None, None)
            raise RuntimeError(reply["error"])
        self.pid: int = self._child.pid
        """A process inside the namespaces."""
        self.pids: dict[str, list[int]] = reply.pop("pids")
        """The processes of the load by name."""
        self.facts: dict[str, Any] = reply
        """What was built: the kinds that were requested, `netns` (inode), `tracked` (conntrack entries)."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _pipe(self._child.stdin).close()
        try:
            self._child.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        _pipe(self._child.stdout).close()

    def inside(self, argv: Sequence[str]) -> list[str]:
        """Return the command that runs `argv` inside."""
        return [*python_command("sockmon.sandbox.nsenter"), str(self.pid), "--", *argv]

    def run(self, argv: Sequence[str], timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command inside the namespaces, as their root, and return its output."""
        return subprocess.run(
            self.inside(argv), capture_output=True, text=True, timeout=timeout, check=False, env=lab_environment()
        )


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def supervise() -> None:
    """Be the process inside: build what argv asks for, report on stdout, and end when stdin ends."""
    wanted = Load(**json.loads(sys.argv[1]))
    # SIGALRM is not caught: it kills this process, and with it everything that it started.
    signal.alarm(math.ceil(wanted.deadline))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise_descriptor_limit()
    workers = WorkerGroup()
    try:
        enter(wanted.user_namespace)
        build(workers, wanted)
        reply = _facts(wanted) | {"pids": workers.pids}
    except (OSError, RuntimeError) as error:
        reply = {"error": str(error)}
    print(json.dumps(reply), flush=True)  # noqa: T201
    sys.stdin.read()
    workers.kill_all()


def build(workers: WorkerGroup, wanted: Load) -> None:
    """Start everything that was requested, and wait until it is ready; the first two must be in this order."""
    if wanted.conntrack:
        tracking.enable_conntrack()
    if wanted.ports:
        sockets.limit_port_range(wanted.ports[1])
        ports.start_proxy(workers, wanted.ports[0], wanted.listener_inside)
    if wanted.fds:
        files.start_leaky_worker(workers, *wanted.fds, wanted.leak)
    if wanted.stuck_listener is not None:
        socket_loads.start_stuck_listener(workers, wanted.stuck_listener, wanted.overflow)
    if wanted.churn:
        ports.start_churn(workers, *wanted.churn)
    for kind, total in _counted(wanted):
        if total:
            kind(workers, total)
    workers.wait()


def _counted(wanted: Load) -> list[tuple[Callable[[WorkerGroup, int], None], int]]:
    return [
        (socket_loads.start_established, wanted.established),
        (ports.start_time_wait, wanted.time_wait),
        (socket_loads.start_udp_flows, wanted.conntrack),
        (socket_loads.start_close_wait, wanted.close_wait),
        (socket_loads.start_fin_wait2, wanted.fin_wait2),
        (socket_loads.start_syn_recv, wanted.syn_recv),
        (socket_loads.start_udp_sockets, wanted.udp),
        (lambda workers, total: socket_loads.start_ipv6_pairs(workers, total, mapped=False), wanted.v6),
        (lambda workers, total: socket_loads.start_ipv6_pairs(workers, total, mapped=True), wanted.v4_mapped),
    ]


def _facts(wanted: Load) -> dict[str, Any]:
    settings = ("user_namespace", "deadline", "leak", "overflow", "listener_inside")
    facts = {name: value for name, value in asdict(wanted).items() if value and name not in settings}
    for name, state in (("close_wait", "08"), ("fin_wait2", "05")):
        if name in facts:
            # A later connection can reuse the port of such a socket, and replace it.
            facts[name] = Path("/proc/net/tcp").read_text().count(f" {state} ")
    facts["netns"] = os.stat("/proc/self/ns/net").st_ino
    if wanted.conntrack:
        facts["tracked"] = int(Path("/proc/sys/net/netfilter/nf_conntrack_count").read_text())
    return facts


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=(__doc__ or "").split("\n")[0])
    for each in fields(Load):
        flag, text = "--" + each.name.replace("_", "-"), each.metadata["help"]
        if each.name == "user_namespace":
            parser.add_argument("--no-user-namespace", dest=each.name, action="store_false", help=text)
        elif each.default is False:
            parser.add_argument(flag, action="store_true", help=text)
        elif ":" in (shape := text.split()[0]):
            parser.add_argument(flag, type=_two, metavar=shape, help=text)
        else:
            number = float if isinstance(each.default, float) else int
            parser.add_argument(flag, type=number, default=each.default, metavar="N", help=text)
    parser.add_argument("command", nargs="*", help="what to run inside; without it, wait for Enter")
    return parser


def _two(text: str) -> tuple[int, int]:
    first, second = text.split(":")
    return int(first), int(second)


def main() -> int:
    """Build the load, print one line about it, and run the command in it."""
    wanted = vars(_arguments().parse_args())
    command = wanted.pop("command")
    try:
        with Load(**wanted) as load:
            sys.stderr.write(f"ready, pid {load.pid}: {json.dumps(load.facts)}\n")
            if not command:
                sys.stdin.readline()
                return 0
            # The command handles ^C; when it ends, so do we. Not SIG_IGN, which the command would inherit.
            signal.signal(signal.SIGINT, lambda number, frame: None)
            return subprocess.call(load.inside(command), env=lab_environment())
    except RuntimeError as error:
        sys.stderr.write(f"the load could not be built: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
