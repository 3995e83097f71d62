"""Well-known plateaus: defaults of the kernel, and of software that runs on it."""

from sockmon.explain.plateaus.defaults import DEFAULTS
from sockmon.explain.plateaus.plateau import Plateau
from sockmon.misconceptions import HALF_RANGE, PORT_RANGE, THREADS_32K

_RECEIVED_Q = "ss -ltn: Recv-Q of the listener stays at this number, above its Send-Q"

_KERNEL = (
    Plateau(
        1_000,
        1_024,
        "descriptors of a process with the kernel's default soft limit of 1,024, less what else it has open",
        "grep 'open files' /proc/PID/limits; accept() fails with EMFILE",
        "process-fds",
    ),
    Plateau(
        1_024,
        1_024,
        "descriptors of a program that calls select(), which takes descriptors up to 1,023 (FD_SETSIZE)",
        "the limit in /proc/PID/limits is higher, and strace shows select()",
    ),
    Plateau(
        1_024,
        1_024,
        "hosts on the same link: the default size of the neighbour table (gc_thresh3)",
        "/proc/net/stat/arp_cache: entries is 0x400 and table_fulls moves",
        "neighbour-table",
    ),
    Plateau(
        4_000,
        4_096,
        "descriptors of a process at the kernel's default hard limit of 4,096",
        "grep 'open files' /proc/PID/limits",
        "process-fds",
    ),
    Plateau(128, 129, "connections that wait at a listener with a backlog of 128", _RECEIVED_Q, "accept-queue"),
    Plateau(511, 512, "connections that wait at a listener with a backlog of 511", _RECEIVED_Q, "accept-queue"),
    Plateau(
        4_096,
        4_097,
        "connections that wait at a listener whose backlog is capped by the default net.core.somaxconn, 4,096",
        _RECEIVED_Q,
        "accept-queue",
    ),
    Plateau(
        4_870,
        4_915,
        "tasks of a service: systemd's default TasksMax, 15 % of pid_max 32768, is 4,915",
        "pids.max and pids.events of its cgroup; fork() and clone() fail with EAGAIN",
        "cgroup-pids",
    ),
    Plateau(
        14_100,
        14_116,
        "half of the default range of ports to one destination: nothing fails, but each connect() is slower",
        "connect() takes 0.5 to 1 ms of a processor; perf shows __inet_hash_connect",
        "ephemeral-ports",
        misconception=HALF_RANGE,
    ),
    Plateau(
        28_231,
        28_232,
        "ports of the default range 32768–60999 to one destination: a client, a proxy, a load generator",
        "connect() fails with EADDRNOTAVAIL; a server's inbound connections do not stop here",
        "ephemeral-ports",
        misconception=PORT_RANGE,
    ),
    Plateau(
        32_380,
        32_468,
        "tasks: pid_max 32768 after the ids have wrapped around; the 300 lowest are not allocated again, and other"
        " processes hold some",
        "field 4 of /proc/loadavg against kernel.pid_max; fork() fails with EAGAIN for every user",
        "pid-max",
    ),
    Plateau(
        32_700,
        32_767,
        "tasks: pid_max 32768 before the ids have wrapped around",
        "field 4 of /proc/loadavg against kernel.pid_max; fork() fails with EAGAIN for every user",
        "pid-max",
    ),
    Plateau(
        32_600,
        32_760,
        "threads of one process: vm.max_map_count 65530, two memory maps for each thread, and those of the"
        " program",
        "wc -l /proc/PID/maps is some 65,530; pthread_create() fails, fork() still works",
        "memory-maps",
        misconception=THREADS_32K,
    ),
    Plateau(
        65_400,
        65_532,
        "memory maps of one process: vm.max_map_count 65530, one map for each connection",
        "wc -l /proc/PID/maps; mmap() fails with ENOMEM",
        "memory-maps",
    ),
    Plateau(
        65_530,
        65_530,
        "memory maps of one process: the kernel's default vm.max_map_count",
        "wc -l /proc/PID/maps; mmap() fails with ENOMEM",
        "memory-maps",
    ),
    Plateau(
        65_470,
        65_536,
        "descriptors of a process whose limit was set to 65,535 or 65,536",
        "grep 'open files' /proc/PID/limits",
        "process-fds",
    ),
    Plateau(
        65_536,
        65_536,
        "flows in connection tracking: the default on a machine with 1 to 4 GB of memory",
        "net.netfilter.nf_conntrack_max, and drop in /proc/net/stat/nf_conntrack",
        "conntrack-table",
    ),
    Plateau(
        64_511,
        64_512,
        "ports 1024–65535 to one destination: a wide net.ipv4.ip_local_port_range, or address translation",
        "ss -tan: count the local ports towards that destination",
        "ephemeral-ports",
    ),
    Plateau(
        131_072,
        131_072,
        "connections without an owner, or in TIME_WAIT: the default with up to 32 GB of memory",
        "/proc/net/sockstat: orphan, tw; TCPAbortOnMemory or TCPTimeWaitOverflow moves",
        "tcp-orphans",
    ),
    Plateau(
        131_072,
        131_072,
        "flows in connection tracking: the minimum that kube-proxy sets",
        "net.netfilter.nf_conntrack_max",
        "conntrack-table",
    ),
    Plateau(
        262_144,
        262_144,
        "flows in connection tracking: the default above 4 GB of memory",
        "net.netfilter.nf_conntrack_max, and drop in /proc/net/stat/nf_conntrack",
        "conntrack-table",
    ),
    Plateau(
        524_200,
        524_288,
        "descriptors of a process with the default hard limit of systemd, 524,288",
        "grep 'open files' /proc/PID/limits",
        "process-fds",
    ),
    Plateau(
        1_048_500,
        1_048_576,
        "descriptors of a process at the default fs.nr_open",
        "grep 'open files' /proc/PID/limits, and fs.nr_open",
        "process-fds",
    ),
    Plateau(
        465,
        471,
        "new connections a second to one destination with the default range: 28,232 ports, each 60 s in TIME_WAIT",
        "ss -tan state time-wait: nearly all ports towards that destination",
        "ephemeral-ports",
        rate=True,
    ),
    Plateau(
        1_065,
        1_076,
        "new connections a second to one destination with the ports 1024–65535, each 60 s in TIME_WAIT",
        "ss -tan state time-wait: nearly all ports towards that destination",
        "ephemeral-ports",
        rate=True,
    ),
)

_OTHERS = (
    Plateau(
        10_000,
        10_000,
        "clients of Redis: maxclients is 10,000 by default",
        "redis-cli info stats: rejected_connections moves; no counter of the kernel does",
    ),
    Plateau(
        50_000,
        55_000,
        "connections to one destination through a cloud NAT gateway: 55,000 for each address at AWS, 50,000 at"
        " Azure",
        "the metrics of the gateway (ErrorPortAllocation); on this host connects time out",
    ),
)

WELL_KNOWN = (*_KERNEL, *_OTHERS, *DEFAULTS)
