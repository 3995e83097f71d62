"""Connection tracking, and flows for it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from functools import partial
from shutil import which

from sockmon.labs.crew import FOREVER, Crew
from sockmon.labs.loads.places import SINK
from sockmon.labs.namespaces import TOOLS, set_sysctl


def track_connections() -> None:
    """Turn connection tracking on in this namespace; RuntimeError where nft is not there or may not."""
    load_rules("table inet load { chain out { type filter hook output priority 0; ct state new counter; }; }")


def load_rules(rules: str) -> None:
    """Give this namespace nft's `rules`; RuntimeError where nft is not there or may not."""
    nft = which("nft", path=TOOLS)
    if not nft:
        raise RuntimeError("conntrack: nft is not installed, and nothing else turns connection tracking on")
    done = subprocess.run([nft, "-f", "-"], input=rules, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"conntrack: nft: {done.stderr.strip()}")


def conntrack(crew: Crew, total: int) -> None:
    """Tracked UDP flows that were never answered; they stay an hour."""
    set_sysctl("net.netfilter.nf_conntrack_udp_timeout", "3600")
    crew.start("flows", partial(_flows, total))


def _flows(total: int) -> Iterator[float]:
    with socket.socket(type=socket.SOCK_DGRAM) as sink, socket.socket(type=socket.SOCK_DGRAM) as sender:
        sink.bind(("", SINK))
        for number in range(total):
            sender.sendto(b"", (f"127.{2 + (number >> 16)}.{number >> 8 & 255}.{number & 255}", SINK))
            with contextlib.suppress(BlockingIOError):
                sink.recv(1, socket.MSG_DONTWAIT)
    yield FOREVER
