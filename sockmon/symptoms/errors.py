"""Error codes that system calls give at a ceiling (errno(3)), by their names."""

from sockmon.symptoms.symptom import Clue, Symptom

ERRORS = (
    Symptom(
        name="EMFILE",
        kind="errno",
        also=("too many open files", "error 24"),
        words="Error 24, `Too many open files`: this process, or its user, may open no more.",
        clues=(
            Clue("process-fds", "the process has as many descriptors open as its soft limit or fs.nr_open allows"),
            Clue(
                "inotify-instances", "it has few open, and it was inotify_init() that failed: the user's instances"
            ),
        ),
    ),
    Symptom(
        name="ENFILE",
        kind="errno",
        also=("too many open files in system", "file-max limit"),
        words="Error 23, `Too many open files in system`: the whole host may open no more.",
        clues=(
            Clue(
                "system-fds",
                "fs.file-nr is at fs.file-max, and the log says `VFS: file-max limit ... reached`; a shell of root"
                " still works, because CAP_SYS_ADMIN is exempt",
            ),
        ),
    ),
    Symptom(
        name="EADDRNOTAVAIL",
        kind="errno",
        also=("cannot assign requested address",),
        words="Error 99, `Cannot assign requested address`: connect() found no local port. No counter of the"
        " kernel moves with it.",
        clues=(
            Clue("ephemeral-ports", "one source address holds nearly all usable ports towards one destination"),
            Clue(
                "bound-ports",
                "no destination has nearly so many: sockets that were bound before they connected hold the ports,"
                " and keep them from everybody else, in TIME_WAIT too",
            ),
            Clue(None, "at the first attempt: the program binds to an address that this host does not have"),
        ),
    ),
    Symptom(
        name="EADDRINUSE",
        kind="errno",
        also=("address already in use",),
        words="Error 98, `Address already in use`, from bind() or listen().",
        clues=(
            Clue("bound-ports", "bind() to port 0: the source address has no port left, whatever the destination"),
            Clue("udp-ports", "bind() to port 0 of a UDP socket: the pool of UDP ports is empty"),
            Clue(
                None,
                "bind() to a fixed port: somebody listens there, or old connections of it are in TIME_WAIT;"
                " SO_REUSEADDR allows for the latter",
            ),
        ),
    ),
    Symptom(
        name="EAGAIN",
        kind="errno",
        also=("resource temporarily unavailable", "cannot fork", "unable to create native thread", "ewouldblock"),
        words="Error 11, `Resource temporarily unavailable`. From fork(), clone() or pthread_create() it has five"
        " causes, looked at best in this order; from a socket it has three more.",
        clues=(
            Clue("cgroup-pids", "max in pids.events of the cgroup, or of one above it, goes up with each failure"),
            Clue("user-processes", "the user is not root, and all its threads together reach RLIMIT_NPROC"),
            Clue(
                "pid-max", "the tasks of the host reach kernel.pid_max, less 300 once the ids have wrapped around"
            ),
            Clue("threads-max", "the tasks of the host reach kernel.threads-max"),
            Clue("memory-maps", "fork() still works, only threads fail, and mmap() gives ENOMEM"),
            Clue("udp-ports", "connect() or sendto() of a UDP socket: no port left in the whole namespace"),
            Clue("unix-dgram-queue", "send() to a unix datagram socket, such as /dev/log: its reader is behind"),
            Clue(
                "accept-queue",
                "connect() to a unix stream socket that does not wait: its listener's queue is full",
            ),
        ),
    ),
    Symptom(
        name="ENOSPC",
        kind="errno",
        also=("no space left on device",),
        words="Error 28, `No space left on device`, on disks that have room: a quota of something else.",
        clues=(
            Clue("inotify-watches", "from inotify_add_watch(): the user's watches"),
            Clue("epoll-watches", "from epoll_ctl(): the user's descriptors in epoll sets"),
            Clue(None, "from unshare() or clone(): the user's namespaces, user.max_net_namespaces and the like"),
        ),
    ),
    Symptom(
        name="ENOMEM",
        kind="errno",
        also=("cannot allocate memory",),
        words="Error 12, `Cannot allocate memory`. With free memory it is a count that is full.",
        clues=(
            Clue("memory-maps", "from mmap(), while fork() still works: /proc/PID/maps has some 65,530 lines"),
            Clue("cgroup-memory", "the cgroup is at its limit; more often its largest process is killed instead"),
        ),
    ),
    Symptom(
        name="EPERM",
        kind="errno",
        also=("operation not permitted",),
        words="Error 1, `Operation not permitted`, from sendto() or sendmsg(): the packet was thrown away on its"
        " way out of this host.",
        clues=(
            Clue("conntrack-table", "drop in /proc/net/stat/nf_conntrack moves, insert_failed does not"),
            Clue("snat-ports", "insert_failed moves as fast as drop: no translated port is left"),
            Clue(None, "neither moves: a rule of the firewall or a BPF program of the cgroup forbids it"),
        ),
    ),
    Symptom(
        name="ENOBUFS",
        kind="errno",
        also=("no buffer space available",),
        words="Error 105, `No buffer space available`.",
        clues=(
            Clue("neighbour-table", "the neighbour table is full; UDP hides the error and counts Ip.OutDiscards"),
            Clue(None, "sendmsg() with large control messages: net.core.optmem_max"),
            Clue(None, "joining a multicast group: net.ipv4.igmp_max_memberships, 20 by default"),
        ),
    ),
    Symptom(
        name="ETOOMANYREFS",
        kind="errno",
        also=("too many references",),
        words="Error 109, `Too many references: cannot splice`, from sendmsg(): descriptors that were sent over"
        " unix sockets and not received yet count against the sender's RLIMIT_NOFILE, for all of the user"
        " together.",
        clues=(Clue("process-fds", "a higher soft limit of the sender moves it; better let the reader receive"),),
    ),
    Symptom(
        name="ETIMEDOUT",
        kind="errno",
        also=("connection timed out",),
        words="Error 110, `Connection timed out`: nobody answered the SYN for two minutes or so.",
        clues=(
            Clue("accept-queue", "the server's queue is full, and it drops SYNs: ListenOverflows moves there"),
            Clue("conntrack-table", "a connection tracking table on the way is full: drop moves there"),
            Clue(
                "snat-ports", "a host on the way that translates addresses has no port left: insert_failed moves"
            ),
            Clue("neighbour-table", "the neighbour table is full: table_fulls in /proc/net/stat/arp_cache moves"),
            Clue(None, "none of these: the peer is down, or a firewall drops packets"),
        ),
    ),
)
