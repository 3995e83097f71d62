"""A NAT rule with fewer ports than clients: the table has room, but the translated address has no free port."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.connections import connect_and_hold, start_servers
from sockmon.sandbox.loads.port_numbers import DATABASE
from sockmon.sandbox.loads.tracking import load_nft_rules
from sockmon.sandbox.scenario import Expect, Lab
from sockmon.sandbox.sockets import LOOPBACK, start_connect

FIRST_PORT, PORTS, MORE_CLIENTS = 20000, 50, 10
_RULES = f"""
table ip load {{
  chain leaving {{
    type nat hook postrouting priority 100
    tcp dport {DATABASE} snat to 127.0.0.9:{FIRST_PORT}-{FIRST_PORT + PORTS - 1}
  }}
}}
"""


def _more_clients() -> Iterator[float]:
    """Clients for which there is no port: their SYNs are dropped, no reply comes, and they give up in the end."""
    waiting = [start_connect(DATABASE) for _ in range(MORE_CLIENTS)]
    while waiting:
        yield 0.2
        waiting.append(start_connect(DATABASE))
        waiting.pop(0).close()


def _build(builder: LabBuilder) -> None:
    load_nft_rules(_RULES)
    start_servers(builder.workers, "database", DATABASE, PORTS)
    builder.start("clients", partial(connect_and_hold, LOOPBACK, DATABASE, PORTS))
    builder.wait()
    builder.start("more-clients", _more_clients)


LAB = Lab(
    name="snat-ports",
    ceiling="snat-ports",
    title="more clients than translated ports",
    scenario="A NAT rule has 50 ports, 50 connections to the database use them, and more clients connect.",
    what_to_see="SNAT ports at 50/50; insert_failed and drop rise, the table is nearly empty",
    claim="a clash of translated ports is not mistaken for a full connection tracking table",
    build=_build,
    expect_first=Expect(
        "snat-ports",
        rf"^127\.0\.0\.9 → 127\.0\.0\.1:{DATABASE}$",
        (PORTS, PORTS),
        (PORTS, PORTS),
        ("hit",),
        "application",
    ),
    expect_no_alarm=("conntrack-table", "ephemeral-ports", "bound-ports", "syn-queue", "accept-queue"),
    needs=("nft",),
    check_seconds=3.0,
)
