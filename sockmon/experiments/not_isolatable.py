"""Settings whose effect no private namespace can show: the reason, and what shows the effect instead."""

from __future__ import annotations

from typing import NamedTuple


class NotIsolatable(NamedTuple):
    """Why a setting has no experiment, and what to run instead."""

    reason: str
    """Completes a sentence that begins with the key."""
    alternative: str
    """What `verbs` show."""
    verbs: tuple[str, ...]
    """Verbs of sockmon."""


_HOST_WIDE = "cannot be measured without changing the host, because it is host-wide"
_CGROUP = "cannot be measured in a namespace, because making a cgroup takes root or a delegated one"
_RECORDED = "a recording of a real host on which the setting was low"
_AT_CURRENT_VALUE = "the limit at this host's current value"


def _recording(name: str) -> NotIsolatable:
    return NotIsolatable(_HOST_WIDE, _RECORDED, (f"lab run {name}",))


def _neighbours(family: str, alternative: str) -> dict[str, NotIsolatable]:
    entry = NotIsolatable(_HOST_WIDE, alternative, ("lab run neighbour-table",))
    return {f"net.{family}.neigh.default.gc_thresh{number}": entry for number in (1, 2, 3)}


NOT_ISOLATABLE: dict[str, NotIsolatable] = {
    "net.core.rmem_default": NotIsolatable(
        _HOST_WIDE, "a receive buffer that is full, of a size that its program asks for", ("lab run udp-buffers",)
    ),
    "net.core.wmem_default": NotIsolatable(
        _HOST_WIDE, "the largest size that a program may ask for", ("prove net.core.wmem_max",)
    ),
    "net.ipv4.tcp_mem": _recording("tcp-memory"),
    "net.ipv4.udp_mem": _recording("udp-memory"),
    "net.ipv4.tcp_max_orphans": _recording("tcp-orphans"),
    "net.core.netdev_max_backlog": _recording("softnet-backlog"),
    **_neighbours("ipv4", "a table that is full at gc_thresh3, recorded on a real host"),
    **_neighbours("ipv6", "the same for IPv4, recorded on a real host"),
    "net.netfilter.nf_conntrack_max": NotIsolatable(_HOST_WIDE, _AT_CURRENT_VALUE, ("lab run conntrack-table",)),
    "net.netfilter.nf_conntrack_buckets": _recording("conntrack-buckets"),
    "fs.file-max": _recording("system-fds"),
    "fs.nr_open": NotIsolatable(
        _HOST_WIDE, "the limit of one process, which cannot be above it", ("prove nofile", "lab run process-fds")
    ),
    "fs.aio-max-nr": _recording("aio-events"),
    "fs.epoll.max_user_watches": _recording("epoll-watches"),
    **{
        f"fs.inotify.max_user_{what}": NotIsolatable(
            _HOST_WIDE,
            "the same limit in a private user namespace",
            (f"prove user.max_inotify_{what}", f"lab run inotify-{what}"),
        )
        for what in ("instances", "watches")
    },
    **{
        f"fs.fanotify.max_user_{what}": NotIsolatable(
            _HOST_WIDE,
            "the same limit in a private user namespace",
            (f"prove user.max_fanotify_{what}", f"lab run fanotify-{what}"),
        )
        for what in ("groups", "marks")
    },
    **{
        f"fs.{family}.max_queued_events": NotIsolatable(f"{_HOST_WIDE}, and no call fails at this limit", "", ())
        for family in ("fanotify", "inotify")
    },
    "kernel.threads-max": _recording("threads-max"),
    "pids.max": NotIsolatable(
        _CGROUP, "a cgroup at its limit, made if this user may make one", ("lab run cgroup-pids",)
    ),
    "memory.max": NotIsolatable(
        _CGROUP, "a cgroup at its limit, made if this user may make one", ("lab run cgroup-memory",)
    ),
    "memory.high": NotIsolatable(_CGROUP, "", ()),
    "vm.max_map_count": NotIsolatable(_HOST_WIDE, _AT_CURRENT_VALUE, ("lab run memory-maps",)),
}
