"""One rule of nftables → what it translates, and under which conditions.

Read are the expressions that nft(8) and iptables-nft make of the usual conditions. Any other is kept in words, so
that a rule never seems to allow more than it does. Attributes: include/uapi/linux/netfilter/nf_tables.h; what the
registers mean: nft_nat_eval() of net/netfilter/nft_nat.c, nft_masq_ipv4_eval() of nft_masq.c."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from sockmon.kernel.nat_rules import xt
from sockmon.kernel.nat_rules.registers import Constant, Content, Field, Looked, Registers
from sockmon.kernel.nat_rules.values import network_text, prefix_mask, value_text
from sockmon.kernel.netlink import ATTRIBUTE, attribute_list, attributes
from sockmon.model.nat_rules import Conditions, Maker, NatKind
from sockmon.text import sanitize

READER = "nat rules"
MESSAGE = 20
"""struct nlmsghdr and struct nfgenmsg: where the attributes start."""
_FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
_TABLE, _CHAIN, _HANDLE, _EXPRESSIONS, _USERDATA = 1, 2, 3, 4, 7
_NAME, _DATA = 1, 2
_VALUE = 1
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 33: "dccp", 58: "icmpv6", 132: "sctp", 136: "udplite"}
_META = {3: "mark", 4: "iif", 5: "oif", 6: "iifname", 7: "oifname", 10: "skuid", 15: "nfproto", 16: "l4proto"}
_OPERATORS = {0: "", 1: "!= ", 2: "< ", 3: "<= ", 4: "> ", 5: ">= "}
_EQUAL, _LESS_OR_EQUAL, _GREATER_OR_EQUAL = 0, 3, 5
_NETWORK, _TRANSPORT = 1, 2


def _needle(name: str) -> bytes:
    raw = name.encode() + b"\0"
    return ATTRIBUTE.pack(4 + len(raw), _NAME) + raw


NEEDLES = tuple(map(_needle, ("nat", "masq", "notrack", "MASQUERADE", "SNAT", "NETMAP", "CT", "NOTRACK")))
"""One of these is in the message of each rule that is decoded; Kubernetes makes ten thousands of others."""


class Nat(NamedTuple):
    """What a rule translates to, as its registers have it."""

    kind: NatKind
    family: str
    addresses: tuple[Content, Content] | None
    ports: tuple[Content, Content] | None
    flags: tuple[str, ...]


class DecodedRule(NamedTuple):
    """One rule that translates, or leaves packets untracked."""

    maker: Maker
    family: str
    table: str
    raw_table: bytes
    chain: str
    handle: int
    conditions: Conditions
    nat: Nat | None
    """None: it leaves packets untracked."""
    target: tuple[str, int, bytes] | None
    """Name, revision and struct of a target of iptables."""
    packets: int | None
    comment: str


def may_matter(raw: bytes) -> bool:
    """Return whether the message can hold a rule that `decode` returns."""
    # The first attribute is the name of the table, which may be the same as that of an expression.
    start = MESSAGE + struct.unpack_from("=H", raw, MESSAGE)[0] if len(raw) > MESSAGE + 2 else MESSAGE
    return any(raw.find(needle, start) >= 0 for needle in NEEDLES)


def decode(message: bytes) -> DecodedRule | None:
    """Return the rule of a message of NFT_MSG_NEWRULE, if it translates source addresses or leaves packets
    untracked; raise ReadError."""
    found = attributes(message, MESSAGE, READER)
    reader = _RuleReader(_FAMILIES.get(message[16], "?"))
    for kind, item in attribute_list(found.get(_EXPRESSIONS, b""), 0, READER):
        if kind == 1:
            expression = attributes(item, 0, READER)
            name = expression.get(_NAME, b"").rstrip(b"\0").decode("ascii", "replace")
            reader.read(name, attributes(expression.get(_DATA, b""), 0, READER))
    if reader.nat is None and reader.target is None and not reader.notrack:
        return None
    raw_table = found.get(_TABLE, b"")
    return DecodedRule(
        maker="iptables-nft" if reader.iptables else "nft",
        family=reader.table_family,
        table=f"{reader.table_family} {sanitize(raw_table.rstrip(bytes(1)), 60)}",
        raw_table=raw_table,
        chain=sanitize(found.get(_CHAIN, b"").rstrip(b"\0"), 60),
        handle=int.from_bytes(found.get(_HANDLE, b""), "big"),
        conditions=reader.conditions(),
        nat=reader.nat,
        target=reader.target,
        packets=reader.packets,
        comment=reader.comment or _comment(found.get(_USERDATA, b"")),
    )


def _comment(userdata: bytes) -> str:
    """Return the comment in what nft(8) keeps with a rule: type, length, value; type 0 is the comment."""
    while len(userdata) > 2:
        kind, size = userdata[0], userdata[1]
        if kind == 0:
            return sanitize(userdata[2 : 2 + size].partition(b"\0")[0], 120)
        userdata = userdata[2 + size :]
    return ""


class _RuleReader:
    """Follows the expressions of one rule."""

    def __init__(self, family: str) -> None:
        self.table_family = family
        self.nat: Nat | None = None
        self.target: tuple[str, int, bytes] | None = None
        self.notrack = False
        self.iptables = False
        self.packets: int | None = None
        self.comment = ""
        self._registers = Registers()
        self._conditions = Conditions(family=family if family in ("ip", "ip6") else "")  # type: ignore[arg-type]
        self._others: list[str] = []
        self._low_port: int | None = None

    def conditions(self) -> Conditions:
        """Return what was compared."""
        return replace(self._conditions, others=tuple(self._others[:8]))

    def read(self, name: str, data: dict[int, bytes]) -> None:
        """Follow one expression."""
        method = _READERS.get(name)
        if method is not None:
            method(self, data)
        elif name not in ("log", "return", "last", "quota"):
            # It may be a condition, or load a register that is then not known.
            self._others.append(sanitize(name, 20))
            self._load(data, 1, None, 64)

    def _load(self, data: dict[int, bytes], attribute: int, content: Content, size: int) -> None:
        if attribute in data and len(data[attribute]) == 4:
            self._registers.load(_number(data, attribute), content, size)

    def _get(self, data: dict[int, bytes], attribute: int) -> Content:
        return self._registers.get(_number(data, attribute))

    # Loads

    def _immediate(self, data: dict[int, bytes]) -> None:
        value = attributes(data.get(2, b""), 0, READER).get(_VALUE)
        if value is not None:
            self._load(data, 1, Constant(value), len(value))

    def _meta(self, data: dict[int, bytes]) -> None:
        if 1 in data:
            name = _META.get(_number(data, 2), "meta")
            self._load(data, 1, Field(name), 16 if name.endswith("ifname") else 4)

    def _payload(self, data: dict[int, bytes]) -> None:
        if 1 in data:
            base, offset, size = (_number(data, each) for each in (2, 3, 4))
            self._load(data, 1, self._field(base, offset, size), size)

    def _field(self, base: int, offset: int, size: int) -> Content:
        family = self._conditions.family
        if base == _TRANSPORT:
            return Field("dport") if (offset, size) == (2, 2) else Field("header")
        if base != _NETWORK:
            return Field("header")
        if family != "ip6" and size <= 4 and offset in (12, 16):
            return Field("ip saddr" if offset == 12 else "ip daddr", prefix_mask(8 * size, 4))
        if family != "ip" and size <= 16 and offset in (8, 24) and (family == "ip6" or size > 1):
            return Field("ip6 saddr" if offset == 8 else "ip6 daddr", prefix_mask(8 * size, 16))
        protocol_at = {"ip": 9, "ip6": 6}.get(family)
        return Field("l4proto") if (offset, size) == (protocol_at, 1) else Field("header")

    def _bitwise(self, data: dict[int, bytes]) -> None:
        source = self._get(data, 1)
        mask = attributes(data.get(4, b""), 0, READER).get(_VALUE, b"")
        flip = attributes(data.get(5, b""), 0, READER).get(_VALUE, b"")
        masked = Field(source.name, mask) if isinstance(source, Field) and mask and not any(flip) else None
        self._load(data, 2, masked or Field("bits"), max(len(mask), 4))

    def _numgen(self, data: dict[int, bytes]) -> None:
        self._load(data, 1, Field("numgen"), 4)

    def _hash(self, data: dict[int, bytes]) -> None:
        self._load(data, 2, Field("hash"), 4)

    def _ct(self, data: dict[int, bytes]) -> None:
        self._load(data, 1, Field("ct"), 16)

    # Conditions

    def _lookup(self, data: dict[int, bytes]) -> None:
        name = data.get(1, b"").rstrip(b"\0")
        if 3 in data:
            self._load(data, 3, Looked(name.decode("utf-8", "surrogateescape"), 0), 64)
            return
        source = self._get(data, 2)
        inverted = "!= " if 5 in data and _number(data, 5) & 1 else ""
        about = source.name if isinstance(source, Field) else "?"
        set_name = "a set" if name.startswith(b"__") else f"@{sanitize(name, 40)}"
        self._others.append(f"{about} {inverted}{set_name}")

    def _cmp(self, data: dict[int, bytes]) -> None:
        source, operator = self._get(data, 1), _number(data, 2)
        value = attributes(data.get(3, b""), 0, READER).get(_VALUE, b"")
        self._compare(source, operator, value)

    def _range(self, data: dict[int, bytes]) -> None:
        source = self._get(data, 1)
        low, high = (attributes(data.get(each, b""), 0, READER).get(_VALUE, b"") for each in (3, 4))
        if isinstance(source, Field) and source.name == "dport" and _number(data, 2) == _EQUAL:
            self._set_ports(int.from_bytes(low[:2], "big"), int.from_bytes(high[:2], "big"))
        else:
            self._others.append(f"{source.name} in a range" if isinstance(source, Field) else "range")

    def _compare(self, source: Content, operator: int, value: bytes) -> None:
        name = source.name if isinstance(source, Field) else "?"
        if name == "dport" and operator in (_LESS_OR_EQUAL, _GREATER_OR_EQUAL) and len(value) == 2:
            self._compare_port(operator, int.from_bytes(value, "big"))
        elif operator != _EQUAL or not isinstance(source, Field) or not self._equal(source, value):
            network = network_text(source, value) if isinstance(source, Field) and name.endswith("addr") else ""
            self._others.append(f"{name} {_OPERATORS.get(operator, '')}{network or value_text(name, value)}")

    def _compare_port(self, operator: int, port: int) -> None:
        if operator == _GREATER_OR_EQUAL:
            self._low_port = port
            self._set_ports(port, 65535)
        else:
            self._set_ports(self._low_port or 0, port)

    def _set_ports(self, low: int, high: int) -> None:
        self._conditions = replace(self._conditions, ports=(low, high))

    def _equal(self, field: Field, value: bytes) -> bool:
        """Take the condition that a field has a value; return False if it is not one of those that are decoded."""
        changes: dict[str, object] = {}
        if field.name == "l4proto" and value:
            changes["protocol"] = _PROTOCOLS.get(value[0], f"protocol {value[0]}")
        elif field.name == "nfproto" and value and _FAMILIES.get(value[0]) in ("ip", "ip6"):
            changes["family"] = _FAMILIES[value[0]]
        elif field.name == "oifname":
            # Without its final zero it is the beginning of names.
            name = value.partition(b"\0")[0]
            changes["device"] = sanitize(name, 40) + ("" if b"\0" in value else "*")
        elif field.name == "dport" and len(value) == 2:
            changes["ports"] = (int.from_bytes(value, "big"),) * 2
        elif field.name in ("ip saddr", "ip6 saddr", "ip daddr", "ip6 daddr"):
            network = network_text(field, value)
            family, _, which = field.name.partition(" ")
            changes = {"source" if which == "saddr" else "destination": network, "family": family}
            if not network:
                return False
        else:
            return False
        self._conditions = replace(self._conditions, **changes)
        return True

    # Matches and targets of iptables

    def _match(self, data: dict[int, bytes]) -> None:
        self.iptables = True
        name, info = data.get(1, b"").rstrip(b"\0").decode("ascii", "replace"), data.get(3, b"")
        if name == "comment":
            self.comment = xt.comment_of(info)
        elif ports := xt.destination_ports(name, info):
            self._set_ports(*ports)
        else:
            self._others.append(xt.match_text(name))

    def _target(self, data: dict[int, bytes]) -> None:
        self.iptables = True
        name, info = data.get(1, b"").rstrip(b"\0").decode("ascii", "replace"), data.get(3, b"")
        if name in xt.NAT_TARGETS:
            self.target = name, _number(data, 2), info
        elif xt.is_notrack(name, info):
            self.notrack = True

    # What a rule does

    def _notrack(self, _: dict[int, bytes]) -> None:
        self.notrack = True

    def _counter(self, data: dict[int, bytes]) -> None:
        if 2 in data:
            self.packets = int.from_bytes(data[2], "big")

    def _masq(self, data: dict[int, bytes]) -> None:
        ports = (self._get(data, 2), self._get(data, 3 if 3 in data else 2)) if 2 in data else None
        flags = xt.flag_names(_number(data, 1)) if 1 in data else ()
        self.nat = Nat("masquerade", self._conditions.family, None, ports, flags)

    def _nat(self, data: dict[int, bytes]) -> None:
        if _number(data, 1) != 0:  # NFT_NAT_SNAT
            return
        addresses = (self._get(data, 3), self._get(data, 4 if 4 in data else 3)) if 3 in data else None
        ports = (self._get(data, 5), self._get(data, 6 if 6 in data else 5)) if 5 in data else None
        family = _FAMILIES.get(_number(data, 2), "") if 2 in data else ""
        if family in ("ip", "ip6"):
            self._conditions = replace(self._conditions, family=family)
        flags = _number(data, 7) if 7 in data else 0
        self.nat = Nat("netmap" if flags & 0x40 else "snat", family, addresses, ports, xt.flag_names(flags))


_READERS: dict[str, Callable[[_RuleReader, dict[int, bytes]], None]] = {
    name: getattr(_RuleReader, f"_{name}")
    for name in (
        *("immediate", "meta", "payload", "bitwise", "numgen", "hash", "ct"),
        *("lookup", "cmp", "range", "match", "target", "notrack", "counter", "masq", "nat"),
    )
}
"""Name of an expression → what reads it."""


def _number(data: dict[int, bytes], attribute: int) -> int:
    return int.from_bytes(data.get(attribute, b""), "big")
