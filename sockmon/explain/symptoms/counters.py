"""Counters of TCP that move at a limit (/proc/net/netstat), and their log lines.

Source, in net/ipv4: tcp_input.c, tcp_minisocks.c, tcp.c, tcp_timer.c, inet_timewait_sock.c, udp.c (Linux 6.12)."""

from sockmon.explain.symptoms.counters_conntrack import CONNTRACK
from sockmon.explain.symptoms.counters_network import NETWORK
from sockmon.explain.symptoms.counters_traffic import TRAFFIC
from sockmon.explain.symptoms.symptom import Cause, Symptom
from sockmon.misconceptions import LONGER_QUEUE, SOMAXCONN_ALONE, TW_BUCKETS

_LISTEN = (
    Symptom(
        name="ListenOverflows",
        kind="counter",
        description="A SYN, or the last ACK of a handshake, found the accept queue of a listener full. It counts"
        " for the whole namespace, and again for each retry of the client.",
        causes=(
            Cause(
                "process-fds", "the owner of the listener is out of descriptors, so accept() fails: fix that first"
            ),
            Cause("accept-queue", "otherwise the owner accepts too slowly; the full listener has Recv-Q > Send-Q"),
        ),
        misconceptions=(
            SOMAXCONN_ALONE,
            LONGER_QUEUE,
        ),
    ),
    Symptom(
        name="ListenDrops",
        kind="counter",
        description="A listener dropped a SYN or a finished handshake, for any reason.",
        causes=(
            Cause("accept-queue", "ListenOverflows moves as much: the accept queue is full"),
            Cause(
                "syn-queue", "it moves alone or with TCPReqQFullDrop: the SYN queue is full and cookies are off"
            ),
            Cause("tcp-memory", "it moves alone and cookies are on: no memory for a socket, or a security module"),
            Cause(
                None, "it moves alone: this host has no route back to the client (`ip route get`)", "no route back"
            ),
        ),
    ),
    Symptom(
        name="TCPReqQFullDoCookies",
        kind="counter",
        other_names=("SyncookiesSent", "SyncookiesRecv", "SYN flooding", "sending cookies"),
        description="A SYN queue was full and the kernel answered with a cookie: the client can still connect.",
        causes=(Cause("syn-queue", "more connections begin than fit the backlog; it is not always an attack"),),
    ),
    Symptom(
        name="TCPReqQFullDrop",
        kind="counter",
        other_names=("dropping request",),
        description="A SYN queue was full, cookies are off, and the SYN was dropped.",
        causes=(
            Cause("syn-queue", "set net.ipv4.tcp_syncookies = 1, or let the service ask for a larger backlog"),
        ),
    ),
)

_UDP = (
    Symptom(
        name="RcvbufErrors",
        kind="counter",
        other_names=(
            "Udp.RcvbufErrors",
            "Udp.InErrors",
            "UdpInErrors",
            "packet receive errors",
            "receive buffer errors",
        ),
        description="A datagram was dropped because the receive buffer of its UDP socket was full. The sender gets"
        " no error. The socket's own count is the last column of /proc/net/udp.",
        causes=(
            Cause(
                "udp-buffers", "the reader is slower than its senders, or its buffer is too small for their bursts"
            ),
            Cause("udp-memory", "all UDP sockets together are at net.ipv4.udp_mem: then MemErrors moves instead"),
        ),
    ),
    Symptom(
        name="MemErrors",
        kind="counter",
        other_names=("Udp.MemErrors",),
        description="A datagram was dropped because all UDP sockets together were at net.ipv4.udp_mem, not"
        " because of the buffer of one socket; InErrors moves with it.",
        causes=(
            Cause("udp-memory", "mem of UDP in /proc/net/sockstat, in pages, is at the last number of udp_mem"),
        ),
    ),
    Symptom(
        name="NoPorts",
        kind="counter",
        other_names=("Udp.NoPorts", "packets to unknown port received"),
        description="A datagram came for a port without a socket; the sender gets ICMP port unreachable.",
        causes=(
            Cause(
                None, "a UDP service has ended, or answers came after their socket was closed (DNS)", "no socket"
            ),
        ),
    ),
    Symptom(
        name="SndbufErrors",
        kind="counter",
        other_names=("Udp.SndbufErrors", "send buffer errors"),
        description="A UDP socket could not send: its send buffer was full, or a device dropped the datagram.",
        causes=(
            Cause(
                "transmit-queue",
                "the interface is slower than the program: `tc -s qdisc` counts what its queue dropped",
            ),
            Cause(None, "the send buffer is small: SO_SNDBUF, up to net.core.wmem_max"),
        ),
    ),
)

