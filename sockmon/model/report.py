"""A Report: the severities and remedies that follow from a window of Snapshots. `check --json` prints these
fields."""

from __future__ import annotations

from typing import Literal

import msgspec

from sockmon.model.severity import Severity
from sockmon.model.snapshot import Missing

Scope = Literal["process", "user", "cgroup", "netns", "host"]
RemedyKind = Literal["application", "rlimit", "sysctl", "cgroup", "addresses"]


class Remedy(msgspec.Struct, frozen=True, omit_defaults=True):
    """What to do: a sentence, and as fields the change that it suggests."""

    kind: RemedyKind
    key: str | None
    value: str | None
    text: str
    advised: bool = True
    """False if the change only gains time because the cause is elsewhere, such as a leak; it is not planned
    unasked."""
    pid: int | None = None
    """The process whose limit `key` is, if `kind` is "rlimit"; that an application has to change, or whose peers
    have to be looked at, if it is "application". None if there is no such process, or it is not known."""
    cgroup: str | None = None
    """The cgroup whose limit `key` is, if `kind` is "cgroup"."""
    addresses: tuple[str, ...] = ()
    """Source addresses that exist in the namespace, are not in use by this subject and have a route to its
    destination, at most 5, if `kind` is "addresses"; empty also if they were not read."""


class ReadingNetns(msgspec.Struct, frozen=True, omit_defaults=True):
    """The network namespace that a Reading is about."""

    inode: int
    """That of /proc/PID/ns/net; 0 if unknown."""
    name: str
    kind: str
    """What has the name: container, pod, machine, unit, netns (a name of `ip netns`) or host; empty if unknown."""
    container: str
    """The id of the container; empty if there is none, or if it is unknown."""
    entry: str = ""
    """What `--netns` and `nsenter` take for it if it has no name: a pid or a path; empty for sockmon's own."""


ShareKind = Literal["source", "destination", "port", "group"]


class LargestShare(msgspec.Struct, frozen=True, omit_defaults=True):
    """What has the largest part of `used`, of one kind. Of connection tracking: of the original direction."""

    kind: ShareKind
    used: int
    """At least so many; exactly, if `missed` is 0."""
    ratio: float
    """Relative to all of the same walk, which may be older than the reading."""
    source: str | None = None
    destination: str | None = None
    protocol: str | None = None
    port: int | None = None
    """Destination port."""
    missed: int = 0
    """At most so many more were not counted."""


class Reading(msgspec.Struct, frozen=True, omit_defaults=True):
    """One ceiling for one subject: its use, growth, time left, evidence and remedies."""

    ceiling: str
    subject: str
    scope: Scope
    used: int | None
    """In the unit of the ceiling; None if unknown."""
    limit: int | None
    """None if unknown or unlimited."""
    ratio: float | None
    rate: float | None
    """Units per second over the window."""
    eta_seconds: float | None
    """None unless it grows steadily."""
    severity: Severity
    evidence: tuple[str, ...]
    remedies: tuple[Remedy, ...]
    missing: tuple[Missing, ...] = ()
    """The entries of the Report's `missing` that make it unknown."""
    warning: float | None = None
    """The ratio from which on it is a warning: the default, or what the user set; None if unknown."""
    critical: float | None = None
    """The same for critical; None also if it is never critical."""
    netns: ReadingNetns | None = None
    """The network namespace whose limit or sockets it is about; None if it is about the host or its processes."""
    shares: tuple[LargestShare, ...] = ()
    """Who has the largest parts of `used`, one of each kind; empty if that was not read."""
    name: str = ""
    """The subject without pid and owner, so that it stays the same after a restart; empty if it has neither."""

    @property
    def key(self) -> tuple[str, str]:
        """Return ceiling and subject, which identify it among those of one namespace, from one Report to the
        next."""
        return self.ceiling, self.subject

    @property
    def identity(self) -> tuple[str, str, int]:
        """Return ceiling, subject and inode of the namespace (0: the host), which identify it among those of all
        namespaces."""
        return self.ceiling, self.subject, self.netns.inode if self.netns else 0

    @property
    def counted(self) -> bool:
        """Return whether it has numbers to show; if not, its first evidence says why."""
        return self.severity != "unknown" and self.used is not None and self.limit is not None


class Report(msgspec.Struct, frozen=True):
    """The result of `check`, most urgent readings first."""

    schema: Literal[1]
    host: str
    kernel: str
    time: str
    """UTC, ISO 8601."""
    netns: str
    verdict: Severity
    """The worst known severity."""
    readings: tuple[Reading, ...]
    missing: tuple[Missing, ...]
    only: tuple[str, ...] = ()
    """The ceilings that the report is restricted to (`--only`); empty: all of them."""
    ignored: tuple[Reading, ...] = ()
    """Readings that `--ignore` leaves out of `readings` and of the verdict."""
    recording: str = ""
    """The file that it was made of; empty for a machine that was sampled now."""
    quiet_netns: int = 0
    """Other network namespaces that were judged, and no limit in them is near."""
    owners_known: float | None = None
    """Part of all open descriptors of the host whose process could be asked what it holds, 0 to 1; sockets of the
    others have no owner here. None: processes were not read."""
