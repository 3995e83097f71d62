"""A Snapshot: everything that the kernel said at one moment, and nothing that was derived from it.

Units: `at` is seconds on CLOCK_BOOTTIME (rates and ages come from it alone), `wall` seconds since the epoch,
memory in the kernel's own unit (pages where the kernel counts pages, bytes where it says bytes). `None` means
"not known", never zero; why it is not known stands in `Snapshot.missing`. All text has passed `clean()`.
"""

from __future__ import annotations

import msgspec

from sockmon.model.host import (
    UNLIMITED,
    Cgroups,
    Files,
    Host,
    Maps,
    Memory,
    MemoryCgroup,
    Missing,
    Neighbours,
    Owner,
    PidsCgroup,
    Process,
    Processes,
    ProcessMaps,
    Softnet,
    Tasks,
    UserWatches,
    Watches,
)
from sockmon.model.netns import (
    BoundSource,
    Conntrack,
    DatagramQueue,
    HalfOpen,
    Listener,
    Netns,
    PortGroup,
    Ports,
    Snat,
    SnatGroup,
    Sockstat,
    StateCount,
    States,
    UdpPorts,
)

__all__ = [
    "UNLIMITED",
    "BoundSource",
    "Cgroups",
    "Conntrack",
    "DatagramQueue",
    "Files",
    "HalfOpen",
    "Host",
    "Listener",
    "Maps",
    "Memory",
    "MemoryCgroup",
    "Missing",
    "Neighbours",
    "Netns",
    "Owner",
    "PidsCgroup",
    "PortGroup",
    "Ports",
    "Process",
    "ProcessMaps",
    "Processes",
    "Snapshot",
    "Snat",
    "SnatGroup",
    "Sockstat",
    "Softnet",
    "StateCount",
    "States",
    "Tasks",
    "UdpPorts",
    "UserWatches",
    "Watches",
]


class Snapshot(msgspec.Struct, frozen=True, tag="snapshot", tag_field="type"):
    """What the kernel said at one moment."""

    at: float
    wall: float
    interval: float
    """Seconds between Snapshots that the agent aims at."""
    cost: float
    """The agent's own share of one processor since it started or over the last minute: 0.014 is 1.4 %."""
    host: Host
    files: Files | None
    tasks: Tasks | None
    memory: Memory | None
    processes: Processes | None
    netns: tuple[Netns, ...]
    missing: tuple[Missing, ...]
    sysctls: dict[str, str] = {}
    """Sysctls of the host, raw, by key; one that is not shown where sockmon runs is absent."""
    maps: Maps | None = None
    watches: Watches | None = None
    cgroups: Cgroups | None = None
    neighbours: tuple[Neighbours, ...] | None = None
    softnet: Softnet | None = None
