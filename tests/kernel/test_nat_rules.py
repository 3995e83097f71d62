"""NAT rules against a real kernel: nft, both variants of iptables, hostile comments, many rules."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sockmon.agent.snat_ranges import SnatRanges
from sockmon.errors import ReadError
from sockmon.kernel.nat_rules import modules
from sockmon.kernel.nat_rules.legacy import LegacyRules
from sockmon.kernel.nat_rules.of_handle import netns_descriptor, read_rules_of
from sockmon.kernel.nat_rules.read import MAX_RULES, MAX_TARGETS, read_rules
from sockmon.kernel.netlink import NETFILTER, open_netlink, run
from sockmon.kernel.netns import open_current, open_netns
from sockmon.kernel.snat import SnatGroups
from sockmon.model.nat_rules import NatRules, action_text, conditions_text
from sockmon.model.snapshot import SnatGroup
from sockmon.sandbox.veth_host import run_tool
from tests.netns import TOOL_PATH, inside, inside_as_root

NFT = """
table ip nat {
  map one { type ipv4_addr : ipv4_addr . inet_service; elements = { 10.0.0.1 : 192.0.2.5 . 3000 } }
  map more { type ipv4_addr : interval ipv4_addr . inet_service; flags interval
    elements = { 10.0.0.1 : 192.0.2.5 . 3000-4000, 10.0.0.2 : 192.0.2.6 . 5000-5999 } }
  chain post {
    type nat hook postrouting priority srcnat
    oifname "v0" ip protocol tcp masquerade to :2000-3000 random comment "hi there"
    ip saddr 10.0.0.0/8 meta l4proto udp counter snat to 192.0.2.1:5000-6000 fully-random,persistent
    snat to 192.0.2.10-192.0.2.20
    ip daddr 10.0.0.0/9 udp dport 53-60 ip daddr != 1.2.3.4 snat to :5000-6000
    meta l4proto tcp snat ip to ip saddr map @one
    meta l4proto tcp snat ip to ip saddr map @more
    snat to numgen inc mod 2 map { 0 : 192.0.2.7, 1 : 192.0.2.8 }
    tcp dport { 80, 443 } snat to 192.0.2.9:99
    oifname "v*" meta mark 0x5 masquerade
  }
  chain pre { type nat hook prerouting priority dstnat; dnat to 192.0.2.1 comment "another translation"; }
  chain raw { type filter hook prerouting priority raw; tcp dport 53 notrack comment "x"; }
}
table inet both {
  chain post {
    type nat hook postrouting priority 101
    meta nfproto ipv4 masquerade
    meta l4proto tcp snat ip6 to [2001:db8::1]:1000-2000
    ip6 daddr 2001:db8::/32 snat ip6 to [2001:db8::1]-[2001:db8::9]
  }
}
"""
AS_READ = [
    ("ip tcp oifname v0", "masquerade to :2000-3000 random", "hi there"),
    ("udp saddr 10.0.0.0/8", "snat to 192.0.2.1:5000-6000 fully-random,persistent", ""),
    ("ip", "snat to 192.0.2.10-192.0.2.20", ""),
    ("udp dport 53-60 daddr 10.0.0.0/9 ip daddr != 1.2.3.4", "snat to :5000-6000", ""),
    ("ip tcp", "snat to 192.0.2.5:3000", ""),
    ("ip tcp", "snat to 192.0.2.5:3000-4000, 192.0.2.6:5000-5999", ""),
    ("ip", "snat to 192.0.2.7, 192.0.2.8", ""),
    ("ip tcp dport a set", "snat to 192.0.2.9:99", ""),
    ("ip oifname v* mark 5", "masquerade", ""),
    ("ip", "masquerade", ""),
    ("ip6 tcp", "snat to [2001:db8::1]:1000-2000", ""),
    ("daddr 2001:db8::/32", "snat to 2001:db8::1-2001:db8::9", ""),
]
IPTABLES = (
    "-t nat -A POSTROUTING -p tcp -o v0 -j MASQUERADE --to-ports 2000-2100 --random",
    "-t nat -A POSTROUTING -p udp --dport 53 -s 10.0.0.0/8 ! -d 10.1.0.0/16 -m comment --comment odd -j SNAT"
    " --to-source 192.0.2.1-192.0.2.4:4000-4100 --persistent",
    "-t nat -A POSTROUTING -s 10.0.0.0/12 ! -o v0 -j MASQUERADE",
    "-t nat -N MINE",
    "-t nat -A MINE -o v+ -j NETMAP --to 10.1.0.0/24",
    "-t raw -A PREROUTING -p udp --dport 5 -j CT --notrack",
    "-t raw -A PREROUTING -j CT --zone 5",
)
IPTABLES_AS_READ = {
    ("POSTROUTING", "ip tcp oifname v0", "masquerade to :2000-2100 random", ""),
    (
        *("POSTROUTING", "udp dport 53 saddr 10.0.0.0/8 daddr != 10.1.0.0/16"),
        *("snat to 192.0.2.1-192.0.2.4:4000-4100 persistent", "odd"),
    ),
    ("POSTROUTING", "saddr 10.0.0.0/12 oifname != v0", "masquerade", ""),
    ("MINE", "ip oifname v*", "netmap to 10.1.0.0-10.1.0.255", ""),
}


def load(rules: str) -> None:
    nft = shutil.which("nft", path=TOOL_PATH)
    assert nft
    text = rules.replace("}", "\n}\n") if rules.endswith("} }") else rules
    subprocess.run([nft, "-f", "-"], input=text.encode("utf-8", "surrogateescape"), check=True)


def read() -> NatRules:
    load("table ip keeps_conntrack { chain c { type filter hook input priority 0; ct state new; } }")
    with closing(open_current()) as handle:
        return run(read_rules_of(handle))


def of_nft() -> tuple[NatRules, list[dict[str, Any]]]:
    load(NFT)
    nft = shutil.which("nft", path=TOOL_PATH)
    assert nft
    listed = subprocess.run([nft, "-j", "list", "ruleset"], capture_output=True, check=True).stdout
    return read(), json.loads(listed)["nftables"]


@pytest.mark.usefixtures("needs_userns", "needs_nft")
def test_rules_of_nft() -> None:
    rules, listed = inside(of_nft)
    read_as = [(conditions_text(row.conditions), action_text(row), row.comment) for row in rules.nat]
    assert read_as == AS_READ
    assert {row.maker for row in rules.nat} == {"nft"}
    assert [conditions_text(row.conditions) for row in rules.notrack] == ["ip tcp dport 53"]
    # The same rules, by their handles, as nft lists them.
    kinds: dict[str, list[object]] = {"masquerade": [], "snat": []}
    for item in listed:
        rule = item.get("rule")
        for part in (rule or {}).get("expr", ()):
            for kind in kinds.keys() & part.keys():
                kinds[kind].append((f"{item['rule']['family']} {item['rule']['table']}", item["rule"]["handle"]))
    for kind, handles in kinds.items():
        assert [(row.table, row.handle) for row in rules.nat if row.kind == kind] == handles
    assert rules.nat[1].packets == 0
    assert rules.nat[2].packets is None


def of_iptables(command: str) -> NatRules:
    for line in IPTABLES:
        run_tool(command, "-w", *line.split())
    return read()


@pytest.mark.usefixtures("needs_userns", "needs_nft")
@pytest.mark.parametrize("command", ["iptables-nft", "iptables-legacy"])
def test_rules_of_iptables(command: str) -> None:
    if not shutil.which(command, path=TOOL_PATH):
        pytest.skip(f"{command} is not installed")
    try:
        rules = inside(of_iptables, command)
    except AssertionError as error:
        if "can't open lock file" in str(error):
            pytest.skip("iptables-legacy needs a lock file of root")
        if "Table does not exist" in str(error) or "No chain/target/match" in str(error):
            pytest.skip(f"this kernel does not have all that {command} needs")
        raise
    found = {
        (
            row.chain,
            conditions_text(row.conditions).replace("ip daddr !=", "daddr !="),
            action_text(row),
            row.comment,
        )
        for row in rules.nat
    }
    assert found == IPTABLES_AS_READ
    assert {row.maker for row in rules.nat} == {command}
    assert [(row.maker, conditions_text(row.conditions)) for row in rules.notrack] == [(command, "ip udp dport 5")]
    if os.geteuid() == 0:
        assert rules.unread == ()


def many() -> NatRules:
    lines = [f"tcp dport {port} accept" for port in range(1, 1001)]
    lines += [f"tcp dport {port} snat to 192.0.2.1:{port}" for port in range(1, MAX_RULES + 101)]
    pairs = ", ".join(f"10.0.{n // 250}.{n % 250} : 192.0.2.{n % 250}" for n in range(MAX_TARGETS + 10))
    lines.append(f"snat to ip saddr map {{ {pairs} }}")
    lines.append('ip saddr 10.9.9.9 masquerade comment "[red]\udcff\udcfe\x1b[2J evil"')
    lines.insert(0, "snat to ip saddr map { 10.0.0.1 : 192.0.2.1 }")
    lines.insert(0, f"snat to ip saddr map {{ {pairs} }}")
    lines.insert(0, 'ip saddr 10.9.9.9 masquerade comment "[red]\udcff\udcfe\x1b[2J evil"')
    load("table ip nat {\nchain c {\ntype nat hook postrouting priority 100\n}\n}")
    for first in range(0, len(lines), 200):
        load("\n".join(f"add rule ip nat c {line}" for line in lines[first : first + 200]))
    return read()


@pytest.mark.usefixtures("needs_userns", "needs_nft")
def test_many_rules_and_hostile_comments() -> None:
    rules = inside(many)
    assert (len(rules.nat), rules.nat_total) == (MAX_RULES, MAX_RULES + 105)
    assert rules.nat[0].comment == "[red]��" + "�[2J evil"
    assert (len(rules.nat[1].targets), rules.nat[1].unread) == (64, "its map has more than 64 elements")
    assert action_text(rules.nat[1]).endswith("and 61 more")
    assert (len(rules.nat[2].targets), rules.nat[2].unread) == (1, "")


def ranges(rules: list[str], used: int) -> list[SnatGroup]:
    """The range of one group, with each of these lists of rules."""
    run_tool("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
    run_tool("ip", "address", "add", "192.0.2.1/24", "dev", "v0")
    group = SnatGroup("192.0.2.1", "10.0.0.9", 443, "tcp", used, 2000, 2000 + used - 1)
    load("table ip keeps_conntrack {\nchain c {\ntype filter hook input priority 0\nct state new\n}\n}")
    found: list[SnatGroup] = []
    with closing(open_current()) as handle:
        ports = frozenset(range(2000, 2000 + used))
        for each in rules:
            chain = f"type nat hook postrouting priority 100\n{each}"
            load(f"table ip nat\ndelete table ip nat\ntable ip nat {{\nchain c {{\n{chain}\n}}\n}}")
            groups = SnatGroups((group,), 1, (ports,))
            reader = SnatRanges(handle, lambda groups=groups: groups)  # type: ignore[misc]
            reader.task.run(10.0)
            found += reader.with_ranges()
    return found


RANGES = [
    ("tcp dport 443 oifname v0 masquerade to :2000-2999", (2000, 2999, True), 40, ""),
    ("oifname v0 masquerade", (1024, 65535, False), 40, ""),
    ("oifname v0 masquerade random", (1024, 65535, False), 40, ""),
    ("meta l4proto tcp snat to 192.0.2.1:2020-2999", (2020, 2999, True), 20, ""),
    ("meta l4proto tcp snat to 192.0.2.0-192.0.2.9:2000-2999", (2000, 2999, True), 40, ""),
    ("udp dport 443 snat to 192.0.2.1:1-9\ntcp dport 443 snat to :2000-2999", (2000, 2999, True), 40, ""),
    ("ip daddr 10.0.0.8 masquerade\nip daddr 10.0.0.0/24 tcp dport 1-443 masquerade to :2-9", (2, 9, True), 0, ""),
    ("oifname lo masquerade", None, None, "no rule that is read translates to this address"),
    ("snat to 192.0.2.7", None, None, "no rule that is read translates to this address"),
    (
        *("ip saddr 10.0.0.7 tcp dport 443 masquerade to :1-9\ntcp dport 443 masquerade to :2-10", None, None),
        "2 rules can translate to this address, with different ports: 1-9, 2-10",
    ),
    ("snat to ip saddr map { 10.0.0.1 : 192.0.2.1, 10.0.0.2 : 192.0.2.2 }", (1024, 65535, False), 40, ""),
]  # fmt: skip


@pytest.mark.usefixtures("needs_userns", "needs_nft")
def test_the_ports_that_the_rules_give() -> None:
    if os.geteuid():
        pytest.skip("an ordinary user may not see whether iptables-legacy has rules too")
    found = inside(ranges, [row[0] for row in RANGES], 40)
    for row, group in zip(RANGES, found, strict=True):
        ports = group.range and (group.range.low, group.range.high, group.range.named)
        assert (ports, group.in_range, group.range_reason) == row[1:], row[0]


@pytest.mark.usefixtures("needs_userns", "needs_nft")
def test_rules_are_not_read_for_a_few_ports() -> None:
    (found,) = inside(ranges, ["masquerade"], 5)
    assert (found.range, found.range_reason) == (None, "")


def refused() -> str:
    with open_netlink(NETFILTER) as netlink, pytest.raises(ReadError) as caught:
        run(read_rules(netlink, LegacyRules([], [], [])))
    return caught.value.message


def test_without_privilege_the_reason_is_said() -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read the rules")
    assert refused() == "needs CAP_NET_ADMIN"


def from_outside() -> list[str]:
    """Read the rules of another namespace, which are those of iptables-legacy."""
    child = subprocess.Popen(
        ["unshare", "-n", "sh", "-c",
         "iptables-legacy -w -t nat -A POSTROUTING -p tcp -j MASQUERADE --to-ports 7-9; "
         "nft add table ip t; nft add chain ip t c '{ type filter hook input priority 0; }';"
         " nft add rule ip t c ct state new; echo; exec sleep 60"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert child.stdout
        child.stdout.readline()
        with closing(open_netns(str(child.pid))) as handle:
            os_before = set(socket.if_nameindex())
            found = [action_text(row) for row in run(read_rules_of(handle)).nat]
            assert os_before == set(socket.if_nameindex())
            descriptor = netns_descriptor(handle.route)
            assert descriptor > 2
        return found
    finally:
        child.kill()
        child.wait()


@pytest.mark.usefixtures("needs_nft")
def test_rules_of_another_namespace() -> None:
    if os.geteuid():
        pytest.skip("entering another namespace takes root")
    if not shutil.which("iptables-legacy", path=TOOL_PATH):
        pytest.skip("iptables-legacy is not installed")
    assert inside_as_root(from_outside) == ["masquerade to :7-9"]


def test_a_module_that_is_not_loaded_is_not_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = {
        "/proc/modules": tmp_path / "modules",
        f"/lib/modules/{os.uname().release}/modules.builtin": tmp_path / "builtin",
    }
    monkeypatch.setattr(modules, "Path", lambda path: files[path])
    assert modules.may_be_loaded("nf_tables"), "a kernel without modules"
    files["/proc/modules"].write_text("iptable_nat 16384 0 - Live 0x0\nnf_tables_set 1 0 - Live 0x0\n")
    assert [modules.may_be_loaded(name) for name in ("nf_tables", "iptable_nat")] == [False, True]
    (tmp_path / "builtin").write_text("kernel/net/netfilter/nf_tables.ko\n")
    assert modules.may_be_loaded("nf_tables")
