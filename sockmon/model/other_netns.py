"""The network namespaces of the host that are not sampled, and what people call them; parts of a Snapshot."""

from __future__ import annotations

import msgspec

OTHER_NETNS = "other namespaces"
"""The reader of the network namespaces that are not sampled."""
CONTAINER, POD, MACHINE, UNIT, NAMED, HOST = "container", "pod", "machine", "unit", "netns", "host"
"""What the name of a namespace is the name of. NAMED: ip-netns(8) has a name for it, or it is only mounted. HOST:
that of process 1."""


class NetnsName(msgspec.Struct, frozen=True, omit_defaults=True):
    """What people call a network namespace."""

    kind: str
    """CONTAINER, POD, MACHINE, UNIT, NAMED or HOST."""
    name: str
    """NAMESPACE/NAME of a pod; the first 12 digits of the id if a container's name is not known."""
    runtime: str = ""
    """docker, cri-containerd, cri-o, podman, nerdctl, containerd, runc, crun, lxc, lxd, incus or machined; empty:
    none, or unknown."""
    container: str = ""
    """The id of the container whose process is the oldest there; empty if it has none."""
    reason: str = ""
    """Why the name is not known; empty if it is."""


class NetnsMember(msgspec.Struct, frozen=True, omit_defaults=True):
    """A network namespace that is not sampled, by one of its processes."""

    pid: int
    """0: it has no visible process; a mount keeps it alive."""
    name: str
    """The kernel's comm of that process."""
    processes: int
    sockets: int | None
    """Sockets of every kind, and connections in TIME_WAIT; None: not counted."""
    inode: int = 0
    """That of /proc/PID/ns/net; 0: this user may not read it, or not noted in an older recording."""
    called: NetnsName | None = None
    """None: only its process is known."""
    argument: str = ""
    """What `--netns` takes for it; empty: its pid."""


class OtherNetns(msgspec.Struct, frozen=True):
    """The network namespaces of visible processes and of mounts that are not sampled."""

    at: float
    total: int
    processes: int
    busiest: tuple[NetnsMember, ...]
    """The first few, those with the most sockets first."""
    counted: int
    """Namespaces whose sockets were counted, at most."""
    unreadable: int = 0
    """Those whose /proc/PID/ns/net this user may not read: they cannot be sampled without more privilege."""
    unmatched: int = 0
    """Mounted ones that may be among the unreadable, or have no process; not in `total`."""
