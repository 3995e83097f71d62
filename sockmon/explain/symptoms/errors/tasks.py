"""EAGAIN: a new task or port cannot be had now, or a queue is full or empty.

Source: kernel/fork.c, kernel/pid.c, kernel/cgroup/pids.c, fs/exec.c, fs/aio.c, mm/mmap.c, net/unix/af_unix.c,
net/ipv4/af_inet.c and inet_connection_sock.c (Linux 6.12)."""

from sockmon.explain.symptoms.symptom import Cause, Symptom
from sockmon.misconceptions import NPROC_ROOT, NPROC_SCOPE

_TASK = (
    r"\bv?fork\w*\b",
    r"fork/exec",
    r"pthread_create",
    r"\bthreads?\b",
    r"\bclone3?\b",
    r"\bspawn\w*\b",
    r"newosproc",
)
_THREAD = (r"pthread_create", r"\bthreads?\b", r"newosproc")

_AIO = (
    r"\bio_setup\b",
    r"\blibaio\b",
    r"\bio_queue_init\b",
    r"setup async i/o",
    r"aio-max-nr",
    r"linux aio context",
    r"\bORA-27090\b",
)
_EAGAIN = Symptom(
    name="EAGAIN",
    kind="errno",
    other_names=(
        "resource temporarily unavailable",
        "cannot fork",
        "unable to create native thread",
        "unable to create new native thread",
        "can't fork",
        "fork of unprivileged child failed",
        "can't start new thread",
        "failed to create new OS thread",
        "can't create thread",
        "max user processes",
        "fork: retry",
        "ewouldblock",
    ),
    description="Error 11, `Resource temporarily unavailable`. From fork(), clone() or pthread_create() it"
    " has five causes that are limits, to check in this order; from a socket it has others.",
    causes=(
        Cause(
            "cgroup-pids",
            "max in pids.events of the cgroup, or of one above it, moves with each failure",
            marks=_TASK,
        ),
        Cause(
            "user-processes",
            "the user is not root, and all threads of the user together reach RLIMIT_NPROC. execve() fails alike"
            " after setuid() to a user that is over the limit",
            marks=(*_TASK, r"\bexecv\w*\b", r"failed to execute", r"max user processes", r"set user id"),
        ),
        Cause(
            "pid-max",
            "the tasks of the host reach kernel.pid_max, less 300 once the ids have wrapped around; since Linux"
            " 6.14 a pid namespace has a kernel.pid_max of its own",
            marks=_TASK,
        ),
        Cause("threads-max", "the tasks of the host reach kernel.threads-max", marks=_TASK),
        Cause("memory-maps", "fork() still works, only threads fail, and mmap() gives ENOMEM", marks=_THREAD),
        Cause(
            None,
            "pthread_create() cannot map a stack: RLIMIT_AS, or vm.overcommit_memory = 2 and Committed_AS is near"
            " CommitLimit in /proc/meminfo; fork() gives ENOMEM then",
            "memory for stacks",
            _THREAD,
        ),
        Cause(
            "accept-queue",
            "a non-blocking connect() to a unix stream socket: its listener's queue is full (ss -xl: Recv-Q above"
            " Send-Q). Over TCP a full queue shows as ETIMEDOUT instead",
            marks=(
                r"unix:",
                r"\bdial unix\b",
                r"\.sock\b",
                r"\.s\.PGSQL",
                r"\bconnect(?:ing)?\b.* (?:on )?(?:unix|socket) ",
                r"destination unix socket",
            ),
            key="queue",
        ),
        Cause(
            "unix-dgram-queue",
            "send() to a unix datagram socket, such as /dev/log: its reader does not keep up",
            marks=(r"/dev/log", r"/run/systemd/journal", r"\bsyslog\b", r"unixgram", r"/notify\b"),
        ),
        Cause(
            "udp-ports",
            "connect() or sendto() of a UDP socket: no port is free in the whole namespace",
            marks=(r"\b(?:dial|connect\w*|send\w*)\b.*\budp", r"\budp\b.*\b(?:dial|connect\w*|send\w*)\b"),
        ),
        Cause(
            "aio-events",
            "io_setup(): the requests of all processes together (fs.aio-nr) reach fs.aio-max-nr, 65,536 by"
            " default; or this one asks for more than are left",
            marks=_AIO,
        ),
        Cause(
            "memlock",
            "mmap() with MAP_LOCKED, mremap() or brk() after mlockall(): RLIMIT_MEMLOCK",
            marks=(r"MAP_LOCKED", r"\bmlock\w*\b"),
        ),
        Cause(
            None,
            "timer_create() or sigqueue(): the queued signals of the user (SigQ in /proc/PID/status) reach"
            " RLIMIT_SIGPENDING",
            "queued signals",
            (r"\btimer_create\b", r"\bsigqueue\b"),
        ),
        Cause(
            None,
            "mkdir() in /sys/fs/cgroup: cgroup.max.descendants or cgroup.max.depth of a cgroup above",
            "cgroups below a cgroup",
            (r"mkdir /sys/fs/cgroup",),
        ),
        Cause(
            None,
            "iptables: another process holds its lock; iptables -w waits for it",
            "lock of iptables",
            (r"\bip6?tables\b", r"xtables"),
        ),
        Cause(
            None,
            "recv(), accept() or send() of a non-blocking socket, or one with SO_RCVTIMEO or SO_SNDTIMEO:"
            " nothing has arrived, or the send buffer is full because the peer does not read. read() of a pipe,"
            " an eventfd, a timerfd or an inotify descriptor fails alike. It is normal",
            "nothing to read, or no room to write",
            (r"BlockingIOError", r"\b(?:recv|read|accept|write)\w*\b"),
        ),
    ),
    misconceptions=(NPROC_SCOPE, NPROC_ROOT),
)

TASKS = (_EAGAIN,)