_TCP = (
    Symptom(
        name="TCPTimeWaitOverflow",
        kind="counter",
        description="A connection was closed without TIME_WAIT, because the namespace has reached"
        " net.ipv4.tcp_max_tw_buckets, or there was no memory. No program gets an error.",
        causes=(
            Cause("time-wait-buckets", "tw in /proc/net/sockstat is at the limit"),
            Cause("cgroup-memory", "tw is far below the limit: no memory for the socket"),
        ),
        misconceptions=(TW_BUCKETS,),
    ),
    Symptom(
        name="TCPAbortOnMemory",
        kind="counter",
        other_names=(
            *("too many orphaned sockets", "too many of orphaned sockets"),
            "out of memory -- consider tuning tcp_mem",
        ),
        description="A connection that no process holds any more was reset instead of closed normally.",
        causes=(
            Cause(
                "tcp-orphans",
                "orphan in /proc/net/sockstat is near tcp_max_orphans, or half or a quarter of it",
                marks=(r"orphaned",),
            ),
            Cause(
                "tcp-memory",
                "mem in /proc/net/sockstat is above the last number of net.ipv4.tcp_mem",
                marks=(r"tcp_mem",),
            ),
        ),
    ),
    Symptom(
        name="TCPMemoryPressures",
        kind="counter",
        other_names=("TCPMemoryPressuresChrono",),
        description="The TCP buffers of the host rose above the middle number of net.ipv4.tcp_mem.",
        causes=(Cause("tcp-memory", "find the program that does not read: its sockets have a large Recv-Q"),),
    ),
    Symptom(
        name="PruneCalled",
        kind="counter",
        other_names=("TCPRcvQDrop", "RcvPruned", "OfoPruned"),
        related=("TCPRcvQDrop",),
        description="PruneCalled: a receive buffer was above its size, and the kernel merged packets to free"
        " space. Data was lost, and the peer must send it again, only if RcvPruned, OfoPruned or TCPRcvQDrop"
        " moves too.",
        causes=(
            Cause("tcp-memory", "TCPMemoryPressures moves as well"),
            Cause("cgroup-memory", "TCPMemoryPressures does not move: the cgroup is at its memory limit"),
            Cause(None, "one socket has more data than fits its own buffer: its program does not read"),
        ),
    ),
    Symptom(
        name="TW",
        kind="counter",
        other_names=("TWKilled",),
        description="A connection entered TIME_WAIT, or FIN_WAIT2 without an owner: the rate is the number of"
        " connections that this side closes a second. TWKilled counts those that stay for less than 4 s.",
        causes=(
            Cause("ephemeral-ports", "that rate × 60 s is about the number of ports in use towards a destination"),
        ),
    ),
    Symptom(
        name="TWRecycled",
        kind="counter",
        description="connect() reused a port in TIME_WAIT (net.ipv4.tcp_tw_reuse).",
        causes=(Cause("ephemeral-ports", "without it these connects would need another port"),),
    ),
    Symptom(
        name="EmbryonicRsts",
        kind="counter",
        description="A half-open connection was removed by an RST or a new SYN of the client, or by this host.",
        related=("AttemptFails", "ListenOverflows"),
        causes=(
            Cause("accept-queue", "ListenOverflows moves with it, and net.ipv4.tcp_abort_on_overflow is 1"),
            Cause(
                None,
                "AttemptFails moves as much: the client sent an RST instead of the last ACK. Port scans and the"
                " health checks of some load balancers do so, as do clients that give up",
                "reset by the client",
            ),
        ),
    ),
)

COUNTERS = (*_LISTEN, *_TCP, *_UDP, *CONNTRACK, *NETWORK, *TRAFFIC)
