"""EMFILE, ENFILE, ENOSPC, ETOOMANYREFS: a count of descriptors, watches or objects has reached its limit.

Source: file.c, file_table.c, pipe.c, eventpoll.c and namespace.c of fs, inotify_user.c and fanotify_user.c of
fs/notify, io_uring/rsrc.c, net/socket.c, net/core/scm.c, net/unix/af_unix.c, ipc/mqueue.c, kernel/ucount.c,
kernel/cgroup/cpuset.c (Linux 6.12)."""

from sockmon.explain.symptoms.symptom import Cause, Symptom
from sockmon.misconceptions import DESCRIPTORS_64K, FILE_MAX_ROOT, INOTIFY_EMFILE, LIMITS_CONF

_INOTIFY = (
    r"inotify",
    r"fsnotify",
    r"too many open files, watch\b",
    r"directory watch",
    r"file ?watcher",
)
_EMFILE = Symptom(
    name="EMFILE",
    kind="errno",
    other_names=(
        *("too many open files", "error 24", "reached process FD limit", "inotify instance limit reached"),
        "accept() out of system resource",
    ),
    description="Error 24, `Too many open files`: this process, or its user, has reached a limit.",
    causes=(
        Cause(
            "process-fds",
            "the process has as many descriptors open as its soft limit or fs.nr_open allows; accept(), socket(),"
            " open(), pipe(), dup(), epoll_create(), eventfd(), timerfd_create() and memfd_create() fail alike."
            " recvmsg() does not fail: descriptors that were sent to it are lost (MSG_CTRUNC)",
            marks=(
                r"\baccept\d?\b",
                r"\bsocket:",
                r"\bsocket\(\)",
                r"\bpipe2?\b",
                r"\b(?:eventfd|timerfd_create|memfd_create|epoll_create1?|signalfd|dup[23]?)\b",
                r"create sockets",
                r"open file '",
                r"open files: '",
                r"process FD limit",
                r"\bopen\(\)",
                r"\bopen '?/",
                r"SocketException",
                r"Cannot run program",
            ),
            key="fds",
        ),
        Cause(
            "inotify-instances",
            "the process has few open, and inotify_init() failed: the user has reached"
            " fs.inotify.max_user_instances. Without a free descriptor it fails with the same error",
            marks=_INOTIFY,
        ),
        Cause(
            "fanotify-groups",
            "fanotify_init() failed, and the user has as many groups as fs.fanotify.max_user_groups, 128 by"
            " default",
            marks=(r"fanotify",),
        ),
        Cause(
            None,
            "mq_open() failed: the bytes of all message queues of the user reach RLIMIT_MSGQUEUE, 819,200 by"
            " default",
            "POSIX message queues",
            (r"\bmq_open\b",),
        ),
        Cause(
            None,
            "io_uring_register() failed: the table of fixed files is larger than RLIMIT_NOFILE, or than 1,048,576",
            "fixed files of io_uring",
            (r"io_uring",),
        ),
    ),
    misconceptions=(LIMITS_CONF, DESCRIPTORS_64K, INOTIFY_EMFILE),
)
_ENFILE = Symptom(
    name="ENFILE",
    kind="errno",
    other_names=(
        "too many open files in system",
        "file table overflow",
        "file-max limit",
        "reached system FD limit",
        "no more sockets",
    ),
    description="Error 23, `Too many open files in system`: the host has reached its limit.",
    causes=(
        Cause(
            "system-fds",
            "fs.file-nr is at fs.file-max, and the kernel has logged `VFS: file-max limit ... reached`; processes"
            " with CAP_SYS_ADMIN still open files",
        ),
        Cause(
            "system-fds",
            "only socket(AF_UNIX) and connect() to a unix socket fail: the unix sockets of the host are more"
            " than twice fs.file-max",
        ),
        Cause(
            None,
            "only pipe() fails: the user has reached fs.pipe-user-pages-hard, which is 0 (unlimited) by default;"
            " or there was no memory for the pipe",
            "pipe buffers of a user",
            (r"\bpipe2?\(\)",),
        ),
        Cause(
            None,
            "socket() or accept(), and the kernel has logged `socket: no more sockets`: it had no memory for the"
            " inode of a socket, mostly because the cgroup is at its memory limit",
            "memory for a socket",
            (r"no more sockets",),
        ),
    ),
    misconceptions=(FILE_MAX_ROOT,),
)
_ENOSPC = Symptom(
    name="ENOSPC",
    kind="errno",
    other_names=(
        "no space left on device",
        "inotify watch limit reached",
        "limit of inotify watches reached",
        "limit for number of file watchers reached",
        "inotify resources exhausted",
        "upper limit on inotify watches",
    ),
    description="Error 28, `No space left on device`, although the disk has space: another limit is reached.",
    causes=(
        Cause(
            "inotify-watches",
            "from inotify_add_watch(): the user has reached fs.inotify.max_user_watches",
            marks=(*_INOTIFY, r"\bwatch\b"),
        ),
        Cause(
            "epoll-watches",
            "from epoll_ctl(): the descriptors that the user has in epoll sets reach fs.epoll.max_user_watches",
            marks=(r"epoll_ctl", r"\bepoll\b"),
        ),
        Cause(
            "fanotify-marks",
            "from fanotify_mark(): the user has reached fs.fanotify.max_user_marks",
            marks=(r"fanotify",),
        ),
        Cause(
            None,
            "from unshare() or clone(): the namespaces of the user reach user.max_net_namespaces and the like, or"
            " they are nested deeper than 32 levels",
            "namespaces of a user",
            (r"\bunshare\b", r"\bclone\b", r"namespace"),
        ),
        Cause(
            None,
            "from mount() or unshare(CLONE_NEWNS): the mount namespace has fs.mount-max mounts, 100,000 by default"
            " (wc -l /proc/PID/mountinfo)",
            "mounts of a namespace",
            (r"\bmount\w*\b",),
        ),
        Cause(
            None,
            "from write() to cgroup.procs or tasks: the cpuset of that cgroup has no processors or memory nodes"
            " yet",
            "cpuset without processors",
            (r"cgroup\.procs", r"cpuset", r"/tasks\b"),
        ),
        Cause(
            None,
            "from semget(), shmget() or msgget(): kernel.sem, kernel.shmmni, kernel.shmall or kernel.msgmni;"
            " `ipcs -l` prints the limits",
            "System V IPC",
            (r"semaphore", r"\bsemget\b", r"\bshmget\b", r"create shared memory segment", r"\bmsgget\b"),
        ),
        Cause(
            None,
            "from mq_open(): fs.mqueue.queues_max, 256 by default",
            "POSIX message queues",
            (r"\bmq_open\b",),
        ),
        Cause(
            None,
            "from mkdir() in /sys/fs/cgroup: the kernel has 65,535 ids for cgroups with the memory controller, and"
            " removed ones keep theirs while memory is charged to them (nr_dying_descendants in cgroup.stat)",
            "memory cgroups",
            (r"mkdir /sys/fs/cgroup", r"cgroup/memory"),
        ),
        Cause(
            None,
            "from write(), open() or mkdir() of an ordinary file: blocks (df) or inodes (df -i) are used up, or a"
            " tmpfs has reached its size",
            "the disk itself",
            (*(r"^(?!.*cgroup).*\bwrit(?:e|ing)\b", r"/tmp/", r"\.log\b", r"resize shared memory", r"/dev/shm"),),
        ),
    ),
)
_ETOOMANYREFS = Symptom(
    name="ETOOMANYREFS",
    kind="errno",
    other_names=("too many references",),
    description="Error 109, `Too many references: cannot splice`, from sendmsg(): descriptors that were sent"
    " over unix sockets and not received yet count against the sender's RLIMIT_NOFILE, for all processes of"
    " the user together.",
    causes=(Cause("process-fds", "a higher soft limit of the sender helps; it is better if the reader receives"),),
)

DESCRIPTORS = (_EMFILE, _ENFILE, _ENOSPC, _ETOOMANYREFS)
