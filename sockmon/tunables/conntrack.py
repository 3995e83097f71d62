"""Connection tracking: net.netfilter.nf_conntrack_*; these keys exist when the module is loaded."""

from sockmon.tunables.cost import per_item
from sockmon.tunables.tunable import Tunable

_MAX_SECONDS = 2_147_483
"""More overflows on kernels with 1,000 ticks a second (proc_dointvec_jiffies)."""


def _timeout(name: str, default: int, description: str) -> Tunable:
    return Tunable(
        key=f"net.netfilter.nf_conntrack_{name}",
        unit="seconds",
        scope="netns",
        default=f"{default}",
        takes_effect="for an entry when its next packet arrives, so not for entries that are silent already",
        description=description,
        ceilings=("conntrack-table",),
        source="Documentation/networking/nf_conntrack-sysctl.rst",
        maximum=_MAX_SECONDS,
        unaffected="entries whose last packet has arrived already",
        risk="too short: a flow that pauses loses its entry, and its address translation with it",
    )


CONNTRACK = (
    Tunable(
        key="net.netfilter.nf_conntrack_max",
        aliases_and_twins=("net.nf_conntrack_max",),
        unit="entries",
        scope="initial netns",
        default="depends on memory: 262,144 above 4 GB",
        takes_effect="at once",
        description="The number of flows that connection tracking holds. It is one number for the host, and each"
        " network namespace compares it with its own count. Raise net.netfilter.nf_conntrack_buckets with it.",
        misconceptions=(
            "A full table in one namespace does not fill the others: each may hold as many entries.",
            "A line in sysctl.d is not always enough: it is ignored if it is read before the module is loaded,"
            " because the key does not exist yet.",
        ),
        ceilings=("conntrack-table",),
        source="net/netfilter/nf_conntrack_core.c (__nf_conntrack_alloc)",
        minimum=256,
        maximum=1 << 28,
        aliases=("net.nf_conntrack_max",),
        unaffected="entries that exist",
        risk="it takes memory, and with far fewer buckets than entries every packet becomes slower",
        cost=per_item(256),
        related=("net.netfilter.nf_conntrack_buckets",),
    ),
    Tunable(
        key="net.netfilter.nf_conntrack_buckets",
        unit="buckets",
        scope="initial netns",
        default="depends on memory: 262,144 above 4 GB",
        takes_effect="at once; the table is rebuilt",
        description="The size of the hash table of connection tracking, which all network namespaces share. Far"
        " fewer buckets than entries make every packet slower, and newer kernels refuse new ones of a bucket with"
        " 50 to 80.",
        ceilings=("conntrack-buckets", "conntrack-table"),
        source="net/netfilter/nf_conntrack_core.c",
        minimum=1024,
        maximum=1 << 26,
        step=512,
        unaffected="entries that exist, and the maximum number of entries",
        risk="the table is locked while it is rebuilt",
        cost=per_item(8),
        related=("net.netfilter.nf_conntrack_max",),
    ),
    Tunable(
        key="net.netfilter.nf_conntrack_count",
        unit="entries",
        scope="netns",
        default="none: it is a count",
        takes_effect="it cannot be set",
        description="The number of flows that connection tracking holds in this namespace. It stays 0 until a"
        " rule needs tracking.",
        writable=False,
        ceilings=("conntrack-table",),
        source="net/netfilter/nf_conntrack_standalone.c",
    ),
    _timeout(
        "tcp_timeout_established",
        432_000,
        "How long an open connection without packets stays in the table: five days by default. Entries of clients"
        " that disappeared fill it; a day or an hour is enough if keepalives or requests come more often.",
    ),
    _timeout(
        "tcp_timeout_time_wait",
        120,
        "How long a closed connection stays in the table. With the default, 1,000 short connections a second keep"
        " 120,000 entries.",
    ),
    _timeout(
        "tcp_timeout_close_wait", 60, "How long a connection that only one side has closed stays in the table."
    ),
    _timeout(
        "tcp_timeout_fin_wait", 120, "How long a connection whose FIN is not acknowledged yet stays in the table."
    ),
    _timeout(
        "tcp_timeout_syn_sent",
        120,
        "How long a connection whose SYN got no answer stays in the table. Scans and hosts that are down fill it.",
    ),
    _timeout(
        "tcp_timeout_syn_recv",
        60,
        "How long a connection whose SYN-ACK got no answer stays in the table. A SYN flood fills it.",
    ),
    _timeout(
        "tcp_timeout_last_ack",
        30,
        "How long a connection that both sides have closed stays in the table while the last FIN is not"
        " acknowledged.",
    ),
    _timeout("tcp_timeout_close", 10, "How long a connection that ended with a RST stays in the table."),
    _timeout(
        "tcp_timeout_max_retrans",
        300,
        "How long a connection stays in the table after as many retransmissions without an answer as"
        " net.netfilter.nf_conntrack_tcp_max_retrans, or with a window of 0; a shorter timeout of its state"
        " counts.",
    ),
    _timeout(
        "tcp_timeout_unacknowledged",
        300,
        "How long a connection stays in the table while data of it is not acknowledged; a shorter timeout of its"
        " state counts.",
    ),
    _timeout(
        "udp_timeout", 30, "How long a UDP flow stays in the table while it has no reply, and in its first 2 s."
    ),
    _timeout(
        "udp_timeout_stream",
        120,
        "How long a UDP flow with packets in both directions stays in the table, after 2 s.",
    ),
    _timeout("icmp_timeout", 30, "How long an ICMP request, such as a ping, stays in the table."),
    _timeout("icmpv6_timeout", 30, "How long an ICMPv6 request, such as a ping, stays in the table."),
    _timeout(
        "generic_timeout",
        600,
        "How long a flow of a protocol without a timeout of its own stays in the table.",
    ),
)
