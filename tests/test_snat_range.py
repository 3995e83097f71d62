"""A NAT rule with few ports, end to end: one `check` knows the limit before a packet is dropped."""

from __future__ import annotations

import shutil
import socket
import subprocess

import pytest

from sockmon.model.report import Reading
from sockmon.observe import current_report
from tests.netns import TOOL_PATH, inside

RULES = """
table ip nat {
  chain post {
    type nat hook postrouting priority srcnat
    tcp dport 5432 snat to 127.0.0.9:20000-20099
  }
}
"""


def check(connections: int) -> list[Reading]:
    nft = shutil.which("nft", path=TOOL_PATH)
    assert nft
    subprocess.run([nft, "-f", "-"], input=RULES, text=True, check=True)
    server = socket.create_server(("127.0.0.1", 5432), backlog=500)
    kept = [socket.create_connection(server.getsockname()) for _ in range(connections)]
    report = current_report()
    for each in (*kept, server):
        each.close()
    return [reading for reading in report.readings if reading.ceiling == "snat-ports"]


@pytest.mark.usefixtures("needs_userns", "needs_nft", "root_only")
def test_the_range_of_the_rule_is_the_limit() -> None:
    (reading,) = inside(check, 76)
    assert (reading.used, reading.limit, reading.severity) == (76, 100, "warning")
    assert "nft, table ip nat, chain post: snat to 127.0.0.9:20000-20099" in reading.evidence
    assert any("127.0.0.1" in each.addresses for each in reading.remedies)
