"""Queues and memory that are not TCP's own: net.core, net.unix, UDP."""

from sockmon.misconceptions import LONGER_QUEUE, SOMAXCONN_ALONE
from sockmon.tunables.cost import in_pages
from sockmon.tunables.tunable import Tunable

CORE = (
    Tunable(
        key="net.core.somaxconn",
        unit="connections",
        scope="netns",
        default="4096 since Linux 5.4, 128 before",
        takes_effect="when a service calls listen() again: after a restart, or a reload that creates new sockets",
        after_restart=True,
        description="The maximum backlog: listen() uses the lower of this and what the program asks for. One"
        " connection more than the backlog fits.",
        misconceptions=(SOMAXCONN_ALONE, LONGER_QUEUE),
        ceilings=("accept-queue", "syn-queue"),
        source="net/socket.c (__sys_listen_socket)",
        maximum=1 << 20,
        unaffected="running listeners, which keep their backlog until they call listen() again",
        risk="a long queue hides a slow server",
        memory="2.4 to 3.6 kB for each connection that waits.",
    ),
    Tunable(
        key="net.core.netdev_max_backlog",
        unit="packets",
        scope="initial netns",
        default="1000",
        takes_effect="at once",
        description="The number of packets that may wait on one processor for the network stack. Only packets from"
        " loopback, veth, tunnels and RPS wait there; the usual drivers of network cards (NAPI) do not use it.",
        misconceptions=(
            "netdev_max_backlog does not limit connections: packets that are dropped there show as"
            " retransmissions.",
        ),
        ceilings=("softnet-backlog",),
        source="net/core/dev.c (enqueue_to_backlog)",
        minimum=64,
        maximum=1 << 20,
        unaffected="the queues of network cards",
        risk="a longer queue delays the packets that wait in it",
    ),
    Tunable(
        key="net.unix.max_dgram_qlen",
        unit="messages",
        scope="netns",
        default="10",
        takes_effect="for sockets that are created later: restart the reader (/dev/log, journald)",
        after_restart=True,
        description="The number of messages that may wait in a unix datagram socket; one more than this fits."
        " Then the sender blocks, or gets EAGAIN.",
        ceilings=("unix-dgram-queue",),
        source="net/unix/af_unix.c",
        maximum=1 << 16,
        unaffected="sockets that exist, which keep their limit",
        risk="messages that are never read take memory",
    ),
    Tunable(
        key="net.core.rmem_default",
        unit="bytes",
        scope="initial netns",
        default="212992",
        takes_effect="for new sockets: restart the reader",
        after_restart=True,
        description="The size of the receive buffer of a UDP, raw, netlink or unix socket whose program does not"
        " set SO_RCVBUF. TCP has net.ipv4.tcp_rmem.",
        misconceptions=("net.core.rmem_max does not limit it: that is for the sizes that programs ask for.",),
        ceilings=("udp-buffers",),
        source="net/core/sock.c (sock_init_data)",
        minimum=2304,
        maximum=1 << 30,
        unaffected="sockets that exist, which keep their buffers",
        risk="each socket of every program that sets no size may hold this much memory",
    ),
    Tunable(
        key="net.core.rmem_max",
        unit="bytes",
        scope="initial netns",
        default="4194304 on Linux 6.18, less on older ones",
        takes_effect="for sockets that ask for a buffer later",
        after_restart=True,
        description="The largest receive buffer that a program may ask for with SO_RCVBUF. The kernel doubles the"
        " value that is asked for, as room for its own bookkeeping.",
        misconceptions=(
            "rmem_max does not limit the TCP buffers that the kernel sizes itself: net.ipv4.tcp_rmem does.",
        ),
        ceilings=("udp-buffers", "udp-memory"),
        source="net/core/sock.c (sock_setsockopt)",
        minimum=4096,
        maximum=1 << 30,
        unaffected="sockets that exist, which keep their buffers",
        risk="any program may ask for a buffer of this size, for each socket",
    ),
    Tunable(
        key="net.ipv4.udp_mem",
        unit="pages: low, pressure, high",
        scope="initial netns",
        default="twice tcp_mem",
        takes_effect="at once",
        description="The limit of the buffers of all UDP sockets of the host together. The first number is the"
        " limit: UDP has no pressure stage. A datagram that does not fit is dropped.",
        ceilings=("udp-memory",),
        source="net/ipv4/udp.c, net/core/sock.c (__sk_mem_raise_allocated)",
        kind="numbers",
        field_names=("low", "pressure", "high"),
        unaffected="the buffer limit of a single socket: its SO_RCVBUF",
        risk="too high: sockets can take the memory that programs need; lower than what is in use: datagrams are"
        " dropped at once",
        cost=in_pages,
    ),
)
