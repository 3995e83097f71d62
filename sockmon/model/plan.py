"""A plan: what a transaction changes, and what the user should know before it does. Made without privilege."""

from __future__ import annotations

import shlex

import msgspec

from sockmon.model.outcome import Reason

MAX_REASONS = 8
"""Alarms that a plan names as its reasons."""


class Setting(msgspec.Struct, frozen=True):
    """One value to change: a sysctl, or a limit of a live process or of a cgroup."""

    key: str
    """`net.core.somaxconn`; `nofile` or `nproc` of a process; `pids.max` and others of a cgroup."""
    old: str
    """The value when the plan was made, tokens separated by single spaces; a limit as SOFT:HARD."""
    new: str
    pid: int = 0
    """The process of a limit; 0 for a sysctl."""
    start: int = 0
    """The start time of the process, because pids are reused; of a cgroup the inode of its directory."""
    cgroup: str = ""
    """The path of the cgroup of a limit; empty for anything else."""

    @property
    def name(self) -> str:
        """The name that the user gives it: `net.core.somaxconn`, `nofile@1044`, `pids.max@/web.slice`."""
        owner = self.cgroup or (str(self.pid) if self.pid else "")
        return f"{self.key}@{owner}" if owner else self.key

    @property
    def is_sysctl(self) -> bool:
        """Whether it is a sysctl: the limit of a process or cgroup ends with it."""
        return not self.pid and not self.cgroup


class NetnsTarget(msgspec.Struct, frozen=True, omit_defaults=True):
    """Another network namespace than that of sockmon, whose sysctls a plan changes."""

    inode: int
    name: str
    """What people call it; else what `--netns` was told."""
    entry: str
    """What `ip netns exec` or `nsenter` takes for it: a name, a pid or a path."""
    cookie: int = 0
    """SO_NETNS_COOKIE, which no other namespace of this boot gets; 0 if the kernel has none (Linux 5.14)."""
    kind: str = ""
    """What has the name, as `NetnsName.kind`; empty if nothing is known but a process."""
    runtime: str = ""
    """What made the container, as `NetnsName.runtime`."""


class Plan(msgspec.Struct, frozen=True):
    """What one transaction changes, in the order of writing; a rollback goes the other way."""

    settings: tuple[Setting, ...]
    netns: int
    """Inode of the network namespace that the values were read in."""
    boot_id: str
    undoes: str = ""
    """Id of the kept transaction that this plan undoes, with its lines in /etc/sysctl.d; empty for any other
    plan."""
    reasons: tuple[Reason, ...] = ()
    """The alarms that it is meant to end; empty if there are none, or in a plan of an older version."""
    forgets: tuple[str, ...] = ()
    """Keys whose lines are removed from our file in /etc/sysctl.d; such a plan has no settings and is not held."""
    target: NetnsTarget | None = None
    """The network namespace that the sysctls belong to, if it is not that of sockmon; a guard enters it."""


def netns_prefix(netns_spec: str) -> str:
    """Return what runs a command in the network namespace of a name, a pid or a path, as `--netns` takes them."""
    if "/" in netns_spec:
        return f"nsenter --net={shlex.quote(netns_spec)} "
    if netns_spec.isascii() and netns_spec.isdigit():
        return f"nsenter -t {netns_spec} -n "
    return f"ip netns exec {shlex.quote(netns_spec)} "


class PlanWarning(msgspec.Struct, frozen=True):
    """What the user should know before a change, and the second change that would prevent it."""

    text: str
    suggests: tuple[str, str] | None = None
    """Key and value of a second change that prevents it; None if none does."""
    severe: bool = False
    """True if the machine may no longer be reached or used after the change."""


class Preview(msgspec.Struct, frozen=True):
    """What one Setting would do."""

    setting: Setting
    unit: str
    effect: str
    """Old and new in numbers: `28,232 → 64,512 ports to each destination`."""
    takes_effect: str = msgspec.field(name="when")
    """When the new value takes effect, and for what."""
    unaffected: tuple[str, ...] = msgspec.field(name="keeps")
    """What the change leaves as it is, existing listeners by name."""
    scope: str
    """What shares the new value."""
    risk: str
    memory: int | None = msgspec.field(name="cost")
    """How many bytes more the kernel may use; None if that is not known."""
    warnings: tuple[PlanWarning, ...]
    at_boot: tuple[str, ...] = msgspec.field(name="boot", default=())
    """What a reboot does to it, whether `keep --persist` would last, what else sets the key: a line each."""


class Proposal(msgspec.Struct, frozen=True):
    """A Plan and everything that the user should know before it is applied."""

    plan: Plan
    """Without settings if there is nothing to change."""
    previews: tuple[Preview, ...]
    """One for each setting, in the same order."""
    already: tuple[str, ...]
    """Keys that already have the wanted value."""
    rollback: str = msgspec.field(name="revert")
    """How the change is rolled back."""
    commands: tuple[str, ...]
    """Shell commands that do the same as root."""
    rollback_commands: tuple[str, ...] = msgspec.field(name="back")
    """Shell commands that restore the old values, in the reverse order."""
    left: tuple[str, ...] = ()
    """What the change does not do: settings that an undo leaves alone, a sentence each."""
