"""Plateaus that the kernel's defaults, and those of what runs on it, make known numbers."""

from sockmon.fingerprints.mark import NOT_PORTS, Mark

_RECEIVED_Q = "ss -ltn: Recv-Q of the listener stays at this number, above its Send-Q"

_KERNEL = (
    Mark(
        1_000,
        1_024,
        "descriptors of a process with the kernel's default soft limit of 1,024, less what else it has open",
        "grep 'open files' /proc/PID/limits; accept() fails with EMFILE",
        "process-fds",
    ),
    Mark(
        1_024,
        1_024,
        "descriptors of a program that calls select(): it takes none above 1,023 (FD_SETSIZE)",
        "the limit in /proc/PID/limits is higher, and strace shows select()",
    ),
    Mark(
        1_024,
        1_024,
        "hosts on the same link that the neighbour table has room for by default (gc_thresh3)",
        "/proc/net/stat/arp_cache: entries is 0x400 and table_fulls moves",
        "neighbour-table",
    ),
    Mark(
        4_000,
        4_096,
        "descriptors of a process at the kernel's default hard limit of 4,096",
        "grep 'open files' /proc/PID/limits",
        "process-fds",
    ),
    Mark(128, 129, "connections that wait at a listener with a backlog of 128", _RECEIVED_Q, "accept-queue"),
    Mark(511, 512, "connections that wait at a listener with a backlog of 511", _RECEIVED_Q, "accept-queue"),
    Mark(
        4_096,
        4_097,
        "connections that wait at a listener whose backlog net.core.somaxconn cut to its default, 4,096",
        _RECEIVED_Q,
        "accept-queue",
    ),
    Mark(
        4_870,
        4_915,
        "tasks of a service: systemd's default TasksMax, 15 % of pid_max 32768, is 4,915",
        "pids.max and pids.events of its cgroup; fork() and clone() fail with EAGAIN",
        "cgroup-pids",
    ),
    Mark(
        14_100,
        14_116,
        "half of the default range of ports to one destination: nothing fails, but from here each connect()"
        " searches 50 to 100 times longer",
        "connect() takes 0.5 to 1 ms of a processor; perf shows __inet_hash_connect",
        "ephemeral-ports",
    ),
    Mark(
        28_231,
        28_232,
        "ports of the default range 32768–60999 to one destination: a client, a proxy, a load generator",
        "connect() fails with EADDRNOTAVAIL; a server's inbound connections do not stop here",
        "ephemeral-ports",
    ),
    Mark(
        32_380,
        32_468,
        "tasks under pid_max 32768 once the ids have wrapped around: the 300 lowest are not given out again, and"
        " other processes hold some",
        "field 4 of /proc/loadavg against kernel.pid_max; fork() fails with EAGAIN for everybody",
        "pid-max",
    ),
    Mark(
        32_700,
        32_767,
        "tasks under pid_max 32768 where the ids have not wrapped around yet",
        "field 4 of /proc/loadavg against kernel.pid_max; fork() fails with EAGAIN for everybody",
        "pid-max",
    ),
    Mark(
        32_600,
        32_760,
        "threads of one process under vm.max_map_count 65530: two memory maps each, and those of the program"
        " itself",
        "wc -l /proc/PID/maps is some 65,530; pthread_create() fails, fork() still works",
        "memory-maps",
        myth=NOT_PORTS,
    ),
    Mark(
        65_400,
        65_532,
        "memory maps of one process under vm.max_map_count 65530: one for each connection",
        "wc -l /proc/PID/maps; mmap() fails with ENOMEM",
        "memory-maps",
    ),
    Mark(
        65_470,
        65_536,
        "descriptors of a process whose limit was set to 65,535 or 65,536",
        "grep 'open files' /proc/PID/limits",
        "process-fds",
    ),
    Mark(
        65_536,
        65_536,
        "flows that connection tracking holds by default on a machine of 1 to 4 GB",
        "net.netfilter.nf_conntrack_max, and drop in /proc/net/stat/nf_conntrack",
        "conntrack-table",
    ),
    Mark(
        64_511,
        64_512,
        "ports 1024–65535 to one destination: a wide net.ipv4.ip_local_port_range, or address translation",
        "ss -tan: count the local ports towards that destination",
        "ephemeral-ports",
    ),
    Mark(
        131_072,
        131_072,
        "connections without an owner, or in TIME_WAIT, that the kernel keeps by default with up to 32 GB",
        "/proc/net/sockstat: orphan, tw; TCPAbortOnMemory or TCPTimeWaitOverflow moves",
        "tcp-orphans",
    ),
    Mark(
        131_072,
        131_072,
        "flows in connection tracking: the least that kube-proxy sets",
        "net.netfilter.nf_conntrack_max",
        "conntrack-table",
    ),
    Mark(
        262_144,
        262_144,
        "flows that connection tracking holds by default above 4 GB",
        "net.netfilter.nf_conntrack_max, and drop in /proc/net/stat/nf_conntrack",
        "conntrack-table",
    ),
    Mark(
        524_200,
        524_288,
        "descriptors of a process at the hard limit that systemd gives by default, 524,288",
        "grep 'open files' /proc/PID/limits",
        "process-fds",
    ),
    Mark(
        1_048_500,
        1_048_576,
        "descriptors of a process at the default of fs.nr_open",
        "grep 'open files' /proc/PID/limits, and fs.nr_open",
        "process-fds",
    ),
    Mark(
        465,
        471,
        "new connections a second to one destination with the default range: 28,232 ports, each 60 s in TIME_WAIT",
        "ss -tan state time-wait: nearly all ports towards that destination",
        "ephemeral-ports",
        per="second",
    ),
    Mark(
        1_065,
        1_076,
        "new connections a second to one destination with the ports 1024–65535, each 60 s in TIME_WAIT",
        "ss -tan state time-wait: nearly all ports towards that destination",
        "ephemeral-ports",
        per="second",
    ),
)

_OTHERS = (
    Mark(
        10_000,
        10_000,
        "clients of Redis: maxclients is 10,000 by default",
        "redis-cli info stats: rejected_connections moves; no counter of the kernel does",
    ),
    Mark(
        50_000,
        55_000,
        "connections to one destination through the NAT gateway of a cloud: 55,000 by address at AWS, 50,000 at"
        " Azure",
        "the gateway's own metrics (ErrorPortAllocation); this host sees connects that time out",
    ),
)

KNOWN = (*_KERNEL, *_OTHERS)
