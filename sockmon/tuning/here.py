"""What a plan is measured against: the values as they are now, and the machine that they are on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sockmon.model.change import Outlook
from sockmon.model.snapshot import Listener, Netns, Process, Snapshot
from sockmon.tunables import process_of
from sockmon.tunables.value import numbers

RANGE = "net.ipv4.ip_local_port_range"
RESERVED = "net.ipv4.ip_local_reserved_ports"
UNPRIVILEGED = "net.ipv4.ip_unprivileged_port_start"


@dataclass(frozen=True, kw_only=True)
class Here:
    """One network namespace of a host, and what its sysctls are."""

    values: Mapping[str, str]
    """By key, numbers separated by single spaces; of `nofile@1044` SOFT:HARD."""
    netns: int
    boot_id: str
    refused: Mapping[str, str] = field(default_factory=dict)
    """Why a key cannot be changed here, by key."""
    starts: Mapping[str, int] = field(default_factory=dict)
    """Start time of the process of each `nofile@1044`, in clock ticks since boot."""
    outlooks: Mapping[str, Outlook] = field(default_factory=dict)
    """What a restart would make of it, by key."""
    door: str = ""
    """The namespace as it was asked for; empty for our own."""
    memory: int | None = None
    """Bytes that the machine has."""
    snapshot: Snapshot | None = None
    fixed: str = ""
    """Why nothing at all may be changed: --read-only, a recording, another host."""

    @property
    def page(self) -> int:
        """Bytes of a page."""
        return self.snapshot.host.page_size if self.snapshot else 4096

    @property
    def inside(self) -> Netns | None:
        """The namespace as it was seen last."""
        found = self.snapshot.netns if self.snapshot else ()
        return next((each for each in found if each.inode == self.netns), None)

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """TCP listeners; none where they could not be seen."""
        found = self.inside.listeners if self.inside else None
        return tuple(each for each in found or () if each.protocol == "tcp")

    def process(self, key: str) -> Process | None:
        """The process of `nofile@1044`, unless the pid belongs to another one by now."""
        rows = self.snapshot.processes.rows if self.snapshot and self.snapshot.processes else ()
        pid, start = process_of(key), self.starts.get(key)
        return next((row for row in rows if pid and row.pid == pid and row.start == start), None)

    def taken(self) -> set[int]:
        """Ports that no connect() gets because somebody listens on them, or is bound to them."""
        ports = self.inside.ports if self.inside else None
        bound = (*(ports.bound or ()), *ports.beyond) if ports else ()
        return {each.port for each in self.listeners}.union(bound)


def seen(snapshot: Snapshot, fixed: str = "") -> Here:
    """What the first namespace of a Snapshot shows; what it does not show cannot be planned from it."""
    inside = snapshot.netns[0]
    return Here(
        values={**snapshot.sysctls, **inside.sysctls},
        netns=inside.inode,
        boot_id=snapshot.host.boot_id,
        snapshot=snapshot,
        fixed=fixed,
    )


def span(values: Mapping[str, str]) -> tuple[int, int] | None:
    """The first and the last local port; None where they are not known."""
    found = numbers(values.get(RANGE, ""))
    return (found[0], found[1]) if len(found) == 2 else None
