"""TCP states that accumulate, and what that means."""

from sockmon.explain.symptoms.symptom import Cause, Symptom
from sockmon.misconceptions import CLOSE_WAIT_TIMEOUT, TIME_WAIT_LENGTH, TW_BUCKETS, TW_RECYCLE

STATES = (
    Symptom(
        name="CLOSE_WAIT",
        kind="state",
        other_names=("CLOSE-WAIT",),
        description="The peer has closed the connection, this program has not. It never times out: only close()"
        " ends it.",
        causes=(
            Cause(
                "accept-queue",
                "`ss -tanp state close-wait` names no process: the connections wait in the accept queue of a"
                " listener. They hold no descriptor, so it is not a leak, and no process can close them; they end"
                " when the owner of the listener accepts them, or closes the listener",
                key="waiting",
            ),
            Cause(
                "process-fds",
                "`ss -tanp state close-wait` names a process: each of these holds a descriptor. The program leaks"
                " them, or is stuck, and no sysctl fixes that",
                key="held",
            ),
        ),
        misconceptions=(CLOSE_WAIT_TIMEOUT,),
    ),
    Symptom(
        name="TIME_WAIT",
        kind="state",
        other_names=("TIME-WAIT", "time wait"),
        description="This side closed first, at most 60 s ago. The socket holds a local port towards its"
        " destination and 256 bytes, but no descriptor and no process.",
        causes=(
            Cause("ephemeral-ports", "on the side that connects: more new connections a second than ports / 60"),
            Cause("time-wait-buckets", "on a server: it only takes memory, up to net.ipv4.tcp_max_tw_buckets"),
        ),
        misconceptions=(
            TIME_WAIT_LENGTH,
            TW_RECYCLE,
            TW_BUCKETS,
        ),
    ),
    Symptom(
        name="FIN_WAIT2",
        kind="state",
        other_names=("FIN-WAIT-2", "FIN_WAIT_2"),
        description="This side has closed the connection, the peer has not. Without an owner it ends after"
        " net.ipv4.tcp_fin_timeout.",
        causes=(Cause("time-wait-buckets", "sockets without an owner count there: tw in /proc/net/sockstat"),),
    ),
    Symptom(
        name="SYN_SENT",
        kind="state",
        other_names=("SYN-SENT",),
        description="The socket waits for an answer to its SYN.",
        causes=(
            Cause("accept-queue", "the server's accept queue is full"),
            Cause("conntrack-table", "a full connection tracking table drops the SYN"),
            Cause("snat-ports", "no translated port is free"),
            Cause(None, "the peer is down, or a firewall drops the SYN"),
        ),
    ),
    Symptom(
        name="SYN_RECV",
        kind="state",
        other_names=("SYN-RECV", "half-open"),
        description="The SYN of a client was answered, and its ACK has not arrived yet.",
        causes=(
            Cause("syn-queue", "if there are many: slow or absent clients, an attack, or a full accept queue"),
        ),
    ),
)
