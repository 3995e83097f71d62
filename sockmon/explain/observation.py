"""What an explanation knows of this machine: one sample, assessed, and the values of sysctls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sockmon.errors import ReadError
from sockmon.model.detail import DetailQuery, Socket
from sockmon.model.limit_origin import ConfiguredLimits
from sockmon.model.report import Reading, Report
from sockmon.model.severity import ALARMS
from sockmon.model.snapshot import Snapshot
from sockmon.port_lists import find_ranges


@dataclass(frozen=True)
class PortUse:
    """The sockets of this machine that have one local port."""

    port: int
    sockets: tuple[Socket, ...]
    """TCP and UDP, with owners as far as they are known."""
    states: Mapping[str, int] = field(default_factory=dict)
    """All sockets of that port by state; `sockets` may be fewer."""
    bound: tuple[Socket, ...] | None = ()
    """TCP sockets that are bound and neither listen nor connect; None if this kernel does not show them."""
    low: int | None = None
    high: int | None = None
    """net.ipv4.ip_local_port_range; None if unknown."""
    reserved_ports: str | None = None
    """net.ipv4.ip_local_reserved_ports; None if unknown."""
    unreadable: str = ""
    """Why the sockets could not be read; empty if they were."""

    @property
    def reserved(self) -> bool | None:
        """Return whether the port is in net.ipv4.ip_local_reserved_ports; None if unknown."""
        if self.reserved_ports is None:
            return None
        return any(first <= self.port <= last for first, last in find_ranges(self.reserved_ports))


@dataclass(frozen=True)
class Observation:
    """A sample of this machine, or the reason why it could not be read."""

    report: Report | None
    snapshot: Snapshot | None
    counters: Mapping[str, int]
    unavailable_reason: str = ""
    sysctls: Mapping[str, str | ReadError] = field(default_factory=dict)
    """By key: the value, or the error if it cannot be read."""
    queries: Mapping[tuple[str, str], DetailQuery] = field(default_factory=dict)
    """(ceiling, subject) → the process, port group or listener that a reading is about."""
    boot_lines: tuple[str, ...] = ()
    """What the files of sysctl.d have about a key that sockmon does not tune, if one is explained."""
    port: PortUse | None = None
    """The port that a line of a log names, if it was looked up."""

    configured_limits: ConfiguredLimits | None = None
    """The descriptors that limits.conf and units ask for, if a line of pam_limits was explained."""

    @property
    def alarms(self) -> tuple[Reading, ...]:
        """Return the readings that raise an alarm, the most urgent first."""
        rows = self.report.readings if self.report else ()
        return tuple(row for row in rows if row.severity in ALARMS)
