"""The buffers of single sockets: net.ipv4.tcp_rmem, tcp_wmem and tcp_notsent_lowat, net.core.wmem_*."""

from sockmon.misconceptions import TCP_MEM_PAGES
from sockmon.tunables.tunable import Tunable

_FIELDS = ("minimum", "default", "maximum")
_UNIT = "bytes: minimum, default, maximum"
_MEMORY = (
    "Up to the maximum for each connection whose data waits; idle ones take almost none. Together all take at"
    " most the last number of net.ipv4.tcp_mem."
)

BUFFERS = (
    Tunable(
        key="net.ipv4.tcp_rmem",
        unit=_UNIT,
        scope="netns",
        starts_as_host=True,
        default="4096 131072 33554432 on Linux 6.18; the maximum is less on older kernels, and with little memory",
        takes_effect="for sockets that are created later; an accepted connection begins with the size of its"
        " listener. The kernel may raise an open connection up to the new maximum, but often leaves it as it is",
        description="The size of the receive buffer of a TCP socket: what it may hold even under memory pressure,"
        " what a new socket has, and up to what the kernel raises it while the program reads. It bounds the"
        " window, and so the throughput on a long path.",
        misconceptions=(
            TCP_MEM_PAGES,
            "It does not limit the number of connections: net.ipv4.tcp_mem limits the memory of all together.",
            "net.core.rmem_max does not bound it: that is for programs that set SO_RCVBUF.",
        ),
        ceilings=("tcp-memory",),
        source="net/ipv4/tcp_input.c (tcp_rcv_space_adjust), net/ipv4/tcp.c (tcp_init_sock)",
        kind="numbers",
        field_names=_FIELDS,
        minimum=4096,
        maximum=1 << 30,
        memory=_MEMORY,
        unaffected="sockets whose program set SO_RCVBUF; other protocols than TCP",
        risk="a high maximum lets slow readers fill net.ipv4.tcp_mem; a low one makes long paths slow",
        related=("net.ipv4.tcp_mem", "net.core.rmem_max"),
    ),
    Tunable(
        key="net.ipv4.tcp_wmem",
        unit=_UNIT,
        scope="netns",
        starts_as_host=True,
        default="4096 16384 4194304; the maximum is less with little memory",
        takes_effect="the maximum at once, also for open connections; the default for sockets that are created"
        " later, and an accepted connection has that of its listener",
        description="The size of the send buffer of a TCP socket: what it may hold even under memory pressure,"
        " what a new socket has, and up to what the kernel raises it with the congestion window.",
        misconceptions=(
            TCP_MEM_PAGES,
            "It does not limit the number of connections: net.ipv4.tcp_mem limits the memory of all together.",
            "net.core.wmem_max does not bound it: that is for programs that set SO_SNDBUF.",
        ),
        ceilings=("tcp-memory",),
        source="net/ipv4/tcp_input.c (tcp_sndbuf_expand), net/ipv4/tcp.c (tcp_init_sock)",
        kind="numbers",
        field_names=_FIELDS,
        minimum=4096,
        maximum=1 << 30,
        memory=_MEMORY,
        unaffected="sockets whose program set SO_SNDBUF; other protocols than TCP",
        risk="a high maximum lets slow readers at the other end fill net.ipv4.tcp_mem; a low one makes long paths"
        " slow",
        related=("net.ipv4.tcp_mem", "net.core.wmem_max", "net.ipv4.tcp_notsent_lowat"),
    ),
    Tunable(
        key="net.ipv4.tcp_notsent_lowat",
        unit="bytes",
        scope="netns",
        default="4294967295, which is no limit",
        takes_effect="at once, for open connections too",
        description="How many bytes of a connection may wait that have not been sent once: send() takes no more,"
        " and the socket is not writable. What is in flight is not counted. With many slow clients a value such as"
        " 131072 keeps send buffers small.",
        ceilings=("tcp-memory",),
        source="include/net/tcp.h (tcp_notsent_lowat, tcp_stream_memory_free)",
        minimum=4096,
        maximum=2**32 - 1,
        memory="None by itself: a lower value saves what waits in send buffers.",
        unaffected="sockets whose program set TCP_NOTSENT_LOWAT; what is in flight",
        risk="too low: the program wakes up more often, and throughput falls",
        related=("net.ipv4.tcp_wmem",),
    ),
    Tunable(
        key="net.core.wmem_default",
        unit="bytes",
        scope="initial netns",
        default="212992",
        takes_effect="for new sockets: restart the sender",
        after_restart=True,
        description="The size of the send buffer of a UDP, raw, netlink or unix socket whose program does not set"
        " SO_SNDBUF: when it is full send() blocks or fails with EAGAIN. TCP has net.ipv4.tcp_wmem.",
        misconceptions=("net.core.wmem_max does not limit it: that is for the sizes that programs ask for.",),
        ceilings=("unix-dgram-queue", "udp-memory"),
        source="net/core/sock.c (sock_init_data)",
        minimum=4608,
        maximum=1 << 30,
        unaffected="sockets that exist, which keep their buffers",
        risk="each socket of every program that sets no size may hold this much memory",
    ),
    Tunable(
        key="net.core.wmem_max",
        unit="bytes",
        scope="initial netns",
        default="4194304 on Linux 6.18, less on older ones",
        takes_effect="for sockets that ask for a buffer later",
        after_restart=True,
        description="The largest send buffer that a program may ask for with SO_SNDBUF. The kernel doubles the"
        " value that is asked for, as room for its own bookkeeping.",
        misconceptions=(
            "wmem_max does not limit the TCP buffers that the kernel sizes itself: net.ipv4.tcp_wmem does.",
        ),
        ceilings=("unix-dgram-queue", "udp-memory"),
        source="net/core/sock.c (sock_setsockopt)",
        minimum=4608,
        maximum=1 << 30,
        unaffected="sockets that exist, which keep their buffers",
        risk="any program may ask for a buffer of this size, for each socket",
    ),
)
