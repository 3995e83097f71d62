"""The addresses and rules of a namespace: equal to what ip prints; many rows, hostile names, no root."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import closing
from typing import Any

import psutil
import pytest

from sockmon.agent import netns_page
from sockmon.agent.netns_page import answer_netns
from sockmon.kernel.netlink import run
from sockmon.kernel.netns import open_current, open_netns
from sockmon.kernel.netns_rules.ipvs import parse_services
from sockmon.model.netns_rules import MAX_ROWS, NetnsDetail, NetnsQuery
from sockmon.sandbox.veth_host import run_tool
from tests.netns import TOOL_PATH, child_environment, inside, inside_as_root

ODD = b"a\xff[b]\x1b"


def ip(*argv: str) -> None:
    run_tool("ip", *argv)


def listed(*argv: str) -> list[dict[str, Any]]:
    tool = shutil.which("ip", path=TOOL_PATH)
    assert tool
    text = subprocess.run([tool, "-d", "-s", "-j", *argv], capture_output=True, check=True).stdout
    found: list[dict[str, Any]] = json.loads(text.decode("utf-8", "replace").replace("\x1b", "?") or "[]")
    return [row for row in found if row]


def read() -> NetnsDetail:
    with closing(open_current()) as handle:
        return run(answer_netns(handle, NetnsQuery(handle.inode)))


def set_up() -> tuple[NetnsDetail, dict[str, list[dict[str, Any]]], list[int], list[int]]:
    ip("link", "add", "v0", "type", "veth", "peer", "name", "v1")
    for name in ("v0", "v1"):
        # Its address would come later, when no other host has it.
        ip("link", "set", name, "addrgenmode", "none")
    ip("link", "set", "v0", "up", "mtu", "1400", "txqueuelen", "77")
    ip("link", "set", "v1", "up")
    ip("address", "add", "192.0.2.1/24", "dev", "v0")
    ip("address", "add", "192.0.2.2/24", "dev", "v0")
    ip("-6", "address", "add", "2001:db8::5/64", "dev", "v0", "nodad", "preferred_lft", "0")
    ip("address", "add", "10.5.0.1", "peer", "10.5.0.2", "dev", "v1")
    ip("route", "add", "default", "via", "192.0.2.254", "metric", "100")
    ip("route", "add", "10.0.0.0/8", "nexthop", "via", "192.0.2.3", "nexthop", "via", "192.0.2.4")
    ip("route", "add", "blackhole", "10.9.0.0/16")
    ip("route", "add", "10.8.0.0/16", "via", "192.0.2.9", "table", "770")
    ip("rule", "add", "from", "10.1.0.0/16", "lookup", "770", "pref", "50")
    ip("rule", "add", "fwmark", "5/7", "unreachable", "pref", "49")
    for number in range(9, 12):
        ip("neigh", "add", f"192.0.2.{number}", "lladdr", "02:00:00:00:00:02", "dev", "v0")
    run_tool("tc", "qdisc", "add", "dev", "v0", "root", "pfifo", "limit", "5")
    time.sleep(0.1)
    before = sorted(map(int, os.listdir("/proc/self/fd")))
    detail = read()
    after = sorted(map(int, os.listdir("/proc/self/fd")))
    kinds = {"link": ("link",), "address": ("address",), "route": ("route", "show", "table", "all")}
    return detail, {name: listed(*argv) for name, argv in kinds.items()}, before, after


@pytest.mark.usefixtures("needs_userns")
def test_equal_to_what_ip_prints() -> None:
    detail, by_ip, before, after = inside(set_up)
    assert detail.missing == ()
    assert before == after, "a descriptor was left open"
    assert [(row.name, row.mtu, row.state, row.queue_length, row.qdisc) for row in detail.links] == [
        (row["ifname"], row["mtu"], row["operstate"], row["txqlen"], row["qdisc"])
        for row in sorted(by_ip["link"], key=lambda row: int(row["ifindex"]))
    ]
    v0 = next(row for row in detail.links if row.name == "v0")
    assert (v0.limit, v0.kind, v0.up, v0.tx_packets > 0 or v0.rx_packets >= 0) == (5, "veth", True, True)
    names = {row.index: row.name for row in detail.links}
    assert sorted(
        (names[row.link], row.address.partition("/")[0], row.scope) for row in detail.addresses
    ) == sorted(
        (row["ifname"], info["local"], info["scope"]) for row in by_ip["address"] for info in row["addr_info"]
    )
    flags = {row.address: row.flags for row in detail.addresses}
    assert (flags["192.0.2.2/24"], flags["2001:db8::5/64"]) == (("secondary",), ("deprecated",))
    assert [row.peer for row in detail.addresses if row.peer] == ["10.5.0.2"]
    routes = {
        (row.destination, row.table, row.kind, row.via, row.device) for row in detail.routes if row.family == 4
    }
    assert routes == {
        ("default", "main", "unicast", ("192.0.2.254",), "v0"),
        ("10.0.0.0/8", "main", "unicast", ("192.0.2.3", "192.0.2.4"), "v0"),
        ("10.9.0.0/16", "main", "blackhole", (), ""),
        ("10.8.0.0/16", "770", "unicast", ("192.0.2.9",), "v0"),
        ("192.0.2.0/24", "main", "unicast", (), "v0"),
        ("10.5.0.2/32", "main", "unicast", (), "v1"),
    }
    assert detail.routes[0].destination == "default"
    assert detail.local_routes == sum(row.get("table") == "local" for row in by_ip["route"])
    rules = {(row.priority, row.selector, row.action) for row in detail.rules if row.family == 4}
    assert {(50, "from 10.1.0.0/16", "lookup 770"), (49, "from all fwmark 0x5/0x7", "unreachable")} <= rules
    assert next(row.states for row in detail.neighbours if row.family == 4) == {"PERMANENT": 3}


def crowded() -> tuple[NetnsDetail, float]:
    tool = shutil.which("ip", path=TOOL_PATH)
    assert tool
    lines = ["link set lo up", "rule add pref 1 lookup 77"]
    lines += [f"address add 10.{n // 250}.{n % 250}.1/32 dev lo" for n in range(2000)]
    lines += [f"rule add pref {n} from 10.0.0.{n % 250} lookup 77" for n in range(10, 1010)]
    lines += [f"route add 172.{16 + n // 250}.{n % 250}.0/24 dev lo" for n in range(3000)]
    subprocess.run([tool, "-batch", "-"], input="\n".join(lines).encode(), check=True)
    subprocess.run([os.fsencode(tool), "link", "add", ODD, "type", "veth", "peer", "name", "v3"], check=True)
    begin = time.process_time()
    return read(), time.process_time() - begin


@pytest.mark.usefixtures("needs_userns")
def test_many_rows_and_a_hostile_name() -> None:
    detail, cost = inside(crowded)
    assert detail.missing == ()
    assert (len(detail.addresses), detail.addresses_total) == (MAX_ROWS, 2002)
    assert (len(detail.rules), len(detail.routes), detail.routes_total) == (MAX_ROWS, MAX_ROWS, 3000)
    assert detail.rules_total is not None
    assert detail.rules_total >= 1004
    assert "a�[b]�" in [row.name for row in detail.links]
    assert cost < 0.5, "the work is that of the other process"


def from_outside() -> tuple[list[str], str, NetnsDetail]:
    child = subprocess.Popen(
        ["unshare", "-n", "sh", "-c", "ip link add inner type veth peer name other; echo; exec sleep 60"],
        stdout=subprocess.PIPE,
    )
    assert child.stdout
    try:
        child.stdout.readline()
        with closing(open_netns(str(child.pid))) as handle:
            query = NetnsQuery(handle.inode)
            detail = run(answer_netns(handle, query))
            child.kill()
            child.wait()
            after = run(answer_netns(handle, query))
            gone = run(answer_netns(None, query))
            return sorted(row.name for row in detail.links), gone.missing[0].reason, after
    finally:
        child.kill()
        child.wait()


def test_another_namespace_also_when_its_processes_have_ended() -> None:
    if os.geteuid():
        pytest.skip("entering another namespace takes root")
    names, gone, after = inside_as_root(from_outside)
    assert names == ["inner", "lo", "other"]
    assert gone == "this namespace has ended, or is not watched"
    assert after.missing == ()
    assert len(after.links) == 3


def test_what_a_user_without_privilege_sees() -> None:
    """Also as root: then nothing is missing."""
    detail = read()
    assert detail.links_total
    reasons = {item.reader: item.reason for item in detail.missing}
    if os.geteuid():
        assert set(reasons) <= {"nat rules"}
        assert set(reasons.values()) <= {"needs CAP_NET_ADMIN"}
    else:
        assert reasons == {}


def test_a_process_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netns_page, "MAX_SECONDS", -netns_page.GRACE_SECONDS)
    with closing(open_current()) as handle:
        steps = answer_netns(handle, NetnsQuery(handle.inode))
        detail = run(steps)
    assert detail.missing[0].reason == "the process that reads it ended without an answer"
    children = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "args="], capture_output=True, text=True)
    assert "netns_rules" not in children.stdout


def test_pyroute2_stays_out_of_the_agent() -> None:
    code = (
        "import sys; from contextlib import closing; from sockmon.kernel.netns import open_current;"
        "from sockmon.agent.netns_page import answer_netns; from sockmon.model.netns_rules import NetnsQuery;"
        "from sockmon.kernel.netlink import run\n"
        "with closing(open_current()) as handle: found = run(answer_netns(handle, NetnsQuery(handle.inode)))\n"
        "print(found.links_total, 'pyroute2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=child_environment())
    links, imported = done.stdout.split()
    assert int(links) > 0
    assert imported == "False"


def test_an_answer_that_nobody_waits_for_leaves_no_process() -> None:
    # Other tests of this process may have children too.
    before = psutil.Process().children()
    with closing(open_current()) as handle:
        steps = answer_netns(handle, NetnsQuery(handle.inode))
        next(steps)
        steps.close()
    assert [each for each in psutil.Process().children() if each not in before] == []
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL


IPVS = b"""IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  C0000201:0050 rr persistent 300 FFFFFFFF
  -> 0A000001:1F90      Masq    1      12         3
  -> 0A000002:1F90      Route   0      0          0
