"""Counters that move at a ceiling: /proc/net/netstat, /proc/net/stat/*, softnet_stat, and their lines of the"
" log."""

from sockmon.symptoms.symptom import Clue, Symptom

_LISTEN = (
    Symptom(
        name="ListenOverflows",
        kind="counter",
        words="A SYN, or the last ACK of a handshake, met a listener whose accept queue was full. Counted for the"
        " whole namespace, and once more for each time that the client tries again.",
        clues=(
            Clue("process-fds", "the listener's owner is out of descriptors, so that accept() fails: cure that"),
            Clue(
                "accept-queue", "else the owner does not accept fast enough; the full listener has Recv-Q > Send-Q"
            ),
        ),
    ),
    Symptom(
        name="ListenDrops",
        kind="counter",
        words="A listener dropped a SYN or a finished handshake, for whatever reason.",
        clues=(
            Clue("accept-queue", "ListenOverflows moves as much: the accept queue is full"),
            Clue(
                "syn-queue", "it moves alone, or TCPReqQFullDrop with it: the SYN queue is full, cookies are off"
            ),
            Clue("tcp-memory", "it moves alone and cookies are on: memory, or a security module"),
        ),
    ),
    Symptom(
        name="TCPReqQFullDoCookies",
        kind="counter",
        also=("SyncookiesSent", "SyncookiesRecv", "possible SYN flooding", "sending cookies"),
        words="A SYN queue was full and the kernel answered with a cookie: the client still gets in.",
        clues=(Clue("syn-queue", "more connections begin than fit the backlog; it need not be an attack"),),
    ),
    Symptom(
        name="TCPReqQFullDrop",
        kind="counter",
        also=("dropping request",),
        words="A SYN queue was full, cookies are off, and the SYN was dropped.",
        clues=(Clue("syn-queue", "set net.ipv4.tcp_syncookies = 1, or let the service ask for a larger backlog"),),
    ),
)

_TCP = (
    Symptom(
        name="TCPTimeWaitOverflow",
        kind="counter",
        words="A connection was closed without TIME_WAIT, because the namespace has net.ipv4.tcp_max_tw_buckets of"
        " them. Nobody gets an error.",
        clues=(Clue("time-wait-buckets", "tw in /proc/net/sockstat is at the limit"),),
    ),
    Symptom(
        name="TCPAbortOnMemory",
        kind="counter",
        also=("too many orphaned sockets",),
        words="A connection that nobody holds any more was reset instead of being closed in order.",
        clues=(
            Clue(
                "tcp-orphans", "orphan in /proc/net/sockstat is near tcp_max_orphans, or a half or quarter of it"
            ),
            Clue("tcp-memory", "mem in /proc/net/sockstat is above the last number of net.ipv4.tcp_mem"),
        ),
    ),
    Symptom(
        name="TCPMemoryPressures",
        kind="counter",
        also=("TCPMemoryPressuresChrono", "out of memory -- consider tuning tcp_mem"),
        words="The TCP buffers of the host went above the middle number of net.ipv4.tcp_mem.",
        clues=(Clue("tcp-memory", "find who lets data lie: a large Recv-Q is a program that does not read"),),
    ),
    Symptom(
        name="PruneCalled",
        kind="counter",
        also=("TCPRcvQDrop", "RcvPruned"),
        words="The kernel had to make room in a receive buffer, and threw away data that the peer must send"
        " again.",
        clues=(
            Clue("tcp-memory", "TCPMemoryPressures moves as well"),
            Clue("cgroup-memory", "TCPMemoryPressures does not: the memory limit of the cgroup presses"),
            Clue(None, "or one socket has more data than its own buffer takes: its program does not read"),
        ),
    ),
    Symptom(
        name="TW",
        kind="counter",
        words="A socket went through TIME_WAIT: how fast it moves is how many connections this side closes a"
        " second.",
        clues=(Clue("ephemeral-ports", "that rate × 60 s is about the ports taken towards a destination"),),
    ),
    Symptom(
        name="TWRecycled",
        kind="counter",
        words="connect() took a port that was in TIME_WAIT: net.ipv4.tcp_tw_reuse at work.",
        clues=(Clue("ephemeral-ports", "without it these connects would need another port"),),
    ),
    Symptom(
        name="EmbryonicRsts",
        kind="counter",
        words="A half-open connection was reset.",
        clues=(Clue("accept-queue", "ListenOverflows moves with it, and net.ipv4.tcp_abort_on_overflow is 1"),),
    ),
)

_OTHERS = (
    Symptom(
        name="conntrack.drop",
        kind="counter",
        also=("drop", "table full, dropping packet", "nf_conntrack: table full"),
        words="Connection tracking threw a packet away (/proc/net/stat/nf_conntrack).",
        clues=(
            Clue(
                "conntrack-table",
                "insert_failed stands still: the table is full of connections that were answered",
            ),
            Clue("snat-ports", "insert_failed moves as much: no translated port is left; the log says nothing"),
        ),
    ),
    Symptom(
        name="conntrack.insert_failed",
        kind="counter",
        also=("insert_failed",),
        words="A tracked flow could not be entered in the table, because its translated address and port are"
        " taken.",
        clues=(
            Clue("snat-ports", "drop moves as much"),
            Clue(
                None, "now and then alone: two packets of one new flow raced each other (DNS over UDP); harmless"
            ),
        ),
    ),
    Symptom(
        name="conntrack.early_drop",
        kind="counter",
        also=("early_drop",),
        words="The table is full, and the kernel made room by throwing out a flow that was not answered yet.",
        clues=(Clue("conntrack-table", "nothing fails yet: it is the last stage before drop"),),
    ),
    Symptom(
        name="table_fulls",
        kind="counter",
        also=("arp_cache.table_fulls", "ndisc_cache.table_fulls", "neighbor table overflow"),
        words="There was no room for one more neighbour (/proc/net/stat/arp_cache, ndisc_cache).",
        clues=(Clue("neighbour-table", "entries is at gc_thresh3"),),
    ),
    Symptom(
        name="softnet.dropped",
        kind="counter",
        also=("softnet dropped",),
        words="A processor's queue of packets was full (second column of /proc/net/softnet_stat).",
        clues=(
            Clue("softnet-backlog", "loopback, veth, tunnels and RPS go through it; it shows as retransmissions"),
        ),
    ),
    Symptom(
        name="pids.events",
        kind="counter",
        also=("fork rejected by pids controller",),
        words="A cgroup refused a new task. On Linux before 6.11, and with cgroup v1, it is counted where the task"
        " is, not where the limit is.",
        clues=(Clue("cgroup-pids", "pids.current is at pids.max of this cgroup or of one above it"),),
    ),
    Symptom(
        name="oom_kill",
        kind="counter",
        also=("memory cgroup out of memory",),
        words="The kernel killed a process of a cgroup that was at its memory limit.",
        clues=(Clue("cgroup-memory", "memory.current is at memory.max; socket buffers count too"),),
    ),
)

COUNTERS = (*_LISTEN, *_TCP, *_OTHERS)
