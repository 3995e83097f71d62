"""TCP: TIME_WAIT, the queues of a listener, orphans and memory; net.ipv4.tcp_*, for IPv6 as well."""

from sockmon.tunables.cost import each, pages
from sockmon.tunables.tunable import Tunable

_IP_SYSCTL = "Documentation/networking/ip-sysctl.rst"

_TIME_WAIT = (
    Tunable(
        key="net.ipv4.tcp_fin_timeout",
        unit="seconds",
        scope="netns",
        default="60",
        effect="for connections that are closed from then on",
        words="How long a connection that its owner has closed waits in FIN_WAIT2 for the other side to close"
        " too.",
        myths=(
            "It does not shorten TIME_WAIT. That lasts 60 s whatever this says: TCP_TIMEWAIT_LEN is a constant of"
            " the kernel. Measured with 5 s set: FIN_WAIT2 ended after 5.2 s, TIME_WAIT after 61.2 s.",
        ),
        ceilings=("time-wait-buckets",),
        source="include/net/tcp.h, net/ipv4/tcp_minisocks.c",
        most=3600,
        keeps="TIME_WAIT lasts 60 s as before",
        risk="too short: the last data of a slow peer is answered with a reset",
    ),
    Tunable(
        key="net.ipv4.tcp_tw_recycle",
        unit="switch",
        scope="netns",
        default="0 while it existed",
        effect="none: the file is gone",
        words="Took sockets out of TIME_WAIT early by the timestamps of the other host.",
        myths=(
            "Advice to set it is older than 2017. It dropped connections of clients that share an address (NAT),"
            " because their timestamps differ, and was removed in Linux 4.12; a script that sets it fails.",
            "What helps instead: reuse connections; where a client runs out of ports net.ipv4.tcp_tw_reuse = 1.",
        ),
        ceilings=("ephemeral-ports", "time-wait-buckets"),
        until="Linux 4.11 was the last that had it",
        source="commit 4396e46187ca (tcp: remove tcp_tw_recycle)",
    ),
    Tunable(
        key="net.ipv4.tcp_tw_reuse",
        unit="0, 1 or 2",
        scope="netns",
        default="2 since Linux 4.19: on loopback only",
        effect="at once, for every new connect() without bind(); ports that are in TIME_WAIT already count too",
        words="Lets connect() take a port again that is in TIME_WAIT for longer than 1 s (tcp_tw_reuse_delay)"
        " towards the same destination. 0 never, 1 always, 2 on loopback only. Needs TCP timestamps on the old"
        " connection.",
        myths=(
            "It does nothing for a server's inbound connections, nor for a socket that is bound before it"
            " connects, nor for connections without timestamps.",
            "It is not tcp_tw_recycle: it is checked on the side that connects, and does not break clients behind"
            " NAT.",
            "2 does not help a proxy: its upstreams are not on loopback. Measured over a veth: 2 freed no port, 1"
            " freed all of them after 1 s.",
        ),
        ceilings=("ephemeral-ports",),
        source="net/ipv4/tcp_ipv4.c (tcp_twsk_unique)",
        kind="switch",
        allowed={0: "never", 1: "always", 2: "on loopback only"},
        keeps="inbound connections, and sockets that are bound before they connect",
        risk="small: the kernel checks timestamps before it takes a port again",
        couplings=("net.ipv4.tcp_timestamps",),
    ),
    Tunable(
        key="net.ipv4.tcp_tw_reuse_delay",
        unit="milliseconds",
        scope="netns",
        default="1000",
        effect="at once, for every new connect()",
        words="How long a port stays in TIME_WAIT before tcp_tw_reuse lets connect() take it again: 1 to 60000.",
        ceilings=("ephemeral-ports",),
        since="6.14",
        source="net/ipv4/sysctl_net_ipv4.c",
        most=60000,
        keeps="what tcp_tw_reuse does not allow stays not allowed",
        risk="too short: a late segment of the old connection may meet the new one",
        couplings=("net.ipv4.tcp_tw_reuse",),
    ),
    Tunable(
        key="net.ipv4.tcp_max_tw_buckets",
        unit="sockets",
        scope="netns",
        default="half of the hash table of connections: 131,072 with up to 32 GB of memory",
        effect="at once, for connections that are closed from then on",
        words="How many sockets of a namespace may be in TIME_WAIT. Above it a connection is closed without"
        " TIME_WAIT and TCPTimeWaitOverflow counts it; no program gets an error.",
        myths=(
            "Lowering it does not cure a shortage of ports: it throws away the protection against packets of an"
            " old connection. An entry costs 256 bytes.",
        ),
        ceilings=("time-wait-buckets",),
        source="net/ipv4/inet_timewait_sock.c, net/ipv4/tcp_minisocks.c",
        most=1 << 24,
        keeps="sockets that are in TIME_WAIT stay there",
        risk="lower: connections end without TIME_WAIT, and without its protection",
        cost=each(256),
    ),
    Tunable(
        key="net.ipv4.tcp_timestamps",
        unit="switch",
        scope="netns",
        default="1",
        effect="for connections that are opened from then on",
        words="Puts a time into every TCP segment. tcp_tw_reuse needs it on the connection that left TIME_WAIT"
        " behind.",
        ceilings=("ephemeral-ports",),
        source=_IP_SYSCTL,
        kind="switch",
        allowed={0: "off", 1: "on", 2: "on, without a random offset"},
        keeps="open connections go on as they began",
        risk="without them tcp_tw_reuse frees no port, and old segments are not told from new ones",
        couplings=("net.ipv4.tcp_tw_reuse",),
    ),
)

