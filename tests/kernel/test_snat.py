"""Translated ports, against real rules: what is counted, and what distinguishes a clash from a full table."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time

import pytest

from sockmon.errors import ReadError
from sockmon.kernel import conntrack
from sockmon.kernel.netlink import run
from sockmon.kernel.netns import open_current
from sockmon.kernel.snat import SnatGroups, read_groups
from tests.netns import TOOL_PATH, inside

LOW, HIGH = 40000, 40009
RULES = f"""
add table ip t
add chain ip t c {{ type nat hook postrouting priority 100; }}
add rule ip t c tcp dport 5000 snat to 127.0.0.1:{LOW}-{HIGH}
add rule ip t c udp dport 5001 snat to 127.0.0.7:{LOW}-{HIGH}
"""


def masqueraded(wanted: int) -> tuple[SnatGroups, int, dict[str, int], int]:
    """Open so many TCP connections and three UDP flows through the rules, and a connection that no rule
    matches."""
    nft = shutil.which("nft", path=TOOL_PATH)
    assert nft
    subprocess.run([nft, "-f", "-"], input=RULES, text=True, check=True)
    server = socket.create_server(("127.0.0.1", 5000), backlog=200)
    plain = socket.create_server(("127.0.0.1", 5002))
    kept = [socket.create_connection(plain.getsockname())]
    for _ in range(wanted):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(server.getsockname())
        kept.append(one)
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 5001))
    for _ in range(3):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sender.sendto(b"x", receiver.getsockname())
        kept.append(sender)
    time.sleep(0.3)
    established = 0
    server.settimeout(0.2)
    while True:
        try:
            kept.append(server.accept()[0])
            established += 1
        except TimeoutError:
            break
    handle = open_current()
    return run(read_groups(handle)), established, conntrack.read(handle).stats, conntrack.read(handle).count


@pytest.mark.usefixtures("needs_userns", "needs_nft")
def test_translated_ports_by_address_and_destination() -> None:
    found, established, stats, entries = inside(masqueraded, 7)
    assert [(each.address, each.destination, each.port, each.protocol, each.used) for each in found.groups] == [
        ("127.0.0.1", "127.0.0.1", 5000, "tcp", 7),
        ("127.0.0.7", "127.0.0.1", 5001, "udp", 3),
    ]
    assert all(LOW <= each.low <= each.high <= HIGH for each in found.groups)
    assert (established, stats["insert_failed"]) == (7, 0)
    assert entries > 10, "the connection that no rule matches is tracked, but not counted"


@pytest.mark.usefixtures("needs_userns", "needs_nft")
def test_a_clash_moves_both_counters() -> None:
    found, established, stats, _ = inside(masqueraded, 20)
    largest = found.groups[0]
    assert (largest.used, largest.low, largest.high, established) == (10, LOW, HIGH, 10)
    assert stats["drop"] == stats["insert_failed"] >= 10


def test_without_the_capability_the_table_is_forbidden() -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read the table")
    handle = open_current()
    with pytest.raises(ReadError, match=r"CAP_NET_ADMIN|not loaded"):
        run(read_groups(handle))
    handle.close()
