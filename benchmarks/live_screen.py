"""What the live screen costs, beside htop, over the same seconds and on the same host.

    python benchmarks/live_screen.py [--sockets 10000] [--processes 300] [--seconds 30]

Prints the processor time of each as a share of one processor, the bytes that each sends to its terminal, and how
long the screen takes to answer a key. Needs htop for the comparison; the load lives in private namespaces.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import shutil
import statistics
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.load import Load
from tests.netns import child_environment

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Screen:
    """A program on a terminal of its own."""

    name: str
    process: subprocess.Popen[bytes]
    terminal: int
    sent: int = 0

    def drain(self, seconds: float) -> float | None:
        """Read what it sends for `seconds`; when the first byte came, None when none did."""
        end, first = time.monotonic() + seconds, None
        while (left := end - time.monotonic()) > 0:
            if select.select([self.terminal], [], [], left)[0]:
                self.sent += len(os.read(self.terminal, 1 << 16))
                first = first or time.monotonic()
        return first

    def cpu(self) -> float:
        """Processor seconds of it and of its children so far."""
        return sum(map(_cpu, [self.process.pid, *_children(self.process.pid)]))


def _children(pid: int) -> list[int]:
    found = [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return found + [below for child in found for below in _children(child)]


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def on_terminal(name: str, argv: list[str]) -> Iterator[Screen]:
    """`argv` on a pseudo-terminal of 120x40."""
    controller, terminal = pty.openpty()

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 40, 120, 0, 0))
    environment = child_environment() | {"TERM": "xterm-256color"}
    process = subprocess.Popen(
        argv, stdin=terminal, stdout=terminal, stderr=terminal, env=environment, start_new_session=True
    )
    os.close(terminal)
    try:
        yield Screen(name, process, controller)
    finally:
        process.terminate()
        process.wait(10)
        os.close(controller)


def measure(screens: list[Screen], seconds: int) -> None:
    """Let all warm up, then watch them over the same seconds."""
    for _ in range(8):
        for screen in screens:
            screen.drain(1.0 / len(screens))
    before = {screen.name: (screen.cpu(), screen.sent) for screen in screens}
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        for screen in screens:
            screen.drain(0.1)
    elapsed = time.monotonic() - begin
    shares = {}
    for screen in screens:
        cpu, sent = before[screen.name]
        shares[screen.name] = (screen.cpu() - cpu) / elapsed
        rate = (screen.sent - sent) / elapsed
        print(f"  {screen.name:<10} {100 * shares[screen.name]:6.2f} % of a processor   {rate:8.0f} B/s")
    if "htop" in shares:
        print(f"  sockmon ÷ htop -d 10: {shares['sockmon'] / max(shares['htop'], 1e-9):.2f}")


def key_latency(screen: Screen, presses: int = 40) -> None:
    """Time from a key to the first byte that it makes the screen send."""
    took = []
    for press in range(presses):
        screen.drain(0.15)
        os.write(screen.terminal, b"jk"[press % 2 : press % 2 + 1])
        begin = time.monotonic()
        first = screen.drain(0.3)
        took.append((first or begin + 0.3) - begin)
    took.sort()
    median, worst = statistics.median(took), took[int(len(took) * 0.95)]
    print(f"  key to first byte: median {1000 * median:.0f} ms, 95th percentile {1000 * worst:.0f} ms")


def main() -> None:
    """Build the load, run both screens, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sockets", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=300)
    parser.add_argument("--seconds", type=int, default=30)
    wanted = parser.parse_args()
    sleepers = [subprocess.Popen(["sleep", "3600"]) for _ in range(wanted.processes)]
    try:
        with Load(established=wanted.sockets // 2, user_namespace=os.geteuid() != 0) as load:
            print(f"{wanted.sockets} sockets, {len(os.listdir('/proc'))} entries in /proc")
            with on_terminal("sockmon", load.inside([sys.executable, "-m", "sockmon"])) as ours:
                screens = [ours]
                if shutil.which("htop"):
                    with on_terminal("htop", ["htop", "-d", "10"]) as htop:
                        measure([ours, htop], wanted.seconds)
                else:
                    measure(screens, wanted.seconds)
                key_latency(ours)
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()


if __name__ == "__main__":
    main()
