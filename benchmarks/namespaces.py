"""What watching all network namespaces costs: `check` and the agent with 1, 20, 200 and 500 of them.

    python benchmarks/namespaces.py [SECONDS] [COUNT ...]

Makes COUNT namespaces (1 20 200 500) with two connections, a TCP listener, a UDP and a unix socket each, in
private mount, network and pid namespaces, so that no other one of the host is counted; needs root. Printed are
processor time and duration of `check` (median of three, children included), then the share of a processor of an
agent in SECONDS (60) after its first 20, its open files, its memory, the bytes of its stream, and the age of the
oldest numbers.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sockmon.model.snapshot import Snapshot  # noqa: E402
from sockmon.sources.wire import read_stream  # noqa: E402

COUNTS, SECONDS, WARM_UP = (1, 20, 200, 500), 60.0, 20.0
PRIVATE = "SOCKMON_BENCHMARK_PRIVATE"
CLONE_NEWNET = 0x40000000


def main() -> None:
    """Run everything in namespaces of its own, for each count."""
    if os.environ.get(PRIVATE) is None:
        command = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", sys.executable, *sys.argv]
        sys.exit(subprocess.call(command, env={**os.environ, PRIVATE: "1"}))
    given = sys.argv[1:]
    seconds = float(given[0]) if given else SECONDS
    print("namespaces  check CPU  wall    agent CPU  files  memory  bytes/s  oldest", flush=True)
    for count in [int(each) for each in given[1:]] or COUNTS:
        holders = [_hold() for _ in range(count - 1)]
        try:
            runs = [_check() for _ in range(3)]
            used, wall = (statistics.median(each) for each in zip(*runs, strict=True))
            print(f"{count:10}  {used:8.2f}s  {wall:5.2f}s  {_agent(seconds)}", flush=True)
        finally:
            for pid in holders:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _hold() -> int:
    """Start a process in a network namespace of its own, with some sockets; return its pid."""
    ready, done = os.pipe()
    pid = os.fork()
    if pid == 0:
        if ctypes.CDLL(None).unshare(CLONE_NEWNET):
            os._exit(1)
        _loopback_up()
        server = socket.create_server(("127.0.0.1", 8080))
        sockets = [socket.create_connection(server.getsockname()) for _ in range(2)]
        sockets += [server.accept()[0] for _ in range(2)]
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 5353))
        local = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        local.bind(f"\0bench-{os.getpid()}")
        os.write(done, b"1")
        signal.pause()
    os.close(done)
    if os.read(ready, 1) != b"1":
        sys.exit("a network namespace could not be made")
    os.close(ready)
    return pid


def _loopback_up() -> None:
    with socket.socket() as device:
        flags = struct.unpack("16xH14x", fcntl.ioctl(device, 0x8913, struct.pack("16s16x", b"lo")))[0]
        fcntl.ioctl(device, 0x8914, struct.pack("16sH14x", b"lo", flags | 1))


def _check() -> tuple[float, float]:
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "sockmon", "check", "--json"], cwd=ROOT, stdout=subprocess.DEVNULL, check=False
    )
    after, end = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, end - begin


def _agent(seconds: float) -> str:
    """Return what an agent uses in `seconds`, as the columns of the table."""
    with subprocess.Popen(
        [sys.executable, "-m", "sockmon", "agent"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        output = child.stdout
        taken = [0]

        def read(size: int) -> bytes:
            data = os.read(output.fileno(), size)
            taken[0] += len(data)
            return data

        begin, first, last = time.monotonic(), (0.0, 0, 0.0), None
        for line in read_stream(read, "agent"):
            now = time.monotonic()
            if isinstance(line, Snapshot):
                last = line
            if not first[0] and now - begin >= WARM_UP:
                first = (now, taken[0], _cpu(child.pid))
            if first[0] and now - first[0] >= seconds:
                break
        assert last is not None
        share = (_cpu(child.pid) - first[2]) / (now - first[0])
        files, memory = len(os.listdir(f"/proc/{child.pid}/fd")), _memory(child.pid)
        child.terminate()
    ages = [last.at - netns.at for netns in last.netns if netns.at is not None]
    rate = (taken[0] - first[1]) / (now - first[0])
    oldest = f"{max(ages, default=0.0):5.1f}s of {len(ages) + 1}"
    return f"{share:9.1%}  {files:5}  {memory >> 20:4} MB  {rate:7.0f}  {oldest}"


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
