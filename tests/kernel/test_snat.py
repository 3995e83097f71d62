"""Translated ports, against real rules: what is counted, and what tells a clash from a full table."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time

import pytest

from sockmon.errors import Unreadable
from sockmon.kernel import conntrack
from sockmon.kernel.netlink import run
from sockmon.kernel.netns import open_here
from sockmon.kernel.snat import Translated, snat
from tests.netns import TOOLS, inside

LOW, HIGH = 40000, 40009
RULES = f"""
add table ip t
add chain ip t c {{ type nat hook postrouting priority 100; }}
add rule ip t c tcp dport 5000 snat to 127.0.0.1:{LOW}-{HIGH}
add rule ip t c udp dport 5001 snat to 127.0.0.7:{LOW}-{HIGH}
"""


def masqueraded(wanted: int) -> tuple[Translated, int, dict[str, int], int]:
    """So many TCP connections and three UDP flows through the rules, and a connection that no rule touches."""
    nft = shutil.which("nft", path=TOOLS)
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
    door = open_here()
    return run(snat(door)), established, conntrack.gauge(door).stats, conntrack.gauge(door).count


@pytest.mark.usefixtures("needs_userns", "needs_nft")
def test_translated_ports_by_address_and_destination() -> None:
    found, established, stats, entries = inside(masqueraded, 7)
    assert [(each.address, each.destination, each.port, each.protocol, each.used) for each in found.groups] == [
        ("127.0.0.1", "127.0.0.1", 5000, "tcp", 7),
        ("127.0.0.7", "127.0.0.1", 5001, "udp", 3),
    ]
    assert all(LOW <= each.low <= each.high <= HIGH for each in found.groups)
    assert (established, stats["insert_failed"]) == (7, 0)
    assert entries > 10, "the connection without a rule is tracked, and not counted"


@pytest.mark.usefixtures("needs_userns", "needs_nft")
def test_a_clash_moves_both_counters() -> None:
    found, established, stats, _ = inside(masqueraded, 20)
    largest = found.groups[0]
    assert (largest.used, largest.low, largest.high, established) == (10, LOW, HIGH, 10)
    assert stats["drop"] == stats["insert_failed"] >= 10


def test_who_may_not_see_the_table_is_told_so() -> None:
    if os.geteuid() == 0:
        pytest.skip("root may see it")
    door = open_here()
    with pytest.raises(Unreadable, match=r"CAP_NET_ADMIN|not loaded"):
        run(snat(door))
    door.close()
