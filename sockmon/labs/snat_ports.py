"""A NAT rule with a few ports, and more clients than that: the table has room, the translated address has none."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sockmon.labs.lab import Expect, Lab
from sockmon.labs.loads.halves import try_to_connect
from sockmon.labs.loads.pairs import hold, serve
from sockmon.labs.loads.places import DATABASE
from sockmon.labs.loads.tracking import load_rules
from sockmon.labs.stage import Stage

LOW, PORTS, MORE = 20000, 50, 10
_RULES = f"""
table ip load {{
  chain leaving {{
    type nat hook postrouting priority 100
    tcp dport {DATABASE} snat to 127.0.0.9:{LOW}-{LOW + PORTS - 1}
  }}
}}
"""


def _more_clients() -> Iterator[float]:
    """Those for whom there is no port: their SYNs are dropped, no answer comes, and some time they give up."""
    waiting = [try_to_connect(DATABASE) for _ in range(MORE)]
    while waiting:
        yield 0.2
        waiting.append(try_to_connect(DATABASE))
        waiting.pop(0).close()


def _build(stage: Stage) -> None:
    load_rules(_RULES)
    serve(stage.crew, "database", DATABASE, PORTS)
    stage.start("clients", partial(hold, "127.0.0.1", DATABASE, iter([""] * PORTS), PORTS))
    stage.wait()
    stage.start("more-clients", _more_clients)


LAB = Lab(
    name="snat-ports",
    ceiling="snat-ports",
    title="more clients than translated ports",
    does="A NAT rule has 50 ports, 50 connections to the database hold them, and more clients come.",
    look="SNAT ports at 50/50; insert_failed and drop move, the table is all but empty",
    proves="a clash of translated ports is told apart from a full connection tracking table",
    build=_build,
    first=Expect(
        "snat-ports",
        rf"^127\.0\.0\.9 → 127\.0\.0\.1:{DATABASE}$",
        (PORTS, PORTS),
        (PORTS, PORTS),
        ("hit",),
        "application",
    ),
    never=("conntrack-table", "ephemeral-ports", "bound-ports", "syn-queue", "accept-queue"),
    needs=("nft",),
    watch=3.0,
)
