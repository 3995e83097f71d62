"""TCP: TIME_WAIT, the queues of a listener, orphans and memory; net.ipv4.tcp_*, for IPv6 as well."""

from sockmon.misconceptions import (
    ABORT_ON_OVERFLOW,
    CLOSE_WAIT_TIMEOUT,
    SYN_BACKLOG,
    TCP_MEM_IDLE,
    TCP_MEM_PAGES,
    TIME_WAIT_LENGTH,
    TW_BUCKETS,
    TW_RECYCLE,
    TW_REUSE_BOUND,
)
from sockmon.tunables.cost import in_pages, per_item
from sockmon.tunables.tunable import Tunable

_HASH_TABLE = "half of the hash table of connections: 131,072 with up to 32 GB of memory"

_TIME_WAIT = (
    Tunable(
        key="net.ipv4.tcp_fin_timeout",
        unit="seconds",
        scope="netns",
        default="60",
        takes_effect="for connections that are closed later",
        description="How long a connection that its owner has closed waits in FIN_WAIT2 until the peer closes it"
        " too.",
        misconceptions=(TIME_WAIT_LENGTH, CLOSE_WAIT_TIMEOUT),
        ceilings=("time-wait-buckets",),
        source="include/net/tcp.h, net/ipv4/tcp_minisocks.c",
        maximum=3600,
        unaffected="TIME_WAIT, which lasts 60 s as before",
        risk="too short: the last data of a slow peer is answered with a reset",
    ),
    Tunable(
        key="net.ipv4.tcp_tw_reuse",
        unit="0, 1 or 2",
        scope="netns",
        default="2 since Linux 4.19: on loopback only",
        takes_effect="at once, for every new connect() without bind(), also for ports that are in TIME_WAIT"
        " already",
        description="Lets connect() reuse a port that has been in TIME_WAIT for more than 1 s"
        " (tcp_tw_reuse_delay) towards the same destination: 0 never, 1 always, 2 on loopback only. The old"
        " connection must have used TCP timestamps.",
        misconceptions=(
            TW_RECYCLE,
            TW_REUSE_BOUND,
            "tcp_tw_reuse does not help a server: inbound connections do not use it.",
            "The default, 2, does not help a proxy whose upstreams are not on loopback. Measured over a veth: 2"
            " freed no port, 1 freed all of them after 1 s.",
        ),
        ceilings=("ephemeral-ports",),
        source="net/ipv4/tcp_ipv4.c (tcp_twsk_unique)",
        kind="switch",
        allowed={0: "never", 1: "always", 2: "on loopback only"},
        unaffected="inbound connections, and sockets that are bound before they connect",
        risk="small: the kernel checks timestamps before it reuses a port",
        related=("net.ipv4.tcp_timestamps",),
    ),
    Tunable(
        key="net.ipv4.tcp_tw_reuse_delay",
        unit="milliseconds",
        scope="netns",
        default="1000",
        takes_effect="at once, for every new connect()",
        description="How long a port stays in TIME_WAIT before tcp_tw_reuse lets connect() reuse it: 1 to 60000.",
        ceilings=("ephemeral-ports",),
        since="6.14",
        source="net/ipv4/sysctl_net_ipv4.c",
        maximum=60000,
        unaffected="connections for which tcp_tw_reuse does not apply",
        risk="too short: a late segment of the old connection may reach the new one",
        related=("net.ipv4.tcp_tw_reuse",),
    ),
    Tunable(
        key="net.ipv4.tcp_max_tw_buckets",
        unit="sockets",
        scope="netns",
        default=_HASH_TABLE,
        takes_effect="at once, for connections that are closed later",
        description="The number of sockets of a namespace that may be in TIME_WAIT. Above it a connection is"
        " closed without TIME_WAIT, and TCPTimeWaitOverflow counts it; no program gets an error.",
        misconceptions=(TW_BUCKETS,),
        ceilings=("time-wait-buckets",),
        source="net/ipv4/inet_timewait_sock.c, net/ipv4/tcp_minisocks.c",
        maximum=1 << 24,
        unaffected="sockets that are in TIME_WAIT already",
        risk="lower: connections end without TIME_WAIT and its protection",
        cost=per_item(256),
    ),
    Tunable(
        key="net.ipv4.tcp_timestamps",
        unit="switch",
        scope="netns",
        default="1",
        takes_effect="for connections that are opened later",
        description="Adds a timestamp to every TCP segment. tcp_tw_reuse needs it on the connection that is in"
        " TIME_WAIT.",
        ceilings=("ephemeral-ports",),
        source="Documentation/networking/ip-sysctl.rst",
        kind="switch",
        allowed={0: "off", 1: "on", 2: "on, without a random offset"},
        unaffected="open connections",
        risk="without timestamps tcp_tw_reuse frees no port, and old segments cannot be distinguished from new"
        " ones",
        related=("net.ipv4.tcp_tw_reuse",),
    ),
)

