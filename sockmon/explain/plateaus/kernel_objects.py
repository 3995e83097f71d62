"""Well-known plateaus of kernel objects: older defaults, and counts that few tools show.

Source: net/ipv4/af_inet.c, fs/namespace.c, sem.h and resource.h of include/uapi/linux, ipc_namespace.h of
include/linux (Linux 6.12)."""

from sockmon.explain.plateaus.plateau import Plateau
from sockmon.misconceptions import PORT_RANGE

_PIDS = "pids.max and pids.events of its cgroup; fork() and clone() fail with EAGAIN"

KERNEL_OBJECTS = (
    Plateau(
        28_233,
        28_233,
        "ports of the default range before Linux 4.2, 32768–61000, to one destination",
        "connect() fails with EADDRNOTAVAIL",
        "ephemeral-ports",
        misconception=PORT_RANGE,
    ),
    Plateau(
        500,
        512,
        "tasks of a service: TasksMax of 512, the default of systemd 228 and a few versions after it",
        _PIDS,
        "cgroup-pids",
    ),
    Plateau(
        12_240,
        12_288,
        "tasks of a user: UserTasksMax of 12,288, the default of systemd before it became 33 %",
        _PIDS,
        "cgroup-pids",
    ),
    Plateau(
        65_536,
        65_536,
        "inotify watches of a user: the setting of Ubuntu",
        "inotify_add_watch() fails with ENOSPC",
        "inotify-watches",
    ),
    Plateau(
        100_000,
        100_000,
        "mounts of a mount namespace: fs.mount-max",
        "wc -l /proc/PID/mountinfo; mount() fails with ENOSPC",
    ),
    Plateau(
        32_000,
        32_000,
        "sets of System V semaphores: the last number of kernel.sem",
        "ipcs -ls; semget() fails with ENOSPC",
    ),
    Plateau(256, 256, "POSIX message queues: fs.mqueue.queues_max", "ls /dev/mqueue; mq_open() fails with ENOSPC"),
    Plateau(
        819_200,
        819_200,
        "bytes of POSIX message queues of a user: RLIMIT_MSGQUEUE",
        "mq_open() fails with EMFILE",
    ),
    Plateau(
        8_388_608,
        8_388_608,
        "bytes of locked memory: RLIMIT_MEMLOCK since Linux 5.16; for io_uring, of all processes of a user",
        "mlock() and io_uring_register() fail with ENOMEM",
    ),
)
