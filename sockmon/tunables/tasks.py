"""Threads, processes and their memory maps: kernel.pid_max, kernel.threads-max, vm.max_map_count."""

from sockmon.tunables.cost import each
from sockmon.tunables.tunable import Tunable

TASKS = (
    Tunable(
        key="kernel.pid_max",
        unit="ids",
        scope="pid namespace",
        default="32768, or 1,024 for each processor where that is more",
        effect="at once",
        words="Ids that threads and processes are numbered with, from 1 to one less than this. After the numbers"
        " have wrapped around, those below 300 are not given out again. At it fork() and clone() fail with"
        " EAGAIN.",
        myths=(
            "The value in a container says little: since Linux 6.14 each pid namespace has its own, 4194304 to"
            " begin with, and those of the namespaces around it still apply.",
        ),
        ceilings=("pid-max",),
        source="kernel/pid.c",
        least=301,
        most=4194304,
        keeps="ids that are given out; kernel.threads-max and the limits of users and cgroups",
        risk="above 32768: very old 32-bit programs that keep a pid in 16 bits",
        couplings=("kernel.threads-max",),
    ),
    Tunable(
        key="kernel.threads-max",
        unit="tasks",
        scope="host",
        default="memory divided by 128 kB: 192,730 on 24 GB",
        effect="at once",
        words="Threads and processes of the whole host. At it fork() and clone() fail with EAGAIN.",
        myths=(
            "Each user's default RLIMIT_NPROC is half of it, set at boot: raising it later does not raise that.",
        ),
        ceilings=("threads-max", "user-processes"),
        source="kernel/fork.c",
        least=1024,
        most=4194304,
        keeps="RLIMIT_NPROC of users, set at boot; kernel.pid_max",
        risk="too low: nobody can start anything, nor log in",
        cost=each(28 << 10),
        couplings=("kernel.pid_max",),
    ),
    Tunable(
        key="vm.max_map_count",
        unit="maps",
        scope="host",
        default="65530; several distributions set 1048576",
        effect="at once",
        words="Memory maps that one process may have. A thread takes two of them, its stack and the guard page"
        " below, so that a program with a thread for each connection stops near half of it: at 32,7xx by default."
        " mmap() fails with ENOMEM and pthread_create() with EAGAIN, while fork() still works.",
        myths=(
            "A server that stops at 32,7xx is not out of ports: what it accepts takes none of them, and a client"
            " with the default range stops at 28,232.",
        ),
        ceilings=("memory-maps",),
        source="mm/mmap.c, mm/vma.c",
        least=4096,
        keeps="maps that exist",
        risk="kernel memory for each process that makes so many",
        cost=each(192),
    ),
)
