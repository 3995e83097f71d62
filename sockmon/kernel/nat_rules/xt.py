"""Targets and matches of iptables, as both of its backends hand them to the kernel: structs of
include/uapi/linux/netfilter/nf_nat.h, xt_tcpudp.h and xt_CT.h."""

from __future__ import annotations

import socket
import struct

from sockmon.model.nat_rules import NatKind, NatTarget
from sockmon.text import sanitize

NAT_TARGETS: dict[str, NatKind] = {"MASQUERADE": "masquerade", "SNAT": "snat", "NETMAP": "netmap"}
"""Targets that translate the source if they are in POSTROUTING or INPUT."""
MAP_ADDRESSES, NAMES_PORTS, RANDOM, PERSISTENT, FULLY_RANDOM = 1, 2, 4, 8, 16
"""enum of include/uapi/linux/netfilter/nf_nat.h: NF_NAT_RANGE_MAP_IPS, _PROTO_SPECIFIED, ..."""
_FLAGS = ((RANDOM, "random"), (FULLY_RANDOM, "fully-random"), (PERSISTENT, "persistent"))
_OLD_RANGE = struct.Struct("=II4s4s2s2s")
"""struct nf_nat_ipv4_multi_range_compat: number of ranges, then flags, addresses and ports of the first."""
_RANGE = struct.Struct("=I16s16s2s2s")
"""struct nf_nat_range, of which struct nf_nat_range2 is an extension."""
_NOTRACK = 1
"""XT_CT_NOTRACK."""


def flag_names(flags: int) -> tuple[str, ...]:
    """Return the names that nft(8) has for the flags of a range, without those that only say what is in it."""
    return tuple(name for bit, name in _FLAGS if flags & bit)


def nat_target(name: str, revision: int, info: bytes, ipv6: bool) -> tuple[NatTarget, tuple[str, ...]] | None:
    """Return the range and the flags of the target MASQUERADE, SNAT or NETMAP; None if it is too short."""
    old = not ipv6 and (revision == 0 or name == "MASQUERADE")
    try:
        if old:
            _, flags, first, last, low, high = _OLD_RANGE.unpack_from(info)
        else:
            flags, first, last, low, high = _RANGE.unpack_from(info)
    except struct.error:
        return None
    size, family = (16, socket.AF_INET6) if ipv6 else (4, socket.AF_INET)
    mapped, named = bool(flags & MAP_ADDRESSES), bool(flags & NAMES_PORTS)
    target = NatTarget(
        socket.inet_ntop(family, first[:size]) if mapped else "",
        socket.inet_ntop(family, last[:size]) if mapped else "",
        *(sorted((int.from_bytes(low, "big"), int.from_bytes(high, "big"))) if named else (None, None)),
    )
    return target, flag_names(flags)


def is_notrack(name: str, info: bytes) -> bool:
    """Return whether a target leaves packets untracked (struct xt_ct_target_info begins with its flags)."""
    if name == "CT" and len(info) >= 2:
        return bool(struct.unpack_from("=H", info)[0] & _NOTRACK)
    return name == "NOTRACK"


def destination_ports(name: str, info: bytes) -> tuple[int, int] | None:
    """Return the destination ports that the match tcp or udp names; None if it names none, or inverts them."""
    if name not in ("tcp", "udp") or len(info) < 12:
        return None
    # struct xt_tcp and xt_udp both begin with the ports: source, destination.
    low, high = struct.unpack_from("=2H", info, 4)
    inverted = info[11] if name == "tcp" else info[8]
    return (low, high) if (low, high) != (0, 65535) and not inverted & 2 else None


def match_text(name: str) -> str:
    """Return a match that is not decoded, in words."""
    return f"-m {sanitize(name, 40)}"


def comment_of(info: bytes) -> str:
    """Return the text of the match comment (struct xt_comment_info)."""
    return sanitize(info.partition(b"\0")[0], 120)