_LISTENERS = (
    Tunable(
        key="net.ipv4.tcp_max_syn_backlog",
        unit="connections",
        scope="netns",
        default="depends on memory: 2048 on 24 GB, 128 at least",
        effect="at once",
        words="With tcp_syncookies = 0 only: SYNs of hosts that have not proved themselves are dropped when the"
        " queue of half-open connections is fuller than three quarters of this.",
        myths=(
            "With tcp_syncookies = 1, the default, it decides nothing: the SYN queue is as long as the listener's"
            " backlog. Measured: with 16 here 100 of 100 connections came in, with cookies off 13 were held.",
        ),
        ceilings=("syn-queue",),
        source="net/ipv4/tcp_input.c (tcp_conn_request)",
        most=1 << 20,
        keeps="the backlogs of listeners, which limit the SYN queue while tcp_syncookies is 1",
        risk="small: memory for half-open connections",
        couplings=("net.ipv4.tcp_syncookies",),
    ),
    Tunable(
        key="net.ipv4.tcp_syncookies",
        unit="0, 1 or 2",
        scope="netns",
        default="1",
        effect="at once",
        words="What happens when a listener's SYN queue is full: 1 answers with a cookie and keeps nothing, 0"
        " drops the SYN, 2 always answers with a cookie.",
        myths=(
            "It does not help a full accept queue: while that is full SYNs are dropped, cookies or not.",
            "The kernel's line about SYN flooding does not mean an attack: it comes when more connections begin"
            " than fit the backlog.",
        ),
        ceilings=("syn-queue",),
        source="net/ipv4/tcp_input.c (tcp_conn_request)",
        kind="switch",
        allowed={0: "drop the SYN", 1: "a cookie when the queue is full", 2: "always a cookie"},
        keeps="the accept queue, which cookies do not help",
        risk="0: a flood of SYNs shuts clients out; 2: window scaling and SACK are lost where timestamps are off",
    ),
    Tunable(
        key="net.ipv4.tcp_abort_on_overflow",
        unit="switch",
        scope="netns",
        default="0",
        effect="at once",
        words="With 1 a client whose handshake ends while the accept queue is full gets a reset, and an error at"
        " once (EmbryonicRsts counts them). With 0 the kernel drops that last ACK, and the client believes that"
        " it is connected.",
        myths=(
            "It does nothing for SYNs that meet a full queue: those are dropped silently either way, and the"
            " client tries again after 1 s, 2 s, 4 s.",
        ),
        ceilings=("accept-queue",),
        source="net/ipv4/tcp_minisocks.c (tcp_check_req)",
        kind="switch",
        allowed={0: "drop the last ACK", 1: "send a reset"},
        keeps="SYNs that meet a full queue are dropped either way",
        risk="1: clients get an error in a burst that they would have survived",
    ),
)

_MEMORY = (
    Tunable(
        key="net.ipv4.tcp_mem",
        unit="pages: low, pressure, high",
        scope="initial netns",
        default="about 4.7, 6.2 and 9.3 % of memory",
        effect="at once",
        words="The buffers of all TCP sockets of the host together. Above pressure windows stop growing, above"
        " high the kernel throws received data away and refuses to buffer more.",
        myths=(
            "The numbers are pages, not bytes: on most machines 4096 bytes each.",
            "It does not limit how many connections may be open: a million idle ones took some 5,000 pages.",
        ),
        ceilings=("tcp-memory", "tcp-orphans"),
        source="net/ipv4/tcp.c (tcp_init_mem), net/core/sock.c (__sk_mem_raise_allocated)",
        kind="numbers",
        fields=("low", "pressure", "high"),
        keeps="what a single socket may buffer: net.ipv4.tcp_rmem and tcp_wmem",
        risk="too high: sockets can take the memory that programs need; lower than what is in use: data is thrown"
        " away at once",
        cost=pages,
    ),
    Tunable(
        key="net.ipv4.tcp_max_orphans",
        unit="sockets",
        scope="initial netns",
        default="half of the hash table of connections: 131,072 with up to 32 GB of memory",
        effect="at once, for connections that are closed from then on",
        words="How many connections of the whole host may still be closing while no process holds them any more."
        " Above it they are reset (TCPAbortOnMemory). A socket that makes no progress counts two or four times.",
        myths=("Raising it is seldom the cure: fewer tcp_orphan_retries let dead ones go sooner.",),
        ceilings=("tcp-orphans",),
        source="net/ipv4/tcp.c (tcp_too_many_orphans), net/ipv4/tcp_timer.c",
        most=1 << 24,
        keeps="connections that a process holds",
        risk="up to 64 kB of memory for each orphan",
    ),
    Tunable(
        key="net.ipv4.tcp_orphan_retries",
        unit="retries",
        scope="netns",
        default="0, which means 8: about 100 s",
        effect="at once, also for connections that are closed already: at their next repetition",
        words="How often the kernel repeats the last data of a closed connection to a peer that does not answer.",
        ceilings=("tcp-orphans",),
        source="net/ipv4/tcp_timer.c (tcp_orphan_retries)",
        least=0,
        most=15,
        keeps="connections that a process holds",
        risk="too few: the last data is lost on a path that is down for some seconds",
    ),
)

TCP = (*_TIME_WAIT, *_LISTENERS, *_MEMORY)
