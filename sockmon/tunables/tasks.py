"""Threads, processes and their memory maps: kernel.pid_max, kernel.threads-max, vm.max_map_count."""

from sockmon.misconceptions import PID_NAMESPACE, THREADS_32K
from sockmon.tunables.cost import per_item
from sockmon.tunables.tunable import Tunable

TASKS = (
    Tunable(
        key="kernel.pid_max",
        unit="ids",
        scope="pid namespace",
        default="32768, or 1,024 for each processor if that is more",
        takes_effect="at once",
        description="The limit of thread and process ids, which run from 1 to one less than this. After the ids"
        " have wrapped around, those below 300 are not allocated again. At this limit fork() and clone() fail"
        " with EAGAIN.",
        misconceptions=(PID_NAMESPACE,),
        ceilings=("pid-max",),
        source="kernel/pid.c",
        minimum=301,
        maximum=4194304,
        unaffected="ids that are in use; kernel.threads-max; the limits of users and cgroups",
        risk="above 32768 very old 32-bit programs fail if they keep a process id in 16 bits",
        related=("kernel.threads-max",),
    ),
    Tunable(
        key="kernel.threads-max",
        unit="tasks",
        scope="host",
        default="memory divided by 128 kB: 192,730 on 24 GB",
        takes_effect="at once",
        description="The number of threads and processes of the whole host. At this limit fork() and clone() fail"
        " with EAGAIN.",
        misconceptions=(
            "Raising threads-max does not raise RLIMIT_NPROC: the default of each user is half of it, but is set"
            " at boot.",
        ),
        ceilings=("threads-max", "user-processes"),
        source="kernel/fork.c",
        minimum=1024,
        maximum=4194304,
        unaffected="RLIMIT_NPROC of users, set at boot; kernel.pid_max",
        risk="too low: no process can start, and no user can log in",
        cost=per_item(28 << 10),
        related=("kernel.pid_max",),
    ),
    Tunable(
        key="vm.max_map_count",
        unit="maps",
        scope="host",
        default="65530; several distributions set 1048576",
        takes_effect="at once",
        description="The number of memory maps that one process may have. A thread takes two of them, its stack"
        " and the guard page below it, so a program with one thread for each connection stops near half of it, at"
        " about 32,700 by default. mmap() fails with ENOMEM and pthread_create() with EAGAIN, while fork() still"
        " works.",
        misconceptions=(THREADS_32K,),
        ceilings=("memory-maps",),
        source="mm/mmap.c, mm/vma.c",
        minimum=4096,
        unaffected="maps that exist",
        risk="kernel memory for each process that creates so many maps",
        cost=per_item(192),
    ),
)
