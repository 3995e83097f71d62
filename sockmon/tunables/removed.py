"""Sysctls that current kernels do not have: since when, and what to do instead."""

from sockmon.misconceptions import CONNTRACK_OLD_NAME, TW_RECYCLE
from sockmon.tunables.untuned import RemovedKey

_OLD_CONNTRACK = (
    *("count", "buckets", "checksum", "log_invalid", "generic_timeout", "icmp_timeout"),
    *("udp_timeout", "udp_timeout_stream", "tcp_loose", "tcp_be_liberal", "tcp_max_retrans"),
    *(
        f"tcp_timeout_{state}"
        for state in (
            *("syn_sent", "syn_recv", "established", "fin_wait", "close_wait", "last_ack", "time_wait", "close"),
            "max_retrans",
        )
    ),
    *(
        f"sctp_timeout_{state}"
        for state in (
            *("closed", "cookie_wait", "cookie_echoed", "established"),
            *("shutdown_sent", "shutdown_recd", "shutdown_ack_sent"),
        )
    ),
)
"""The keys that connection tracking had when it was for IPv4 only, besides ip_conntrack_max."""
_OWN_CONGESTION_CONTROL = "Congestion control is chosen with net.ipv4.tcp_congestion_control."


def _removed(key: str, description: str, version: str, instead: str, source: str) -> RemovedKey:
    return RemovedKey(
        key=key,
        description=description,
        removed=f"Linux {version} removed it",
        instead=instead,
        source=source,
    )


def _old_conntrack(name: str) -> RemovedKey:
    current = f"net.netfilter.nf_conntrack_{name}"
    return RemovedKey(
        key=f"net.ipv4.netfilter.ip_conntrack_{name}",
        description=f"The former name of {current}, when connection tracking was for IPv4 only.",
        removed="Linux 4.9 removed the last keys of this kind",
        instead=f"Use {current}.",
        replaced_by=current,
        source="commit adff6c656000 (netfilter: remove ip_conntrack* sysctl compat code)",
    )


