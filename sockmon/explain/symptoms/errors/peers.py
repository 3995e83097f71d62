"""What the peer, or a host on the way, did: reset, refused, timed out, not reachable.

Source: tcp.c, tcp_input.c, tcp_ipv4.c, tcp_timer.c, tcp_minisocks.c, route.c, fib_semantics.c and icmp.c of
net/ipv4, net/unix/af_unix.c (Linux 6.12)."""

from sockmon.explain.symptoms.symptom import Cause, Symptom

_CONNECT = (r"^(?!.*(?:\bunix\b|\.sock\b|\.s\.PGSQL)).*\b(?:dial|connect(?:ing|ion to)?)\b",)
"""connect() to a port, not to the path of a unix socket."""

_ECONNRESET = Symptom(
    name="ECONNRESET",
    kind="errno",
    related=("EstabResets", "OutRsts", "TCPAbortOnMemory", "ListenOverflows"),
    other_names=("connection reset by peer", "socket hang up", "connection reset"),
    description="Error 104, `Connection reset by peer`: an RST arrived. Capture on both sides to know which host"
    " sent it: `tcpdump 'tcp[tcpflags] & tcp-rst != 0'`.",
    causes=(
        Cause(
            None,
            "the peer closed while data was unread in its receive buffer: it gave up, reached a limit of its own,"
            " or its process ended. Its TcpExt.TCPAbortOnClose, or TCPAbortOnData with SO_LINGER 0, moves",
            "peer closed with unread data",
        ),
        Cause(
            None,
            "the peer closed an idle connection at the moment at which it was used again: the idle time of the"
            " client has to be shorter than the keep-alive time of the server",
            "idle connection",
            (r"upstream", r"socket hang up", r"keep-?alive"),
        ),
        Cause(
            None,
            "a NAT gateway, load balancer or conntrack table on the way forgot the idle connection (350 s at AWS,"
            " 4 minutes at Azure): TCP keepalive more often than that helps",
            "idle time on the way",
        ),
        Cause(
            "accept-queue",
            "the server closed its listener, or ended, while connections waited in the accept queue; or"
            " net.ipv4.tcp_abort_on_overflow is 1 there and the queue was full",
        ),
        Cause(
            "accept-queue",
            "the client was connected, but the server had not kept the connection: its accept queue was full at"
            " the last ACK, and it had given up by the time data came. ListenOverflows moves there",
        ),
        Cause(
            "conntrack-table",
            "packets that the table calls invalid pass without translation, and the receiver resets them: invalid"
            " in /proc/net/stat/nf_conntrack moves; drop invalid packets, or set"
            " net.netfilter.nf_conntrack_tcp_be_liberal = 1",
        ),
        Cause(
            "tcp-orphans",
            "the peer had closed, and its host had too many orphans or no TCP memory: TCPAbortOnMemory moves"
            " there",
        ),
        Cause(
            None,
            "a unix stream socket: the peer closed it while data was unread",
            "peer of a unix socket",
            (r"\bunix\b", r"\.sock\b", r"\.s\.PGSQL"),
        ),
    ),
)
_ECONNREFUSED = Symptom(
    name="ECONNREFUSED",
    kind="errno",
    other_names=("connection refused", "connect error: 111"),
    description="Error 111, `Connection refused`: the other host answered, and nothing accepts there. A full"
    " accept queue never shows as this error over TCP: its SYNs are dropped.",
    causes=(
        Cause(
            None,
            "no socket listens on that port: the service has ended, is not ready yet, or listens on another port"
            " (ss -ltnp on that host)",
            "nothing listens on the port",
            _CONNECT,
            key="not-listening",
        ),
        Cause(
            None,
            "connect() to a unix socket: its file exists, but the process that listened has ended, or has not"
            " called listen() yet (`ss -xl` does not list it)",
            "unix socket without a listener",
            (r"\bunix\b", r"\.sock\b", r"\.s\.PGSQL"),
            key="no-process",
        ),
        Cause(
            None,
            "it listens on another address only, such as 127.0.0.1, or in another network namespace: localhost"
            " of a container is not localhost of the host",
            "listens on another address",
            _CONNECT,
            key="other-address",
        ),
        Cause(
            None,
            "a firewall rejects with a reset or with ICMP port unreachable; a Kubernetes service without ready"
            " endpoints does so too",
            "firewall that rejects",
            _CONNECT,
        ),
        Cause(
            None,
            "UDP: an earlier datagram of this connected socket got ICMP port unreachable; the error belongs to"
            " that one, not to the call that returns it",
            "earlier UDP datagram",
            (r"\bread udp\b", r"\bwrite udp\b", r"\brecv\w*\b", r"\bsend\w*\b"),
        ),
    ),
)
_ETIMEDOUT = Symptom(
    name="ETIMEDOUT",
    kind="errno",
    related=("ListenOverflows", "conntrack.drop", "conntrack.insert_failed", "TCPTimeouts"),
    other_names=(
        *("connection timed out", "upstream timed out", "operation timed out", "i/o timeout", "connect timed out"),
        *("read timed out", "context deadline exceeded", "timeout expired"),
    ),
    description="Error 110, `Connection timed out`: the SYN was not answered for about two minutes"
    " (net.ipv4.tcp_syn_retries), or data of an open connection was not acknowledged. Many programs stop waiting"
    " earlier, and write the same words.",
    causes=(
        Cause(
            "accept-queue",
            "connect(): the queue of the server is full, and it drops SYNs: ListenOverflows moves there",
            marks=_CONNECT,
        ),
        Cause(
            "conntrack-table",
            "a connection tracking table on the way is full: drop moves there",
            marks=_CONNECT,
        ),
        Cause(
            "snat-ports",
            "a host on the way that translates addresses has no free port: insert_failed moves",
            marks=_CONNECT,
            key="snat",
        ),
        Cause(
            "neighbour-table",
            "the neighbour table is full: table_fulls in /proc/net/stat/arp_cache moves",
            marks=_CONNECT,
        ),
        Cause(
            None,
            "connect(), and none of these: the peer is down, or a firewall drops packets",
            "host down or firewall",
            _CONNECT,
        ),
        Cause(
            None,
            "an open connection: data was not acknowledged for net.ipv4.tcp_retries2 attempts (about 15 minutes),"
            " keepalive probes failed, or TCP_USER_TIMEOUT passed; ss -tno shows the timer",
            "peer gone during the connection",
            (r"\bread tcp\b", r"\brecv\w*\b", r"\bwrite tcp\b", r"keep-?alive"),
        ),
        Cause(
            None,
            "the connection is open, and the application does not answer: the time limit is the program's own",
            "slow application",
            (r"while reading response", r"reading response header", r"read timed out", r"awaiting headers"),
        ),
        Cause(
            None,
            "DNS over UDP through address translation, about 5 s: two queries that leave one socket at once race"
            " in connection tracking, and kernels before about 5.7 lose one; see conntrack.insert_failed",
            "race of two DNS queries",
            (r":53\b.*", r"\blookup\b", r"\bDNS\b", r"resolv"),
        ),
    ),
)
_EPIPE = Symptom(
    name="EPIPE",
    kind="errno",
    other_names=("broken pipe",),
    description="Error 32, `Broken pipe`: the connection was closed before this write. The reason is in what came"
    " earlier: the first write after the peer closed succeeds, the RST that answers it makes the next one fail.",
    causes=(
        Cause(
            None,
            "the peer closed: a client that gave up, a proxy whose time limit passed, a server that ended",
            "peer closed first",
        ),
        Cause(
            None,
            "this program called shutdown(SHUT_WR) earlier, or send() before connect() succeeded",
            "closed on this side",
        ),
        Cause(
            None,
            "a pipe or a unix socket whose reader has ended, such as a log collector that restarted",
            "reader ended",
            (r"\bunix\b", r"\.sock\b", r"/dev/log", r"stdout"),
        ),
    ),
)
_EHOSTUNREACH = Symptom(
    name="EHOSTUNREACH",
    kind="errno",
    other_names=("no route to host", "host is unreachable"),
    description="Error 113, `No route to host`: despite the words there is a route; the host behind it was not"
    " reached.",
    causes=(
        Cause(
            None,
            "no host answered ARP or neighbour discovery for about 3 s: it is down, or its address is wrong (`ip"
            " neigh` shows FAILED)",
            "no neighbour answers",
        ),
        Cause(
            None,
            "a firewall rejects with ICMP host or admin prohibited: the default of firewalld. ping still works",
            "firewall that rejects",
        ),
        Cause(
            None,
            "a router on the way sent ICMP host unreachable, or the route is of type unreachable (`ip route get`)",
            "router on the way",
        ),
        Cause(
            "neighbour-table",
            "only if table_fulls moves: new neighbours cannot be looked up; the first error is ENOBUFS",
        ),
    ),
)
_ENETUNREACH = Symptom(
    name="ENETUNREACH",
    kind="errno",
    other_names=("network is unreachable", "network unreachable"),
    description="Error 101, `Network is unreachable`: this host has no route to that address.",
    causes=(
        Cause(
            None, "`ip route get ADDRESS` fails: the default route is missing, or an interface is down", "no route"
        ),
        Cause(
            None,
            "the address is 127.0.0.1, and the loopback interface of this network namespace is down: a new"
            " namespace begins so (`ip link set lo up`)",
            "loopback that is down",
            (r"\b127\.\d+\.\d+\.\d+\b", r"\blocalhost\b"),
        ),
        Cause(
            None,
            "connect() over TCP to a broadcast or multicast address, or to 240.0.0.0/4",
            "address without TCP",
            (r"\b(?:22[4-9]|2[3-5]\d)\.\d+\.\d+\.\d+\b",),
        ),
        Cause(
            None,
            "an IPv6 address was tried first, and this host has link-local IPv6 addresses only; most programs try"
            " IPv4 next",
            "no IPv6 route",
            (r"\[[0-9a-f:]+\]", r"[0-9a-f]{1,4}::?[0-9a-f]{1,4}:"),
        ),
    ),
)
_ECONNABORTED = Symptom(
    name="ECONNABORTED",
    kind="errno",
    other_names=("software caused connection abort", "connection aborted"),
    description="Error 103, `Software caused connection abort`: this host ended the connection, not the peer.",
    causes=(
        Cause(
            None,
            "`ss -K`, or a network agent, destroyed the socket (SOCK_DESTROY)",
            "destroyed on this host",
        ),
        Cause(
            None,
            "connect() whose socket another thread shut down or disconnected meanwhile",
            "ended during connect()",
            (r"\bconnect\w*\b",),
        ),
    ),
)

PEERS = (
    *(_ECONNRESET, _ECONNREFUSED, _ETIMEDOUT, _EPIPE, _EHOSTUNREACH),
    *(_ENETUNREACH, _ECONNABORTED),
)
