"""A load of real sockets in a private network namespace, for tests, pictures and people.

    with Load(time_wait=2000, ports=(180, 200)) as load:
        print(load.run(["ss", "-s"]).stdout, load.facts)

    python -m tests.load --time-wait 2000 --ports 180:200 -- sockmon

No root is needed where user namespaces are allowed; nothing of it outlives the process that asked for it.
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

from sockmon.labs.crew import Crew
from sockmon.labs.loads import files, halves, pairs, ports, tracking
from sockmon.labs.namespaces import enter, raise_descriptor_limit
from sockmon.labs.running import environment, python
from tests.netns import ROOT, child_environment


def _kind(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass
class Load:
    """What shall stand, by kind; entering it builds it, RuntimeError says why it could not be built."""

    established: int = _kind(0, "connections of many clients to one server on port 8080")
    time_wait: int = _kind(0, "connections that the client closed first, towards port 8090")
    fds: tuple[int, int] | None = _kind(None, "USED:SOFT descriptors of the process leaky-worker")
    leak: float = _kind(0.0, "descriptors a second that leaky-worker loses")
    stuck_listener: int | None = _kind(None, "backlog of a full listener on port 8081 that never accepts")
    overflow: int = _kind(0, "clients beyond its full queue")
    ports: tuple[int, int] | None = _kind(None, "USED:RANGE ports of the process proxy to one database")
    listener_inside: bool = _kind(False, "put that database's port inside the range")
    conntrack: int = _kind(0, "tracked UDP flows (needs nft)")
    close_wait: int = _kind(0, "sockets that the process forgetful never closes")
    fin_wait2: int = _kind(0, "sockets whose peers never close")
    syn_recv: int = _kind(0, "half-open connections, at most 1000")
    udp: int = _kind(0, "UDP sockets on ephemeral ports")
    v6: int = _kind(0, "pairs over IPv6")
    v4_mapped: int = _kind(0, "pairs of IPv6 sockets over IPv4")
    churn: tuple[int, int] | None = _kind(None, "RATE:SECONDS short connections to port 8088")
    user_namespace: bool = _kind(True, "False: real root, whose commands inside see all of /proc")
    deadline: float = _kind(600.0, "seconds after which all of it dies in any case")

    def __enter__(self) -> Load:
        self._child = subprocess.Popen(
            [sys.executable, "-c", "from tests.load import supervise; supervise()", json.dumps(asdict(self))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=child_environment(), cwd=ROOT,
        )  # fmt: skip
        said = json.loads(_pipe(self._child.stdout).readline() or '{"error": "the load died"}')
        if "error" in said:
            self.__exit__(None, None, None)
            raise RuntimeError(said["error"])
        self.pid: int = self._child.pid
        """A process inside the namespaces."""
        self.pids: dict[str, list[int]] = said.pop("pids")
        """The processes of the load by name."""
        self.facts: dict[str, Any] = said
        """What stands: the kinds as they were asked for, `netns` (inode), `tracked` (conntrack entries)."""
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
        """`argv` as it must be called from outside to run inside."""
        return [*python("sockmon.labs.enter"), str(self.pid), "--", *argv]

    def run(self, argv: Sequence[str], timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """What a command said that ran inside the namespaces, as their root."""
        return subprocess.run(
            self.inside(argv), capture_output=True, text=True, timeout=timeout, check=False, env=environment()
        )


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def supervise() -> None:
    """The process inside: builds what argv says, tells on stdout, and ends when stdin does."""
    wanted = Load(**json.loads(sys.argv[1]))
    # Not caught: it kills this process, and with it all that it started.
    signal.alarm(math.ceil(wanted.deadline))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise_descriptor_limit()
    crew = Crew()
    try:
        enter(wanted.user_namespace)
        build(crew, wanted)
        said = _facts(wanted) | {"pids": crew.pids}
    except (OSError, RuntimeError) as failed:
        said = {"error": str(failed)}
    print(json.dumps(said), flush=True)  # noqa: T201
    sys.stdin.read()
    crew.end()


def build(crew: Crew, wanted: Load) -> None:
    """Start everything that is wanted, and wait until it stands; the order matters for the first two."""
    if wanted.conntrack:
        tracking.track_connections()
    if wanted.ports:
        pairs.narrow(wanted.ports[1])
        ports.ports(crew, wanted.ports[0], wanted.listener_inside)
    if wanted.fds:
        files.fds(crew, *wanted.fds, wanted.leak)
    if wanted.stuck_listener is not None:
        halves.stuck_listener(crew, wanted.stuck_listener, wanted.overflow)
    if wanted.churn:
        ports.churn(crew, *wanted.churn)
    for kind, total in _counted(wanted):
        if total:
            kind(crew, total)
    crew.wait()


def _counted(wanted: Load) -> list[tuple[Callable[[Crew, int], None], int]]:
    return [
        (pairs.established, wanted.established),
        (ports.time_wait, wanted.time_wait),
        (tracking.conntrack, wanted.conntrack),
        (halves.close_wait, wanted.close_wait),
        (halves.fin_wait2, wanted.fin_wait2),
        (halves.syn_recv, wanted.syn_recv),
        (ports.udp, wanted.udp),
        (lambda crew, total: pairs.six(crew, total, mapped=False), wanted.v6),
        (lambda crew, total: pairs.six(crew, total, mapped=True), wanted.v4_mapped),
    ]


def _facts(wanted: Load) -> dict[str, Any]:
    settings = ("user_namespace", "deadline", "leak", "overflow", "listener_inside")
    facts = {name: value for name, value in asdict(wanted).items() if value and name not in settings}
    for name, state in (("close_wait", "08"), ("fin_wait2", "05")):
        if name in facts:
            # Later connections can take a port whose other half is gone, and that socket with it.
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
    parser.add_argument("command", nargs="*", help="what to run inside; without it: wait for Enter")
    return parser


def _two(text: str) -> tuple[int, int]:
    first, second = text.split(":")
    return int(first), int(second)


def main() -> int:
    """Build the load, say in one line what stands, run the command in it."""
    wanted = vars(_arguments().parse_args())
    command = wanted.pop("command")
    try:
        with Load(**wanted) as load:
            sys.stderr.write(f"stands, pid {load.pid}: {json.dumps(load.facts)}\n")
            if not command:
                sys.stdin.readline()
                return 0
            # ^C is the command's business; when it ends, so do we.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            return subprocess.call(
                load.inside(command),
                env=environment(),
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
    except RuntimeError as failed:
        sys.stderr.write(f"no load: {failed}\n")
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
