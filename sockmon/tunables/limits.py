"""The limits of a running process: RLIMIT_NOFILE and RLIMIT_NPROC, which prlimit(2) sets from outside."""

from sockmon.misconceptions import LIMITS_CONF, NPROC_ROOT, NPROC_SCOPE
from sockmon.tunables.tunable import Tunable

LIMITS = (
    Tunable(
        key="nofile",
        unit="descriptors",
        scope="process",
        default="1024:4096 from the kernel; systemd gives services 1024:524288",
        takes_effect="at once: a process at its limit continues without a restart",
        description="The number of descriptors that one process may have open, sockets included (RLIMIT_NOFILE)."
        " At the soft limit accept(), socket() and open() fail with EMFILE. The process itself may raise its soft"
        " limit up to the hard limit.",
        misconceptions=(
            LIMITS_CONF,
            "A higher fs.file-max does not help: that is the limit of the whole host.",
            "ulimit -n does not change running processes: it changes the shell and what the shell starts later.",
        ),
        ceilings=("process-fds",),
        source="kernel/sys.c (do_prlimit), fs/file.c (alloc_fd)",
        kind="limit",
        minimum=16,
        maximum=1 << 30,
        field_names=("soft limit", "hard limit"),
        unaffected="what the program derived from its limit when it started: nginx's worker_connections, HAProxy's"
        " maxconn; processes that run already, which have their own limits",
        risk="programs that call select() break on descriptors from 1,024 on; programs that close every number up"
        " to their limit become slow",
        related=("fs.nr_open",),
    ),
    Tunable(
        key="nproc",
        unit="tasks",
        scope="process",
        default="half of kernel.threads-max at boot; systemd gives services the same",
        takes_effect="at once, for the next fork() or clone() of this process",
        description="The number of tasks, threads included, that the real user of this process may have when this"
        " process starts another one (RLIMIT_NPROC). At the soft limit fork(), clone() and pthread_create() fail"
        " with EAGAIN.",
        misconceptions=(NPROC_SCOPE, NPROC_ROOT, LIMITS_CONF),
        ceilings=("user-processes",),
        source="kernel/fork.c (copy_process), kernel/sys.c (do_prlimit)",
        kind="limit",
        minimum=16,
        maximum=4194304,
        may_be_unlimited=True,
        field_names=("soft limit", "hard limit"),
        unaffected="other processes of the same user, which have a limit each; kernel.pid_max; TasksMax= of the"
        " unit",
        risk="one user may take process ids and memory that others need",
        related=("kernel.pid_max",),
    ),
)
