"""Queues and memory that are not TCP's own: net.core, net.unix, UDP."""

from sockmon.tunables.cost import pages
from sockmon.tunables.tunable import Tunable

CORE = (
    Tunable(
        key="net.core.somaxconn",
        unit="connections",
        scope="netns",
        default="4096 since Linux 5.4, 128 before",
        effect="when a service calls listen() again: after a restart, or a reload that makes new sockets",
        words="The most that a backlog can be: listen() takes the lower one of what the program asks for and this."
        " One connection more than the backlog fits.",
        myths=(
            "Raising it alone does nothing. A running listener keeps the backlog of its listen(), and a program"
            " that asks for 128 or 511 still gets no more.",
            "A longer queue does not make anybody accept faster: it holds bursts, and hides a server that is too"
            " slow until its clients give up.",
            "A new value on the host does not reach containers: each network namespace begins with the default.",
        ),
        ceilings=("accept-queue", "syn-queue"),
        source="net/socket.c (__sys_listen_socket)",
        most=1 << 20,
        keeps="listeners keep the backlog of their listen() until they call it again",
        risk="a long queue hides a slow server, and takes 2.4 to 3.6 kB for each connection that waits",
    ),
    Tunable(
        key="net.core.netdev_max_backlog",
        unit="packets",
        scope="initial netns",
        default="1000",
        effect="at once",
        words="Packets that wait on one processor to be handled by the network stack. Only what comes over"
        " loopback, veth, tunnels and RPS waits there; the usual drivers of network cards (NAPI) do not use it.",
        myths=("It does not limit connections: packets that are dropped there show as retransmissions.",),
        ceilings=("softnet-backlog",),
        source="net/core/dev.c (enqueue_to_backlog)",
        least=64,
        most=1 << 20,
        keeps="the queues of network cards",
        risk="a longer queue delays what waits in it",
    ),
    Tunable(
        key="net.unix.max_dgram_qlen",
        unit="messages",
        scope="netns",
        default="10",
        effect="for sockets that are made from then on: restart the reader (/dev/log, journald)",
        words="Messages that wait in a unix datagram socket; one more than this fits. Then the sender blocks, or"
        " gets EAGAIN.",
        ceilings=("unix-dgram-queue",),
        source="net/unix/af_unix.c",
        most=1 << 16,
        keeps="sockets that exist keep their limit",
        risk="memory for messages that nobody reads",
    ),
    Tunable(
        key="net.core.rmem_max",
        unit="bytes",
        scope="initial netns",
        default="4194304 on Linux 6.18, less on older ones",
        effect="for sockets that ask for a buffer from then on",
        words="The largest receive buffer that a program may ask for with SO_RCVBUF. The kernel doubles what is"
        " asked for, to have room for its own bookkeeping.",
        myths=("It does not limit the buffers of TCP that the kernel sizes itself: net.ipv4.tcp_rmem does.",),
        ceilings=("udp-memory",),
        source="net/core/sock.c (sock_setsockopt)",
        least=4096,
        most=1 << 30,
        keeps="sockets that exist keep their buffers",
        risk="any program may ask for a buffer of this size, for each socket",
    ),
    Tunable(
        key="net.ipv4.udp_mem",
        unit="pages: low, pressure, high",
        scope="initial netns",
        default="twice tcp_mem",
        effect="at once",
        words="The buffers of all UDP sockets of the host together. The first number is the wall already: UDP has"
        " no stage of pressure. A datagram that does not fit is dropped.",
        ceilings=("udp-memory",),
        source="net/ipv4/udp.c, net/core/sock.c (__sk_mem_raise_allocated)",
        kind="numbers",
        fields=("low", "pressure", "high"),
        keeps="what a single socket may buffer: its SO_RCVBUF",
        risk="too high: sockets can take the memory that programs need; lower than what is in use: datagrams are"
        " dropped at once",
        cost=pages,
    ),
)
