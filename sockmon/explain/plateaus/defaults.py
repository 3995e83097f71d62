"""Further well-known plateaus: defaults of limits, shares of them that other software takes, and settings of
servers."""

from collections.abc import Iterator

from sockmon.explain.plateaus.kernel_objects import KERNEL_OBJECTS
from sockmon.explain.plateaus.plateau import Plateau
from sockmon.explain.plateaus.programs import PROGRAMS

_NOFILE = "grep 'open files' /proc/PID/limits"
_PIDS = "pids.max and pids.events of its cgroup; fork() and clone() fail with EAGAIN"
_MAPS = "wc -l /proc/PID/maps; pthread_create() and mmap() fail, fork() still works"


def _shares() -> Iterator[Plateau]:
    """Yield what systemd and programs make of a default: 15 % or 33 % of pid_max, half of a limit."""
    for pid_max in (65_536, 131_072, 262_144, 4_194_304):
        most = pid_max * 15 // 100
        yield Plateau(
            most - 45,
            most,
            f"tasks of a service: systemd's default TasksMax, 15 % of {pid_max:,}",
            _PIDS,
            "cgroup-pids",
        )
    for pid_max in (32_768, 65_536, 131_072, 262_144, 4_194_304):
        most = pid_max * 33 // 100
        yield Plateau(
            most - 45,
            most,
            f"tasks of a user: systemd's limit of user-UID.slice, 33 % of {pid_max:,}",
            _PIDS,
            "cgroup-pids",
        )
    for limit in (1_024, 4_096, 65_536, 524_288, 1_048_576):
        half = limit // 2
        yield Plateau(
            half - 32,
            half,
            f"connections through a proxy, with two descriptors each: half of a limit of {limit:,}",
            f"{_NOFILE}; accept() and socket() fail with EMFILE",
            "process-fds",
        )
    for limit in (262_144, 1_048_576):
        half = limit // 2
        yield Plateau(
            half - 165,
            half - 5,
            f"threads of one process, two maps each: half of vm.max_map_count {limit:,}",
            _MAPS,
            "memory-maps",
        )


