"""Connection tracking, and UDP flows that it tracks."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from functools import partial
from shutil import which

from sockmon.sandbox.loads.port_numbers import SINK
from sockmon.sandbox.namespaces import TOOL_PATH, set_sysctl
from sockmon.sandbox.workers import FOREVER, WorkerGroup


def enable_conntrack() -> None:
    """Turn connection tracking on in this namespace; raise RuntimeError if nft is missing or fails."""
    load_nft_rules("table inet load { chain out { type filter hook output priority 0; ct state new counter; }; }")


def load_nft_rules(rules: str) -> None:
    """Load nft's `rules` in this namespace; raise RuntimeError if nft is missing or fails."""
    nft = which("nft", path=TOOL_PATH)
    if not nft:
        raise RuntimeError("conntrack: nft is not installed, and nothing else turns connection tracking on")
    done = subprocess.run([nft, "-f", "-"], input=rules, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"conntrack: nft: {done.stderr.strip()}")


def start_udp_flows(workers: WorkerGroup, total: int) -> None:
    """Start tracked UDP flows that were never answered; their entries stay for an hour."""
    set_sysctl("net.netfilter.nf_conntrack_udp_timeout", "3600")
    workers.start("flows", partial(_create_udp_flows, total))


def _create_udp_flows(total: int) -> Iterator[float]:
    with socket.socket(type=socket.SOCK_DGRAM) as sink, socket.socket(type=socket.SOCK_DGRAM) as sender:
        sink.bind(("", SINK))
        for number in range(total):
            sender.sendto(b"", (f"127.{2 + (number >> 16)}.{number >> 8 & 255}.{number & 255}", SINK))
            with contextlib.suppress(BlockingIOError):
                sink.recv(1, socket.MSG_DONTWAIT)
    yield FOREVER
