"""Descriptors, files and watches: fs.*, user.max_inotify_*."""

from sockmon.tunables.cost import each
from sockmon.tunables.tunable import Tunable

FILES = (
    Tunable(
        key="fs.file-max",
        unit="files",
        scope="host",
        default="a tenth of memory in kB; systemd sets it to a number that nobody reaches",
        effect="at once",
        words="Open files of the whole host, sockets and pipes included. At it open(), socket() and accept() fail"
        " with ENFILE.",
        myths=(
            "It is not the limit of one process: that is RLIMIT_NOFILE, and fs.nr_open above it.",
            "That a root shell still works proves nothing: processes with CAP_SYS_ADMIN are exempt.",
        ),
        ceilings=("system-fds",),
        source="fs/file_table.c (alloc_empty_file)",
        least=1024,
        most=2**63 - 1,
        keeps="files that are open; RLIMIT_NOFILE of each process",
        risk="too low: open(), socket() and accept() of every ordinary user fail",
        couplings=("fs.nr_open",),
    ),
    Tunable(
        key="fs.file-nr",
        unit="allocated, 0, and fs.file-max",
        scope="host",
        default="none: it is a count",
        effect="it cannot be set",
        writable=False,
        words="How many files are open on the whole host, and how many may be.",
        myths=("The 0 in the middle is not free files: it is always 0.",),
        ceilings=("system-fds",),
        source="fs/file_table.c (proc_nr_files)",
    ),
    Tunable(
        key="fs.nr_open",
        unit="descriptors",
        scope="host",
        default="1,048,576",
        effect="at once, also for processes whose RLIMIT_NOFILE is higher",
        words="The most that RLIMIT_NOFILE can be set to, and checked once more when a descriptor is handed out: a"
        " process gets no more than the lower of the two. 64 to 2,147,483,584.",
        myths=(
            "A process is not limited to 64K descriptors: that was the kernel's NR_OPEN of long ago. It became"
            " this sysctl in Linux 2.6.25, and there is no CONFIG_NR_OPEN to rebuild a kernel with.",
        ),
        ceilings=("process-fds",),
        source="fs/file.c (alloc_fd), kernel/sys.c (do_prlimit)",
        least=1024,
        most=1 << 30,
        keeps="RLIMIT_NOFILE of each process, which has to be raised as well",
        risk="8 bytes for each descriptor of a process that opens so many; programs that close every number up to"
        " their limit become slow; lower: services that ask for more do not start",
        couplings=("fs.file-max",),
    ),
    Tunable(
        key="fs.epoll.max_user_watches",
        unit="watches",
        scope="host",
        default="4 % of low memory: some 5.5 million on 24 GB",
        effect="at once",
        words="Descriptors that one user may have in all of its epoll sets together. At it epoll_ctl() fails with"
        " ENOSPC, which has nothing to do with disks.",
        ceilings=("epoll-watches",),
        source="fs/eventpoll.c (ep_insert)",
        least=1024,
        keeps="watches that exist",
        risk="kernel memory that cannot be swapped out, for each user",
        cost=each(192),
    ),
    Tunable(
        key="fs.inotify.max_user_instances",
        unit="instances",
        scope="host",
        default="128",
        effect="at once",
        words="inotify descriptors that one user may have. At it inotify_init() fails with EMFILE, which reads"
        " `Too many open files` however few the process has.",
        myths=("A higher ulimit -n does not help: the limit is the user's, not the process's.",),
        ceilings=("inotify-instances",),
        source="fs/notify/inotify/inotify_user.c",
        most=1 << 20,
        keeps="instances that exist",
        risk="small: kernel memory for each instance",
        couplings=("user.max_inotify_instances",),
    ),
    Tunable(
        key="fs.inotify.max_user_watches",
        unit="watches",
        scope="host",
        default="depends on memory: 192,536 on 24 GB",
        effect="at once",
        words="Files and directories that one user may watch. At it inotify_add_watch() fails with ENOSPC, which"
        " reads `No space left on device` on disks that are not full.",
        ceilings=("inotify-watches",),
        source="fs/notify/inotify/inotify_user.c",
        keeps="watches that exist",
        risk="kernel memory that cannot be swapped out, about 1 kB for each watch with the inode that it holds",
        couplings=("user.max_inotify_watches",),
    ),
    Tunable(
        key="user.max_inotify_instances",
        unit="instances",
        scope="user namespace",
        default="128 in the initial user namespace; the same value as fs.inotify.max_user_instances there",
        effect="at once",
        words="inotify descriptors of one user in this user namespace; the limits of all namespaces above it apply"
        " too.",
        ceilings=("inotify-instances",),
        source="kernel/ucount.c",
        most=1 << 20,
        keeps="instances that exist; the limits of the user namespaces above",
        risk="small: kernel memory for each instance",
        couplings=("fs.inotify.max_user_instances",),
    ),
    Tunable(
        key="user.max_inotify_watches",
        unit="watches",
        scope="user namespace",
        default="the same value as fs.inotify.max_user_watches in the initial user namespace",
        effect="at once",
        words="inotify watches of one user in this user namespace; the limits of all namespaces above it apply"
        " too.",
        ceilings=("inotify-watches",),
        source="kernel/ucount.c",
        keeps="watches that exist; the limits of the user namespaces above",
        risk="kernel memory that cannot be swapped out, about 1 kB for each watch with the inode that it holds",
        couplings=("fs.inotify.max_user_watches",),
    ),
)
