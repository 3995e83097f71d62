"""A host at every limit at once: its Report has every remedy that exists."""

from __future__ import annotations

from sockmon.assess import Assessor
from sockmon.model.report import Report
from sockmon.model.snapshot import (
    Conntrack,
    DatagramQueue,
    Files,
    HalfOpen,
    Maps,
    Memory,
    Neighbours,
    Netns,
    Owner,
    ProcessMaps,
    Snapshot,
    Sockstat,
    Softnet,
    StateCount,
    States,
    Tasks,
    UdpPorts,
    UserWatches,
    Watches,
)
from tests.snapshots import cgroups, group, listener, netns, ports, process, snapshot

_OWNER = Owner(1044, 7, "nginx", 5)


def worst() -> Report:
    """Return the Report after three Snapshots, between which every failure counter increases."""
    assessor = Assessor()
    for second in range(3):
        report = assessor.add(_snapshot(float(second), 100 * second)).report
    return report


def _snapshot(at: float, failures: int) -> Snapshot:
    rows = (
        process(fds=1024, soft=1024, nproc=10, threads=10),
        process(pid=2000, name="big", uid=44, user="big", fds=1 << 20, soft=2_000_000, hard=2_000_000),
    )
    return snapshot(
        at,
        *rows,
        netns=(_netns(at, failures),),
        files=Files(1_000_000, 1_000_000, 1 << 20),
        tasks=Tasks(96_000, 32_768, 96_000),
        memory=Memory(2000, 2000, 4096, 9, (1000, 1333, 2000), 4096),
        maps=Maps(at, (ProcessMaps(1044, 7, "nginx", 65_530, 10),), 1, 0),
        watches=Watches(at, (UserWatches(33, "www", 6_000_000, 128, 200_000, False, (_OWNER,)),), 0),
        neighbours=(Neighbours("arp_cache", 1024, failures, 0), Neighbours("ndisc_cache", 1024, failures, 0)),
        softnet=Softnet(100 * failures, 0, 1000, 0),
        cgroups=cgroups(at),
    )


def _netns(at: float, failures: int) -> Netns:
    counted = ("ListenOverflows", "ListenDrops", "TCPTimeWaitOverflow", "TCPReqQFullDrop", "TCPReqQFullDoCookies")
    return netns(
        ports=ports(group(28_232, 20_000)),
        udp=UdpPorts(at, 32_768, 60_999, 0, 28_232, 28_232, ()),
        listeners=(listener(129, 128), listener(4097, 4096, port=81, inode=72)),
        conntrack=Conntrack(262_144, 262_144, 262_144, {"drop": failures, "insert_failed": 0, "early_drop": 0}),
        sockstat=Sockstat(10, 5, 0, 262_144, 1, 0, 0, 0, 12),
        states=States(at, {"SYN_RECV": StateCount(300, 300, 0)}, (HalfOpen("0.0.0.0", 8080, 300),)),
        counters={f"TcpExt.{name}": failures for name in counted},
        datagrams=(DatagramQueue("/dev/log", 77, 11, 3, _OWNER, at=at),),
    )
