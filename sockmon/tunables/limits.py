"""The limits of a live process: RLIMIT_NOFILE and RLIMIT_NPROC, which prlimit(2) sets from outside."""

from sockmon.tunables.tunable import Tunable

LIMITS = (
    Tunable(
        key="nofile",
        unit="descriptors",
        scope="process",
        default="1024:4096 from the kernel; systemd gives services 1024:524288",
        effect="at once: a process that is at its limit goes on without a restart",
        words="Descriptors that one process may have open, sockets included: RLIMIT_NOFILE. At the soft limit"
        " accept(), socket() and open() fail with EMFILE. The process may raise its soft limit up to the hard one"
        " by itself.",
        myths=(
            "/etc/security/limits.conf does nothing for a service: pam_limits reads it at a login.",
            "A higher fs.file-max does not help: that is the limit of the whole host.",
            "ulimit -n in a shell changes that shell and what it starts from then on, no process that runs.",
        ),
        ceilings=("process-fds",),
        source="kernel/sys.c (do_prlimit), fs/file.c (alloc_fd)",
        kind="limit",
        least=16,
        most=1 << 30,
        fields=("soft limit", "hard limit"),
        keeps="what the program made of its limit when it started: nginx's worker_connections, HAProxy's maxconn;"
        " processes that run already have limits of their own",
        risk="programs that use select() break on descriptors from 1,024 on; those that close every number up to"
        " their limit become slow",
        couplings=("fs.nr_open",),
    ),
    Tunable(
        key="nproc",
        unit="tasks",
        scope="process",
        default="half of kernel.threads-max as it was at boot; systemd gives services the same",
        effect="at once, for the next fork() or clone() of this process",
        words="Tasks, threads included, that the real user of this process may have when this process wants one"
        " more: RLIMIT_NPROC. At the soft limit fork(), clone() and pthread_create() fail with EAGAIN.",
        myths=(
            "It does not count the tasks of this process but those of its user, in all containers that share"
            " the user namespace.",
            "/etc/security/limits.conf does nothing for a service: pam_limits reads it at a login.",
            "It does not bind root, nor a process with CAP_SYS_RESOURCE or CAP_SYS_ADMIN.",
        ),
        ceilings=("user-processes",),
        source="kernel/fork.c (copy_process), kernel/sys.c (do_prlimit)",
        kind="limit",
        least=16,
        most=4194304,
        unlimited=True,
        fields=("soft limit", "hard limit"),
        keeps="other processes of the same user, each with a limit of its own; kernel.pid_max, and TasksMax= of"
        " the unit",
        risk="one user may then take ids and memory that others need",
        couplings=("kernel.pid_max",),
    ),
)
