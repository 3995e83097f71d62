"""One network namespace → its part of a Snapshot."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from sockmon.agent.budget import Budget, BudgetedTask
from sockmon.agent.cheap_parts import CheapParts
from sockmon.agent.datagram_sampler import DatagramSampler
from sockmon.agent.dump_needs import is_filling
from sockmon.agent.listener_owners import with_holders
from sockmon.agent.part import read_or_missing
from sockmon.agent.port_sampler import PortSampler
from sockmon.agent.queue_samples import QueueSamples
from sockmon.agent.snat_ranges import SnatRanges
from sockmon.agent.source_addresses import SourceAddressReader
from sockmon.agent.tcp_queue_sampler import TcpQueueSampler, udp_readers
from sockmon.agent.unchanged import UnlessUnchanged
from sockmon.errors import Forbidden, NotPresent, ReadError
from sockmon.kernel import conntrack, netstat, sockstat, sysctl, transmit_queues
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.netlink import Incremental, run
from sockmon.kernel.processes.acceptors import Acceptors
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.kernel.snat import SnatGroups, read_groups
from sockmon.kernel.sockets import port_ranges
from sockmon.kernel.sockets.listeners import listeners, unix_listeners
from sockmon.kernel.sockets.tcp_states import count_states, states
from sockmon.kernel.sockets.udp_buffers import UdpBufferRow
from sockmon.kernel.sockets.udp_ports import UdpPortUse, udp_ports
from sockmon.kernel.tcp_activity import read_segments
from sockmon.model.snapshot import (
    Conntrack,
    DatagramQueue,
    Listener,
    Missing,
    Netns,
    Ports,
    Snat,
    SnatGroup,
    Sockstat,
    States,
    TransmitQueues,
    UdpBuffer,
    UdpPorts,
)
from sockmon.port_lists import count_in

STATES, OWNERS, UDP = Budget(0.005, 0.9), Budget(0.002, 0.9), Budget(0.002, 0.9)
"""0.9 s is a little less than the usual interval, so that a cheap task runs for each Snapshot."""
QUIET_STATES_SECONDS = 5.0
"""Age from which on states are dumped again although no segment has moved: half-open connections expire."""
TABLE, SNAT = Budget(0.0015, 2.0), Budget(0.0015, 2.0)
FILLING_TABLE = Budget(0.01, 2.0)
"""For a table that is half full: who fills it belongs to the evidence of an alarm."""
TRANSMIT = Budget(0.0005, 2.0)
QUEUES, FILLING_QUEUES = Budget(0.0004, 0.1), Budget(0.004, 0.1)
"""The second one for ten seconds after a queue was half full."""
MAX_UDP_OWNERS = 20
"""Owners of UDP ports that are listed: a thousand processes may have one port each."""
MAX_TABLE_ENTRIES = 5_000_000
"""Size of a conntrack table up to which it is scanned: one scan takes 10 s of a processor."""


class _UdpScan(NamedTuple):
    """The UDP sockets, and the port range that they were counted in."""

    low: int
    high: int
    reserved: int
    use: UdpPortUse


class NetnsSampler:
    """Reads the network namespace `handle`; expensive parts are read within a budget."""

    def __init__(self, handle: NetnsHandle, owners: Owners) -> None:
        self.handle = handle
        self._owners = owners
        self._listening: tuple[Listener, ...] = ()
        self._inodes: set[int] | None = None
        self._has_unix_listeners = True
        self._unowned: set[int] = set()
        self.acceptors = Acceptors({}, frozenset())
        """Who accepts on the listeners, as of the last time that it was read."""
        self._owned_udp: tuple[object, UdpPorts] | None = None
        self.samples = QueueSamples()
        self.ports = PortSampler(handle, owners)
        self.tcp_queues = TcpQueueSampler(handle, owners)
        counted = UnlessUnchanged(
            lambda: read_segments(handle), lambda: count_states(handle.scan_socket), QUIET_STATES_SECONDS
        )
        self.states = BudgetedTask("states", counted.steps, STATES)
        self.owner_search = BudgetedTask("owners", self._search_owners, OWNERS)
        self.queue_task = BudgetedTask("unix queues", self._sample_queues, QUEUES)
        self.udp = BudgetedTask("udp ports", self._scan_udp, UDP)
        self.datagram_sampler = DatagramSampler(handle, owners)
        self.datagrams = self.datagram_sampler.task
        self.table = BudgetedTask("conntrack table", self._scan_table, TABLE)
        self.snat = BudgetedTask("snat", self._scan_snat, SNAT)
        self.nat_rules = SnatRanges(handle, lambda: self.snat.value)
        self.source_addresses = SourceAddressReader(handle, self._scanned_ports, self._snat_groups)
        self.transmit = BudgetedTask(transmit_queues.READER, lambda: transmit_queues.read(handle), TRANSMIT)
        self.port_tasks: Sequence[BudgetedTask[object]] = (self.nat_rules.task, self.source_addresses.task)
        """Those that read nothing unless the dumps of ports and of translated ports have found many in use."""
        self.first_tasks: Sequence[BudgetedTask[object]] = (self.queue_task, self.states)
        """Those that start before the owners of sockets are read."""
        self.tasks: Sequence[BudgetedTask[object]] = (
            *self.first_tasks,
            self.ports.task,
            self.owner_search,
            self.tcp_queues.task,
            self.udp,
            self.table,
            self.snat,
            *self.port_tasks,
            self.transmit,
        )
        """In the order in which they start."""
        self.late_tasks: Sequence[BudgetedTask[object]] = (self.datagrams,)
        """Those that start when the owners of sockets have been read."""

    def close(self) -> None:
        """Release what is open, except for the handle."""
        self.datagram_sampler.close()

    def sample(self, missing: list[Missing]) -> Netns:
        """Return the namespace now, with the last result of each task; what could not be read is in `missing`."""
        handle = self.handle
        stat = read_or_missing(missing, "sockstat", lambda: sockstat.read(handle, missing)[0])
        if (reason := handle.netlink_fallback) is not None:
            missing.append(Missing("sock_diag", reason))
        counters = read_or_missing(missing, "counters", lambda: netstat.read_counters(handle, missing)) or {}
        listeners = read_or_missing(missing, "listeners", lambda: self.read_listeners(missing))
        return self._compose(
            missing,
            stat,
            counters,
            read_or_missing(missing, "sysctls", lambda: sysctl.read_all(handle, missing=missing)) or {},
            None if listeners is None else self._with_owners(listeners),
            read_or_missing(missing, "conntrack", self._tracking),
        )

    def _tracking(self) -> Conntrack:
        """Return the count now; the table of our own namespace, or of the one that is shown, is read more often if
        it fills."""
        found = conntrack.read(self.handle)
        self.table.budget = FILLING_TABLE if is_filling(found) else TABLE
        return found

    def sample_of(self, parts: CheapParts, missing: list[Missing]) -> Netns:
        """Return the namespace as of the visit that has read `parts`, with the last result of each task."""
        missing += parts.missing
        listeners = None if parts.listening.value is None else self._with_owners(parts.listening.value)
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
            if task.reason and task not in (self.owner_search, self.queue_task)
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
            conntrack=tracking and self._with_table(tracking),
            udp=read_or_missing(missing, "udp ports", self._udp),
            datagrams=read_or_missing(missing, "datagrams", self._datagrams),
            snat=read_or_missing(missing, "snat", self._snat),
            source_addresses=self.source_addresses.sample(),
            transmit=read_or_missing(missing, transmit_queues.READER, self._transmit),
            queues=read_or_missing(missing, "tcp queues", self.tcp_queues.sample),
        )

    def read_listeners(self, missing: list[Missing]) -> tuple[Listener, ...] | None:
        """Return TCP and unix listeners without their owners; None if those of TCP cannot be read."""
        self._listening = ()
        local = read_or_missing(missing, "listeners", lambda: run(unix_listeners(self.handle.tick_socket)))
        found = read_or_missing(missing, "listeners", self._tcp_listeners)
        if found is None:
            return None
        self._listening = found
        self._has_unix_listeners = bool(local)
        self.samples.add({item.inode: (item.queue, item.backlog or 0) for item in local or ()})
        self._inodes = {item.inode for item in (*found, *(local or ()))}
        return found + (local or ())

    def _tcp_listeners(self) -> tuple[Listener, ...]:
        try:
            return run(listeners(self.handle.tick_socket))
        except (NotPresent, Forbidden) as error:
            # The kernel, or a policy, may allow the netlink socket but refuse every request on it.
            if self.handle.netlink_fallback is not None:
                raise
            self.handle.fall_back_to_text(errno.EOPNOTSUPP if isinstance(error, NotPresent) else errno.EPERM)
            return run(listeners(self.handle.tick_socket))

    def sample_queues(self) -> bool:
        """Sample the queues of unix listeners; return False if there are none, or they cannot be read."""
        if not self._has_unix_listeners:
            return False
        try:
            self._has_unix_listeners = self.samples.sample(self.handle.tick_socket)
        except ReadError:
            return False
        return self._has_unix_listeners

    def idle_seconds(self, now: float) -> float:
        """Return how long the agent may sleep before the queues are sampled again."""
        return self.queue_task.seconds_until_due(now) if self._has_unix_listeners else float("inf")

    def _sample_queues(self) -> Incremental[None]:
        """Sample in one step: the socket is that of the ticks."""
        self.sample_queues()
        self.queue_task.budget = FILLING_QUEUES if self.samples.filling() else QUEUES
        return
        yield

    @property
    def has_unowned(self) -> bool:
        """Return whether the owner of a listener was not known at the last sample."""
        return bool(self._unowned)

    def listening_inodes(self) -> set[int]:
        """Return the inodes of all listeners as of the last sample, or now if there was none."""
        if self._inodes is None:
            self.read_listeners([])
        return self._inodes or set()

    def _with_owners(self, found: Sequence[Listener]) -> tuple[Listener, ...]:
        self._inodes = {item.inode for item in found}
        held = self._owners.holders_of(self._inodes)
        owned = tuple(
            self.samples.add_to(with_holders(item, held.get(item.inode, ()), self.acceptors)) for item in found
        )
        self._unowned = {item.inode for item in owned if item.owner is None}
        return owned

    def _search_owners(self) -> Incremental[None]:
        """Search for the owners of listeners that appeared after the last walk over descriptors."""
        if self._unowned and self._owners.at is not None:
            yield from self._owners.search(self._unowned)

    def _states(self, stat: Sockstat | None, counters: dict[str, int]) -> States | None:
        rare, established = self.states.value, counters.get("Tcp.CurrEstab")
        if rare is None or self.states.at is None:
            return None
        if stat is None or established is None:
            raise ReadError("states", "needs /proc/net/sockstat and Tcp.CurrEstab of /proc/net/snmp")
        table = states(rare, stat, established, self._listening, self.ports.time_wait_families)
        waiting = table["TIME_WAIT"]
        if (waiting.v4 or 0) + (waiting.v6 or 0) != waiting.total:
            # The families were counted at the last scan, before the total.
            table["TIME_WAIT"] = replace(waiting, v4=None, v6=None)
        return States(self.states.at, table, rare.half_open, rare.orphan_groups)

    def _datagrams(self) -> tuple[DatagramQueue, ...] | None:
        found = self.datagram_sampler.sample()
        self._unowned |= self.datagram_sampler.unowned
        return found

    def _scan_udp(self) -> Incremental[_UdpScan]:
        low, high, reserved = port_ranges.read(self.handle)
        use = yield from udp_ports(self.handle.scan_socket, low, high, reserved)
        return _UdpScan(low, high, count_in(reserved, low, high), use)

    def _udp(self) -> UdpPorts | None:
        """Return the last scan with owners, which are counted again if the scan or the owners are newer."""
        found, at = self.udp.value, self.udp.at
        if found is None or at is None:
            return None
        stamp = (at, self._owners.at)
        if self._owned_udp is None or self._owned_udp[0] != stamp:
            owners = tuple(self._owners.count(found.use.inodes)[:MAX_UDP_OWNERS])
            use = found.use
            buffers = None if use.buffers is None else tuple(map(self._udp_buffer, use.buffers))
            owned = UdpPorts(at, found.low, found.high, found.reserved, use.used, use.usable, owners, buffers)
            queued = None if use.buffers is None else sum(use.queued.values())
            readers = udp_readers(self._owners, use.queued)
            owned = replace(owned, queued=queued, readers=readers, used_ipv4=use.used_ipv4)
            self._owned_udp = (stamp, owned)
        self._unowned |= {row.inode for row in self._owned_udp[1].buffers or () if row.owner is None and row.inode}
        return self._owned_udp[1]

    def _udp_buffer(self, row: UdpBufferRow) -> UdpBuffer:
        return UdpBuffer(*row, self._owners.owner_of(row.inode) if row.inode else None)

    def _scan_snat(self) -> Incremental[SnatGroups]:
        if not self._table_size("snat"):
            return SnatGroups((), 0)
        return (yield from read_groups(self.handle))

    def _snat(self) -> Snat | None:
        found = self.snat.value
        return (
            Snat(self.snat.at, self.nat_rules.with_ranges(), found.groups_total)
            if found is not None and self.snat.at is not None
            else None
        )

    def _scanned_ports(self) -> Ports | None:
        return self.ports.scanned

    def _snat_groups(self) -> tuple[SnatGroup, ...]:
        return self.nat_rules.with_ranges()

    def _transmit(self) -> TransmitQueues | None:
        found, at = self.transmit.value, self.transmit.at
        return TransmitQueues(at, found) if found is not None and at is not None else None

    def _scan_table(self) -> Incremental[conntrack.Table]:
        if not self._table_size("conntrack table") and self.table.value is not None:
            # Once it was permitted: the kernel would walk the buckets of the whole host.
            return conntrack.EMPTY
        return (yield from conntrack.read_table(self.handle))

    def _table_size(self, reader: str) -> int:
        """Return the number of conntrack entries; raise ReadError if it is too large for a scan."""
        count = conntrack.read(self.handle).count
        if count > MAX_TABLE_ENTRIES:
            raise ReadError(
                reader, f"the table has {count:,} entries, more than the {MAX_TABLE_ENTRIES:,} that are read"
            )
        return count

    def _with_table(self, gauge: Conntrack) -> Conntrack:
        table = self.table.value
        if table is None:
            return gauge
        return replace(
            gauge, table_at=self.table.at, table=table.entries, unreplied=table.unreplied, tops=table.tops
        )
