"""Limits that only a setting of the whole host brings within reach.

A lab must not lower what everybody on the machine depends on. So these were driven to once, on a machine of their
own, by `python -m tests.host_runs NAME`, and are shown from its recording: real sockets and threads, a real
kernel's numbers. Host-wide counts are those of that machine, processes and sockets those of the lab alone.
"""

from __future__ import annotations

from sockmon.labs.lab import Expect, Lab

HOST = r"^lab$"
"""What the host is called in all recordings."""


def _recorded(name: str, title: str, does: str, look: str, proves: str, first: Expect, *never: str) -> Lab:
    return Lab(
        name=name,
        ceiling=name,
        title=title,
        does=does,
        look=look,
        proves=proves,
        build=None,
        first=first,
        never=never,
        recording=f"{name}.jsonl",
    )


SYSTEM_FDS = _recorded(
    "system-fds",
    "a host that runs out of open files",
    "fs.file-max is a little above what is open, and a service of an ordinary user opens socket after socket.",
    "open files of the host at their limit; gatherer[3] has by far the most",
    "ENFILE is told from EMFILE: the service is far below its own limit, the host is at its",
    Expect("system-fds", HOST, (1_000, 20_000), (1_000, 20_000), ("hit",), "application"),
    "process-fds",
)

EPOLL_WATCHES = _recorded(
    "epoll-watches",
    "a server that may watch no more connections",
    "fs.epoll.max_user_watches is 2,000, and an event server accepts 2,200 connections.",
    "epoll watches of nobody at 2,000/2,000, with 2,211 descriptors open",
    "watches are counted by user from what its epoll sets hold: ENOSPC has nothing to do with a disk",
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

TCP_MEMORY = _recorded(
    "tcp-memory",
    "TCP under memory pressure",
    "tcp_mem is lowered to some 40 MB; 200 producers send to an archive that stopped reading.",
    "TCP memory above the pressure mark, and TCPMemoryPressures that moved",
    "pressure is named when it begins, before the limit, by the counter and not by a guess",
    Expect("tcp-memory", HOST, (4_000, 11_000), (8_000, 20_000), ("hit",), "application"),
    "udp-memory",
    "tcp-orphans",
)

UDP_MEMORY = _recorded(
    "udp-memory",
    "UDP out of memory",
    "udp_mem begins at 16 MB, and a collector with 16 sockets stopped reading its datagrams.",
    "UDP memory at its limit, the first of the three values and not the third",
    "the first value of udp_mem is the wall: what comes above it is dropped, and no counter of the host tells",
    Expect("udp-memory", HOST, (4_000, 4_800), (4_000, 4_000), ("hit",), "application"),
    "tcp-memory",
)

TCP_ORPHANS = _recorded(
    "tcp-orphans",
    "a server that closes on clients who stopped reading",
    "tcp_max_orphans is 64, and a download server closes 16 connections a second with data unsent.",
    "orphans near or below 64, and resets counted by TCPAbortOnMemory",
    "the counter decides: at the limit the kernel resets orphans by the dozen, and the number falls again",
    Expect("tcp-orphans", HOST, (0, 100), (64, 64), ("hit",), "application"),
    "tcp-memory",
    "process-fds",
)

THREADS_MAX = _recorded(
    "threads-max",
    "a host that can start no more threads",
    "kernel.threads-max is 320 above what runs, and a server starts a thread for each connection.",
    "tasks of the host at their limit; thread-server[3] has most of them",
    "EAGAIN of a thread is the host's limit here: no cgroup, no user and no map is near its own",
    Expect("threads-max", HOST, (400, 4_000), (400, 4_000), ("hit",), "sysctl", "kernel.threads-max"),
    "memory-maps",
    "cgroup-pids",
    "user-processes",
)

NEIGHBOUR_TABLE = _recorded(
    "neighbour-table",
    "a flat network with more hosts than the table holds",
    "A scanner sends a datagram to each of 1,500 direct neighbours; gc_thresh3 is the default, 1,024.",
    "neighbour table at 1,024, and table_fulls that moves",
    "the one table of all namespaces is read where it is shown, and its overflow is counted, not guessed",
    Expect("neighbour-table", HOST, (1_014, 1_060), (1_024, 1_024), ("hit",), "application"),
)

SOFTNET_BACKLOG = _recorded(
    "softnet-backlog",
    "a bridge that floods more ports than a queue holds",
    "netdev_max_backlog is 200, and a bridge with 300 veth ports copies every broadcast to all of them.",
    "input queue: empty whenever one looks, and dropped that moves by thousands",
    "bursts that are over long before the next look are seen by the drops they leave",
    Expect("softnet-backlog", HOST, (0, 201), (200, 200), ("hit",), "application"),
    "neighbour-table",
)
