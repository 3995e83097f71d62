"""Sysctls by their dotted key, as the kernel prints them: /proc/sys, Documentation/admin-guide/sysctl/.

A key under net belongs to the namespace whose door it is read through; the others are the host's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sockmon.errors import Absent, Unreadable
from sockmon.model.clean import clean
from sockmon.model.snapshot import Missing

if TYPE_CHECKING:
    from sockmon.kernel.netns import Door

NETNS_KEYS = (
    "net.core.somaxconn",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_abort_on_overflow",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_max_tw_buckets",
    "net.ipv4.tcp_orphan_retries",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_timestamps",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_tw_reuse_delay",
    "net.netfilter.nf_conntrack_buckets",
    "net.netfilter.nf_conntrack_count",
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_tcp_timeout_established",
    "net.netfilter.nf_conntrack_tcp_timeout_time_wait",
    "net.unix.max_dgram_qlen",
)
"""Read in every namespace; nf_conntrack_max and _buckets show the host's value in all of them."""

HOST_KEYS = (
    "fs.epoll.max_user_watches",
    "fs.file-max",
    "fs.file-nr",
    "fs.inotify.max_user_instances",
    "fs.inotify.max_user_watches",
    "fs.nr_open",
    "kernel.pid_max",
    "kernel.threads-max",
    "net.core.netdev_max_backlog",
    "net.ipv4.neigh.default.gc_thresh1",
    "net.ipv4.neigh.default.gc_thresh2",
    "net.ipv4.neigh.default.gc_thresh3",
    "net.ipv4.tcp_max_orphans",
    "net.ipv4.tcp_mem",
    "net.ipv4.udp_mem",
    "net.ipv6.neigh.default.gc_thresh1",
    "net.ipv6.neigh.default.gc_thresh2",
    "net.ipv6.neigh.default.gc_thresh3",
    "user.max_inotify_instances",
    "user.max_inotify_watches",
    "vm.max_map_count",
)
"""One value for the host; those under net exist in the initial network namespace alone, and those under user are
of our user namespace (kernel/ucount.c): in the initial one the same numbers as fs.inotify has."""

_SHORT = 4096
_LONG = 512 * 1024
_LONGEST_TEXT = _LONG


def path(key: str) -> str:
    """The file of `key`, below /proc: `sys/net/core/somaxconn`."""
    return "sys/" + key.replace(".", "/")


def read(door: Door, key: str) -> str:
    """The value of `key`, without its line feed, tabs as single spaces; Absent or Unreadable when it has none."""
    raw = door.read(path(key), _SHORT)
    if len(raw) >= _SHORT:
        # A bitmap (ip_local_reserved_ports) yields what fits the first read, and nothing to a second one.
        raw = door.read(path(key), _LONG)
    return clean(b" ".join(raw.split()), _LONGEST_TEXT)


def read_all(door: Door, keys: Iterable[str] = NETNS_KEYS, missing: list[Missing] | None = None) -> dict[str, str]:
    """Values by key; a key that the kernel does not have here is absent, what is refused goes to `missing`."""
    values = {}
    for key in keys:
        try:
            values[key] = read(door, key)
        except Absent:
            continue
        except Unreadable as error:
            if missing is not None:
                missing.append(Missing(error.reader, error.message))
    return values