REMOVED: tuple[RemovedKey, ...] = (
    RemovedKey(
        key="net.ipv4.tcp_tw_recycle",
        description="It ended TIME_WAIT early, based on the timestamps of the peer.",
        removed="Linux 4.12 removed it",
        instead="Reuse connections; if a client runs out of ports, set net.ipv4.tcp_tw_reuse = 1.",
        misconceptions=(TW_RECYCLE,),
        source="commit 4396e46187ca (tcp: remove tcp_tw_recycle)",
    ),
    RemovedKey(
        key="net.ipv4.ip_conntrack_max",
        other_names=("net.ipv4.netfilter.ip_conntrack_max",),
        description="The former name of net.netfilter.nf_conntrack_max, when connection tracking was for IPv4"
        " only.",
        removed="Linux 2.6.22 removed net.ipv4.ip_conntrack_max, and Linux 4.9 the name under net.ipv4.netfilter",
        instead="Use net.netfilter.nf_conntrack_max, in the initial network namespace.",
        misconceptions=(CONNTRACK_OLD_NAME,),
        replaced_by="net.netfilter.nf_conntrack_max",
        source="commits 587aa64163bb and adff6c656000 (netfilter: remove ip_conntrack* sysctl compat code)",
    ),
    *map(_old_conntrack, _OLD_CONNTRACK),
    RemovedKey(
        key="net.ipv4.tcp_max_tw_buckets_ub",
        other_names=("net.ipv4.tcp_max_tw_kmem_fraction",),
        description="It limited the sockets in TIME_WAIT of a container of OpenVZ.",
        removed="no kernel of kernel.org ever had it: it is a key of the kernels of OpenVZ",
        instead="net.ipv4.tcp_max_tw_buckets is the limit of each network namespace; raising it rarely helps.",
        source="OpenVZ kernels of 2.6",
    ),
    _removed(
        "net.netfilter.nf_conntrack_helper",
        "It let connection tracking choose a helper (FTP, SIP and others) by the port of a flow.",
        "6.0",
        "Assign helpers by rules: `ct helper set` of nftables, or the CT target of iptables. It limits no"
        " connections.",
        "commit b118509076b3 (netfilter: remove nf_conntrack_helper sysctl and modparam toggles)",
    ),
    RemovedKey(
        key="net.ipv4.route.secret_interval",
        description="How often the routing cache of IPv4 was emptied, in seconds.",
        removed="no kernel since Linux 3.6 has it, nor a routing cache of IPv4",
        instead="Nothing: there is no such cache to tune.",
        source="net/ipv4/route.c",
    ),
    _removed(
        "net.ipv4.rt_cache_rebuild_count",
        "How often the routing cache of IPv4 might be rebuilt before it was turned off.",
        "3.6",
        "Nothing: IPv4 has no routing cache since Linux 3.6.",
        "commit 89aef8921bfb (ipv4: Delete routing cache)",
    ),
    RemovedKey(
        key="net.ipv4.inet_peer_gc_mintime",
        other_names=("net.ipv4.inet_peer_gc_maxtime",),
        description="How often the kernel looked for old entries among the hosts that it remembers, in seconds.",
        removed="no kernel since Linux 3.1 has them",
        instead="Nothing: net.ipv4.inet_peer_threshold, inet_peer_minttl and inet_peer_maxttl are left, and none"
        " limits connections.",
        source="commit 4b9d9be839fd (inetpeer: remove unused list)",
    ),
    _removed(
        "net.ipv4.tcp_frto_response",
        "What the sender did after F-RTO had found a retransmission timeout to be spurious.",
        "3.10",
        "Nothing: net.ipv4.tcp_frto turns F-RTO on and off, and limits no connections.",
        "commit 9b44190dc114 (tcp: refactor F-RTO)",
    ),
    _removed(
        "net.ipv4.tcp_abc",
        "Whether the congestion window grew by bytes that were acknowledged (Appropriate Byte Counting).",
        "3.9",
        f"Nothing: it limited no connections. {_OWN_CONGESTION_CONTROL}",
        "commit ca2eb5679f8d (tcp: remove Appropriate Byte Count support)",
    ),
    _removed(
        "net.ipv4.tcp_cookie_size",
        "The size of the cookie of TCP Cookie Transactions, an extension that is not used.",
        "3.10",
        "Nothing. It had nothing to do with net.ipv4.tcp_syncookies.",
        "commit 1a2c6181c4a1 (tcp: Remove TCPCT)",
    ),
    _removed(
        "net.ipv4.tcp_max_ssthresh",
        "The congestion window above which slow start grew more slowly (RFC 3742).",
        "3.13",
        f"Nothing: it limited no connections. {_OWN_CONGESTION_CONTROL}",
        "commit 9f9843a751d0 (tcp: properly handle stretch acks in slow start)",
    ),
    _removed(
        "net.ipv4.tcp_dma_copybreak",
        "The number of bytes from which on a read was copied by a DMA engine.",
        "3.18",
        "Nothing: it limited no connections.",
        "commit 7bced397510a (net_dma: simple removal)",
    ),
    _removed(
        "net.ipv4.tcp_thin_dupack",
        "Whether a connection with little data retransmitted after the first duplicate acknowledgment.",
        "4.11",
        "Nothing: the kernel's newer loss detection (RACK, net.ipv4.tcp_recovery) does it.",
        "commit 4a7f6009441d (tcp: remove thin_dupack feature)",
    ),
    RemovedKey(
        key="net.ipv4.tcp_vegas_cong_avoid",
        other_names=(
            *("net.ipv4.tcp_westwood", "net.ipv4.tcp_bic", "net.ipv4.tcp_bic_fast_convergence"),
            "net.ipv4.tcp_bic_low_window",
        ),
        description="They turned algorithms of congestion control on and off: Vegas, Westwood and BIC.",
        removed="Linux 2.6.13 removed them",
        instead=f"{_OWN_CONGESTION_CONTROL} It limits no connections.",
        source="tcp(7)",
    ),
    RemovedKey(
        key="fs.epoll.max_user_instances",
        description="The number of epoll descriptors of one user; only Linux 2.6.28 had it.",
        removed="Linux 2.6.29 removed it",
        instead="fs.epoll.max_user_watches limits the descriptors in all epoll sets of a user.",
        source="commit 9df04e1f25ef (epoll: drop max_user_instances and rely only on max_user_watches)",
    ),
    RemovedKey(
        key="fs.inode-max",
        description="The number of inodes in memory.",
        removed="Linux 2.4 removed it",
        instead="Nothing: inodes are limited by memory. Open files are limited by fs.file-max.",
        source="proc(5)",
    ),
    RemovedKey(
        key="kernel.rtsig-max",
        other_names=("kernel.rtsig-nr",),
        description="The number of queued real-time signals of the host.",
        removed="Linux 2.6.8 removed it",
        instead="RLIMIT_SIGPENDING (`ulimit -i`) limits the pending signals of each user.",
        source="proc(5), getrlimit(2)",
    ),
)
