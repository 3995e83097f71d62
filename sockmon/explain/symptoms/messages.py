"""Messages of programs that name a limit in words of their own, without an error code."""

from sockmon.explain.symptoms.symptom import Cause, Symptom
from sockmon.misconceptions import SOMAXCONN_ALONE

MESSAGES = (
    Symptom(
        name="worker_connections",
        kind="message",
        other_names=("worker_connections are not enough",),
        description="nginx: a worker has as many connections as its own setting allows, those to upstreams too."
        " No limit of the kernel is reached.",
        causes=(
            Cause(
                None,
                "raise worker_connections in the block events, 512 by default; a proxied request takes two, and"
                " worker_rlimit_nofile has to be higher",
                "setting of nginx",
            ),
            Cause("process-fds", "the next limit: each connection is a descriptor of the worker"),
        ),
    ),
    Symptom(
        name="max_connections",
        kind="message",
        other_names=(
            "too many clients already",
            "remaining connection slots are reserved",
            "too many connections",
            "max number of clients reached",
            "error registering fd event for the new client",
            "server reached MaxRequestWorkers",
            "server reached pm.max_children",
        ),
        description="A server has as many clients as its own setting allows. No limit of the kernel is reached.",
        causes=(
            Cause(
                None,
                "PostgreSQL: max_connections, 100 by default, less superuser_reserved_connections; a pooler helps"
                " more than a higher number",
                "setting of PostgreSQL",
                (r"clients already", r"connection slots"),
            ),
            Cause(
                None,
                "Redis: maxclients, 10,000 by default; Redis lowers it at its start to RLIMIT_NOFILE less 32",
                "setting of Redis",
                (r"max number of clients", r"registering fd event"),
            ),
            Cause(
                None,
                "MySQL: max_connections, 151 by default (error 1040)",
                "setting of MySQL",
                (r"\bToo many connections\b",),
            ),
            Cause(
                None,
                "Apache: MaxRequestWorkers, 400 by default; php-fpm: pm.max_children of the pool",
                "setting of Apache or php-fpm",
                (r"MaxRequestWorkers", r"max_children"),
            ),
            Cause("process-fds", "the limit of descriptors may have lowered the setting at the start"),
        ),
    ),
    Symptom(
        name="max_map_count-check",
        kind="message",
        other_names=("max virtual memory areas vm.max_map_count", "virtual memory areas vm.max_map_count"),
        description="Elasticsearch or OpenSearch refuses to start, because a limit is below the number that it"
        " requires. The limit is not reached yet.",
        causes=(Cause("memory-maps", "set vm.max_map_count = 262144 or more, on the host of the container"),),
    ),
    Symptom(
        name="max-file-descriptors",
        kind="message",
        other_names=(
            *("max open files is too low", "max file descriptors is too low", "max file descriptors"),
            *("cannot raise FD limit", "too low for maxconn", "exceed open file resource limit"),
            *("maxclients has been reduced", "could not increase number of max_open_files"),
            "insufficient file descriptors available",
        ),
        description="A program refuses to start, or lowers its own settings, because its limit of descriptors is"
        " below what it requires.",
        causes=(
            Cause("process-fds", "LimitNOFILE= of its unit, or the ulimits of its container; not limits.conf"),
        ),
    ),
    Symptom(
        name="max-number-of-threads",
        kind="message",
        other_names=("max number of threads [",),
        description="A program refuses to start, because RLIMIT_NPROC of its user is below what it requires.",
        causes=(Cause("user-processes", "LimitNPROC= of its unit, or nproc of the container"),),
    ),
    Symptom(
        name="tcp-backlog",
        kind="message",
        other_names=("the tcp backlog setting of",),
        description="Redis: listen() asked for a longer queue than net.core.somaxconn permits, and got that.",
        causes=(
            Cause(
                "accept-queue",
                "raise net.core.somaxconn in the network namespace of Redis, then restart it: a running listener"
                " keeps its backlog",
            ),
        ),
        misconceptions=(SOMAXCONN_ALONE,),
    ),
    Symptom(
        name="Q_OVERFLOW",
        kind="message",
        other_names=(
            "IN_Q_OVERFLOW",
            "FAN_Q_OVERFLOW",
            "queue or buffer overflow",
            "fsnotify queue overflow",
            "inotify overflow",
            "inotify queue overflow",
        ),
        description="The queue of an inotify instance or fanotify group was full, and the kernel dropped events."
        " No call fails: the reader gets one event that reports the loss. How full a queue is, and how often it"
        " overflowed, is not visible from outside; the program itself can ask with ioctl(FIONREAD).",
        causes=(
            Cause(
                None,
                "the program reads more slowly than events come: it has to read again all that it watches. A"
                " checkout, an unpacked archive or a build causes thousands of events at once",
                "slow reader of events",
            ),
            Cause(
                None,
                "fs.inotify.max_queued_events or fs.fanotify.max_queued_events, 16,384 by default, is too low for"
                " the bursts: raise it, then restart the program, because a queue keeps the value that it started"
                " with",
                "event queue",
            ),
            Cause(
                None,
                "fanotify with permission events: the same, and the kernel allows each access whose event it"
                " dropped, so a scanner has not seen it",
                "access that was not scanned",
                (r"fanotify", r"FAN_"),
            ),
        ),
        misconceptions=("The limits of instances, groups, watches and marks are others: at those a call fails.",),
    ),
    Symptom(
        name="net_ratelimit",
        kind="message",
        other_names=("callbacks suppressed",),
        description="The kernel had more lines of one kind to log than it logs in 5 s (net.core.message_cost and"
        " message_burst), and left out that many. The lines around it name the limit.",
        causes=(
            Cause(
                None,
                "a full connection tracking table, a neighbour table or orphans repeat their line for each packet:"
                " explain the line before this one",
                "repeated lines",
            ),
        ),
    ),
    Symptom(
        name="perf_event_max_sample_rate",
        kind="message",
        other_names=("perf: interrupt took too long", "kernel.perf_event_max_sample_rate"),
        description="The handler of a sampling interrupt of perf took longer than"
        " kernel.perf_cpu_time_max_percent allows, and the kernel lowered the rate of samples.",
        causes=(
            Cause(
                None,
                "a profiler samples, or the processor of a virtual machine was taken away for a moment. It limits"
                " perf only, and no connection",
                "slow interrupts of perf",
            ),
        ),
    ),
    Symptom(
        name="netdev-watchdog",
        kind="message",
        other_names=("NETDEV WATCHDOG",),
        description="A transmit queue of an interface was stopped for longer than its driver expects (5 s mostly):"
        " nothing was sent, and the driver resets the interface.",
        causes=(
            Cause(
                None,
                "a fault of the driver, the firmware or the link, or a hypervisor that does not take packets;"
                " ethtool -S counts it. No setting of the kernel's network helps",
                "interface that does not transmit",
            ),
        ),
    ),
)
