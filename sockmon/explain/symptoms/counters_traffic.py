"""Counters of TCP and IP that are evidence, and no limit of their own: attempts, resets, retransmissions.

Source: net/ipv4/tcp.c, tcp_ipv4.c, tcp_output.c, tcp_timer.c, syncookies.c, ip_output.c (Linux 6.12)."""

from sockmon.explain.symptoms.symptom import Cause, Symptom

TRAFFIC = (
    Symptom(
        name="AttemptFails",
        kind="counter",
        description="A connection ended before it was established: connect() was refused or timed out, or a"
        " half-open connection was reset. It does not count connect() without a free port.",
        causes=(
            Cause(None, "ActiveOpens moves as much: the peer refuses; see ECONNREFUSED", "refused connections"),
            Cause("syn-queue", "EmbryonicRsts moves as much: clients give up during the handshake"),
        ),
    ),
    Symptom(
        name="EstabResets",
        kind="counter",
        description="An established connection ended at once instead of in the normal way: an RST arrived or was"
        " sent, or it timed out.",
        causes=(
            Cause(None, "Tcp.OutRsts does not move: the peer resets; see ECONNRESET", "resets by the peer"),
            Cause(None, "Tcp.OutRsts moves: this side closes with unread data, or SO_LINGER is 0", "own resets"),
            Cause("tcp-orphans", "TCPAbortOnMemory moves: too many orphans, or no memory"),
        ),
    ),
    Symptom(
        name="OutRsts",
        kind="counter",
        description="This host sent an RST. Those of a firewall (REJECT with tcp-reset) do not count.",
        causes=(
            Cause(
                None,
                "a SYN came for a port without a listener: the client gets ECONNREFUSED",
                "no listener",
            ),
            Cause(
                None,
                "packets of a connection that this host does not know (any more): after a restart, or a late"
                " answer",
                "no such connection",
            ),
            Cause(None, "a program closed a socket with unread data, or with SO_LINGER 0", "unread data"),
            Cause("tcp-orphans", "TCPAbortOnMemory moves: too many orphans, or no memory"),
            Cause("accept-queue", "a listener was closed while connections waited in its accept queue"),
        ),
    ),
    Symptom(
        name="TCPAbortOnClose",
        kind="counter",
        other_names=("TCPAbortOnData", "TCPAbortOnLinger"),
        description="This side reset a connection when a program closed it: with unread data (TCPAbortOnClose),"
        " with SO_LINGER 0 or while data still came (TCPAbortOnData), or after FIN_WAIT2 was cut short"
        " (TCPAbortOnLinger). The peer gets ECONNRESET.",
        causes=(
            Cause(None, "a program does not read a request or an answer to its end before close()", "unread data"),
            Cause(
                None, "a program sets SO_LINGER to 0 on purpose, such as a load generator or proxy", "SO_LINGER 0"
            ),
        ),
    ),
    Symptom(
        name="TCPAbortOnTimeout",
        kind="counter",
        description="A connection ended because its data, SYN or keepalive probes were not answered; its program"
        " gets ETIMEDOUT, or the last ICMP error.",
        causes=(
            Cause(None, "the peer is gone, or a firewall or NAT on the way has forgotten the flow", "peer gone"),
            Cause("accept-queue", "SYNs without an answer: the queue of the server is full"),
        ),
    ),
    Symptom(
        name="RetransSegs",
        kind="counter",
        other_names=("TCPTimeouts",),
        description="A segment was sent again, because it was not acknowledged. TCPTimeouts counts those after a"
        " timer ran out.",
        causes=(
            Cause("accept-queue", "SYNs are repeated: the server's accept queue is full, and it drops them"),
            Cause(
                "syn-queue",
                "SYN+ACKs are repeated: clients do not finish the handshake, or the accept queue is full",
            ),
            Cause("conntrack-table", "drop in /proc/net/stat/nf_conntrack moves here or on the way"),
            Cause("softnet-backlog", "the input queue of a processor drops packets"),
            Cause(
                "transmit-queue", "the transmit queue of an interface is full: `dropped` in `tc -s qdisc` moves"
            ),
            Cause(None, "the network loses packets", "loss on the way"),
        ),
    ),
    Symptom(
        name="TCPSynRetrans",
        kind="counter",
        related=("ListenOverflows", "TCPReqQFullDrop", "conntrack.drop"),
        description="A SYN, or the SYN+ACK that answers one, was sent again: a handshake did not go on within a"
        " second.",
        causes=(
            Cause("accept-queue", "of a client: the accept queue of the server is full, and it drops SYNs"),
            Cause("syn-queue", "of a server: clients do not finish the handshake"),
            Cause("conntrack-table", "drop in /proc/net/stat/nf_conntrack moves: the table is full"),
            Cause("snat-ports", "drop and insert_failed move as much: no translated port is free"),
            Cause(None, "a firewall drops SYNs, or the peer is gone", "no answer"),
        ),
    ),
    Symptom(
        name="TCPAbortFailed",
        kind="counter",
        description="This side could not send the RST that ends a connection: the peer still has the connection.",
        causes=(
            Cause("tcp-memory", "memory for one packet was missing: mem in /proc/net/sockstat"),
            Cause("transmit-queue", "the transmit queue of the interface is full: `tc -s qdisc` counts drops"),
        ),
    ),
    Symptom(
        name="TCPRetransFail",
        kind="counter",
        description="A segment could not be sent again, because this host itself refused it.",
        causes=(
            Cause("transmit-queue", "the transmit queue of the interface is full: `tc -s qdisc` counts drops"),
            Cause(None, "a firewall drops the packet, or memory is short", "refused by this host"),
        ),
    ),
    Symptom(
        name="TCPBacklogDrop",
        kind="counter",
        description="A segment was dropped, because its socket was in use by its program at that moment, and what"
        " waited for that had reached the socket's buffers.",
        causes=(Cause(None, "SO_RCVBUF is small for the rate, or the processor is overloaded", "socket buffer"),),
    ),
    Symptom(
        name="TCPFastOpenListenOverflow",
        kind="counter",
        description="More TCP Fast Open requests were pending than the listener permits (the value of"
        " TCP_FASTOPEN); the client falls back to a normal handshake.",
        causes=(Cause(None, "the program set a small TCP_FASTOPEN queue", "setting of the listener"),),
    ),
    Symptom(
        name="InCsumErrors",
        kind="counter",
        other_names=("UDP: bad checksum", "UDP: short packet"),
        description="A segment or a datagram was dropped because its checksum was wrong; InErrors counts it too."
        " The kernel logs a line for UDP only if debugging is on.",
        causes=(
            Cause(
                None,
                "a faulty link, device or driver, or checksum offload of a tunnel; if it was captured on the"
                " sender, the checksum is not filled in yet, which is no error",
                "damaged packets",
            ),
        ),
    ),
    Symptom(
        name="SyncookiesFailed",
        kind="counter",
        description="An ACK came to a listener without a connection, and was not an answer to a valid SYN"
        " cookie. It counts only in the two minutes after a cookie was sent.",
        causes=(
            Cause("syn-queue", "clients answered later than a cookie is valid, one to two minutes"),
            Cause(
                None, "packets of old connections, or forged ones of an attack, came in that time", "stray packets"
            ),
        ),
    ),
    Symptom(
        name="OutDiscards",
        kind="counter",
        description="An IP packet was not sent, for a reason that is not in the packet. UDP programs mostly get no"
        " error.",
        causes=(
            Cause("neighbour-table", "table_fulls in /proc/net/stat/arp_cache moves too"),
            Cause(
                "transmit-queue",
                "`dropped` in `tc -s qdisc show` moves: the transmit queue is full; for UDP SndbufErrors moves",
            ),
        ),
    ),
    Symptom(
        name="CurrEstab",
        kind="counter",
        other_names=("ActiveOpens", "PassiveOpens", "InSegs", "OutSegs", "InDatagrams", "OutDatagrams"),
        description="Traffic: CurrEstab is the number of connections in ESTABLISHED or CLOSE_WAIT now; ActiveOpens"
        " and PassiveOpens count connections that this side and its peers opened, the others segments and"
        " datagrams. None of them proves a limit.",
        causes=(
            Cause("ephemeral-ports", "ActiveOpens a second × 60 s is the number of ports that TIME_WAIT can hold"),
            Cause("process-fds", "each open connection is a descriptor of its process"),
        ),
    ),
    Symptom(
        name="softnet.time_squeeze",
        kind="counter",
        other_names=("time_squeeze",),
        description="A processor stopped to take packets from its devices with some left (third column of"
        " /proc/net/softnet_stat): net.core.netdev_budget or netdev_budget_usecs was used up. Nothing was lost.",
        causes=(Cause("softnet-backlog", "it moves fast, and drops follow: the processor is overloaded"),),
    ),
)
