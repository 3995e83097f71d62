"""What the kernel accepts for each key, which paths show one number, and which depend on each other.

The bounds are those of Linux 6.18; tests compare them with the running kernel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Handler = Literal["int", "u8", "ulong", "seconds", "ports"]
"""How the kernel stores it: proc_dointvec, proc_dou8vec_minmax, proc_doulongvec_minmax, proc_dointvec_jiffies,
proc_do_large_bitmap."""

INT_MAX, LONG_MAX = 2**31 - 1, 2**63 - 1
PORT_RANGE, PORT_START = "net/ipv4/ip_local_port_range", "net/ipv4/ip_unprivileged_port_start"
PID_MAX = "kernel/pid_max"
STARTS_WITH = {PORT_RANGE: "32768 60999", PORT_START: "1024"}
"""What the kernel begins with, for keys on which the fate of another write depends."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What the kernel accepts for one key."""

    handler: Handler = "int"
    minimum: int = -(2**31)
    maximum: int = INT_MAX
    count: int = 1
    all_or_nothing: bool = False
    """Whether numbers before a bad one are not kept either."""


_INT, _SECONDS = Rule(), Rule(handler="seconds")
_NOT_NEGATIVE = Rule(minimum=0)
_U8 = Rule(handler="u8", minimum=0, maximum=255)
_ULONG = Rule(handler="ulong", minimum=0, maximum=2**64 - 1)
_UCOUNT = Rule(handler="ulong", minimum=0, maximum=INT_MAX)
_MEM = Rule(handler="ulong", minimum=0, maximum=2**64 - 1, count=3)

RULES = {
    PORT_RANGE: Rule(minimum=1, maximum=65535, count=2, all_or_nothing=True),
    PORT_START: Rule(minimum=0, maximum=65535),
    "net/ipv4/ip_local_reserved_ports": Rule(handler="ports", minimum=0, maximum=65535),
    "net/ipv4/ip_autobind_reuse": Rule(handler="u8", minimum=0, maximum=1),
    "net/ipv4/tcp_fin_timeout": _SECONDS,
    "net/ipv4/tcp_tw_reuse": Rule(handler="u8", minimum=0, maximum=2),
    "net/ipv4/tcp_tw_reuse_delay": Rule(minimum=1, maximum=60000),
    "net/ipv4/tcp_max_tw_buckets": _INT,
    "net/ipv4/tcp_timestamps": _U8,
    "net/ipv4/tcp_max_syn_backlog": _INT,
    "net/ipv4/tcp_syncookies": _U8,
    "net/ipv4/tcp_abort_on_overflow": _U8,
    "net/ipv4/tcp_orphan_retries": _U8,
    "net/ipv4/tcp_max_orphans": _INT,
    "net/ipv4/tcp_keepalive_time": _SECONDS,
    "net/ipv4/tcp_keepalive_intvl": _SECONDS,
    "net/ipv4/tcp_keepalive_probes": _U8,
    "net/ipv4/tcp_syn_retries": Rule(handler="u8", minimum=1, maximum=127),
    "net/ipv4/tcp_synack_retries": _U8,
    "net/ipv4/tcp_retries2": _U8,
    "net/ipv4/tcp_notsent_lowat": Rule(handler="ulong", minimum=0, maximum=2**32 - 1),
    "net/ipv4/tcp_rmem": Rule(minimum=1, count=3),
    "net/ipv4/tcp_wmem": Rule(minimum=1, count=3),
    "net/ipv4/tcp_mem": _MEM,
    "net/ipv4/udp_mem": _MEM,
    "net/core/somaxconn": _NOT_NEGATIVE,
    "net/core/netdev_max_backlog": _INT,
    "net/core/rmem_default": Rule(minimum=2304),
    "net/core/rmem_max": Rule(minimum=2304),
    "net/core/wmem_default": Rule(minimum=4608),
    "net/core/wmem_max": Rule(minimum=4608),
    "net/unix/max_dgram_qlen": _INT,
    **{f"net/ipv{v}/neigh/default/gc_thresh{n}": _NOT_NEGATIVE for v in (4, 6) for n in (1, 2, 3)},
    "net/netfilter/nf_conntrack_max": _NOT_NEGATIVE,
    "net/netfilter/nf_conntrack_buckets": Rule(minimum=1),
    "fs/file-max": Rule(handler="ulong", minimum=0, maximum=LONG_MAX),
    "fs/nr_open": Rule(minimum=64, maximum=INT_MAX & -64),
    "fs/aio-max-nr": _ULONG,
    "fs/epoll/max_user_watches": Rule(handler="ulong", minimum=0, maximum=LONG_MAX),
    **{f"fs/inotify/max_user_{each}": _UCOUNT for each in ("instances", "watches")},
    **{f"fs/fanotify/max_user_{each}": _UCOUNT for each in ("groups", "marks")},
    **{f"fs/{family}/max_queued_events": _NOT_NEGATIVE for family in ("inotify", "fanotify")},
    PID_MAX: Rule(minimum=301, maximum=1 << 22),
    "kernel/threads-max": Rule(minimum=1, maximum=0x3FFFFFFF),
    "vm/max_map_count": _NOT_NEGATIVE,
}
_CONNTRACK_TIMEOUT = re.compile(r"net/netfilter/nf_conntrack_[a-z0-9_]*timeout[a-z0-9_]*")

SAME_NUMBER = {
    "net/nf_conntrack_max": "net/netfilter/nf_conntrack_max",
    "user/max_inotify_instances": "fs/inotify/max_user_instances",
    "user/max_inotify_watches": "fs/inotify/max_user_watches",
    "user/max_fanotify_groups": "fs/fanotify/max_user_groups",
    "user/max_fanotify_marks": "fs/fanotify/max_user_marks",
    "net/ipv4/ip_forward": "net/ipv4/conf/all/forwarding",
}
"""Paths that show a number of another name, in the initial namespaces, which are those that boot sets up:
nf_conntrack_standalone.c, inotify_user.c and fanotify_user.c (init_user_ns.ucount_max), devinet.c."""


def rule_of(path: str) -> Rule | None:
    """Return what the kernel accepts for `path`, one of `same_number`'s first; None if sockmon has no rule."""
    return _SECONDS if _CONNTRACK_TIMEOUT.fullmatch(path) else RULES.get(path)


def same_number(path: str) -> tuple[str, ...]:
    """Return every path of the number that `path` shows, first the one that stands for all."""
    first = SAME_NUMBER.get(path, path)
    return (first, *(other for other, target in SAME_NUMBER.items() if target == first))


def depends_on(path: str) -> str:
    """Return the path whose value decides whether a write to `path` is accepted; empty if none does."""
    return {PORT_RANGE: PORT_START, PORT_START: PORT_RANGE}.get(path, "")
