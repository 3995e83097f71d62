"""Settings whose effect no private namespace can show, why not, and what shows it instead."""

from __future__ import annotations

from typing import NamedTuple


class Elsewhere(NamedTuple):
    """Why a key has no proof of its own, and what to look at."""

    why: str
    """Ends the sentence that begins with the key."""
    shows: str
    """What `instead` shows."""
    instead: tuple[str, ...]
    """Verbs of sockmon."""


_HOST = "cannot be proved without changing the host: it is one for all"
_RECORDED = "a real host that was set to a low value, recorded"
_AS_IT_IS = "the wall at the value that this host has"


def _recording(name: str) -> Elsewhere:
    return Elsewhere(_HOST, _RECORDED, (f"lab run {name}",))


def _neighbours(family: str, shows: str) -> dict[str, Elsewhere]:
    found = Elsewhere(_HOST, shows, ("lab run neighbour-table",))
    return {f"net.{family}.neigh.default.gc_thresh{number}": found for number in (1, 2, 3)}


ELSEWHERE: dict[str, Elsewhere] = {
    "net.ipv4.tcp_mem": _recording("tcp-memory"),
    "net.ipv4.udp_mem": _recording("udp-memory"),
    "net.ipv4.tcp_max_orphans": _recording("tcp-orphans"),
    "net.core.netdev_max_backlog": _recording("softnet-backlog"),
    **_neighbours("ipv4", "a table that is full at gc_thresh3, recorded on a real host"),
    **_neighbours("ipv6", "the same of IPv4, recorded on a real host"),
    "net.netfilter.nf_conntrack_max": Elsewhere(_HOST, _AS_IT_IS, ("lab run conntrack-table",)),
    "net.netfilter.nf_conntrack_buckets": Elsewhere(
        f"{_HOST}, and changes how fast the table is, not what fits", "", ()
    ),
    "fs.file-max": _recording("system-fds"),
    "fs.nr_open": Elsewhere(
        _HOST, "the limit of a process, which lies below it", ("prove nofile", "lab run process-fds")
    ),
    "fs.epoll.max_user_watches": _recording("epoll-watches"),
    **{
        f"fs.inotify.max_user_{what}": Elsewhere(
            _HOST,
            "the same limit in a user namespace of its own",
            (f"prove user.max_inotify_{what}", f"lab run inotify-{what}"),
        )
        for what in ("instances", "watches")
    },
    "kernel.threads-max": _recording("threads-max"),
    "vm.max_map_count": Elsewhere(_HOST, _AS_IT_IS, ("lab run memory-maps",)),
}
