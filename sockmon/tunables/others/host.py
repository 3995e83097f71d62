"""fs.*, kernel.*, vm.* and user.*: what people expect to matter for connections, and what is near to it."""

from sockmon.tunables.tunable import SCOPE_TEXT
from sockmon.tunables.untuned import HOST, IPC, others

_MEMORY = "It limits no connections."
_IPC_OBJECTS = "It limits objects of System V IPC, not connections."
_KEYS = "It limits keys of the kernel's keyrings, not connections: above it add_key() fails with EDQUOT."

HOST_KEYS = (
    *others(
        "fs.",
        HOST,
        {
            "dentry-state": "It is read-only: how many names of files are cached.",
            "dir-notify-enable": "Whether dnotify works.",
            "inode-nr": "It is read-only: how many inodes are in memory, and how many of them are free.",
            "inode-state": "It is read-only: the same as fs.inode-nr, with numbers that are always 0.",
            "lease-break-time": "How long the holder of a lease may take to give it up, in seconds.",
            "leases-enable": "Whether leases of files work.",
            "overflowgid": "The group that a file system shows for groups that it cannot store.",
            "overflowuid": "The user that a file system shows for users that it cannot store.",
            "pipe-max-size": (
                "The largest buffer of a pipe that a program without privilege may ask for, in bytes.",
                "It limits one pipe, not connections.",
            ),
            "pipe-user-pages-hard": (
                "The pages of all pipes of one user; 0 is no limit. Above it pipe() fails.",
                "It limits pipes, not connections; a proxy that uses splice() needs pipes.",
            ),
            "pipe-user-pages-soft": (
                "The pages of all pipes of one user above which a new pipe gets a small buffer.",
                "It limits the buffers of pipes, not connections; a proxy that uses splice() needs pipes.",
            ),
            "protected_fifos": "Whether FIFOs in world-writable directories are protected.",
            "protected_hardlinks": "Whether hard links to files of others are forbidden.",
            "protected_regular": "Whether files in world-writable directories are protected.",
            "protected_symlinks": "Whether symbolic links in world-writable directories are protected.",
            "suid_dumpable": "Whether programs with other rights may dump core.",
            "fanotify.watchdog_timeout": "After how long the log reports a fanotify program that does not answer.",
        },
    ),
    *others(
        "fs.",
        "each mount namespace has this limit",
        {"mount-max": ("How many mounts a mount namespace may have.", "It limits mounts, not connections.")},
    ),
    *others(
        "fs.mqueue.",
        IPC,
        {
            "msg_default": "How many messages a new POSIX queue holds if its program asks for nothing.",
            "msg_max": "How many messages a POSIX queue may hold.",
            "msgsize_default": "The message size of a new POSIX queue if its program asks for nothing.",
            "msgsize_max": "The largest message of a POSIX queue.",
            "queues_max": "How many POSIX message queues there may be.",
        },
        "It limits POSIX message queues, not connections.",
    ),
    *others(
        "kernel.keys.",
        HOST,
        {
            "maxkeys": ("How many keys one user may have. Each container takes some.", _KEYS),
            "maxbytes": ("How many bytes the keys of one user may take.", _KEYS),
            "root_maxkeys": ("How many keys root may have.", _KEYS),
            "root_maxbytes": ("How many bytes the keys of root may take.", _KEYS),
            "gc_delay": "How long a revoked key is kept, in seconds.",
            "persistent_keyring_expiry": "How long a persistent keyring without use is kept, in seconds.",
        },
    ),
    *others(
        "kernel.",
        IPC,
        {
            "msgmax": ("The largest message of a System V queue, in bytes.", _IPC_OBJECTS),
            "msgmnb": ("The bytes that a new System V message queue may hold.", _IPC_OBJECTS),
            "msgmni": ("How many System V message queues there may be.", _IPC_OBJECTS),
            "sem": (
                "System V semaphores: in a set, in all sets, operations of a call, and sets. PostgreSQL and Oracle"
                " need enough of them.",
                _IPC_OBJECTS,
            ),
            "shmall": ("The pages of all System V shared memory.", _IPC_OBJECTS),
            "shmmax": ("The largest segment of System V shared memory, in bytes.", _IPC_OBJECTS),
            "shmmni": ("How many segments of System V shared memory there may be.", _IPC_OBJECTS),
            "shm_rmid_forced": "Whether shared memory without a process is removed.",
        },
    ),
    *others(
        "kernel.",
        HOST,
        {
            "core_pattern": "Where core dumps go.",
            "core_uses_pid": "Whether the name of a core dump has the process id.",
            "core_pipe_limit": "How many core dumps may be piped to a program at once.",
            "dmesg_restrict": "Whether reading the kernel's log needs privilege.",
            "hung_task_timeout_secs": "After how long the log reports a blocked task.",
            "io_uring_disabled": (
                "Who may create io_uring instances: 0 all, 1 privileged programs and a group, 2 none.",
                "It limits no connections; a program that needs io_uring does not start.",
            ),
            "io_uring_group": "The group that may use io_uring while io_uring_disabled is 1.",
            "kptr_restrict": "Whether addresses of the kernel are hidden.",
            "ngroups_max": "It is read-only: how many groups a process may be in.",
            "numa_balancing": "Whether memory moves to the processor that uses it.",
            "panic": "After how many seconds the host restarts after a panic; 0 never.",
            "panic_on_oops": "Whether a fault in the kernel becomes a panic.",
            "perf_event_paranoid": "Who may use perf.",
            "printk": "Which messages of the kernel appear on the console.",
            "pty.max": (
                "How many pseudo-terminals there may be.",
                "It limits terminals: above it no ssh session gets one. It limits no connections.",
            ),
            "pty.nr": "It is read-only: how many pseudo-terminals are open.",
            "pty.reserve": "How many pseudo-terminals only the first mount of devpts may use.",
            "randomize_va_space": "Whether the addresses of programs are random.",
            "sched_autogroup_enabled": "Whether the tasks of a session share their processor time.",
            "sched_rt_period_us": "The period of the limit of real-time tasks, in microseconds.",
            "sched_rt_runtime_us": "How long real-time tasks may run in a period, in microseconds.",
            "sysrq": "Which SysRq keys work.",
            "tainted": "It is a sum of bits: what makes reports about this kernel less useful.",
            "unprivileged_bpf_disabled": "Whether bpf() needs privilege.",
            "watchdog": "Whether the watchdogs for stuck processors are on.",
            "watchdog_thresh": "After how many seconds a stuck processor is reported.",
        },
    ),
    *others(
        "vm.",
        HOST,
        {
            "admin_reserve_kbytes": "The memory that is kept for root when overcommit is limited, in kB.",
            "dirty_background_bytes": "The unwritten data from which on the kernel writes it by itself, in bytes.",
            "dirty_background_ratio": "The unwritten data from which on the kernel writes it by itself, in"
            " percent.",
            "dirty_bytes": "The unwritten data above which writers have to wait, in bytes.",
            "dirty_expire_centisecs": "The age at which unwritten data is written.",
            "dirty_ratio": "The unwritten data above which writers have to wait, in percent.",
            "dirty_writeback_centisecs": "How often unwritten data is written.",
            "drop_caches": "A number that is written empties caches; no limit changes.",
            "min_free_kbytes": (
                "The memory that the kernel keeps free, in kB.",
                "It limits no connections; too little of it makes the kernel drop packets while memory is short.",
            ),
            "mmap_min_addr": "The lowest address that a program may map.",
            "nr_hugepages": "How many huge pages are reserved; other memory is less by as much.",
            "nr_overcommit_hugepages": "How many huge pages may be added on demand.",
            "oom_dump_tasks": "Whether the log lists all tasks when memory runs out.",
            "oom_kill_allocating_task": "Whether the task that needed the memory is killed.",
            "overcommit_kbytes": (
                "The memory that programs may reserve with overcommit_memory = 2, in kB; swap is added.",
                "It limits the memory that programs reserve, not connections.",
            ),
            "overcommit_memory": (
                "Whether programs may reserve more memory than there is: 0 by a guess, 1 always, 2 up to a limit"
                " (overcommit_ratio).",
                "It limits no connections. With 2, fork(), mmap() and new threads fail with ENOMEM at that limit:"
                " Committed_AS and CommitLimit of /proc/meminfo.",
            ),
            "overcommit_ratio": (
                "The percentage of memory that programs may reserve with overcommit_memory = 2; swap is added.",
                "It limits the memory that programs reserve, not connections.",
            ),
            "page-cluster": "How many pages are read from swap together, as a power of two.",
            "panic_on_oom": "Whether the host panics when memory runs out.",
            "swappiness": (
                "How readily memory of programs is swapped out instead of file caches being dropped. Memory of"
                " sockets is never swapped out.",
                _MEMORY,
            ),
            "user_reserve_kbytes": "The memory that is kept for a user when overcommit is limited, in kB.",
            "vfs_cache_pressure": "How readily cached names and inodes are dropped.",
            "watermark_boost_factor": "How strongly the kernel frees memory after fragmentation.",
            "watermark_scale_factor": "How early the kernel begins to free memory.",
            "zone_reclaim_mode": "Whether memory of the own NUMA node is freed before another node is used.",
        },
    ),
    *others(
        "user.",
        SCOPE_TEXT["user namespace"],
        {
            f"max_{kind}_namespaces": f"How many {text} namespaces one user may create."
            for kind, text in (
                *(("cgroup", "cgroup"), ("ipc", "IPC"), ("mnt", "mount"), ("net", "network"), ("pid", "pid")),
                *(("time", "time"), ("user", "user"), ("uts", "UTS")),
            )
        },
        "It limits containers, not connections: above it unshare() and clone() fail with ENOSPC.",
    ),
)
