"""All rules of a namespace that translate source addresses, through a netlink socket that is open in it.

pyroute2 can list the rules, but it does not say what is in their registers, and it refuses a comment that is not
UTF-8. A dump costs the kernel a few µs a rule; only rules that matter are decoded here."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from time import CLOCK_BOOTTIME, clock_gettime

from sockmon.errors import Forbidden, NotPresent, ReadError
from sockmon.kernel.nat_rules import nft_rule, xt
from sockmon.kernel.nat_rules.legacy import LegacyRules
from sockmon.kernel.nat_rules.modules import may_be_loaded
from sockmon.kernel.nat_rules.nft_rule import MESSAGE, READER, DecodedRule, Nat
from sockmon.kernel.nat_rules.registers import Constant, Content, Looked
from sockmon.kernel.netlink import Incremental, attribute, attribute_list, attributes, dump_in_order
from sockmon.model.nat_rules import NatRule, NatRules, NatTarget, NotrackRule

MAX_RULES = 500
"""Rules that are kept of each kind; all are counted."""
MAX_TARGETS = 64
"""Elements of a map that are kept."""
MAX_MAPS = 32
_SUBSYSTEM = 10 << 8  # NFNL_SUBSYS_NFTABLES
_GET_RULE, _GET_ELEMENT = _SUBSYSTEM | 7, _SUBSYSTEM | 13
_FAMILY_NUMBERS = {"inet": 1, "ip": 2, "arp": 3, "netdev": 5, "bridge": 7, "ip6": 10}

MapKey = tuple[str, bytes, str]
"""Family of the table, its name, name of the map."""


def read_rules(netlink: socket.socket, legacy: LegacyRules) -> Incremental[NatRules]:
    """Return the rules of nftables, which include those of iptables-nft, and behind them those of iptables-legacy.
    Raise ReadError, Forbidden without CAP_NET_ADMIN."""
    at = clock_gettime(CLOCK_BOOTTIME)
    decoded: list[DecodedRule] = []
    counts = [0, 0]

    def absorb(message: bytes) -> None:
        if nft_rule.may_matter(message) and (rule := nft_rule.decode(message)):
            kind = int(rule.nat is None and rule.target is None)
            counts[kind] += 1
            if counts[kind] <= MAX_RULES:
                decoded.append(rule)

    if may_be_loaded("nf_tables"):
        try:
            yield from dump_in_order(netlink, READER, _GET_RULE, bytes(4), absorb)
        except NotPresent:
            pass
        except Forbidden:
            raise Forbidden(READER, "needs CAP_NET_ADMIN", "run sockmon with sudo") from None
    maps = yield from _read_maps(netlink, decoded)
    nat = tuple(rule for each in decoded if (rule := _nat_rule(each, maps)))
    notrack = tuple(_notrack_rule(each) for each in decoded if each.nat is None and each.target is None)
    return NatRules(
        at,
        (*nat, *legacy.nat)[:MAX_RULES],
        counts[0] + len(legacy.nat),
        (*notrack, *legacy.notrack)[:MAX_RULES],
        counts[1] + len(legacy.notrack),
        tuple(legacy.unread),
    )


def only_legacy(legacy: LegacyRules) -> NatRules:
    """Return the rules of iptables-legacy, on a kernel that has no nftables now."""
    return NatRules(
        clock_gettime(CLOCK_BOOTTIME),
        tuple(legacy.nat[:MAX_RULES]),
        len(legacy.nat),
        tuple(legacy.notrack[:MAX_RULES]),
        len(legacy.notrack),
        tuple(legacy.unread),
    )


def _read_maps(
    netlink: socket.socket, rules: Iterable[DecodedRule]
) -> Incremental[dict[MapKey, list[bytes] | None]]:
    """Return the data of the elements of each map that a rule uses, at most MAX_TARGETS + 1 of each; None for a
    map that was not read."""
    maps: dict[MapKey, list[bytes] | None] = {}
    for rule in rules:
        for content in _contents(rule.nat):
            key = (rule.family, rule.raw_table, content.map) if isinstance(content, Looked) else None
            if key and key not in maps:
                maps[key] = (yield from _read_map(netlink, key)) if len(maps) < MAX_MAPS else None
    return maps


def _contents(nat: Nat | None) -> tuple[Content, ...]:
    return (*(nat.addresses or ()), *(nat.ports or ())) if nat else ()


def _read_map(netlink: socket.socket, key: MapKey) -> Incremental[list[bytes] | None]:
    family, table, name = key
    found: list[bytes] = []

    def absorb(message: bytes) -> None:
        elements = attributes(message, MESSAGE, READER).get(3, b"")
        for kind, element in attribute_list(elements, 0, READER):
            data = attributes(element, 0, READER).get(2) if kind == 1 else None
            if data is not None and len(found) <= MAX_TARGETS:
                found.append(attributes(data, 0, READER).get(1, b""))

    body = struct.pack("=BBH", _FAMILY_NUMBERS.get(family, 0), 0, 0)
    body += attribute(1, table) + attribute(2, name.encode("utf-8", "surrogateescape") + b"\0")
    try:
        yield from dump_in_order(netlink, READER, _GET_ELEMENT, body, absorb)
    except ReadError:
        return None
    return found


def _notrack_rule(rule: DecodedRule) -> NotrackRule:
    return NotrackRule(
        rule.maker, rule.table, rule.chain, rule.handle, rule.conditions, rule.packets, rule.comment
    )


def _nat_rule(rule: DecodedRule, maps: dict[MapKey, list[bytes] | None]) -> NatRule | None:
    if rule.target is not None:
        return _xt_rule(rule, *rule.target)
    if rule.nat is None:
        return None
    targets, unread = _targets(rule, rule.nat, maps)
    return NatRule(
        kind=rule.nat.kind,
        maker=rule.maker,
        table=rule.table,
        chain=rule.chain,
        handle=rule.handle,
        targets=targets,
        conditions=rule.conditions,
        flags=rule.nat.flags,
        packets=rule.packets,
        comment=rule.comment,
        unread=unread,
    )


def _xt_rule(rule: DecodedRule, name: str, revision: int, info: bytes) -> NatRule:
    found = xt.nat_target(name, revision, info, rule.family == "ip6")
    target, flags = found or (NatTarget(), ())
    return NatRule(
        kind=xt.NAT_TARGETS[name],
        maker=rule.maker,
        table=rule.table,
        chain=rule.chain,
        handle=rule.handle,
        targets=(target,) if found else (),
        conditions=rule.conditions,
        flags=flags,
        packets=rule.packets,
        comment=rule.comment,
        unread="" if found else f"the target {name} has a form that is not known",
    )


def _targets(
    rule: DecodedRule, nat: Nat, maps: dict[MapKey, list[bytes] | None]
) -> tuple[tuple[NatTarget, ...], str]:
    """Return what the rule translates to, and why not all of it is known."""
    looked = [each for each in _contents(nat) if isinstance(each, Looked)]
    if not looked:
        target = _target(nat, b"")
        return ((target,), "") if target else ((), "its addresses or ports are computed for each packet")
    if len({each.map for each in looked}) > 1:
        return (), "it uses several maps"
    elements = maps.get((rule.family, rule.raw_table, looked[0].map))
    if elements is None:
        return (), "its map could not be read"
    found = [target for element in elements[:MAX_TARGETS] if element and (target := _target(nat, element))]
    more = f"its map has more than {MAX_TARGETS} elements" if len(elements) > MAX_TARGETS else ""
    # The last elements of intervals have no data.
    some = "" if len(found) == sum(map(bool, elements[:MAX_TARGETS])) else "its map has data that is not known"
    found.sort(key=lambda target: (target.first, target.last, target.low or 0))
    return tuple(found), more or some


def _target(nat: Nat, element: bytes) -> NatTarget | None:
    """Return the target, with the data of an element if it is a map; None if a register is not known."""
    size = 16 if nat.family == "ip6" else 4
    addresses = [_bytes(each, element, size) for each in nat.addresses or ()]
    ports = [_bytes(each, element, 2) for each in nat.ports or ()]
    if None in addresses or None in ports:
        return None
    family = socket.AF_INET6 if size == 16 else socket.AF_INET
    first, last = [socket.inet_ntop(family, each) for each in addresses if each] or ("", "")
    low, high = sorted(int.from_bytes(each, "big") for each in ports if each) or (None, None)
    return NatTarget(first, last, low, high)


def _bytes(content: Content, element: bytes, size: int) -> bytes | None:
    if isinstance(content, Constant):
        value = content.value[:size]
    elif isinstance(content, Looked):
        value = element[content.at : content.at + size]
    else:
        return None
    return value if len(value) == size else None
