"""Rules of iptables-legacy: not netlink, but getsockopt(2) on a raw socket (struct ipt_get_entries,
include/uapi/linux/netfilter_ipv4/ip_tables.h, and ip6_tables.h).

Only tables that are in /proc/net/ip_tables_names are asked for: for another one the kernel would load its module,
and register its hooks."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from sockmon.errors import ReadError
from sockmon.kernel.errnos import FORBIDDEN
from sockmon.kernel.nat_rules import xt
from sockmon.kernel.nat_rules.modules import may_be_loaded
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.open_file import read_open_file
from sockmon.kernel.setns import OpenedFiles
from sockmon.model.nat_rules import Conditions, Maker, NatRule, NotrackRule
from sockmon.text import sanitize

READER: Maker = "iptables-legacy"
TABLES = ("nat", "raw")
MAX_BYTES = 32 * 1024 * 1024
"""Size of a table up to which it is read: about 100,000 rules."""

_GET_INFO, _GET_ENTRIES = 64, 65
_INFO = struct.Struct("=32sI5I5III")
_ENTRIES_HEADER = 40
"""struct ipt_get_entries up to its entries, which are aligned to eight bytes."""
_TARGET_HEADER = 32
_HOOKS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
_NOT_SOURCE, _NOT_DESTINATION, _NOT_PROTOCOL, _NOT_OUT = 0x08, 0x10, 0x40, 0x02
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 33: "dccp", 58: "icmpv6", 132: "sctp"}

_RULES_OF_A_STEP = 200

_libc = ctypes.CDLL(None, use_errno=True)


class _Family(NamedTuple):
    """Where struct ipt_entry, or ip6t_entry, has what."""

    name: str
    level: int
    address_family: socket.AddressFamily
    file: str
    size: int
    """Bytes of an address."""
    offsets_at: int
    """target_offset and next_offset."""
    counters_at: int
    matches_at: int
    modules: tuple[str, ...]
    """Those that have the tables nat and raw."""


_FAMILIES = (
    _Family(
        "ip",
        socket.IPPROTO_IP,
        socket.AF_INET,
        "net/ip_tables_names",
        4,
        88,
        96,
        112,
        ("iptable_nat", "iptable_raw"),
    ),
    _Family(
        "ip6",
        socket.IPPROTO_IPV6,
        socket.AF_INET6,
        "net/ip6_tables_names",
        16,
        140,
        152,
        168,
        ("ip6table_nat", "ip6table_raw"),
    ),
)


@dataclass
class LegacyRules:
    """What was found, and what could not be read: a sentence each."""

    nat: list[NatRule]
    notrack: list[NotrackRule]
    unread: list[str]


def open_legacy() -> OpenedFiles:
    """Open what reading takes, in the namespace of the calling thread: names of tables, and a raw socket for each
    family that has some."""
    opened = OpenedFiles()
    for family in _FAMILIES:
        try:
            names = os.open(f"/proc/thread-self/{family.file}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            opened.errors[family.file] = error.errno or errno.EIO
            continue
        opened.files[family.file] = names
        if not _wanted(names):
            continue
        try:
            raw = socket.socket(family.address_family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW)
        except OSError as error:
            opened.errors[family.name] = error.errno or errno.EIO
            continue
        opened.files[family.name] = raw.detach()
    return opened


def read_legacy(opened: OpenedFiles) -> Incremental[LegacyRules]:
    """Return the rules of all families; close what was opened, also if it is stopped."""
    found = LegacyRules([], [], [])
    try:
        for family in _FAMILIES:
            code = opened.errors.get(family.file, errno.ENOENT)
            if family.file not in opened.files:
                # Without the file the module is not loaded. It belongs to root of the host, also in a namespace
                # that an ordinary user has made.
                if code != errno.ENOENT and any(map(may_be_loaded, family.modules)):
                    found.unread.append(_unreadable(family, code))
                continue
            for table in _wanted(opened.files[family.file]):
                if family.name not in opened.files:
                    found.unread.append(_unreadable(family, opened.errors.get(family.name, errno.EPERM)))
                    break
                try:
                    yield from _read_table(opened.files[family.name], family, table, found)
                except ReadError as error:
                    found.unread.append(error.message)
    finally:
        for descriptor in opened.files.values():
            with suppress(OSError):
                os.close(descriptor)
    return found


def _unreadable(family: _Family, code: int) -> str:
    why = "needs CAP_NET_ADMIN and CAP_NET_RAW" if code in FORBIDDEN else os.strerror(code)
    return f"rules of iptables-legacy ({family.name}) could not be read: {why}"


def _wanted(descriptor: int) -> list[str]:
    """Return the tables that this namespace has, of those that matter."""
    names = read_open_file(descriptor, READER, 65536).decode("ascii", "replace").split()
    return [name for name in TABLES if name in names]


def _read_table(raw: int, family: _Family, table: str, found: LegacyRules) -> Incremental[None]:
    info = _get(raw, family, _GET_INFO, table.encode().ljust(_INFO.size, b"\0"), table)
    _, hooks, *entries = _INFO.unpack(info)
    size = entries[-1]
    if size > MAX_BYTES:
        raise ReadError(READER, f"table {table} of iptables-legacy has {size:,} bytes, which is too large to read")
    request = struct.pack("=32sI4x", table.encode(), size) + bytes(size)
    block = _get(raw, family, _GET_ENTRIES, request, table)[_ENTRIES_HEADER:]
    starts = {entries[hook]: name for hook, name in enumerate(_HOOKS) if hooks & (1 << hook)}
    yield
    for count, (chain, number, entry) in enumerate(_rules(block, family, starts)):
        if count % _RULES_OF_A_STEP == 0:
            yield
        _add_rule(entry, family, f"{family.name} {table}", chain, number, found)


def _get(raw: int, family: _Family, option: int, request: bytes, table: str) -> bytes:
    """Return the answer of getsockopt(2), whose request and answer share one buffer."""
    buffer = ctypes.create_string_buffer(request, len(request))
    length = ctypes.c_uint32(len(request))
    if _libc.getsockopt(raw, family.level, option, buffer, ctypes.byref(length)) != 0:
        code = ctypes.get_errno()
        if code == errno.EAGAIN:
            raise ReadError(READER, f"table {table} of iptables-legacy changed while it was read")
        raise ReadError(READER, f"table {table} of iptables-legacy could not be read: {os.strerror(code)}")
    return buffer.raw[: length.value]


def _rules(block: bytes, family: _Family, starts: dict[int, str]) -> Iterator[tuple[str, int, bytes]]:
    """Yield chain, number in it and bytes of each entry."""
    at, chain, number = 0, "?", 0
    while at + family.matches_at <= len(block):
        target_at, next_at = struct.unpack_from("=HH", block, at + family.offsets_at)
        if not family.matches_at <= target_at < next_at or at + next_at > len(block):
            raise ReadError(READER, "the kernel sent an entry of iptables-legacy with invalid offsets")
        entry = block[at : at + next_at]
        name, _, data = _named(entry[target_at:])
        if name == "ERROR":
            # The first entry of a chain of the user has its name.
            chain, number = sanitize(data.partition(b"\0")[0], 60), 0
        else:
            if at in starts:
                chain, number = starts[at], 0
            number += 1
            yield chain, number, entry
        at += next_at


def _named(part: bytes) -> tuple[str, int, bytes]:
    """Return name, revision and data of a target or match: struct xt_entry_target."""
    (size,) = struct.unpack_from("=H", part)
    name = part[2:31].partition(b"\0")[0].decode("ascii", "replace")
    return name, part[31], part[_TARGET_HEADER : max(size, _TARGET_HEADER)]


def _add_rule(entry: bytes, family: _Family, table: str, chain: str, number: int, found: LegacyRules) -> None:
    (target_at,) = struct.unpack_from("=H", entry, family.offsets_at)
    name, revision, info = _named(entry[target_at:])
    translates = name in xt.NAT_TARGETS and chain not in ("PREROUTING", "OUTPUT")
    if not translates and not xt.is_notrack(name, info):
        return
    conditions, comment = _conditions(entry, family, target_at)
    packets = struct.unpack_from("=Q", entry, family.counters_at)[0]
    if not translates:
        found.notrack.append(NotrackRule(READER, table, chain, number, conditions, packets, comment))
        return
    decoded = xt.nat_target(name, revision, info, family.size == 16)
    targets, flags = ((decoded[0],), decoded[1]) if decoded else ((), ())
    unread = "" if decoded else f"the target {name} has a form that is not known"
    kind = xt.NAT_TARGETS[name]
    found.nat.append(
        NatRule(kind, READER, table, chain, number, targets, conditions, flags, packets, comment, unread)
    )


def _conditions(entry: bytes, family: _Family, target_at: int) -> tuple[Conditions, str]:
    size = family.size
    source, destination, source_mask, destination_mask = (
        entry[each * size : (each + 1) * size] for each in range(4)
    )
    names_at = 4 * size
    device, mask = entry[names_at + 16 : names_at + 32], entry[names_at + 48 : names_at + 64]
    (protocol,) = struct.unpack_from("=H", entry, names_at + 64)
    inverted = entry[names_at + 67] if size == 4 else entry[names_at + 68]
    others: list[str] = []

    def plain(text: str, name: str, bit: int) -> str:
        """Return a condition, or keep it in words if it is inverted."""
        if text and inverted & bit:
            others.append(f"{name} != {text}")
            return ""
        return text

    if entry[names_at]:
        others.append(f"iifname {sanitize(entry[names_at : names_at + 16].partition(bytes(1))[0], 20)}")
    ports, comment = None, ""
    at = family.matches_at
    while at + _TARGET_HEADER <= target_at:
        name, _, info = _named(entry[at:])
        if name == "comment":
            comment = xt.comment_of(info)
        elif found := xt.destination_ports(name, info):
            ports = found
        else:
            others.append(xt.match_text(name))
        at += max(struct.unpack_from("=H", entry, at)[0], _TARGET_HEADER)
    conditions = Conditions(
        family=family.name,  # type: ignore[arg-type]
        protocol=plain(
            _PROTOCOLS.get(protocol, f"protocol {protocol}") if protocol else "", "l4proto", _NOT_PROTOCOL
        ),
        source=plain(_network(source, source_mask), "saddr", _NOT_SOURCE),
        destination=plain(_network(destination, destination_mask), "daddr", _NOT_DESTINATION),
        device=plain(_device(device, mask), "oifname", _NOT_OUT),
        ports=ports,
        others=tuple(others[:8]),
    )
    return conditions, comment


def _device(name: bytes, mask: bytes) -> str:
    whole, covered = name.partition(b"\0")[0], mask.count(b"\xff")
    # The mask covers the final zero of a whole name only; `eth+` is a name that begins with eth.
    return sanitize(whole, 40) if covered > len(whole) or not whole else sanitize(whole[:covered], 40) + "*"


def _network(address: bytes, mask: bytes) -> str:
    bits = int.from_bytes(mask, "big").bit_count()
    if not bits:
        return ""
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    text = socket.inet_ntop(family, address)
    return text if bits == 8 * len(address) else f"{text}/{bits}"