_LISTENERS = (
    Tunable(
        key="net.ipv4.tcp_max_syn_backlog",
        unit="connections",
        scope="netns",
        default="depends on memory: 2048 on 24 GB, at least 128",
        takes_effect="at once",
        description="Applies only with tcp_syncookies = 0: SYNs of unproven hosts are dropped when the queue of"
        " half-open connections exceeds three quarters of this.",
        misconceptions=(SYN_BACKLOG,),
        ceilings=("syn-queue",),
        source="net/ipv4/tcp_input.c (tcp_conn_request)",
        maximum=1 << 20,
        unaffected="the backlogs of listeners, which limit the SYN queue while tcp_syncookies is 1",
        risk="small: memory for half-open connections",
        related=("net.ipv4.tcp_syncookies",),
    ),
    Tunable(
        key="net.ipv4.tcp_syncookies",
        unit="0, 1 or 2",
        scope="netns",
        default="1",
        takes_effect="at once",
        description="What happens when the SYN queue of a listener is full: 1 answers with a cookie and stores"
        " nothing, 0 drops the SYN, 2 always answers with a cookie.",
        misconceptions=(
            "tcp_syncookies does not help against a full accept queue: while that is full, SYNs are dropped with"
            " or without cookies.",
            "The kernel's message about SYN flooding does not always mean an attack: it is logged when more"
            " connections begin than fit the backlog.",
        ),
        ceilings=("syn-queue",),
        source="net/ipv4/tcp_input.c (tcp_conn_request)",
        kind="switch",
        allowed={0: "drop the SYN", 1: "a cookie when the queue is full", 2: "always a cookie"},
        unaffected="the accept queue, which cookies do not help",
        risk="0: a flood of SYNs locks clients out; 2: window scaling and SACK are lost if timestamps are off",
    ),
    Tunable(
        key="net.ipv4.tcp_abort_on_overflow",
        unit="switch",
        scope="netns",
        default="0",
        takes_effect="at once",
        description="With 1, a client whose handshake completes while the accept queue is full gets a reset, and"
        " an error at once (EmbryonicRsts counts them). With 0, the kernel drops that last ACK, and the client"
        " believes that it is connected.",
        misconceptions=(ABORT_ON_OVERFLOW,),
        ceilings=("accept-queue",),
        source="net/ipv4/tcp_minisocks.c (tcp_check_req)",
        kind="switch",
        allowed={0: "drop the last ACK", 1: "send a reset"},
        unaffected="SYNs that find the queue full, which are dropped either way",
        risk="1: clients get an error in a burst that they would have survived",
    ),
)

_MEMORY = (
    Tunable(
        key="net.ipv4.tcp_mem",
        unit="pages: low, pressure, high",
        scope="initial netns",
        default="about 4.7, 6.2 and 9.3 % of memory",
        takes_effect="at once",
        description="The limits of the buffers of all TCP sockets of the host together. Above pressure windows"
        " stop growing; above high the kernel drops received data and refuses to buffer more.",
        misconceptions=(TCP_MEM_PAGES, TCP_MEM_IDLE),
        ceilings=("tcp-memory", "tcp-orphans"),
        source="net/ipv4/tcp.c (tcp_init_mem), net/core/sock.c (__sk_mem_raise_allocated)",
        kind="numbers",
        field_names=("low", "pressure", "high"),
        unaffected="the buffer limits of a single socket: net.ipv4.tcp_rmem and tcp_wmem",
        risk="too high: sockets can take the memory that programs need; lower than what is in use: data is"
        " dropped at once",
        cost=in_pages,
    ),
    Tunable(
        key="net.ipv4.tcp_max_orphans",
        unit="sockets",
        scope="initial netns",
        default=_HASH_TABLE,
        takes_effect="at once, for connections that are closed later",
        description="The number of connections of the whole host that may still be closing while no process holds"
        " them. Above it they are reset (TCPAbortOnMemory). A socket without progress counts two or four times.",
        misconceptions=(
            "Raising tcp_max_orphans rarely helps: a lower tcp_orphan_retries ends dead connections sooner.",
        ),
        ceilings=("tcp-orphans",),
        source="net/ipv4/tcp.c (tcp_too_many_orphans), net/ipv4/tcp_timer.c",
        maximum=1 << 24,
        unaffected="connections that a process holds",
        risk="up to 64 kB of memory for each orphan",
    ),
    Tunable(
        key="net.ipv4.tcp_orphan_retries",
        unit="retries",
        scope="netns",
        default="0, which means 8: about 100 s",
        takes_effect="at once, also for connections that are closed already: at their next retry",
        description="How often the kernel retransmits the last data of a closed connection to a peer that does not"
        " answer.",
        ceilings=("tcp-orphans",),
        source="net/ipv4/tcp_timer.c (tcp_orphan_retries)",
        minimum=0,
        maximum=15,
        unaffected="connections that a process holds",
        risk="too few: the last data is lost if the path is down for some seconds",
    ),
)

TCP = (*_TIME_WAIT, *_LISTENERS, *_MEMORY)
