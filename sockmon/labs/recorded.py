"""Limits that can only be reached with a host-wide setting.

A lab must not lower what every program on the machine depends on. `python -m tests.host_runs NAME` has reached
them on a dedicated machine, and these labs are its recordings: real sockets, threads and numbers of a kernel.
Host-wide counts are those of that machine; processes and sockets are those of the lab alone.
"""

from __future__ import annotations

from sockmon.sandbox.scenario import Expect, Lab

HOSTNAME = r"^lab$"
"""The name of the host in all recordings."""


def _recorded(
    name: str, title: str, scenario: str, what_to_see: str, claim: str, expect_first: Expect, *no_alarm: str
) -> Lab:
    return Lab(
        name=name,
        ceiling=name,
        title=title,
        scenario=scenario,
        what_to_see=what_to_see,
        claim=claim,
        build=None,
        expect_first=expect_first,
        expect_no_alarm=no_alarm,
        recording=f"{name}.jsonl",
    )


CONNTRACK_BUCKETS = _recorded(
    "conntrack-buckets",
    "a connection tracking table with few buckets",
    "nf_conntrack_buckets is 1,024, and nf_conntrack_max 262,144: each new flow makes the buckets longer.",
    "conntrack buckets above 25/50 entries; chainlength and insert_failed rise",
    "a bucket that is too long is not mistaken for a full table or for a clash of translated ports",
    Expect(
        "conntrack-buckets", r"^lab$", (25, 80), (50, 50), ("hit",), "sysctl", "net.netfilter.nf_conntrack_buckets"
    ),
    "conntrack-table",
    "snat-ports",
    "udp-ports",
)

SYSTEM_FDS = _recorded(
    "system-fds",
    "a host that runs out of open files",
    "fs.file-max is slightly above what is open, and a service of an ordinary user opens more sockets.",
    "open files of the host at their limit; gatherer[3] has by far the most",
    "ENFILE is not mistaken for EMFILE: the host is at its limit, and the service far below its own",
    Expect("system-fds", HOSTNAME, (1_000, 20_000), (1_000, 20_000), ("hit",), "application"),
    "process-fds",
)

EPOLL_WATCHES = _recorded(
    "epoll-watches",
    "a server that can watch no more connections",
    "fs.epoll.max_user_watches is 2,000, and an event server accepts 2,200 connections.",
    "epoll watches of nobody at 2,000/2,000, with 2,211 descriptors open",
    "watches are counted per user from its epoll sets, and ENOSPC is not mistaken for a full disk",
    Expect(
        "epoll-watches",
        r"^nobody \(65534\)$",
        (2_000, 2_000),
        (2_000, 2_000),
        ("hit",),
        "sysctl",
        "fs.epoll.max_user_watches",
    ),
    "process-fds",
    "system-fds",
    "ephemeral-ports",
)

AIO_EVENTS = _recorded(
    "aio-events",
    "a database that gets no asynchronous I/O",
    "A database reserves all 65,536 requests that fs.aio-max-nr allows the host, and then asks for one more.",
    "asynchronous requests at 65,536/65,536, held by database[3]",
    "EAGAIN of io_setup() is traced to the one limit of the host, and to the process that holds most of it",
    Expect("aio-events", HOSTNAME, (65_536, 65_536), (65_536, 65_536), ("hit",), "sysctl", "fs.aio-max-nr"),
    "process-fds",
    "memory-maps",
    "user-processes",
)

TCP_MEMORY = _recorded(
    "tcp-memory",
    "TCP under memory pressure",
    "tcp_mem is lowered to about 40 MB; 200 producers send to an archive that has stopped reading.",
    "TCP memory above the pressure level, and TCPMemoryPressures has risen",
    "pressure is reported when it begins, before the limit, from the counter of the kernel",
    Expect("tcp-memory", HOSTNAME, (4_000, 11_000), (8_000, 20_000), ("hit",), "application"),
    "udp-memory",
    "tcp-orphans",
)

UDP_MEMORY = _recorded(
    "udp-memory",
    "UDP out of memory",
    "The first value of udp_mem is 16 MB, and a collector with 16 sockets has stopped reading.",
    "UDP memory at its limit: the first of the three values, not the third",
    "the first value of udp_mem is the limit: the kernel drops what exceeds it, and no host counter shows it",
    Expect("udp-memory", HOSTNAME, (4_000, 4_800), (4_000, 4_000), ("hit",), "application"),
    "tcp-memory",
)

TCP_ORPHANS = _recorded(
    "tcp-orphans",
    "a server that closes connections whose clients stopped reading",
    "tcp_max_orphans is 64, and a download server closes 16 connections per second with unsent data.",
    "orphans near or below 64, and resets counted in TCPAbortOnMemory",
    "the counter decides: at the limit the kernel resets dozens of orphans, and the number falls again",
    Expect("tcp-orphans", HOSTNAME, (0, 100), (64, 64), ("hit",), "application"),
    "tcp-memory",
    "process-fds",
)

THREADS_MAX = _recorded(
    "threads-max",
    "a host that can start no more threads",
    "kernel.threads-max is 320 above what runs, and a server starts one thread per connection.",
    "tasks of the host at their limit; thread-server[3] has most of them",
    "EAGAIN of a thread is traced to the host: no cgroup, user or process is near its own limit",
    Expect("threads-max", HOSTNAME, (400, 4_000), (400, 4_000), ("hit",), "sysctl", "kernel.threads-max"),
    "memory-maps",
    "cgroup-pids",
    "user-processes",
)

NEIGHBOUR_TABLE = _recorded(
    "neighbour-table",
    "a flat network with more hosts than the table holds",
    "A scanner sends a datagram to each of 1,500 direct neighbours; gc_thresh3 is the default, 1,024.",
    "neighbour table at 1,024, and table_fulls rising",
    "the one table of all namespaces is read in the initial one, and the kernel counts its overflows",
    Expect("neighbour-table", HOSTNAME, (1_014, 1_060), (1_024, 1_024), ("hit",), "application"),
)

SOFTNET_BACKLOG = _recorded(
    "softnet-backlog",
    "a bridge that floods more ports than the input queue holds",
    "netdev_max_backlog is 200, and a bridge with 300 veth ports copies each broadcast to all of them.",
    "input queue: empty in every sample, and dropped rises by thousands",
    "bursts that are shorter than a sample are detected by the drops that they cause",
    Expect("softnet-backlog", HOSTNAME, (0, 201), (200, 200), ("hit",), "application"),
    "neighbour-table",
)
