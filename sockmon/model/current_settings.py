"""The current sysctls and limits of one network namespace: the helper reads them, plans start from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sockmon.model.boot import BootForecast
from sockmon.model.cgroup_limit import CgroupLimit
from sockmon.model.limit_origin import ConfiguredLimits
from sockmon.model.plan import NetnsTarget


@dataclass(frozen=True, kw_only=True)
class CurrentSettings:
    """The values of some keys, and what else was read with them."""

    values: Mapping[str, str]
    """By key, numbers separated by single spaces; of `nofile@1044` SOFT:HARD."""
    netns_inode: int
    boot_id: str
    refused: Mapping[str, str] = field(default_factory=dict)
    """By key, why it cannot be changed here."""
    start_times: Mapping[str, int] = field(default_factory=dict)
    """By `nofile@1044`, when its process started, in clock ticks since boot; of a cgroup its inode."""
    forecasts: Mapping[str, BootForecast] = field(default_factory=dict)
    """By key, what its value will be after a reboot."""
    configured_limits: ConfiguredLimits | None = None
    """The descriptors that the configuration asks for, if fs.nr_open is one of the keys; None if not read."""
    cgroups: Mapping[str, CgroupLimit] = field(default_factory=dict)
    """By `pids.max@/web.slice`, where the limit is and what else applies."""
    netns_spec: str = ""
    """What `ip netns exec` or `nsenter` takes for the namespace: a name, a pid or a path; empty for our own."""
    target: NetnsTarget | None = None
    """The namespace, if it is not that of sockmon."""
    own_netns: int = 0
    """Inode of the network namespace of sockmon, in which the sysctls of the host are changed; 0 if unknown."""
    memory: int | None = None
    """Bytes of memory of the machine."""
