"""The facts that a step of a guide decides by: one Assessment, its source, and what was changed before."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from sockmon.assess import Assessment, Gauge, Key
from sockmon.assess.counters import counters_of
from sockmon.model.outcome import Identity
from sockmon.model.plan import netns_prefix
from sockmon.model.report import Reading
from sockmon.model.severity import ALARMS
from sockmon.model.snapshot import Netns, Snapshot
from sockmon.text import sanitize

Source = Literal["live", "recording", "remote"]


@dataclass(frozen=True)
class Place:
    """The source of the samples, and what can be done from here."""

    source: Source = "live"
    privileged: bool = True
    """True if they were read as root."""
    cannot_change: str = ""
    """Why no setting can be changed from here; empty if it can."""
    program: str = "sockmon"
    """What starts sockmon on the machine of the samples."""
    sudo: bool = False
    """Whether it takes sudo to get the privilege."""
    netns: str = ""
    """The network namespace of the samples, as `--netns` names it; empty for that of sockmon itself."""
    entry: str = ""
    """The same as `ip netns exec` or `nsenter` takes it: the pid of a container."""

    @property
    def options(self) -> str:
        """The option with which a verb reads the same namespace, such as ` --netns web`."""
        return f" --netns {shlex.quote(sanitize(self.netns))}" if self.netns else ""

    @property
    def command(self) -> str:
        """What starts sockmon with privilege, such as `sudo sockmon`."""
        return f"{self._sudo}{self.program}"

    @property
    def command_inside(self) -> str:
        """What starts sockmon with privilege inside the namespace, where a change has to be made."""
        return f"{self._sudo}{netns_prefix(self.entry) if self.entry else ''}{self.program}"

    @property
    def _sudo(self) -> str:
        return "sudo " if self.sudo else ""

    def verb(self, words: str) -> str:
        """Return `sockmon guide close-wait --netns web`."""
        return f"sockmon {words}{self.options}"


HERE = Place()


class Wanted(msgspec.Struct, frozen=True, omit_defaults=True):
    """A setting that a step proposes to change."""

    key: str
    """A sysctl, or `nofile@1044`: what `sockmon tune plan` takes."""
    value: str
    reason: str = ""


@dataclass(frozen=True)
class Facts:
    """What is known at one moment of a walk."""

    now: Assessment
    place: Place = HERE
    guide: str = ""
    """The name of the guide that is walked."""
    ceilings: tuple[str, ...] = ()
    """The ceilings that it leads to."""
    number: str = ""
    """The number that the guide asks for, as the reader typed it; empty if it was not given."""
    passed: tuple[str, ...] = ()
    """The ids of the steps that were passed, the first one first."""
    focus: Key | None = None
    """Ceiling and subject of the reading that the walk is about, once a step has found it."""
    identity: Identity | None = None
    """What it is recognized by after a restart of its program."""
    before: Reading | None = None
    """That reading when the last change was made; None before a change."""
    first: Snapshot | None = None
    """The first sample of the walk; None outside of one."""
    moved: Mapping[str, int] = field(default_factory=dict)
    """By how much each counter increased since the sample before."""

    proposed: tuple[Wanted, ...] = ()
    """The settings that were proposed on the way and not changed."""

    refusal: str = ""
    """Why the last of them could not be changed, such as a setting of the whole host in a lab."""

    pending: bool = False
    """True while a change of this walk is held, and is rolled back unless it is kept."""

    @property
    def snapshot(self) -> Snapshot:
        """The newest sample."""
        return self.now.snapshot

    @property
    def netns(self) -> Netns:
        """The network namespace that the report is about."""
        return self.now.snapshot.netns[0]

    @property
    def sampled_seconds(self) -> float:
        """How long this host has been sampled."""
        return max(0.0, self.now.snapshot.wall - self.now.started)

    def readings(self, *ceilings: str) -> list[Reading]:
        """Return the readings of these ceilings, the most urgent first; without arguments those of all."""
        return [row for row in self.now.report.readings if not ceilings or row.ceiling in ceilings]

    def alarms(self, *ceilings: str) -> list[Reading]:
        """Return those of them that are an alarm."""
        return [row for row in self.readings(*ceilings) if row.severity in ALARMS]

    @property
    def reading(self) -> Reading | None:
        """The reading in focus; None if the report does not list it any more."""
        return next((row for row in self.now.report.readings if row.key == self.focus), None)

    @property
    def gauge(self) -> Gauge | None:
        """The numbers of the reading in focus, also if the report leaves it out; None if it is gone."""
        return self.now.gauges.get(self.focus) if self.focus else None

    def counter(self, name: str) -> int | None:
        """Return the value of a counter, such as `TcpExt.ListenOverflows`; None if this host does not have it."""
        return counters_of(self.now.snapshot).get(name)

    def rate(self, name: str) -> float | None:
        """Return how fast a counter increases, per second over the window; None if that is not known yet."""
        return self.now.rates.get(("counter", name))

    def sysctl(self, key: str) -> str | None:
        """Return a sysctl as the sample has it; None if it is not in the sample."""
        return self.netns.sysctls.get(key, self.snapshot.sysctls.get(key))
