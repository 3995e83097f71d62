"""Rules that translate source addresses (SNAT, masquerade), and rules that leave packets untracked."""

from __future__ import annotations

from typing import Literal

import msgspec

DEFAULT_LOW, DEFAULT_HIGH = 1024, 65535
"""Ports to which a source port of 1024 and above is translated if the rule names none
(net/netfilter/nf_nat_core.c, nf_nat_l4proto_unique_tuple)."""
NAT_PORTS = DEFAULT_HIGH - DEFAULT_LOW + 1

Maker = Literal["nft", "iptables-nft", "iptables-legacy"]
"""What has made a rule: nft(8), iptables-nft, or iptables-legacy."""


NatKind = Literal["masquerade", "snat", "netmap"]


class Conditions(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a packet must be for a rule. A field that is empty allows everything."""

    family: Literal["", "ip", "ip6"] = ""
    protocol: str = ""
    """tcp, udp, ..."""
    source: str = ""
    """An address or network, `10.0.0.0/8`: before the translation."""
    destination: str = ""
    device: str = ""
    """The device that it leaves by; `*` at the end stands for any rest."""
    ports: tuple[int, int] | None = None
    """First and last destination port."""
    others: tuple[str, ...] = ()
    """Conditions that are not decoded, in words."""


class NatTarget(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a rule translates to: addresses and ports, first and last."""

    first: str = ""
    """Empty: the address of the device (masquerade), or the address stays."""
    last: str = ""
    low: int | None = None
    """None: the rule names no ports."""
    high: int | None = None


class NatRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rule that translates source addresses."""

    kind: NatKind
    maker: Maker
    table: str
    """Family and name: `ip nat`, `inet filter`."""
    chain: str
    handle: int
    """Of nftables; of iptables-legacy the number of the rule in its chain."""
    targets: tuple[NatTarget, ...]
    """One, or one for each element of the map in the rule, at most 64; empty: see `unread`."""
    conditions: Conditions = Conditions()
    flags: tuple[str, ...] = ()
    """random, fully-random, persistent."""
    packets: int | None = None
    """Of its counter: packets that began a connection; None if it has none."""
    comment: str = ""
    unread: str = ""
    """Why its targets are not known, or not all of them; empty if they are."""


class NotrackRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """One rule that leaves packets untracked."""

    maker: Maker
    table: str
    chain: str
    handle: int
    conditions: Conditions = Conditions()
    packets: int | None = None
    comment: str = ""


class NatRules(msgspec.Struct, frozen=True):
    """All of one namespace, in the order of its tables and chains."""

    at: float
    nat: tuple[NatRule, ...]
    nat_total: int
    notrack: tuple[NotrackRule, ...]
    notrack_total: int
    unread: tuple[str, ...] = ()
    """What could not be read, and why: a sentence each. Then there may be more rules."""


class SnatRange(msgspec.Struct, frozen=True):
    """The ports that the rules give to connections of one translated address."""

    low: int
    high: int
    named: bool
    """Whether the rule names these ports; if not, they are the kernel's default."""
    rule: str
    """The rule in words: `nft, table ip nat, chain post: masquerade to :2000-3000`."""
    rules: int = 1
    """How many rules can give that address; all of them give these ports."""

    @property
    def size(self) -> int:
        """Return how many ports there are."""
        return self.high - self.low + 1


def target_text(target: NatTarget) -> str:
    """Return `192.0.2.1-192.0.2.9:2000-3000`, `:2000-3000`, or nothing."""
    text = f"[{target.first}]" if ":" in target.first and target.low is not None else target.first
    if target.last != target.first:
        text += f"-[{target.last}]" if ":" in target.last and target.low is not None else f"-{target.last}"
    if target.low is not None:
        text += f":{target.low}" if target.low == target.high else f":{target.low}-{target.high}"
    return text


def action_text(rule: NatRule) -> str:
    """Return what a rule does, as nft(8) writes it: `masquerade to :2000-3000 random`."""
    shown = [target_text(target) for target in rule.targets[:3]]
    more = f" and {len(rule.targets) - 3:,} more" if len(rule.targets) > 3 else ""
    to = [f"to {', '.join(shown)}{more}"] if any(shown) else ["to ?"] if rule.unread else []
    return " ".join([rule.kind, *to, ",".join(rule.flags)]).rstrip()


def conditions_text(conditions: Conditions) -> str:
    """Return the conditions in words of nft(8): `tcp dport 443 saddr 10.0.0.0/8 oifname eth0`."""
    ports = conditions.ports
    parts = [conditions.family if not (conditions.source or conditions.destination) else "", conditions.protocol]
    if ports:
        parts.append(f"dport {ports[0]}" if ports[0] == ports[1] else f"dport {ports[0]}-{ports[1]}")
    for name, value in (
        ("saddr", conditions.source),
        ("daddr", conditions.destination),
        ("oifname", conditions.device),
    ):
        if value:
            parts.append(f"{name} {value}")
    return " ".join(part for part in (*parts, *conditions.others) if part)


def rule_text(rule: NatRule) -> str:
    """Return maker, table, chain and action: `nft, table ip nat, chain post: masquerade to :2000-3000`."""
    return f"{rule.maker}, table {rule.table}, chain {rule.chain}: {action_text(rule)}"
