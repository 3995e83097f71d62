"""A router whose connection tracking table is full of established flows, so that new ones are dropped."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from sockmon.errors import LabUnavailable
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads import flows
from sockmon.sandbox.loads.port_numbers import SINK
from sockmon.sandbox.loads.tracking import enable_conntrack
from sockmon.sandbox.scenario import Expect, Lab
from sockmon.sandbox.sockets import LOOPBACK

MAX_ENTRIES = 1_000_000
"""A larger table would take more than about 300 MB of kernel memory."""


def _new_flows() -> Iterator[float]:
    """Send to a new destination again and again; the kernel refuses with EPERM each time."""
    if not _is_dropped():
        raise RuntimeError("the table was not full")
    while True:
        yield 0.2
        _is_dropped()


def _is_dropped() -> bool:
    try:
        with socket.socket(type=socket.SOCK_DGRAM) as sender:
            sender.sendto(b"", (LOOPBACK, SINK))
    except PermissionError:
        return True
    return False


def _build(builder: LabBuilder) -> None:
    enable_conntrack()
    maximum = int(Path("/proc/sys/net/netfilter/nf_conntrack_max").read_text())
    if not 0 < maximum <= MAX_ENTRIES:
        reason = f"{maximum:,} flows are too many for a lab" if maximum else "0 means no maximum"
        raise LabUnavailable(f"nf_conntrack_max is host-wide, and {reason}")
    builder.facts["maximum"] = maximum
    builder.start("router", partial(flows.create_flows, builder, maximum))
    builder.wait()
    builder.start("metrics", _new_flows)


LAB = Lab(
    name="conntrack-table",
    ceiling="conntrack-table",
    title="a full connection tracking table",
    scenario="A router tracks as many established flows as nf_conntrack_max allows, and new ones arrive.",
    what_to_see="conntrack table at its maximum; drop rises, insert_failed does not",
    claim="a full table is recognised by its drops, and not mistaken for a clash of translated ports",
    build=_build,
    expect_first=Expect("conntrack-table", r".", (1, MAX_ENTRIES), (1, MAX_ENTRIES), ("hit",), "application"),
    # With as many buckets as entries, which is the default, a full table has short buckets.
    expect_no_alarm=(
        "conntrack-buckets",
        "snat-ports",
        "ephemeral-ports",
        "udp-ports",
        "process-fds",
        "accept-queue",
    ),
    needs=("nft",),
    check_seconds=3.0,
)
