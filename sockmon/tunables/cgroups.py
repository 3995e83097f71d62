"""Limits of a cgroup, `pids.max@/system.slice/nginx.service`: a file of the cgroup, which root can write."""

from sockmon.tunables.tunable import Tunable

CGROUP_LIMITS = (
    Tunable(
        key="pids.max",
        unit="tasks",
        scope="cgroup",
        default="no limit; systemd gives a service DefaultTasksMax, 15 % of the host's limit",
        takes_effect="at once, for the next fork() or clone() inside",
        description="The number of tasks, threads included, that a cgroup and all cgroups below it may have."
        " At the limit fork() and clone() inside fail with EAGAIN, for root too.",
        misconceptions=("A higher ulimit -u or kernel.pid_max does not help: each is a limit of its own.",),
        ceilings=("cgroup-pids",),
        source="kernel/cgroup/pids.c",
        kind="cgroup limit",
        minimum=1,
        maximum=4194304,
        may_be_unlimited=True,
        unaffected="tasks that are there already; limits of the cgroups above, which apply too",
        risk="the tasks take process ids and memory that others need",
    ),
    Tunable(
        key="memory.max",
        unit="bytes",
        scope="cgroup",
        default="no limit",
        takes_effect="at once; after a lower one the kernel reclaims memory, and kills a process if it must",
        description="The memory that a cgroup and all cgroups below it may use: processes, page cache, sockets and"
        " their buffers. At the limit the kernel reclaims, and then kills a process inside. With cgroup v1 it is"
        " memory.limit_in_bytes.",
        misconceptions=("A cgroup at its limit is not in trouble if page cache fills it.",),
        ceilings=("cgroup-memory",),
        source="mm/memcontrol.c (memory_max_write, mem_cgroup_resize_max)",
        kind="cgroup limit",
        aliases_and_twins=("memory.limit_in_bytes",),
        aliases=("memory.limit_in_bytes",),
        minimum=1 << 20,
        maximum=1 << 50,
        step=4096,
        may_be_unlimited=True,
        unaffected="its swap (memory.swap.max); limits of the cgroups above, which apply too",
        risk="the cgroup takes memory that others need; at a lower limit a process may be killed",
    ),
    Tunable(
        key="memory.high",
        unit="bytes",
        scope="cgroup",
        default="no limit",
        takes_effect="at once; above it the kernel slows the processes inside down and reclaims their memory",
        description="The memory above which the processes of a cgroup are throttled and their memory is reclaimed;"
        " no process is killed for it. Only cgroup v2 has it.",
        misconceptions=("It is no limit: a cgroup may use more, and gets slow.",),
        ceilings=("cgroup-memory",),
        source="mm/memcontrol.c (memory_high_write)",
        kind="cgroup limit",
        minimum=1 << 20,
        maximum=1 << 50,
        step=4096,
        may_be_unlimited=True,
        unaffected="memory.max, at which processes are killed; limits of the cgroups above, which apply too",
        risk="a value below what is used makes every process inside slow",
    ),
)
