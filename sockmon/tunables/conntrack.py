"""Connection tracking: net.netfilter.nf_conntrack_*; they exist once the module is loaded."""

from sockmon.tunables.cost import each
from sockmon.tunables.tunable import Tunable


def _timeout(name: str, default: int, words: str) -> Tunable:
    return Tunable(
        key=f"net.netfilter.nf_conntrack_{name}",
        unit="seconds",
        scope="netns",
        default=f"{default}",
        effect="for an entry when its next packet comes, so not for those that are silent already",
        words=words,
        ceilings=("conntrack-table",),
        source="Documentation/networking/nf_conntrack-sysctl.rst",
        most=30 * 86_400,
        keeps="entries whose last packet has come already",
        risk="too short: a flow that pauses loses its entry, and with it its address translation",
    )


CONNTRACK = (
    Tunable(
        key="net.netfilter.nf_conntrack_max",
        also=("net.nf_conntrack_max",),
        unit="entries",
        scope="initial netns",
        default="depends on memory: 262,144 above 4 GB",
        effect="at once",
        words="How many flows connection tracking holds. It is one number for the host, and each network namespace"
        " compares it with its own count. Raise net.netfilter.nf_conntrack_buckets with it.",
        myths=(
            "A full table in one namespace does not fill the others: each may hold as many.",
            "A line in sysctl.d is lost where it is read before the module is loaded: the key does not exist"
            " then.",
        ),
        ceilings=("conntrack-table",),
        source="net/netfilter/nf_conntrack_core.c (__nf_conntrack_alloc)",
        least=256,
        most=1 << 28,
        aliases=("net.nf_conntrack_max",),
        keeps="entries that exist",
        risk="it takes memory, and with far fewer buckets than entries every packet becomes slower",
        cost=each(256),
        couplings=("net.netfilter.nf_conntrack_buckets",),
    ),
    Tunable(
        key="net.netfilter.nf_conntrack_buckets",
        unit="buckets",
        scope="initial netns",
        default="depends on memory: 262,144 above 4 GB",
        effect="at once; the table is built anew",
        words="The size of the hash table of connection tracking. Far fewer buckets than entries make every packet"
        " slower; they do not limit how many entries fit.",
        ceilings=("conntrack-table",),
        source="net/netfilter/nf_conntrack_core.c",
        least=1024,
        most=1 << 26,
        step=512,
        keeps="entries that exist, and how many there may be",
        risk="the table is locked while it is built anew",
        cost=each(8),
        couplings=("net.netfilter.nf_conntrack_max",),
    ),
    Tunable(
        key="net.netfilter.nf_conntrack_count",
        unit="entries",
        scope="netns",
        default="none: it is a count",
        effect="it cannot be set",
        words="How many flows connection tracking holds in this namespace. It stays 0 until a rule needs"
        " tracking.",
        writable=False,
        ceilings=("conntrack-table",),
        source="net/netfilter/nf_conntrack_standalone.c",
    ),
    Tunable(
        key="net.ipv4.ip_conntrack_max",
        also=("net.ipv4.netfilter.ip_conntrack_max",),
        unit="entries",
        scope="initial netns",
        default="none: the file does not exist",
        effect="none: the file is gone",
        words="The name that nf_conntrack_max had when connection tracking knew IPv4 only.",
        myths=(
            "Advice that names it is from the time of Linux 2.4 and 2.6; today the key is"
            " net.netfilter.nf_conntrack_max, in the initial network namespace.",
        ),
        ceilings=("conntrack-table",),
        until="today's Linux has no such file",
        source="net/netfilter/nf_conntrack_standalone.c",
    ),
    _timeout(
        "tcp_timeout_established",
        432_000,
        "How long an open connection without a packet stays in the table: five days by default. Entries of clients"
        " that vanished fill it; a day or an hour is enough where keepalives or requests come more often.",
    ),
    _timeout(
        "tcp_timeout_time_wait",
        120,
        "How long a closed connection stays in the table. With the default 1,000 short connections a second keep"
        " 120,000 entries.",
    ),
    _timeout(
        "tcp_timeout_close_wait", 60, "How long a connection that only one side has closed stays in the table."
    ),
    _timeout("tcp_timeout_fin_wait", 120, "How long a connection whose FIN has no answer yet stays there."),
    _timeout("udp_timeout", 30, "How long a UDP flow without an answer stays there, and any at first."),
    _timeout("udp_timeout_stream", 120, "How long a UDP flow that goes both ways stays there, after 2 s."),
)
