"""Connection tracking: the count for every user, the table against three other readers of it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import struct
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockmon.errors import NotPresent, ReadError
from sockmon.kernel import conntrack
from sockmon.kernel.conntrack_layout import Layouts
from sockmon.kernel.conntrack_names import TCP_STATES, protocol_name
from sockmon.kernel.conntrack_tops import EntryKind, Tally
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.netlink import run
from sockmon.kernel.netns import open_current
from sockmon.model.snapshot import Conntrack
from tests.netns import TOOL_PATH, inside

STATS = b"""entries  found insert_failed drop early_drop
0000000a  00000001 00000002 0000000f 00000000
0000000a  00000010 00000000 00000001 00000003
"""
RULES = (
    "add table inet t; add chain inet t c { type filter hook output priority 0; }; add rule inet t c ct state new"
)


def test_statistics_are_summed_by_name() -> None:
    assert conntrack.parse_stats(STATS) == {"found": 17, "insert_failed": 2, "drop": 16, "early_drop": 3}


@pytest.mark.fault("Q8")
@pytest.mark.parametrize(
    "text", [b"", b"entries drop\n", b"entries drop\n0a\n", b"entries drop\n0a zz\n", b"a\n1 2\n"]
)
def test_malformed_statistics_are_an_error(text: bytes) -> None:
    with pytest.raises(ReadError):
        conntrack.parse_stats(text)


@pytest.mark.fault("N10")
def test_a_kernel_without_the_module_says_so(tmp_path: Path) -> None:
    handle = open_current(proc=str(tmp_path))
    with pytest.raises(NotPresent, match="nf_conntrack is not loaded"):
        conntrack.read(handle)
    handle.close()


@pytest.mark.fault("Q8")
def test_malformed_counts_are_an_error(tmp_path: Path) -> None:
    place = tmp_path / "sys/net/netfilter"
    place.mkdir(parents=True)
    for name in ("count", "max", "buckets"):
        (place / f"nf_conntrack_{name}").write_text("many\n")
    handle = open_current(proc=str(tmp_path))
    with pytest.raises(ReadError, match="not numbers"):
        conntrack.read(handle)
    handle.close()


def flows(ipv6: bool) -> list[socket.socket]:
    """Connections in several states, UDP with and without reply, an echo request and a protocol without a name."""
    kept = []
    hosts = [(socket.AF_INET, "127.0.0.1")] + [(socket.AF_INET6, "::1")] * ipv6
    for family, host in hosts:
        listener = socket.create_server((host, 0), family=family)
        for number in range(30):
            client = socket.create_connection(listener.getsockname()[:2])
            served, _ = listener.accept()
            if number % 3 == 0:
                client.close()
                served.close()
            elif number % 3 == 1:
                client.close()
            kept += [client, served]
        kept.append(listener)
        receiver = socket.socket(family, socket.SOCK_DGRAM)
        receiver.bind((host, 0))
        for number in range(20):
            sender = socket.socket(family, socket.SOCK_DGRAM)
            sender.sendto(b"x", receiver.getsockname())
            if number % 2:
                receiver.sendto(b"y", sender.getsockname())
            kept.append(sender)
        kept.append(receiver)
    ping = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    ping.sendto(struct.pack("!BBHHH", 8, 0, 0xF7FE, 1, 0), ("127.0.0.1", 0))
    other = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253)
    other.sendto(b"x", ("127.0.0.1", 0))
    return [*kept, ping, other]


def title(line: str) -> str:
    """Return a line of /proc/net/nf_conntrack or of `conntrack -L` as our key."""
    found = re.match(r"(?:ipv[46] +\d+ +)?(\w+) +(\d+) +\d+ +([A-Z_0-9]*)", line)
    assert found
    name, number, state = found.groups()
    return f"{name} {state}" if name == "tcp" else f"protocol {number}" if name == "unknown" else name


def settled(handle: NetnsHandle) -> conntrack.Table:
    """Return the table once it does not change: the last ACK of a connection comes a delayed-ACK time later."""
    table = run(conntrack.read_table(handle))
    for _ in range(50):
        time.sleep(0.1)
        before, table = table, run(conntrack.read_table(handle))
        if table == before:
            break
    return table


def compare() -> tuple[conntrack.Table, Conntrack, dict[str, Counter[str]], dict[str, int]]:
    nft = shutil.which("nft", path=TOOL_PATH)
    assert nft
    subprocess.run([nft, RULES], check=True)
    kept = flows(Path("/proc/self/net/if_inet6").exists())
    handle = open_current()
    table = settled(handle)
    counts = conntrack.read(handle)
    others: dict[str, Counter[str]] = {}
    unreplied: dict[str, int] = {}
    if os.access("/proc/self/net/nf_conntrack", os.R_OK):
        lines = Path("/proc/self/net/nf_conntrack").read_text().splitlines()
        others["proc"] = Counter(map(title, lines))
        unreplied["proc"] = sum("[UNREPLIED]" in line for line in lines)
    tool = shutil.which("conntrack", path=TOOL_PATH)
    if tool:
        lists = [
            subprocess.run(
                [tool, "-L", "-f", family], capture_output=True, text=True, check=True
            ).stdout.splitlines()
            for family in ("ipv4", "ipv6")
        ]
        others["tool"] = Counter(title(line) for lines in lists for line in lines)
        unreplied["tool"] = sum("[UNREPLIED]" in line for lines in lists for line in lines)
        count = subprocess.run([tool, "-C"], capture_output=True, text=True, check=True).stdout
        assert int(count) == counts.count
    others["pyroute2"] = by_pyroute2()
    assert conntrack.read(handle).count == counts.count, "an entry ended meanwhile"
    del kept
    return table, counts, others, unreplied


def by_pyroute2() -> Counter[str]:
    from pyroute2 import NFCTSocket

    found: Counter[str] = Counter()
    for family in (socket.AF_INET, socket.AF_INET6):
        with NFCTSocket(nfgen_family=family) as other:
            found.update(name_of(message) for message in other.dump())
    return found


def name_of(message: Any) -> str:
    """Return an entry as pyroute2 decodes it, as our key."""
    protocol = message.get_nested("CTA_TUPLE_ORIG", "CTA_TUPLE_PROTO").get_attr("CTA_PROTO_NUM")
    name = protocol_name(protocol)
    if name != "tcp":
        return name
    state = message.get_nested("CTA_PROTOINFO", "CTA_PROTOINFO_TCP").get_attr("CTA_PROTOINFO_TCP_STATE")
    return f"tcp {TCP_STATES[state]}"


@pytest.mark.usefixtures("needs_userns", "needs_nft")
def test_the_table_agrees_with_three_other_readers() -> None:
    table, counts, others, unreplied = inside(compare)
    assert table.entries["tcp ESTABLISHED"] >= 10
    assert table.entries["udp"] >= 20
    assert {"icmp", "protocol 253"} <= set(table.entries)
    assert sum(table.entries.values()) == counts.count
    for reader, entries in others.items():
        assert table.entries == dict(entries), reader
    assert set(unreplied.values()) <= {table.unreplied}
    assert counts.maximum == int(Path("/proc/sys/net/netfilter/nf_conntrack_max").read_text())


def not_tracking() -> tuple[Conntrack, conntrack.Table]:
    handle = open_current()
    return conntrack.read(handle), run(conntrack.read_table(handle))


@pytest.mark.fault("N11")
@pytest.mark.usefixtures("needs_userns")
def test_a_namespace_without_rules_tracks_nothing() -> None:
    if not Path("/proc/sys/net/netfilter/nf_conntrack_count").exists():
        pytest.skip("nf_conntrack is not loaded")
    counts, table = inside(not_tracking)
    assert counts.count == 0
    assert (table.entries, table.unreplied, table.tops.entries) == ({}, 0, 0)


def unprivileged() -> tuple[int, str]:
    import ctypes

    # Without capabilities in the namespace's owner: what an ordinary user has on the host.
    libc = ctypes.CDLL(None, use_errno=True)
    header, none = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    assert libc.capset(header, none) == 0, os.strerror(ctypes.get_errno())
    handle = open_current()
    with pytest.raises(ReadError) as refused:
        run(conntrack.read_table(handle))
    return conntrack.read(handle).maximum, refused.value.message


@pytest.mark.fault("N12")
@pytest.mark.usefixtures("needs_userns")
def test_an_ordinary_user_reads_the_count_but_not_the_table() -> None:
    if not Path("/proc/sys/net/netfilter/nf_conntrack_count").exists():
        pytest.skip("nf_conntrack is not loaded")
    maximum, refused = inside(unprivileged)
    assert maximum >= 0
    assert refused == "needs CAP_NET_ADMIN"


def nested(kind: int, *parts: bytes) -> bytes:
    return attribute(kind | 0x8000, b"".join(parts))


def attribute(kind: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def entry(protocol: int, status: int, state: int | None, address: bytes = b"\x7f\0\0\1") -> bytes:
    kinds = (1, 2) if len(address) == 4 else (3, 4)
    pair = [
        nested(
            way,
            nested(1, *(attribute(kind, address) for kind in kinds)),
            nested(2, attribute(1, bytes([protocol])), attribute(2, b"\1\2"), attribute(3, b"\3\4")),
        )
        for way in (1, 2)
    ]
    info = b"" if state is None else nested(4, nested(1, attribute(1, bytes([state]))))
    return bytes(20) + pair[0] + pair[1] + attribute(3, struct.pack(">I", status)) + attribute(7, bytes(4)) + info


def columns(*entries: bytes) -> list[EntryKind]:
    tally, length = Tally(), len(entries[0])
    for block, layout in Layouts().blocks(b"".join(entries), length):
        tally.add(block, length, layout)
    return list(tally.kinds.elements())


def test_entries_of_one_layout_are_columns() -> None:
    assert columns(*(entry(6, n, n % 10) for n in range(5))) == [(6, n, n % 10) for n in range(5)]


def test_entries_of_one_length_may_have_different_layouts() -> None:
    # A v6 address is 12 bytes longer, twice in each of two tuples: room for an attribute of another kind.
    offloaded = entry(6, 2, None)
    padded = offloaded + attribute(22, bytes(len(entry(6, 2, 3)) - len(offloaded) - 4))
    assert sorted(columns(entry(6, 2, 3), padded, entry(17, 0, 3))) == [(6, 2, 3), (6, 2, 255), (17, 0, 3)]


def test_an_address_with_the_bytes_of_an_attribute_is_only_an_address() -> None:
    spoof = struct.pack("=HHI", 8, 3, 0xFFFFFFFF) + struct.pack("=HHI", 8, 3, 0)
    assert columns(entry(6, 2, 3, spoof)) == [(6, 2, 3)]


@given(st.lists(st.tuples(st.integers(0, 151), st.integers(0, 255)), max_size=6), st.integers(20, 160))
def test_malformed_entries_raise_read_error_only(changes: list[tuple[int, int]], length: int) -> None:
    raw = bytearray(entry(6, 2, 3) * 2)
    for at, value in changes:
        raw[at] = value
    message = bytes(raw[:length])
    try:
        found = columns(message)
    except ReadError:
        return
    assert len(found) == 1
