"""Snapshots of a small invented host, for tests of what is derived from them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from sockmon.model.snapshot import (
    Cgroups,
    Conntrack,
    Files,
    Host,
    Listener,
    LockedMemory,
    Maps,
    Memory,
    MemoryCgroup,
    Neighbours,
    Netns,
    Owner,
    PidsCgroup,
    PortGroup,
    Ports,
    Process,
    Processes,
    ProcessMaps,
    Snapshot,
    Snat,
    Sockstat,
    Softnet,
    StateCount,
    States,
    Tasks,
    TransmitQueue,
    TransmitQueues,
    UdpPorts,
    UserWatches,
    Watches,
)

HOST = Host("web-1", "6.18.44", "5f0c", 4, 4096, "root", 0)
SYSCTLS = {
    "net.core.somaxconn": "4096",
    "net.ipv4.ip_local_port_range": "32768 60999",
    "net.ipv4.ip_unprivileged_port_start": "1024",
    "net.ipv4.tcp_max_tw_buckets": "131072",
    "net.ipv4.tcp_timestamps": "1",
    "net.ipv4.tcp_tw_reuse": "2",
    "net.unix.max_dgram_qlen": "10",
}
HOST_SYSCTLS = {
    "net.core.netdev_max_backlog": "1000",
    "net.ipv4.neigh.default.gc_thresh1": "128",
    "net.ipv4.neigh.default.gc_thresh2": "512",
    "net.ipv4.neigh.default.gc_thresh3": "1024",
    "net.ipv4.udp_mem": "1000 1333 2000",
    "fs.aio-max-nr": "65536",
    "fs.aio-nr": "128",
    "fs.epoll.max_user_watches": "5491511",
    "fs.fanotify.max_user_groups": "128",
    "fs.fanotify.max_user_marks": "205039",
    "fs.inotify.max_user_instances": "128",
    "fs.inotify.max_user_watches": "192536",
    "user.max_fanotify_groups": "128",
    "user.max_fanotify_marks": "205039",
    "user.max_inotify_instances": "128",
    "user.max_inotify_watches": "192536",
    "vm.max_map_count": "65530",
}


def process(pid: int = 1044, fds: int | None = 100, soft: int | None = 1024, **more: Any) -> Process:
    values: dict[str, Any] = {
        "start": 7,
        "name": "nginx",
        "command": "nginx: worker",
        "uid": 33,
        "user": "www",
        "threads": 1,
        "rss": 1 << 20,
        "hard": 4096,
        "nproc": 48000,
    }
    return Process(pid=pid, fds=fds, soft=soft, **(values | more))


def listener(queue: int = 0, backlog: int | None = 128, **more: Any) -> Listener:
    values: dict[str, Any] = {
        "protocol": "tcp",
        "address": "0.0.0.0",
        "port": 8080,
        "inode": 71,
        "uid": 33,
        "owner": Owner(1044, 7, "nginx", 1),
    }
    return Listener(queue=queue, backlog=backlog, **(values | more))


def cgroups(
    at: float = 0.0, *pids: PidsCgroup, memory: MemoryCgroup | None = None, hidden: bool = False
) -> Cgroups:
    """One service with room to spare, where no others are given."""
    roomy = PidsCgroup("/system.slice/nginx.service", 20, 4915, 0, "nginx[1044]", 1)
    heap = MemoryCgroup("/system.slice/nginx.service", 90 << 20, 512 << 20, 40 << 20, 0, 0, "nginx[1044]", 1)
    return Cgroups(at, pids or (roomy,), (memory or heap,), hidden)


def group(used: int, time_wait: int = 0, destination: str = "10.0.0.9", port: int = 5432) -> PortGroup:
    return PortGroup("10.0.0.5", destination, port, used, time_wait, ())


def ports(*groups: PortGroup, at: float = 0.0, low: int = 32768, high: int = 60999, usable: int = 28232) -> Ports:
    return Ports(at, low, high, 0, (), (), usable, groups, len(groups), 0)


def transmit_queue(**changes: Any) -> TransmitQueue:
    """An idle network card."""
    idle = TransmitQueue("eth0", "pfifo_fast", "root", "pfifo_fast", 1, 0, 1000, False, 5000, 0, 0, 0)
    return replace(idle, **changes)


def netns(**changes: Any) -> Netns:
    return replace(
        Netns(
            name="host",
            inode=4026531840,
            sockstat=Sockstat(10, 5, 0, 0, 1, 0, 0, 0, 12),
            counters={"TcpExt.ListenOverflows": 5, "TcpExt.ListenDrops": 5, "TcpExt.TCPTimeWaitOverflow": 0},
            sysctls=SYSCTLS,
            states=States(0.0, {"ESTABLISHED": StateCount(4, 4, 0)}),
            listeners=(listener(),),
            ports=ports(group(100)),
            conntrack=Conntrack(0, 262144, 262144, {"drop": 0, "insert_failed": 0, "early_drop": 0}),
            udp=UdpPorts(0.0, 32768, 60999, 0, 12, 28232, (), ()),
            snat=Snat(0.0, (), 0),
            datagrams=(),
            transmit=TransmitQueues(0.0, (transmit_queue(),)),
        ),
        **changes,
    )


def snapshot(at: float = 0.0, *rows: Process, processes: Processes | None = None, **changes: Any) -> Snapshot:
    """At `at` seconds; `rows` are its processes, changes to the namespace as `netns=netns(...)`."""
    return replace(
        Snapshot(
            at=at,
            wall=1_800_000_000.0 + at,
            interval=1.0,
            cost=0.01,
            host=HOST,
            files=Files(1000, 1_000_000, 1_048_576),
            tasks=Tasks(200, 32768, 96000),
            memory=Memory(100, 2, 0, 9, (1000, 1333, 2000), 4096),
            processes=processes or Processes(at, rows or (process(),), 0, at),
            netns=(netns(),),
            missing=(),
            sysctls=HOST_SYSCTLS,
            cgroups=cgroups(at),
            neighbours=(Neighbours("arp_cache", 4, 0),),
            softnet=Softnet(5, 0, 0, 0),
            locked=LockedMemory(at, (), 0),
            maps=Maps(at, (ProcessMaps(1044, 7, "nginx", 90, 1),), 1, 0),
            watches=Watches(at, (UserWatches(33, "www", 100, 1, 4, False, (Owner(1044, 7, "nginx", 5),)),), 0),
        ),
        **changes,
    )
