"""Which ports the rules of a namespace give to the connections of one translated address. Pure.

A rule counts if nothing in it rules the group out: the source before the translation, marks and sets are not known
here. So several rules may be left; the ports are known if all of them give the same."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sockmon.kernel.addresses import LocalAddress
from sockmon.model.nat_rules import (
    DEFAULT_HIGH,
    DEFAULT_LOW,
    Conditions,
    NatRule,
    NatRules,
    NatTarget,
    SnatRange,
    rule_text,
)
from sockmon.model.snapshot import SnatGroup


class Local(NamedTuple):
    """The addresses of a namespace, and the names of its devices: masquerade translates to one of these."""

    addresses: Sequence[LocalAddress]
    devices: Mapping[int, str]


def range_of(group: SnatGroup, rules: NatRules, local: Local) -> tuple[SnatRange | None, str]:
    """Return the ports that the connections of `group` can get, or None and the reason why they are not known."""
    if rules.unread:
        return None, rules.unread[0]
    if rules.nat_total > len(rules.nat):
        return None, f"only {len(rules.nat):,} of {rules.nat_total:,} NAT rules are read"
    found = [rule for rule in rules.nat if _may_apply(rule, group)]
    unread = next((rule for rule in found if rule.unread), None)
    if unread is not None:
        return None, f"{rule_text(unread)}: {unread.unread}"
    targets = [(rule, target) for rule in found for target in rule.targets if _gives(rule, target, group, local)]
    if not targets:
        return None, "no rule that is read translates to this address"
    ports = {_ports(target) for _, target in targets}
    count = len({id(rule) for rule, _ in targets})
    if len(ports) > 1:
        shown = ", ".join(sorted(f"{low}-{high}" for low, high in ports)[:3])
        return None, f"{count:,} rules can translate to this address, with different ports: {shown}"
    low, high = ports.pop()
    rule, target = targets[0]
    return SnatRange(low, high, target.low is not None, rule_text(rule), count), ""


def _ports(target: NatTarget) -> tuple[int, int]:
    if target.low is None or target.high is None:
        return DEFAULT_LOW, DEFAULT_HIGH
    return target.low, target.high


def _may_apply(rule: NatRule, group: SnatGroup) -> bool:
    """Return whether the conditions of a rule allow the connections of the group, as far as they are known."""
    conditions: Conditions = rule.conditions
    family = "ip6" if ":" in group.address else "ip"
    if conditions.family not in ("", family) or conditions.protocol not in ("", group.protocol):
        return False
    if conditions.ports and not conditions.ports[0] <= group.port <= conditions.ports[1]:
        return False
    return not conditions.destination or _inside(group.destination, conditions.destination)


def _inside(address: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return True


def _gives(rule: NatRule, target: NatTarget, group: SnatGroup, local: Local) -> bool:
    """Return whether the address of the group can be what the rule translates to."""
    address = _packed(group.address)
    if target.first:
        first, last = _packed(target.first), _packed(target.last)
        return len(first) == len(address) and first <= address <= last
    if rule.kind != "masquerade":
        return True
    holders = [row for row in local.addresses if row.address == address]
    device = rule.conditions.device
    if not holders or not device:
        return bool(holders)
    of_device = {index for index, name in local.devices.items() if _named(name, device)}
    # A device without an address of its own lends that of another one.
    has_own = any(row.device in of_device and len(row.address) == len(address) for row in local.addresses)
    return not has_own or any(row.device in of_device for row in holders)


def _named(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
