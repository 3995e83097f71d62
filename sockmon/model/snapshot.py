"""A Snapshot: everything that was read from the kernel at one moment; nothing in it is derived.

Units: `at` is seconds on CLOCK_BOOTTIME (rates and ages come from it alone), `wall` seconds since the epoch,
memory in the kernel's own unit (pages or bytes). `None` means unknown, never zero; the reason is in
`Snapshot.missing`. All text has passed `sanitize()`.
"""

from __future__ import annotations

import msgspec

from sockmon.model.cgroups import Cgroups, MemoryCgroup, PidsCgroup
from sockmon.model.host import Files, Host, Memory, Neighbours, Softnet, Tasks
from sockmon.model.limit_origin import LimitOrigin
from sockmon.model.missing import HIDDEN_ANCESTORS, HIDDEN_PROCESSES, OUTER_TASKS, Missing
from sockmon.model.netns import (
    Conntrack,
    DatagramQueue,
    HalfOpen,
    Listener,
    Netns,
    Snat,
    SnatGroup,
    Sockstat,
    StateCount,
    States,
    UdpBuffer,
    UdpPorts,
)
from sockmon.model.other_netns import OTHER_NETNS, NetnsMember, NetnsName, OtherNetns
from sockmon.model.ports import BoundSource, PortGroup, Ports
from sockmon.model.process_memory import LockedMemory, Maps, ProcessAio, ProcessLocked, ProcessMaps
from sockmon.model.processes import UNLIMITED, Owner, Process, Processes
from sockmon.model.queues import OrphanGroup, QueuedSocket, QueueOwner, TcpQueues
from sockmon.model.transmit import TransmitQueue, TransmitQueues
from sockmon.model.user_namespace import UserNamespace
from sockmon.model.watches import UserWatches, Watches

__all__ = [
    "HIDDEN_ANCESTORS",
    "HIDDEN_PROCESSES",
    "OTHER_NETNS",
    "OUTER_TASKS",
    "UNLIMITED",
    "BoundSource",
    "Cgroups",
    "Conntrack",
    "DatagramQueue",
    "Files",
    "HalfOpen",
    "Host",
    "Listener",
    "LockedMemory",
    "Maps",
    "Memory",
    "MemoryCgroup",
    "Missing",
    "Neighbours",
    "Netns",
    "NetnsMember",
    "NetnsName",
    "OrphanGroup",
    "OtherNetns",
    "Owner",
    "PidsCgroup",
    "PortGroup",
    "Ports",
    "Process",
    "ProcessAio",
    "ProcessLocked",
    "ProcessMaps",
    "Processes",
    "QueueOwner",
    "QueuedSocket",
    "Snapshot",
    "Snat",
    "SnatGroup",
    "Sockstat",
    "Softnet",
    "StateCount",
    "States",
    "Tasks",
    "TcpQueues",
    "TransmitQueue",
    "TransmitQueues",
    "UdpBuffer",
    "UdpPorts",
    "UserNamespace",
    "UserWatches",
    "Watches",
]


class Snapshot(msgspec.Struct, frozen=True, tag="snapshot", tag_field="type"):
    """The state of the kernel at one moment."""

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
    """Sysctls of the host, raw, by key; a key that is not visible here is absent."""
    maps: Maps | None = None
    watches: Watches | None = None
    cgroups: Cgroups | None = None
    neighbours: tuple[Neighbours, ...] | None = None
    softnet: Softnet | None = None
    other_netns: OtherNetns | None = None
    locked: LockedMemory | None = None
    available_memory: int | None = None
    """Bytes that the host can allocate without swapping: MemAvailable of /proc/meminfo."""
    limit_origins: tuple[LimitOrigin, ...] = ()
    """What set the limits that are more than half in use: nofile of a process, nproc of a user."""
