"""TCP states that pile up, and what that means."""

from sockmon.symptoms.symptom import Clue, Symptom

STATES = (
    Symptom(
        name="CLOSE_WAIT",
        kind="state",
        also=("CLOSE-WAIT",),
        words="The other side has closed, and this program has not. It never times out: only close() ends it.",
        clues=(
            Clue("process-fds", "each holds a descriptor: it is a leak of the program, and no sysctl cures it"),
        ),
    ),
    Symptom(
        name="TIME_WAIT",
        kind="state",
        also=("TIME-WAIT", "time wait"),
        words="This side closed first, 60 s ago at most. It holds a local port towards its destination, 256 bytes,"
        " no descriptor, and no process. net.ipv4.tcp_fin_timeout does not shorten it.",
        clues=(
            Clue("ephemeral-ports", "on the side that connects: new connections at more than ports / 60 s"),
            Clue("time-wait-buckets", "on a server it costs memory only, up to net.ipv4.tcp_max_tw_buckets"),
        ),
    ),
    Symptom(
        name="FIN_WAIT2",
        kind="state",
        also=("FIN-WAIT-2", "FIN_WAIT_2"),
        words="This side has closed, the other has not yet. Without an owner it ends after"
        " net.ipv4.tcp_fin_timeout.",
        clues=(Clue("time-wait-buckets", "those without an owner count there: tw in /proc/net/sockstat"),),
    ),
    Symptom(
        name="SYN_SENT",
        kind="state",
        also=("SYN-SENT",),
        words="Waits for an answer to its SYN.",
        clues=(
            Clue("accept-queue", "the server's accept queue is full"),
            Clue("conntrack-table", "a full connection tracking table throws the SYN away"),
            Clue("snat-ports", "there is no translated port left for it"),
            Clue(None, "the peer is down, or a firewall drops it"),
        ),
    ),
    Symptom(
        name="SYN_RECV",
        kind="state",
        also=("SYN-RECV", "half-open"),
        words="A client's SYN was answered, and its ACK has not come yet.",
        clues=(Clue("syn-queue", "many: slow or absent clients, an attack, or a full accept queue behind it"),),
    ),
)
