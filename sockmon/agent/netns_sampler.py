"""One network namespace → its part of a Snapshot."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from sockmon.agent.budget import Budget, BudgetedTask
from sockmon.agent.cheap_parts import CheapParts
from sockmon.agent.conntrack_sampler import ConntrackSampler
from sockmon.agent.datagram_sampler import DatagramSampler
from sockmon.agent.listener_sampler import ListenerSampler
from sockmon.agent.part import read_or_missing
from sockmon.agent.port_sampler import PortSampler
from sockmon.agent.source_addresses import SourceAddressReader
from sockmon.agent.tcp_queue_sampler import TcpQueueSampler
from sockmon.agent.udp_sampler import UdpSampler
from sockmon.agent.unchanged import UnlessUnchanged
from sockmon.errors import ReadError
from sockmon.kernel import netstat, sockstat, sysctl, transmit_queues
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.kernel.sockets.tcp_states import count_states, states
from sockmon.kernel.tcp_activity import read_segments
from sockmon.model.snapshot import (
    Conntrack,
    Listener,
    Missing,
    Netns,
    Ports,
    Sockstat,
    States,
    TransmitQueues,
)

STATES, OWNERS = Budget(0.005, 0.9), Budget(0.002, 0.9)
"""0.9 s is a little less than the usual interval, so that a cheap task runs for each Snapshot."""
QUIET_STATES_SECONDS = 5.0
"""Age from which on states are dumped again although no segment has moved: half-open connections expire."""
TRANSMIT = Budget(0.0005, 2.0)


class NetnsSampler:
    """Reads the network namespace `handle`; expensive parts are read within a budget."""

    def __init__(self, handle: NetnsHandle, owners: Owners) -> None:
        self.handle = handle
        self._owners = owners
        self.listeners = ListenerSampler(handle, owners)
        self.ports = PortSampler(handle, owners)
        self.tcp_queues = TcpQueueSampler(handle, owners)
        self.udp = UdpSampler(handle, owners)
        self.datagrams = DatagramSampler(handle, owners)
        self.tracking = ConntrackSampler(handle)
        counted = UnlessUnchanged(
            lambda: read_segments(handle), lambda: count_states(handle.scan_socket), QUIET_STATES_SECONDS
        )
        self.states = BudgetedTask("states", counted.steps, STATES)
        self.owner_search = BudgetedTask("owners", self._search_owners, OWNERS)
        self.source_addresses = SourceAddressReader(handle, self._scanned_ports, self.tracking.groups)
        self.transmit = BudgetedTask(transmit_queues.READER, lambda: transmit_queues.read(handle), TRANSMIT)
        self.port_tasks: Sequence[BudgetedTask[object]] = (
            self.tracking.nat_rules.task,
            self.source_addresses.task,
        )
        """Those that read nothing unless the dumps of ports and of translated ports have found many in use."""
        self.first_tasks: Sequence[BudgetedTask[object]] = (self.listeners.queue_task, self.states)
        """Those that start before the owners of sockets are read."""
        self.tasks: Sequence[BudgetedTask[object]] = (
            *self.first_tasks,
            self.ports.task,
            self.owner_search,
            self.tcp_queues.task,
            self.udp.task,
            self.tracking.table,
            self.tracking.snat,
            *self.port_tasks,
            self.transmit,
        )
        """In the order in which they start."""
        self.late_tasks: Sequence[BudgetedTask[object]] = (self.datagrams.task,)
        """Those that start when the owners of sockets have been read."""

    def close(self) -> None:
        """Release what is open, except for the handle."""
        self.datagrams.close()

    def sample(self, missing: list[Missing]) -> Netns:
        """Return the namespace now, with the last result of each task; what could not be read is in `missing`."""
        handle = self.handle
        stat = read_or_missing(missing, "sockstat", lambda: sockstat.read(handle, missing)[0])
        if (reason := handle.netlink_fallback) is not None:
            missing.append(Missing("sock_diag", reason))
        counters = read_or_missing(missing, "counters", lambda: netstat.read_counters(handle, missing)) or {}
        listeners = read_or_missing(missing, "listeners", lambda: self.listeners.read(missing))
        return self._compose(
            missing,
            stat,
            counters,
            read_or_missing(missing, "sysctls", lambda: sysctl.read_all(handle, missing=missing)) or {},
            None if listeners is None else self.listeners.with_owners(listeners),
            read_or_missing(missing, "conntrack", self.tracking.read),
        )

    def sample_of(self, parts: CheapParts, missing: list[Missing]) -> Netns:
        """Return the namespace as of the visit that has read `parts`, with the last result of each task."""
        missing += parts.missing
        listeners = None if parts.listening.value is None else self.listeners.with_owners(parts.listening.value)
        found = self._compose(
            missing, parts.sockstat, parts.counters, parts.sysctls, listeners, parts.tracking.value
        )
        return replace(found, at=parts.at)

    def _compose(
        self,
        missing: list[Missing],
        stat: Sockstat | None,
        counters: dict[str, int],
        sysctls: dict[str, str],
        listeners: tuple[Listener, ...] | None,
        tracking: Conntrack | None,
    ) -> Netns:
        handle = self.handle
        missing += [
            Missing(task.reader, task.reason)
            for task in (*self.tasks, *self.late_tasks)
            if task.reason and task not in (self.owner_search, self.listeners.queue_task)
        ]
        return Netns(
            name=handle.name,
            inode=handle.inode,
            kind=handle.called.kind if handle.called else "",
            container=handle.called.container if handle.called else "",
            runtime=handle.called.runtime if handle.called else "",
            entry=handle.entry,
            sockstat=stat,
            counters=counters,
            sysctls=sysctls,
            listeners=listeners,
            states=read_or_missing(missing, "states", lambda: self._states(stat, counters)),
            ports=read_or_missing(missing, "ports", lambda: self.ports.sample(missing)),
            conntrack=tracking and self.tracking.with_table(tracking),
            udp=read_or_missing(missing, "udp ports", self.udp.sample),
            datagrams=read_or_missing(missing, "datagrams", self.datagrams.sample),
            snat=read_or_missing(missing, "snat", self.tracking.sample_snat),
            source_addresses=self.source_addresses.sample(),
            transmit=read_or_missing(missing, transmit_queues.READER, self._transmit),
            queues=read_or_missing(missing, "tcp queues", self.tcp_queues.sample),
        )

    @property
    def _unowned(self) -> set[int]:
        """The inodes of sockets that are listed without an owner."""
        return self.listeners.unowned | self.datagrams.unowned | self.udp.unowned

    @property
    def has_unowned(self) -> bool:
        """Return whether the owner of a listed socket was not known at the last sample."""
        return bool(self._unowned)

    def _search_owners(self) -> Incremental[None]:
        """Search for the owners of sockets that appeared after the last walk over descriptors."""
        unowned = self._unowned
        if unowned and self._owners.at is not None:
            yield from self._owners.search(unowned)

    def _states(self, stat: Sockstat | None, counters: dict[str, int]) -> States | None:
        rare, established = self.states.value, counters.get("Tcp.CurrEstab")
        if rare is None or self.states.at is None:
            return None
        if stat is None or established is None:
            raise ReadError("states", "needs /proc/net/sockstat and Tcp.CurrEstab of /proc/net/snmp")
        table = states(rare, stat, established, self.listeners.tcp, self.ports.time_wait_families)
        waiting = table["TIME_WAIT"]
        if (waiting.v4 or 0) + (waiting.v6 or 0) != waiting.total:
            # The families were counted at the last scan, before the total.
            table["TIME_WAIT"] = replace(waiting, v4=None, v6=None)
        return States(self.states.at, table, rare.half_open, rare.orphan_groups)

    def _scanned_ports(self) -> Ports | None:
        return self.ports.scanned

    def _transmit(self) -> TransmitQueues | None:
        found, at = self.transmit.value, self.transmit.at
        return TransmitQueues(at, found) if found is not None and at is not None else None
