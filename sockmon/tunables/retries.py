"""How long TCP waits for a peer that does not answer: retries and keepalive; net.ipv4.tcp_*, for IPv6 as well."""

from sockmon.tunables.tunable import Tunable

_MAX_SECONDS = 2_147_483
"""More overflows on kernels with 1,000 ticks a second (proc_dointvec_jiffies)."""
_KEEPALIVE = ("net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes")
_KEEPALIVE_OFF = (
    "Keepalive is off unless the program turns it on (SO_KEEPALIVE): the sysctls are only the defaults of programs"
    " that do."
)
_FREES = (
    "A connection whose peer has disappeared keeps its descriptor, its memory and its entry in connection tracking"
    " until then."
)
_KEEPALIVE_RISK = "too short: a pause of the network ends idle connections that would have survived it"


def _keepalive(name: str, unit: str, default: int, description: str, minimum: int, maximum: int) -> Tunable:
    key = f"net.ipv4.tcp_keepalive_{name}"
    return Tunable(
        key=key,
        unit=unit,
        scope="netns",
        default=str(default),
        takes_effect="for open connections too: when their keepalive timer expires the next time",
        description=f"{description} {_FREES}",
        misconceptions=(_KEEPALIVE_OFF,),
        ceilings=("process-fds", "conntrack-table"),
        source="net/ipv4/tcp_timer.c (tcp_keepalive_timer), include/net/tcp.h",
        minimum=minimum,
        maximum=maximum,
        unaffected="sockets without SO_KEEPALIVE, and those whose program set its own value (TCP_KEEPIDLE,"
        " TCP_KEEPINTVL, TCP_KEEPCNT); connections with data in flight",
        risk=_KEEPALIVE_RISK,
        related=tuple(other for other in _KEEPALIVE if other != key),
    )


RETRIES = (
    _keepalive(
        "time",
        "seconds",
        7200,
        "How long a connection with keepalive is idle before the first probe: two hours by default.",
        1,
        _MAX_SECONDS,
    ),
    _keepalive(
        "intvl",
        "seconds",
        75,
        "The pause between keepalive probes that get no answer.",
        1,
        _MAX_SECONDS,
    ),
    _keepalive(
        "probes",
        "probes",
        9,
        "After how many keepalive probes without an answer the connection ends with ETIMEDOUT: by default 11"
        " minutes after the first.",
        1,
        127,
    ),
    Tunable(
        key="net.ipv4.tcp_syn_retries",
        unit="retries",
        scope="netns",
        default="6: connect() fails after 127 s, after 131 s since Linux 6.5",
        takes_effect="at once, also for a connect() that waits: at its next retransmission",
        description="How often connect() sends its SYN again to a host that does not answer, before it fails with"
        " ETIMEDOUT. Meanwhile each attempt holds a local port and a descriptor. Since Linux 6.5"
        " net.ipv4.tcp_syn_linear_timeouts adds further ones.",
        ceilings=("ephemeral-ports", "process-fds"),
        source="net/ipv4/tcp_timer.c (tcp_write_timeout)",
        maximum=127,
        unaffected="sockets with TCP_SYNCNT or TCP_USER_TIMEOUT; programs with a shorter timeout of their own; a"
        " host that refuses (ECONNREFUSED)",
        risk="too few: a loss of some seconds makes connect() fail",
    ),
    Tunable(
        key="net.ipv4.tcp_synack_retries",
        unit="retries",
        scope="netns",
        default="5: a handshake without an answer is kept for 63 s",
        takes_effect="at once, also for handshakes that wait: at their next retransmission",
        description="How often a server sends its SYN-ACK again to a client that does not finish the handshake."
        " Until then the handshake takes a place in the SYN queue.",
        misconceptions=(
            "Fewer retries are no remedy for a SYN flood: cookies (net.ipv4.tcp_syncookies) are, and the kernel"
            " gives up sooner by itself when half of the queue is taken.",
        ),
        ceilings=("syn-queue",),
        source="net/ipv4/inet_connection_sock.c (reqsk_timer_handler)",
        minimum=0,
        maximum=127,
        unaffected="handshakes that were answered with a cookie, which take no place; listeners with TCP_SYNCNT",
        risk="too few: clients behind a network with losses cannot connect",
        related=("net.ipv4.tcp_syncookies",),
    ),
    Tunable(
        key="net.ipv4.tcp_retries2",
        unit="retries",
        scope="netns",
        default="15: at least 924 s",
        takes_effect="at once, also for connections that wait: at their next retransmission",
        description="How long data is sent again to a peer that does not acknowledge it, before the connection"
        f" ends with ETIMEDOUT. It is a time, not a number: what so many retransmissions would take. {_FREES}",
        misconceptions=("It does not end idle connections: without data in flight nothing is retransmitted.",),
        ceilings=("process-fds", "tcp-memory"),
        source="net/ipv4/tcp_timer.c (retransmits_timed_out)",
        minimum=1,
        maximum=255,
        unaffected="sockets with TCP_USER_TIMEOUT; idle connections; connections that no process holds"
        " (net.ipv4.tcp_orphan_retries)",
        risk="below 8, about 100 s: connections end in outages of the network that they should survive (RFC 1122)",
    ),
)
