"""A router whose connection tracking table is full of flows that stand: whoever is new is dropped."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from sockmon.errors import LabUnavailable
from sockmon.labs.lab import Expect, Lab
from sockmon.labs.loads import flows
from sockmon.labs.loads.places import SINK
from sockmon.labs.loads.tracking import track_connections
from sockmon.labs.stage import Stage

MOST = 1_000_000
"""Entries beyond which a lab would take more than some 300 MB of the kernel's memory."""


def _new_flows() -> Iterator[float]:
    """A program of this host that sends to somewhere new, and is told EPERM each time."""
    if not _is_dropped():
        raise RuntimeError("there was room left in the table")
    while True:
        yield 0.2
        _is_dropped()


def _is_dropped() -> bool:
    try:
        with socket.socket(type=socket.SOCK_DGRAM) as sender:
            sender.sendto(b"", ("127.0.0.1", SINK))
    except PermissionError:
        return True
    return False


def _build(stage: Stage) -> None:
    track_connections()
    maximum = int(Path("/proc/sys/net/netfilter/nf_conntrack_max").read_text())
    if not 0 < maximum <= MOST:
        words = f"{maximum:,} flows are too many for a lab" if maximum else "it is 0, no maximum"
        raise LabUnavailable(f"nf_conntrack_max is the host's, and {words}")
    stage.facts["maximum"] = maximum
    stage.start("router", partial(flows.hold, stage, maximum))
    stage.wait()
    stage.start("metrics", _new_flows)


LAB = Lab(
    name="conntrack-table",
    ceiling="conntrack-table",
    title="a full connection tracking table",
    does="A router tracks as many established flows as nf_conntrack_max allows, and new ones come.",
    look="conntrack table at its maximum, drop moves and insert_failed does not",
    proves="a full table is named by its drops, told apart from a clash of translated ports",
    build=_build,
    first=Expect("conntrack-table", r".", (1, MOST), (1, MOST), ("hit",), "application"),
    never=("snat-ports", "ephemeral-ports", "udp-ports", "process-fds", "accept-queue"),
    needs=("nft",),
    watch=3.0,
)
