"""Sysctls by their dotted key, as the kernel prints them: /proc/sys, Documentation/admin-guide/sysctl/.

A key under net belongs to the namespace of the handle through which it is read; the others are the host's.
"""

from __future__ import annotations

from collections.abc import Iterable

from sockmon.errors import NotPresent, ReadError
from sockmon.kernel.missing import note_missing
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.model.snapshot import Missing
from sockmon.text import sanitize

NETNS_KEYS = (
    "net.core.rmem_default",
    "net.core.rmem_max",
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
"""Read in every namespace; nf_conntrack_max and _buckets show the host's value in each of them."""

HOST_KEYS = (
    "fs.aio-max-nr",
    "fs.aio-nr",
    "fs.epoll.max_user_watches",
    "fs.fanotify.max_user_groups",
    "fs.fanotify.max_user_marks",
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
    "user.max_fanotify_groups",
    "user.max_fanotify_marks",
    "user.max_inotify_instances",
    "user.max_inotify_watches",
    "vm.max_map_count",
)
"""One value for the host; those under net exist in the initial network namespace only, and those under user belong
to our user namespace (kernel/ucount.c), where the initial one has the same numbers as fs.inotify and
fs.fanotify."""

_TO_PATH = str.maketrans("./", "/.")
_FIRST_READ_BYTES = 4096
_MAX_VALUE_BYTES = 512 * 1024


def path(key: str) -> str:
    """Return the file of `key`, relative to /proc: `sys/net/core/somaxconn`.

    As in sysctl(8), a slash in a key is a dot in the name of an interface."""
    return "sys/" + key.translate(_TO_PATH)


def read(handle: NetnsHandle, key: str) -> str:
    """Return the value of `key`, one line, tabs as single spaces; raise NotPresent or ReadError."""
    raw = handle.read(path(key), _FIRST_READ_BYTES)
    if len(raw) >= _FIRST_READ_BYTES:
        # A bitmap (ip_local_reserved_ports) returns what fits into the first read, and nothing to a second one.
        raw = handle.read(path(key), _MAX_VALUE_BYTES)
    return sanitize(b" ".join(raw.split()), _MAX_VALUE_BYTES)


def read_all(
    handle: NetnsHandle, keys: Iterable[str] = NETNS_KEYS, missing: list[Missing] | None = None
) -> dict[str, str]:
    """Return the values by key; a key that this kernel does not have is absent, one that cannot be read goes to
    `missing`."""
    values: dict[str, str] = {}
    refused = 0
    for key in keys:
        try:
            values[key] = read(handle, key)
        except NotPresent:
            continue
        except ReadError as error:
            refused += 1
            note_missing(missing, error)
    if missing is not None and not values and not refused:
        missing.append(
            Missing("sysctls", "no sysctl can be read: /proc is mounted with subset=pid, or /proc/sys is hidden")
        )
    return values
