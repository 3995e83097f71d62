"""EPERM, EACCES and EINVAL: the kernel forbids a call, or a number in it is above a limit.

Source: kernel/sys.c (do_prlimit), io_uring/io_uring.c, fs/pipe.c, fs/timerfd.c, fs/eventpoll.c, fanotify_user.c,
mm/mlock.c, mm/mmap.c, mm/memfd.c, net/core/sock.c, net/unix/af_unix.c, net/ipv4/fib_semantics.c, udp.c and ping.c,
net/netfilter/nf_conntrack_core.c (Linux 6.12)."""

from sockmon.explain.symptoms.symptom import Cause, Symptom

_SEND = (r"\bsend\w*\b", r"\bping\b", r"\bwrite\b")
_SETRLIMIT = (
    *(r"setrlimit", r"prlimit", r"ulimit", r"rlimit", r"RLIMIT", r"max(?:imum)? (?:number of )?open files"),
    r"pam_limits.*(?!'nofile')'\w+'",
)

_EPERM = Symptom(
    name="EPERM",
    kind="errno",
    related=("conntrack.drop", "conntrack.insert_failed", "conntrack.chainlength"),
    other_names=("operation not permitted",),
    description="Error 1, `Operation not permitted`. From sendto() or sendmsg() the packet was dropped on its way"
    " out of this host; from other calls a privilege is missing.",
    causes=(
        Cause(
            "conntrack-table",
            "sendto(): drop in /proc/net/stat/nf_conntrack moves, insert_failed does not",
            marks=_SEND,
        ),
        Cause(
            "snat-ports",
            "sendto(): insert_failed moves as fast as drop: no translated port is free",
            marks=_SEND,
            key="snat",
        ),
        Cause(
            "conntrack-buckets",
            "sendto(): insert_failed and chainlength move, drop does not: a bucket of the table is too long",
            marks=_SEND,
        ),
        Cause(
            None,
            "sendto(): neither moves. A rule of nftables or iptables in the output hook drops it, or a BPF program"
            " of the cgroup; connect() and bind() give EPERM from the latter",
            "firewall rule or BPF program",
            _SEND,
        ),
        Cause(
            None,
            "setrlimit() or prlimit(): above the hard limit without CAP_SYS_RESOURCE in the first user namespace"
            " (root of a user namespace does not have it), or a hard limit of nofile above fs.nr_open, which root"
            " may not exceed either",
            "limit above its maximum",
            _SETRLIMIT,
        ),
        Cause(
            None,
            "a login that ends at once, or on Debian and Ubuntu only this line in the log: nofile in"
            " /etc/security/limits.conf or limits.d is a number above fs.nr_open, 1,048,576 by default, and the"
            " kernel refuses it. Lower it, write `unlimited` (pam_limits then takes fs.nr_open), or raise"
            " fs.nr_open first",
            "limits.conf above fs.nr_open",
            (r"pam_limits.*'nofile'",),
        ),
        Cause(
            None,
            "io_uring_setup(): kernel.io_uring_disabled is 2, or 1 and the process is not in"
            " kernel.io_uring_group; or a seccomp filter",
            "io_uring is disabled",
            (r"io_uring",),
        ),
        Cause(
            None,
            "socket() of a raw or packet socket without CAP_NET_RAW; SO_MARK, SO_RCVBUFFORCE and the like without"
            " CAP_NET_ADMIN",
            "capability of the network",
            (r"\bsocket\b", r"setsockopt", r"\braw\b"),
        ),
        Cause(
            None,
            "clone() or unshare(): a seccomp filter of the container, or user namespaces are not allowed for"
            " this user; mlock() or MAP_LOCKED with RLIMIT_MEMLOCK 0; bpf(), fanotify_init() or timerfd_create()"
            " of an alarm clock without its capability",
            "seccomp or a capability",
            (r"\bclone3?\b", r"\bunshare\b", r"\bmlock\w*\b", r"\bbpf\b", r"fanotify", r"pthread_create"),
        ),
        Cause(
            None,
            "fcntl(F_SETPIPE_SZ): larger than fs.pipe-max-size, or the user is above fs.pipe-user-pages-soft",
            "size of a pipe",
            (r"F_SETPIPE_SZ", r"pipe size"),
        ),
        Cause(
            None,
            "connect() or sendto() to a unix datagram socket that is itself connected to another one",
            "unix datagram socket of another peer",
            (r"\bunixgram\b",),
        ),
        Cause(
            None,
            "epoll_ctl() of an ordinary file or a directory, which cannot be waited for",
            "file that epoll does not take",
            (r"epoll_ctl",),
        ),
    ),
)
_EACCES = Symptom(
    name="EACCES",
    kind="errno",
    other_names=("permission denied",),
    description="Error 13, `Permission denied`: no limit is reached; an address, a file or a route is forbidden.",
    causes=(
        Cause(
            None,
            "connect() to a unix socket: it needs write permission on the file, and search permission on each"
            " directory above it",
            "file of a unix socket",
            (r"\bunix\b", r"\.sock\b", r"\.s\.PGSQL"),
        ),
        Cause(
            None,
            "bind(): the port is below net.ipv4.ip_unprivileged_port_start, 1,024 by default, and the process does"
            " not have CAP_NET_BIND_SERVICE",
            "privileged port",
            (r"\bbind\w*\b", r"\blisten\w*\b", r"BindException"),
        ),
        Cause(
            None,
            "connect() or sendto() of a UDP socket to a broadcast address, without SO_BROADCAST; over TCP it is"
            " ENETUNREACH",
            "broadcast",
            (r"\bsendto\b", r"broadcast"),
        ),
        Cause(
            None,
            "connect() or sendto(): the route is of type prohibit (`ip route get ADDRESS`)",
            "prohibited route",
            (r"\bdial (?:tcp|udp)", r"\bconnect(?:ing)?\b"),
        ),
        Cause(
            None,
            "socket() for ping: the group is not in net.ipv4.ping_group_range, and CAP_NET_RAW is missing",
            "ping sockets",
            (r"\bping\b", r"icmp"),
        ),
        Cause(
            None,
            "SELinux or AppArmor: `ausearch -m avc`, or apparmor=DENIED in the kernel log; Landlock of the program"
            " itself denies bind() and connect() without a line",
            "security module",
        ),
        Cause(
            None,
            "memfd_create() without MFD_NOEXEC_SEAL while vm.memfd_noexec is 2; the kernel logs the process",
            "memfd that can be executed",
            (r"memfd",),
        ),
    ),
)
_EINVAL = Symptom(
    name="EINVAL",
    kind="errno",
    other_names=("invalid argument",),
    description="Error 22, `Invalid argument`: mostly a fault of the program, but some limits show in this way.",
    causes=(
        Cause(
            "process-fds",
            "poll() with more entries than RLIMIT_NOFILE, even if most of them are -1",
            marks=(r"\bp?poll\b",),
        ),
        Cause(
            None,
            "setrlimit() or prlimit(): the soft limit is above the hard limit; root may not do that either",
            "soft limit above the hard limit",
            _SETRLIMIT,
        ),
        Cause(
            None,
            "sendmsg() with more than 253 descriptors in one message (SCM_MAX_FD)",
            "descriptors in one message",
            (r"\bsendmsg\b", r"SCM_RIGHTS"),
        ),
        Cause(
            None,
            "io_uring_setup() with more than 32,768 entries",
            "entries of a ring",
            (r"io_uring",),
        ),
        Cause(
            None,
            "write() to /proc/sys: the value is outside of its bounds, such as kernel.pid_max above 4,194,304",
            "bounds of a sysctl",
            (r"sysctl", r"/proc/sys"),
        ),
        Cause(
            None,
            "bind() of a socket that has an address already, listen() of one that is connected, accept() of one"
            " that does not listen; epoll_ctl() of a set into itself",
            "wrong state of the socket",
            (r"\bbind\b", r"\baccept\d?\b", r"epoll_ctl"),
        ),
        Cause(
            None,
            "connect() or sendto(): the route is of type blackhole (`ip route get ADDRESS`)",
            "blackhole route",
            (r"\bconnect(?:ing)?\b", r"\bdial\b", r"\bsendto\b"),
        ),
    ),
)

REFUSALS = (_EPERM, _EACCES, _EINVAL)
