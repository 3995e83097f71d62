"""The context of a plan: the current settings, and what is known of the machine that has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sockmon.model.current_settings import CurrentSettings
from sockmon.model.plan import NetnsTarget
from sockmon.model.snapshot import Listener, Netns, Ports, Process, Snapshot
from sockmon.tunables import process_of
from sockmon.tunables.value import parse_numbers

PORT_RANGE = "net.ipv4.ip_local_port_range"
RESERVED_PORTS = "net.ipv4.ip_local_reserved_ports"
UNPRIVILEGED_START = "net.ipv4.ip_unprivileged_port_start"


@dataclass(frozen=True, kw_only=True)
class PlanContext(CurrentSettings):
    """The current settings, and what the newest Snapshot and Report say of this machine."""

    snapshot: Snapshot | None = None
    alternatives: Mapping[str, str] = field(default_factory=dict)
    """By key that would only buy time here, what to do instead."""
    read_only_reason: str = ""
    """Why no key can be changed: --read-only, a recording, another host; empty if they can."""

    @classmethod
    def of(
        cls,
        settings: CurrentSettings,
        snapshot: Snapshot | None = None,
        alternatives: Mapping[str, str] | None = None,
    ) -> PlanContext:
        """Return `settings` with what the newest Snapshot and Report say."""
        return cls(**vars(settings), snapshot=snapshot, alternatives=alternatives or {})

    @property
    def page_size(self) -> int:
        """The size of a page in bytes."""
        return self.snapshot.host.page_size if self.snapshot else 4096

    @property
    def netns(self) -> Netns | None:
        """The namespace in the newest Snapshot."""
        found = self.snapshot.netns if self.snapshot else ()
        return next((each for each in found if each.inode == self.netns_inode), None)

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """The TCP listeners; empty also if they could not be read."""
        found = self.netns.listeners if self.netns else None
        return tuple(each for each in found or () if each.protocol == "tcp")

    @property
    def ports(self) -> Ports | None:
        """The ephemeral ports in use; None if they could not be read."""
        return self.netns.ports if self.netns else None

    @property
    def processes(self) -> tuple[Process, ...]:
        """The processes; empty also if they could not be read."""
        return self.snapshot.processes.rows if self.snapshot and self.snapshot.processes else ()

    def process(self, key: str) -> Process | None:
        """Return the process of `nofile@1044`; None if it is not visible, or if its pid has been reused."""
        pid, start = process_of(key), self.start_times.get(key)
        return next((row for row in self.processes if pid and row.pid == pid and row.start == start), None)

    def taken_ports(self) -> set[int]:
        """Return the ports that connect() cannot use because a socket listens on them or is bound to them."""
        bound = (*(self.ports.bound or ()), *self.ports.bound_outside) if self.ports else ()
        return {each.port for each in self.listeners}.union(bound)


def from_snapshot(
    snapshot: Snapshot, read_only_reason: str = "", alternatives: Mapping[str, str] | None = None, inode: int = 0
) -> PlanContext:
    """Return the context that a Snapshot alone gives, of the namespace with the inode, by default its first: only
    keys in it can be planned."""
    netns = next((each for each in snapshot.netns if each.inode == inode), snapshot.netns[0])
    return PlanContext(
        values={**snapshot.sysctls, **netns.sysctls},
        netns_inode=netns.inode,
        boot_id=snapshot.host.boot_id,
        snapshot=snapshot,
        alternatives=alternatives or {},
        read_only_reason=read_only_reason,
    )


def target_of(netns: Netns) -> NetnsTarget:
    """Return what a plan for the sysctls of a watched network namespace needs to know of it."""
    return NetnsTarget(netns.inode, netns.name, netns.entry, netns.cookie, netns.kind, netns.runtime)


def local_port_range(values: Mapping[str, str]) -> tuple[int, int] | None:
    """Return the first and the last local port; None if they are not known."""
    found = parse_numbers(values.get(PORT_RANGE, ""))
    return (found[0], found[1]) if len(found) == 2 else None