UDP  [2001:0db8:0000:0000:0000:0000:0000:0001]:0035 wlc
  -> [2001:0db8:0000:0000:0000:0000:0000:0002]:0035      Tunnel    5      1          2
FWM  00000007 sh
garbage
  -> nonsense
"""


def test_services_of_ipvs() -> None:
    """As ip_vs_info_seq_show() writes them: this kernel may not have the module."""
    services, total = parse_services(IPVS)
    assert total == 3
    assert [(row.protocol, row.address, row.scheduler, row.destinations_total) for row in services] == [
        ("TCP", "192.0.2.1:80", "rr", 2),
        ("UDP", "[2001:db8::1]:53", "wlc", 1),
        ("FWM", "00000007", "sh", 0),
    ]
    first = services[0].destinations[0]
    assert (first.address, first.method, first.weight, first.active, first.inactive) == (
        "10.0.0.1:8080",
        "Masq",
        1,
        12,
        3,
    )


def ipvs_of_the_kernel() -> NetnsDetail | str:
    if not os.path.exists("/proc/net/ip_vs"):
        return "this kernel has no IPVS, or its module is not loaded"
    run_tool("ipvsadm", "-A", "-t", "192.0.2.1:80", "-s", "rr")
    run_tool("ipvsadm", "-a", "-t", "192.0.2.1:80", "-r", "10.0.0.1:8080", "-m")
    return read()


@pytest.mark.usefixtures("needs_userns")
def test_services_of_a_real_ipvs() -> None:
    found = inside(ipvs_of_the_kernel)
    if isinstance(found, str):
        pytest.skip(found)
    assert [(row.address, row.destinations_total) for row in found.ipvs] == [("192.0.2.1:80", 1)]