_KERNEL = (
    Plateau(
        10,
        11,
        "messages that wait in a unix datagram socket: net.unix.max_dgram_qlen is 10 by default; one more fits",
        "ss -xa: the reader does not keep up",
        "unix-dgram-queue",
    ),
    Plateau(
        512,
        513,
        "messages that wait in a unix datagram socket: systemd sets net.unix.max_dgram_qlen to 512",
        "ss -xa: the reader does not keep up",
        "unix-dgram-queue",
    ),
    Plateau(
        20,
        20,
        "multicast groups of one socket: net.ipv4.igmp_max_memberships",
        "setsockopt(IP_ADD_MEMBERSHIP) fails with ENOBUFS",
    ),
    Plateau(253, 253, "descriptors in one message over a unix socket (SCM_MAX_FD)", "sendmsg() fails with EINVAL"),
    Plateau(
        128,
        128,
        "inotify instances of a user: the default of fs.inotify.max_user_instances",
        "inotify_init() fails with EMFILE",
        "inotify-instances",
    ),
    Plateau(
        128,
        128,
        "fanotify groups of a user: the default of fs.fanotify.max_user_groups",
        "fanotify_init() fails with EMFILE",
        "fanotify-groups",
    ),
    Plateau(
        8_192,
        8_192,
        "inotify watches of a user: the default before Linux 5.11, and the lowest since",
        "inotify_add_watch() fails with ENOSPC",
        "inotify-watches",
    ),
    Plateau(
        524_288,
        524_288,
        "inotify watches of a user: what many guides set",
        "inotify_add_watch() fails with ENOSPC",
        "inotify-watches",
    ),
    Plateau(
        1_048_576,
        1_048_576,
        "inotify watches of a user: the highest default since Linux 5.11",
        "inotify_add_watch() fails with ENOSPC",
        "inotify-watches",
    ),
    Plateau(
        16_384,
        16_384,
        "events that wait in an inotify or fanotify queue (max_queued_events)",
        "the program gets IN_Q_OVERFLOW or FAN_Q_OVERFLOW; no call fails",
    ),
    Plateau(
        1_024,
        1_024,
        "pipes of a user: fs.pipe-user-pages-soft is 16,384 pages, 16 for each pipe",
        "nothing fails: new pipes have two pages, and writers wait more often",
    ),
    Plateau(
        65_536,
        65_536,
        "asynchronous requests of the host: the default of fs.aio-max-nr",
        "fs.aio-nr; io_setup() fails with EAGAIN",
        "aio-events",
    ),
    Plateau(
        1_000,
        1_001,
        "packets in the input queue of a processor: the default of net.core.netdev_max_backlog",
        "second column of /proc/net/softnet_stat",
        "softnet-backlog",
    ),
    Plateau(
        1_000,
        1_000,
        "packets in the transmit queue of an interface: the default txqueuelen",
        "dropped in tc -s qdisc show; some sockets get ENOBUFS",
    ),
    Plateau(
        212_992,
        212_992,
        "bytes in a socket buffer: net.core.rmem_default and wmem_default",
        "ss -uam: rb and tb of skmem; drops at the end of each line of /proc/net/udp",
    ),
    Plateau(
        425_984,
        425_984,
        "bytes in a socket buffer: SO_RCVBUF at the net.core.rmem_max of 212,992, doubled by the kernel",
        "ss -uam: rb of skmem; drops at the end of each line of /proc/net/udp",
    ),
    Plateau(
        262_100,
        262_146,
        "memory maps of one process: the vm.max_map_count that Elasticsearch requires",
        _MAPS,
        "memory-maps",
    ),
    Plateau(
        1_048_400,
        1_048_578,
        "memory maps of one process: vm.max_map_count as recent distributions set it",
        _MAPS,
        "memory-maps",
    ),
    Plateau(
        4_090,
        4_096,
        "threads of a user: RLIMIT_NPROC as RHEL 7 and later set it for logins",
        "grep processes /proc/PID/limits; fork() fails with EAGAIN",
        "user-processes",
    ),
    Plateau(
        4_193_900,
        4_194_304,
        "tasks of the host: the highest kernel.pid_max, the default of 64-bit systemd hosts",
        "field 4 of /proc/loadavg; fork() fails with EAGAIN for every user",
        "pid-max",
    ),
    Plateau(2_040, 2_048, "tasks of a container: the default limit of Podman", _PIDS, "cgroup-pids"),
    Plateau(
        1_073_741_816,
        1_073_741_816,
        "the descriptors that `infinity` means to a container: systemd raises"
        " fs.nr_open to it. The limit itself is not reached: programs that close, or reserve memory for, each"
        " possible descriptor take minutes or gigabytes",
        f"{_NOFILE}; set 524,288 or 1,048,576 instead",
        "process-fds",
    ),
    Plateau(
        1_073_741_824,
        1_073_741_824,
        "2³⁰, as fs.nr_open or a limit of descriptors: programs that close, or"
        " reserve memory for, each possible descriptor take minutes or gigabytes",
        _NOFILE,
        "process-fds",
    ),
    Plateau(
        1_073_741_824,
        1_073_741_824,
        "1 GiB in bytes, as the memory limit of a container",
        "memory.max and memory.events of its cgroup",
        "cgroup-memory",
    ),
    Plateau(2_147_483_584, 2_147_483_584, "the highest fs.nr_open of a 64-bit kernel", _NOFILE, "process-fds"),
    Plateau(
        9_223_372_036_854_771_712,
        9_223_372_036_854_775_807,
        "no limit: fs.file-max as systemd sets it, or the memory limit of a cgroup that has none (version 1)",
        "another limit binds",
    ),
    Plateau(
        32_200,
        32_256,
        "half of the ports 1024–65535 to one destination: nothing fails, but each connect() is slower",
        "connect() takes 0.5 to 1 ms of a processor; perf shows __inet_hash_connect",
        "ephemeral-ports",
    ),
    Plateau(
        532,
        538,
        "new connections a second through address translation to one destination: 64,512 ports, each"
        " 120 s in TIME_WAIT of connection tracking",
        "insert_failed in /proc/net/stat/nf_conntrack moves",
        "snat-ports",
        rate=True,
    ),
)
_SERVERS = (
    Plateau(
        97,
        100,
        "clients of PostgreSQL: max_connections is 100 by default, three of them reserved",
        "the log has `too many clients already`; no counter of the kernel moves",
    ),
    Plateau(
        151,
        152,
        "clients of MySQL: max_connections is 151 by default, and one more for an administrator",
        "error 1040, `Too many connections`; no counter of the kernel moves",
    ),
    Plateau(
        512,
        512,
        "connections of an nginx worker: worker_connections is 512 by default",
        "the error log has `worker_connections are not enough`",
    ),
    Plateau(200, 200, "requests that Tomcat handles at once: maxThreads is 200 by default", "a thread dump"),
    Plateau(
        400,
        400,
        "requests that Apache handles at once: MaxRequestWorkers is 400 by default (event)",
        "the error log has `server reached MaxRequestWorkers setting`",
    ),
    Plateau(
        256,
        256,
        "requests that Apache handles at once: MaxRequestWorkers is 256 by default (prefork)",
        "the error log has `server reached MaxRequestWorkers setting`",
    ),
    Plateau(
        64,
        64,
        "connections to one destination from a virtual machine: Google Cloud NAT gives it 64 ports by default",
        "the metrics of the gateway; on this host connects time out",
    ),
    Plateau(
        1_024,
        1_024,
        "connections to one destination from a virtual machine: an Azure load balancer gives it 1,024"
        " ports by default",
        "the metrics of the load balancer; on this host connects time out",
    ),
)

DEFAULTS = (*_KERNEL, *_shares(), *_SERVERS, *KERNEL_OBJECTS, *PROGRAMS)
